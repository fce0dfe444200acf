//! The audit log: a line for each thing that was allowed, denied, asked, answered or taken away.
//!
//! A line is one JSON object. `at` is milliseconds since 1970 and `what` one of `allow`, `deny`, `ask`, `answer`, `revoke`,
//! `policy` and `load`; the rest is there where it belongs. A line with `times` stands for so many. More kinds and fields may
//! come.
//!
//! ```text
//! {"at":1795307930000,"what":"allow","task":"…","plugin":"fetch","digest":"…","capability":"http","scope":"GET https://a.b:443","rule":"plugins.fetch.allow.http[0]"}
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// A task may do something. Of requests to other machines each is a line; anything else is told when it is allowed first, and
    /// how often it was allowed again after the next thousand times, after ten thousand more, and so on, and when the task has
    /// ended ([`AuditLine::times`]).
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
    /// How many times again it happened since the line before about the same. See [`AuditLine::times`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
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
            times: None,
        }
    }

    /// For how many times this line stands: 1 unless it says otherwise. All lines of a task about the same thing together say
    /// how often it happened. `at` is when the line was written. Of a host that was killed or left the last ones may be
    /// missing.
    ///
    /// ```
    /// let line = taskcell::AuditLine::read(r#"{"at":7,"what":"allow","capability":"random","times":41}"#).unwrap();
    /// assert_eq!(line.times(), 41);
    /// ```
    pub fn times(&self) -> u64 {
        self.times.unwrap_or(1)
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
    /// Keeps a line. Must not block for long: a task waits for it, on a thread of the caller's runtime.
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

/// A thing that is allowed so often again is told again, for the first time. The next time it takes ten times as many, so
/// that a guest in a loop does not push everything else out of the log.
const AGAIN_FIRST: u64 = 1000;

/// A task's part of the audit log.
#[derive(Debug)]
pub(crate) struct Ledger {
    log: Arc<dyn AuditLog>,
    clock: Arc<dyn Clock>,
    task: TaskId,
    plugin: String,
    digest: PluginDigest,
    /// What was told as allowed, by each of its rules.
    told: Mutex<BTreeMap<Touch, Vec<Told>>>,
}

/// A rule by which something was allowed.
#[derive(Debug)]
struct Told {
    rule: String,
    /// How often again since the last line about it.
    again: u64,
    /// After how many it is told next.
    next: u64,
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

    /// Tells that something is allowed, or counts it, if that is no news.
    pub(crate) fn allow(&self, touch: &Touch, rule: &str) -> io::Result<()> {
        if matches!(touch, Touch::Http(_)) {
            return self.write(&self.about(AuditWhat::Allow, touch, rule));
        }
        let mut told = self.told();
        if let Some(known) = told.get_mut(touch).and_then(|rules| rules.iter_mut().find(|told| told.rule == rule)) {
            if known.again + 1 < known.next {
                known.again += 1;
            } else {
                self.write(&self.again(touch, rule, known.next))?;
                (known.again, known.next) = (0, known.next.saturating_mul(10));
            }
            return Ok(());
        }
        self.write(&self.about(AuditWhat::Allow, touch, rule))?;
        if told.len() >= TOLD_MAX {
            self.tell_rest(&mut told);
        }
        told.entry(touch.clone()).or_default().push(Told { rule: rule.to_owned(), again: 0, next: AGAIN_FIRST });
        Ok(())
    }

    /// Tells how often what was told as allowed has been allowed again. That it cannot be told changes nothing about it.
    pub(crate) fn settle(&self) {
        self.tell_rest(&mut self.told());
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<Touch, Vec<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_rest(&self, told: &mut BTreeMap<Touch, Vec<Told>>) {
        let mut lines = Vec::new();
        for (touch, rules) in std::mem::take(told) {
            let rules = rules.iter().filter(|told| told.again > 0);
            lines.extend(rules.map(|told| self.again(&touch, &told.rule, told.again)));
        }
        lines.sort_unstable_by(|a, b| (a.capability, &a.scope, &a.rule).cmp(&(b.capability, &b.scope, &b.rule)));
        for line in lines {
            let _ = self.write(&line);
        }
    }

    fn again(&self, touch: &Touch, rule: &str, times: u64) -> AuditLine {
        AuditLine { times: Some(times), ..self.about(AuditWhat::Allow, touch, rule) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::clock::SystemClock;

    fn ledger(ring: &Arc<AuditRing>) -> Ledger {
        let (log, clock) = (Arc::clone(ring) as Arc<dyn AuditLog>, Arc::new(SystemClock::new()));
        Ledger::new(log, clock, TaskId::from_random(7), ("words", PluginDigest::of(b"words")))
    }

    /// How often the log has that each thing was allowed.
    fn allowed(ring: &AuditRing) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for line in ring.lines() {
            *sums.entry(line.scope.clone().unwrap_or_default()).or_default() += line.times();
        }
        sums
    }

    #[test]
    fn t23_the_lines_add_up_to_what_was_allowed() {
        let ring = Arc::new(AuditRing::new(10_000));
        let ledger = ledger(&ring);
        for _ in 0..20_000 {
            ledger.allow(&Touch::Random, "default").unwrap();
        }
        ledger.settle();
        let told: Vec<_> = ring.lines().iter().map(|line| line.times).collect();
        assert_eq!(told, [None, Some(1000), Some(10_000), Some(8999)], "a loop is a few lines");
        assert_eq!(allowed(&ring)[""], 20_000);
    }

    #[test]
    fn t23_a_task_that_touches_very_many_things_has_all_of_them_told() {
        let ring = Arc::new(AuditRing::new(4 * TOLD_MAX));
        let ledger = ledger(&ring);
        let touch = |n: usize| Touch::Env(format!("N{n}"));
        for n in 0..TOLD_MAX + 10 {
            ledger.allow(&touch(n), "a").unwrap();
            ledger.allow(&touch(n), "a").unwrap();
            ledger.allow(&touch(n), "b").unwrap();
        }
        assert!(ledger.told().len() < 20, "it forgets what it has told");
        ledger.settle();
        let allowed = allowed(&ring);
        assert!(allowed.len() == TOLD_MAX + 10 && allowed.values().all(|times| *times == 3));
    }
}
