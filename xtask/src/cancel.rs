//! Stops a program as a person would: Ctrl-C, patience, and Ctrl-C again.

use std::{process::ExitStatus, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{
    child::{Child, Heard},
    signals,
};

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Until the program says that it has begun.
    pub(crate) start: Duration,
    /// From that to the first Ctrl-C.
    pub(crate) run: Duration,
    /// From the first Ctrl-C to the second: longer than the grace that a task has.
    pub(crate) grace: Duration,
    /// From the second to giving up.
    pub(crate) force: Duration,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// How often Ctrl-C was needed.
    pub(crate) presses: u32,
}

/// Lets the program run for a moment from when it says that it has `begun`, and then stops it. `say` is told of each Ctrl-C.
pub(crate) fn cancel(mut child: Child, begun: &str, patience: Patience, say: &mut dyn FnMut(&str)) -> Result<Ended> {
    let ended = match child.hear_of(begun, patience.start) {
        Heard::Line(_) => child.ends_within(patience.run),
        Heard::End => true,
        Heard::Nothing => bail!("it has not begun within {} s", patience.start.as_secs()),
    };
    if ended {
        bail!("it ended by itself ({}), before anybody stopped it", child.wait()?);
    }
    say("sending the Ctrl-C");
    signals::interrupt(child.id())?;
    let mut presses = 1;
    if !child.ends_within(patience.grace) {
        say("the grace should be over; sending the second Ctrl-C");
        signals::interrupt(child.id())?;
        presses = 2;
        if !child.ends_within(patience.force) {
            bail!("it did not stop, not even after the second Ctrl-C, and was killed");
        }
    }
    let status = child.wait().context("after the Ctrl-C")?;
    Ok(Ended { status, presses })
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;

    const PATIENCE: Patience = Patience {
        start: Duration::from_mins(10),
        run: Duration::from_millis(20),
        grace: Duration::from_mins(10),
        force: Duration::from_mins(10),
    };

    /// A program that says when its trap is set, and then waits for a signal without end.
    fn program(trap: &str) -> Child {
        // A shell cannot trap a signal that was ignored when it began, as it is below a job in the background.
        let mut command = Command::new("env");
        let wait =
            "while :; do tail -f /dev/null >/dev/null 2>&1 & pid=$!; trap 'kill $pid' EXIT; wait $pid; kill $pid; done";
        command.args(["--default-signal=INT", "sh", "-c", &format!("n=0; {trap}; echo ready >&2; {wait}")]);
        Child::start_and_listen(command).unwrap()
    }

    #[test]
    fn one_ctrl_c_is_enough_for_a_program_that_obeys() {
        let ended = cancel(program("trap 'kill $pid; exit 7' INT"), "ready", PATIENCE, &mut |_| {}).unwrap();
        assert_eq!((ended.status.code(), ended.presses), (Some(7), 1));
    }

    #[test]
    fn a_second_one_follows_when_the_grace_is_over() {
        let stubborn = program("trap 'n=$((n+1)); [ $n = 2 ] && { kill $pid; exit 9; }' INT");
        let patience = Patience { grace: Duration::from_secs(2), ..PATIENCE };
        let mut said = Vec::new();
        let ended = cancel(stubborn, "ready", patience, &mut |text| said.push(text.to_owned())).unwrap();
        assert_eq!((ended.status.code(), ended.presses), (Some(9), 2));
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn a_program_that_never_stops_is_killed() {
        let deaf = {
            let mut command = Command::new("sh");
            command.args(["-c", "trap '' INT; echo ready >&2; exec tail -f /dev/null"]);
            Child::start_and_listen(command).unwrap()
        };
        let patience = Patience { grace: Duration::from_millis(20), force: Duration::from_millis(20), ..PATIENCE };
        let started = Instant::now();
        let error = cancel(deaf, "ready", patience, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("was killed"), "{error}");
        assert!(started.elapsed() < Duration::from_mins(2));
    }

    #[test]
    fn nobody_is_stopped_who_has_not_begun() {
        let mut said = Vec::new();
        let patience = Patience { start: Duration::from_millis(50), ..PATIENCE };
        let error = cancel(program(":"), "begun", patience, &mut |text| said.push(text.to_owned())).unwrap_err();
        assert!(error.to_string().contains("has not begun") && said.is_empty(), "{error} {said:?}");
    }

    #[test]
    fn a_program_that_ends_too_early_is_no_demonstration() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ready >&2; exit 3"]);
        let child = Child::start_and_listen(command).unwrap();
        let error =
            cancel(child, "ready", Patience { run: PATIENCE.start, ..PATIENCE }, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
