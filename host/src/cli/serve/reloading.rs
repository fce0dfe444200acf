//! The server's policy, read again when SIGHUP or a client asks for it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::output::talk;
use crate::cli::policy;
use crate::cli::stops::Hangups;
use crate::{Host, LostGrant, PolicyChange};

/// What reads it again.
#[derive(Debug)]
pub(super) struct Reloading {
    host: Arc<Host>,
    file: PathBuf,
    /// One at a time: the last one that asks is the one whose file holds.
    turn: Mutex<()>,
}

impl Reloading {
    pub(super) fn new(host: Arc<Host>, file: PathBuf) -> Self {
        Self { host, file, turn: Mutex::default() }
    }

    /// Puts the policy in force as its file is now, with its secrets as they are now, and tells what that took away. When
    /// something is wrong with one of them, that is told, and all stays as it was.
    pub(super) fn reload(&self, asked: &str) -> Result<PolicyChange, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = policy::read(&self.file).map_err(|fault| refused(asked, &fault.lines()))?;
        let error = |why: String| format!("error: {why}");
        let secrets = policy::values(&policy)
            .map_err(|faults| refused(asked, &faults.into_iter().map(error).collect::<Vec<_>>()))?;
        let change = self.host.set_policy_with_secrets(policy, secrets);
        let change = change.map_err(|fault| refused(asked, &[error(fault.to_string())]))?;
        talk(&format!("{asked}: the policy {} holds as it is now", self.file.display()));
        for line in lost(&change) {
            talk(&line);
        }
        Ok(change)
    }

    /// Does so each time that SIGHUP asks for it.
    pub(super) async fn on_hangups(&self, asked: &mut Hangups) -> std::convert::Infallible {
        loop {
            asked.next().await;
            // What is wrong is told already.
            let _ = self.reload("SIGHUP");
        }
    }
}

/// Tells why the policy stays as it was, and returns that for whoever asked.
fn refused(asked: &str, lines: &[String]) -> String {
    for line in lines {
        talk(line);
    }
    talk(&format!("{asked}: the policy stays as it was"));
    let why = lines.iter().map(|line| line.trim_start_matches("error: "));
    why.chain(["the server's policy stays as it was"]).collect::<Vec<_>>().join("\n")
}

/// What another policy has taken away, for people.
pub(in crate::cli) fn lost(change: &PolicyChange) -> Vec<String> {
    let line = |LostGrant { id, capability, scope, .. }: &LostGrant| {
        let scope = if scope.is_empty() { String::new() } else { format!(" ({scope})") };
        format!("{id}: it may do less than before, first of all {capability}{scope}")
    };
    let unaudited = change.unaudited.iter();
    let unaudited =
        unaudited.map(|why| format!("warning: the audit log cannot be written, and so nothing is allowed: {why}"));
    change.lost.iter().map(line).chain(unaudited).collect()
}
