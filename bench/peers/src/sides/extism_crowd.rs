//! Many of Extism's plugins, each on a thread of its own, which is what a call takes.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use extism::CancelHandle;

use super::extism::{Source, Surroundings};
use crate::{
    guests::Job,
    measure::{CROWD, PATIENCE, micros, victims},
};

/// How long nobody must have ended until nobody else ends.
const QUIET: Duration = Duration::from_millis(500);

/// A plugin's end: its number, and what its caller was told when it was no good end.
type End = (usize, Option<String>);

/// A thousand plugins that run: the first spins, the others do what they were asked to.
pub(super) struct Crowd<'a> {
    source: &'a Source,
    around: &'a Surroundings,
    others: Job,
    members: Vec<CancelHandle>,
    tell: Sender<End>,
    ends: Receiver<End>,
}

/// What cancels came to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) samples: Vec<f64>,
    /// For each cancel, how many others ended with it.
    pub(super) deaths: Vec<f64>,
    pub(super) reason: String,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(source: &'a Source, around: &'a Surroundings, others: Job) -> Result<Self> {
        let (tell, ends) = channel();
        let mut crowd = Self { source, around, others, members: Vec::new(), tell, ends };
        // All are made before any runs: those that run would slow it down.
        crowd.start(&(0..CROWD).collect::<Vec<_>>())?;
        Ok(crowd)
    }

    /// Makes the plugins of these numbers and calls each, on a thread of its own. Returns when all run.
    fn start(&mut self, numbers: &[usize]) -> Result<()> {
        let before = self.around.started();
        let plugins = numbers.iter().map(|_| self.source.plugin(self.around)).collect::<Result<Vec<_>>>()?;
        self.around.hold();
        for (number, mut plugin) in numbers.iter().copied().zip(plugins) {
            let handle = plugin.cancel_handle();
            match self.members.get_mut(number) {
                Some(member) => *member = handle,
                None => self.members.push(handle),
            }
            let (job, tell) = (self.job(number), self.tell.clone());
            thread::spawn(move || {
                let said = plugin.call::<_, &str>(job.name(), "").err().map(|error| format!("{error:#}"));
                drop(plugin);
                // Nobody listens when the crowd is gone.
                let _ = tell.send((number, said));
            });
        }
        let began = Instant::now();
        while self.around.started() < before + numbers.len() {
            ensure!(began.elapsed() < PATIENCE, "only {} of them run", self.around.started() - before);
            thread::sleep(Duration::from_millis(1));
        }
        self.around.go();
        Ok(())
    }

    fn job(&self, number: usize) -> Job {
        if number == 0 { Job::Spin } else { self.others }
    }

    /// Cancels so many, one after the other, and ends with the crowd.
    #[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
    pub(super) fn cancels(mut self, count: usize) -> Result<Found> {
        let mut found = Found::default();
        for (number, pause) in victims(count) {
            thread::sleep(pause);
            let victim = if self.others == Job::Spin { number } else { 0 };
            let handle = self.members.get(victim).context("no such plugin")?;
            let before = Instant::now();
            handle.cancel()?;
            let mut dead = Vec::new();
            loop {
                let (number, said) = self.ends.recv_timeout(PATIENCE).context("one that was cancelled goes on")?;
                dead.push(number);
                if number == victim {
                    found.samples.push(micros(before.elapsed()));
                    found.reason = said.unwrap_or_else(|| "it succeeded".to_owned());
                    break;
                }
            }
            if self.others == Job::Spin {
                dead.extend(self.ended_until_quiet()?.into_iter().map(|(number, _)| number));
                found.deaths.push((dead.len() - 1) as f64);
            }
            self.start(&dead)?;
        }
        if self.others == Job::Answer {
            found.deaths.push(self.woken()? as f64);
        }
        self.end()?;
        Ok(found)
    }

    /// Lets those that wait go on: how many of them do not come to a good end.
    fn woken(&self) -> Result<usize> {
        self.around.open();
        let ends = (1..CROWD).map(|_| self.ends.recv_timeout(PATIENCE)).collect::<Result<Vec<_>, _>>()?;
        Ok(ends.iter().filter(|(_, said)| said.is_some()).count())
    }

    fn ended_until_quiet(&self) -> Result<Vec<End>> {
        let mut ended = Vec::new();
        while ended.len() < CROWD - 1 {
            match self.ends.recv_timeout(QUIET) {
                Ok(end) => ended.push(end),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => bail!("the threads of the crowd are gone"),
            }
        }
        Ok(ended)
    }

    /// Cancels all that are left.
    fn end(self) -> Result<()> {
        let left = if self.others == Job::Spin { CROWD } else { 1 };
        for member in &self.members {
            member.cancel()?;
        }
        for _ in 0..left {
            self.ends.recv_timeout(PATIENCE).context("one that was cancelled goes on")?;
        }
        Ok(())
    }
}
