//! The server's policy, read again when SIGHUP or a client asks for it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::output::talk;
use crate::cli::policy;
use crate::cli::stops::Hangups;
use crate::{Host, LostGrant, Policy, PolicyChange};

/// What reads it again.
#[derive(Debug)]
pub(super) struct Reloading {
    host: Arc<Host>,
    file: PathBuf,
    /// The secrets that were there when the server was started.
    secrets: BTreeSet<String>,
    /// One at a time: the last one that asks is the one whose file holds.
    turn: Mutex<()>,
}

impl Reloading {
    pub(super) fn new(host: Arc<Host>, file: PathBuf, policy: &Policy) -> Self {
        let secrets = policy.secrets().map(|(name, _)| name.to_owned()).collect();
        Self { host, file, secrets, turn: Mutex::default() }
    }

    /// Puts the policy in force as its file is now, and tells what that took away. One that is wrong is told, and the old one
    /// stays.
    pub(super) fn reload(&self, asked: &str) -> Result<PolicyChange, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let policy = policy::read(&self.file).map_err(|fault| {
            let lines = fault.lines();
            for line in &lines {
                talk(line);
            }
            talk(&format!("{asked}: the policy stays as it was"));
            let why = lines.iter().map(|line| line.trim_start_matches("error: ").to_owned());
            why.chain(["the server's policy stays as it was".to_owned()]).collect::<Vec<_>>().join("\n")
        })?;
        for name in policy.secrets().map(|(name, _)| name).filter(|name| !self.secrets.contains(*name)) {
            talk(&format!("note: the secret {name} is new: no task has it before the server is started again"));
        }
        let change = self.host.set_policy(policy);
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
