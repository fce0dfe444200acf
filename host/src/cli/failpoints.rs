//! Lets a test kill the program at a named place. Only with the feature `failpoints`, which no release has.

use std::sync::atomic::{AtomicU64, Ordering};

use super::environment::variable;
use super::output::talk;

/// At which place, and the how manieth time: `NAME:TIMES`.
const VARIABLE: &str = "TASKCELL_KILL_AT";

/// Arms the place that the environment names.
pub(super) fn arm() {
    let Some(wish) = variable(VARIABLE).and_then(|wish| wish.into_string().ok()) else { return };
    let Some((name, Ok(times))) = wish.split_once(':').map(|(name, times)| (name, times.parse::<u64>())) else {
        return talk(&format!("warning: {VARIABLE} is not NAME:TIMES"));
    };
    let come = AtomicU64::new(0);
    let armed = fail::cfg_callback(name, move || {
        if come.fetch_add(1, Ordering::SeqCst) + 1 == times {
            // Not an exit: nothing is written, flushed or let go of.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    });
    if let Err(error) = armed {
        talk(&format!("warning: {VARIABLE}: {error}"));
    }
}
