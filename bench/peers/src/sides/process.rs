//! A native program per task: a process of its own, started, waited for, and killed.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    fact::{Fact, Finding},
    guests::Job,
    measure::{ALLOWED, Amount, CROWD, each, micros, rested, victims},
    work::work,
};

/// The program beside this one.
const PROGRAM: &str = "taskcell-peers-child";

/// A process that has said that it runs.
struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

/// What cancels in a crowd came to.
#[derive(Default)]
struct Found {
    samples: Vec<f64>,
    /// For each cancel, how many others ended with it.
    deaths: Vec<f64>,
    /// Those of such that wait.
    parked: Vec<f64>,
    reason: String,
}

/// Where the program is.
struct Program(PathBuf);

pub(crate) fn measure(amount: Amount) -> Result<Vec<Finding>> {
    let program = Program(std::env::current_exe()?.with_file_name(PROGRAM));
    let mut findings = vec![
        Finding::of(Fact::FirstResult, each(amount.pick(3, 10), || program.one())?),
        Finding::of(Fact::Start, rested(amount.pick(200, 1000), || program.one())?),
        Finding::of(Fact::Call, program.calls(amount)?),
    ];
    for (job, cancel, died, cancels) in [
        (Job::Spin, Fact::CancelBusy, Fact::DiedBusy, amount.pick(4, 12)),
        (Job::Answer, Fact::CancelWaiting, Fact::DiedWaiting, amount.pick(50, 200)),
    ] {
        let found = program.crowd(job, cancels)?;
        findings.push(Finding::of(cancel, found.samples));
        findings.push(Finding::of(died, found.deaths));
        findings.push(Finding::of(Fact::CancelParked, found.parked));
        if cancel == Fact::CancelBusy {
            findings.push(Finding::text(Fact::Reason, format!("`{}`", found.reason)));
        }
    }
    findings.extend(program.limits()?);
    Ok(findings)
}

impl Program {
    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(what).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    /// One piece of work, until its process is gone.
    fn one(&self) -> Result<()> {
        let output = self.command(Job::Work.name()).stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "the work ended with {}", output.status);
        ensure!(output.stdout.trim_ascii() == work().as_bytes(), "the work came to something else");
        Ok(())
    }

    /// Starts one, and does not wait until it runs.
    fn start(&self, job: Job) -> Result<Running> {
        let mut child = self.command(job.name()).spawn().context("no further process can be had")?;
        let stdin = child.stdin.take().context("a child without stdin")?;
        let lines = BufReader::new(child.stdout.take().context("a child without stdout")?).lines();
        Ok(Running { child, stdin, lines })
    }

    fn calls(&self, amount: Amount) -> Result<Vec<f64>> {
        let mut live = self.start(Job::Answer)?;
        live.ready()?;
        let samples = rested(amount.pick(200, 1000), || live.answer())?;
        Ok(samples)
    }

    /// So many processes, of which the first spins and the others do this.
    #[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
    fn crowd(&self, others: Job, cancels: usize) -> Result<Found> {
        let job = |number| if number == 0 { Job::Spin } else { others };
        let mut crowd = (0..CROWD).map(|number| self.start(job(number))).collect::<Result<Vec<_>>>()?;
        for member in &mut crowd {
            member.ready()?;
        }
        for (number, member) in crowd.iter_mut().enumerate() {
            if job(number) == Job::Spin {
                member.go()?;
            }
        }
        let mut found = Found::default();
        for (number, pause) in victims(cancels) {
            thread::sleep(pause);
            let victim = if others == Job::Spin { number } else { 0 };
            let member = crowd.get_mut(victim).context("no such process")?;
            found.samples.push(member.killed(&mut found.reason)?);
            *member = self.start(Job::Spin)?;
            member.ready()?;
            member.go()?;
            found.deaths.push(dead(&mut crowd)? as f64);
        }
        if others == Job::Answer {
            for member in crowd.iter_mut().skip(1) {
                member.answer()?;
            }
            found.deaths.push(dead(&mut crowd)? as f64);
            for member in crowd.iter_mut().skip(1).take(cancels) {
                thread::sleep(Duration::from_millis(1));
                found.parked.push(member.killed(&mut found.reason)?);
            }
        }
        for member in &mut crowd {
            member.child.kill()?;
        }
        for member in &mut crowd {
            member.child.wait()?;
        }
        Ok(found)
    }

    fn limits(&self) -> Result<Vec<Finding>> {
        let before = Instant::now();
        let mut late = self.start(Job::Spin)?;
        late.ready()?;
        late.go()?;
        thread::sleep(ALLOWED);
        late.child.kill()?;
        let status = late.child.wait()?;
        let by_time = format!("`{status}`, by the parent's own clock");
        let by_time = Finding::both(Fact::RunawayTime, micros(before.elapsed()), by_time);
        let (began, ticks) = (Instant::now(), children_seconds()?);
        let status = self.command("limited").stdin(Stdio::null()).status()?;
        let by_steps = format!("no steps; 1 s of CPU time by `setrlimit`: `{status}`");
        let by_steps = Finding::both(Fact::RunawaySteps, micros(began.elapsed()), by_steps);
        let spent = children_seconds()? - ticks;
        let account = format!("{spent:.2} s of CPU time, of all children that were waited for");
        Ok(vec![by_time, by_steps, Finding::text(Fact::Account, account)])
    }
}

impl Running {
    fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().context("a child has ended")??)
    }

    /// How long it takes to end it, and how it is said to have ended.
    fn killed(&mut self, reason: &mut String) -> Result<f64> {
        let before = Instant::now();
        self.child.kill()?;
        *reason = self.child.wait()?.to_string();
        Ok(micros(before.elapsed()))
    }

    fn ready(&mut self) -> Result<()> {
        let said = self.line()?;
        ensure!(said == "ready", "a child said {said:?}");
        Ok(())
    }

    /// Lets one go that has said that it runs.
    fn go(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"go\n")?)
    }

    fn answer(&mut self) -> Result<()> {
        self.go()?;
        let said = self.line()?;
        ensure!(said == work(), "the answer was {said:?}");
        Ok(())
    }
}

impl Drop for Running {
    /// Leaves none behind, whatever went wrong.
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            // Who was killed has ended.
            let _ = self.child.wait();
        }
    }
}

/// How many have ended.
fn dead(crowd: &mut [Running]) -> Result<usize> {
    let mut dead = 0;
    for member in crowd {
        dead += usize::from(member.child.try_wait()?.is_some());
    }
    Ok(dead)
}

/// CPU time of all children that were waited for, as the kernel keeps it for their parent.
fn children_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("only Linux says what children took")?;
    // The name, which stands between brackets, may have spaces in it.
    let (_, fields) = stat.rsplit_once(')').context("no name in the kernel's account")?;
    let ticks = |number: usize| {
        fields.split_whitespace().nth(number).context("no such field")?.parse::<f64>().map_err(anyhow::Error::from)
    };
    // In user and in system mode; a tick is a hundredth of a second wherever Linux runs today.
    Ok((ticks(13)? + ticks(14)?) / 100.0)
}
