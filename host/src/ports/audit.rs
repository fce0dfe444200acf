//! The audit log: a line for each thing that was allowed, denied, asked, answered or taken away.
//!
//! A line is one JSON object. `at` is milliseconds since 1970 and `what` one of `allow`, `deny`, `ask`, `answer`, `revoke`,
//! `policy` and `load`; the rest is there where it belongs. More kinds and fields may come.
//!
//! ```text
//! {"at":1795307930000,"what":"allow","task":"…","plugin":"fetch","digest":"…","capability":"http","scope":"GET https://a.b:443","rule":"plugins.fetch.allow.http[0]"}
//! ```

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::capability::Capability;
use crate::model::grants::touch::Touch;
use crate::model::ids::{PluginDigest, TaskId};
use crate::model::policy::mandate::Denied;
use crate::model::signal::Party;
use crate::model::time::Timestamp;

use super::clock::Clock;
use super::secrets::Secrets;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AuditWhat {
    /// A task may do something. Told once for each thing and rule; of requests to other machines each is told.
    Allow,
    /// A task was denied something.
    Deny,
    /// Somebody is asked.
    Ask,
    /// Somebody has answered, or nobody did in time.
    Answer,
    /// A capability was taken away from a task.
    Revoke,
    /// Another policy is in force.
    Policy,
    /// A plugin was loaded.
    Load,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditLine {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: AuditWhat,
    /// Of which task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// Of which plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// That plugin's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<PluginDigest>,
    /// What it needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Capability>,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// By which rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who answered, or took it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Party>,
    /// `once`, `task`, `always` or `no`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AuditLine {
    pub(crate) fn new(at: Timestamp, what: AuditWhat) -> Self {
        Self {
            at,
            what,
            task: None,
            plugin: None,
            digest: None,
            capability: None,
            scope: None,
            rule: None,
            by: None,
            answer: None,
            reason: None,
        }
    }

    /// Reads a line of an audit log; `None` for one that is none, such as the last one of a machine that lost its power.
    ///
    /// ```
    /// let line = r#"{"at":7,"what":"policy"}"#;
    /// assert_eq!(taskcell::AuditLine::read(line).unwrap().what, taskcell::AuditWhat::Policy);
    /// assert_eq!(taskcell::AuditLine::read("{"), None);
    /// ```
    pub fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// Where the lines go.
pub trait AuditLog: Send + Sync + fmt::Debug {
    /// Keeps a line. Must not block for long: a task waits for it.
    ///
    /// # Errors
    /// When it cannot be kept. What it tells of is not allowed then.
    fn write(&self, line: &AuditLine) -> io::Result<()>;
}

/// The newest lines, in memory: for hosts without a directory, and for tests.
#[derive(Debug)]
pub struct AuditRing {
    lines: Mutex<VecDeque<AuditLine>>,
    max: usize,
}

impl AuditRing {
    /// One that keeps so many lines.
    pub fn new(lines: usize) -> Self {
        Self { lines: Mutex::default(), max: lines.max(1) }
    }

    /// The lines, the oldest first.
    pub fn lines(&self) -> Vec<AuditLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl AuditLog for AuditRing {
    fn write(&self, line: &AuditLine) -> io::Result<()> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= self.max {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        Ok(())
    }
}

impl<T: AuditLog + ?Sized> AuditLog for Arc<T> {
    fn write(&self, line: &AuditLine) -> io::Result<()> {
        (**self).write(line)
    }
}

/// A log whose lines have no secret in them: a guest chooses some of their words.
#[derive(Debug)]
pub(crate) struct HidingLog {
    pub(crate) log: Arc<dyn AuditLog>,
    pub(crate) secrets: Arc<Secrets>,
}

impl AuditLog for HidingLog {
    fn write(&self, line: &AuditLine) -> io::Result<()> {
        if self.secrets.is_empty() {
            return self.log.write(line);
        }
        let known = self.secrets.known();
        let mut line = line.clone();
        for text in [&mut line.scope, &mut line.rule, &mut line.reason].into_iter().flatten() {
            known.hide(text);
        }
        self.log.write(&line)
    }
}

/// Things that a ledger remembers to have told. Protects the host's memory from a task that touches very many; then some are
/// told again.
const TOLD_MAX: usize = 4096;

/// A task's part of the audit log.
#[derive(Debug)]
pub(crate) struct Ledger {
    log: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    task: TaskId,
    plugin: String,
    digest: PluginDigest,
    /// What was told as allowed, with the rule.
    told: Mutex<HashSet<(Touch, String)>>,
}

impl Ledger {
    pub(crate) fn new(
        log: Arc<dyn AuditLog>,
        clock: Arc<dyn Clock>,
        task: TaskId,
        (plugin, digest): (&str, PluginDigest),
    ) -> Self {
        Self { log, clock, task, plugin: plugin.to_owned(), digest, told: Mutex::default() }
    }

    /// A line of this task's.
    pub(crate) fn line(&self, what: AuditWhat) -> AuditLine {
        let (task, plugin, digest) = (Some(self.task), Some(self.plugin.clone()), Some(self.digest));
        AuditLine { task, plugin, digest, ..AuditLine::new(self.clock.date(), what) }
    }

    /// The same about one thing.
    pub(crate) fn about(&self, what: AuditWhat, touch: &Touch, rule: &str) -> AuditLine {
        let scope = Some(touch.scope()).filter(|scope| !scope.is_empty());
        AuditLine { capability: Some(touch.capability()), scope, rule: Some(rule.to_owned()), ..self.line(what) }
    }

    /// Tells that something is allowed, if that is news.
    pub(crate) fn allow(&self, touch: &Touch, rule: &str) -> io::Result<()> {
        let each_time = matches!(touch, Touch::Http(_));
        let known = (touch.clone(), rule.to_owned());
        if !each_time && self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&known) {
            return Ok(());
        }
        self.write(&self.about(AuditWhat::Allow, touch, rule))?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        if !each_time {
            told.insert(known);
        }
        Ok(())
    }

    /// Tells that something was denied. That it cannot be told changes nothing about it.
    pub(crate) fn deny(&self, denied: &Denied, rule: &str) {
        let line = AuditLine {
            capability: Some(denied.capability),
            scope: Some(denied.scope.clone()).filter(|scope| !scope.is_empty()),
            rule: Some(rule.to_owned()),
            reason: Some(denied.reason.clone()),
            ..self.line(AuditWhat::Deny)
        };
        let _ = self.write(&line);
    }

    pub(crate) fn write(&self, line: &AuditLine) -> io::Result<()> {
        self.log.write(line)
    }
}
