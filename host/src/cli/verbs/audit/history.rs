//! What a plugin has done, by the audit log: each of its versions apart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::fault::Fault;
use crate::cli::verbs::table::Rows;
use crate::cli::verbs::times::Now;
use crate::{AuditLine, AuditWhat, Capability, PluginDigest, TaskId, Timestamp, escape};

use super::{Reader, open, unread};

/// Things of one version that are told apart; a hostile plugin can name any number of hosts. Of more there is the count.
const THINGS_MAX: usize = 1000;
/// Tasks of one version that are told apart.
const TASKS_MAX: usize = 1_000_000;

/// What the audit log says about a plugin.
#[derive(Debug, Default)]
pub(in crate::cli) struct History {
    versions: HashMap<Option<PluginDigest>, Version>,
}

/// One version of it.
#[derive(Debug, Default)]
struct Version {
    loads: u64,
    tasks: HashSet<TaskId>,
    things: BTreeMap<(Capability, String), Thing>,
    /// Lines about things for which there was no room.
    others: u64,
    /// By capability and who did it: how many tasks lost it.
    revoked: BTreeMap<(Capability, String), u64>,
    last: Timestamp,
}

/// One thing that it touched or wanted to touch.
#[derive(Debug, Default)]
struct Thing {
    allowed: u64,
    denied: u64,
    asked: u64,
    /// By what was answered and by whom: how often.
    answers: BTreeMap<String, u64>,
    rules: BTreeSet<String>,
    last: Timestamp,
}

/// Reads a plugin's history.
pub(in crate::cli) fn of_plugin(path: &Path, name: &str) -> Result<History, Fault> {
    let (mut lines, mut reader, mut history) = (open(path)?, Reader::default(), History::default());
    while let Some((_, line)) = reader.next(&mut lines).map_err(|error| unread(path, error))? {
        if line.plugin.as_deref() == Some(name) {
            history.add(line);
        }
    }
    reader.tell();
    Ok(history)
}

impl History {
    fn add(&mut self, line: AuditLine) {
        let version = self.versions.entry(line.digest).or_default();
        version.last = version.last.max(line.at);
        if version.tasks.len() < TASKS_MAX {
            version.tasks.extend(line.task);
        }
        let Some(capability) = line.capability else {
            version.loads += u64::from(line.what == AuditWhat::Load);
            return;
        };
        if line.what == AuditWhat::Revoke {
            let by = line.by.map(|by| by.to_string()).unwrap_or_default();
            *version.revoked.entry((capability, by)).or_default() += 1;
            return;
        }
        let times = line.times();
        let key = (capability, line.scope.unwrap_or_default());
        if version.things.len() >= THINGS_MAX && !version.things.contains_key(&key) {
            version.others += 1;
            return;
        }
        let thing = version.things.entry(key).or_default();
        thing.last = thing.last.max(line.at);
        thing.rules.extend(line.rule);
        match line.what {
            AuditWhat::Allow => thing.allowed = thing.allowed.saturating_add(times),
            AuditWhat::Deny => thing.denied += 1,
            AuditWhat::Ask => thing.asked += 1,
            AuditWhat::Answer => {
                let answer = line.answer.unwrap_or_default();
                let said = line.by.map_or_else(|| format!("{answer}, by nobody"), |by| format!("{answer}, by {by}"));
                *thing.answers.entry(said).or_default() += 1;
            }
            // What an answer for always has changed stands with the answer.
            AuditWhat::Policy | AuditWhat::Load | AuditWhat::Revoke => {}
        }
    }

    /// Whether the log says anything of it.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The versions, the one that was at work last first.
    fn newest_first(&self) -> Vec<(Option<PluginDigest>, &Version)> {
        let mut all: Vec<_> = self.versions.iter().map(|(digest, version)| (*digest, version)).collect();
        all.sort_by_key(|(digest, version)| (std::cmp::Reverse(version.last), *digest));
        all
    }

    /// As a page for people. `this` is the version that they have in hand.
    pub(in crate::cli) fn page(&self, this: Option<PluginDigest>) -> Vec<String> {
        self.page_at(this, &Now::new(), Rows::lines)
    }

    fn page_at(&self, this: Option<PluginDigest>, now: &Now, lines: impl Fn(&Rows) -> Vec<String>) -> Vec<String> {
        let mut page = Vec::new();
        for (digest, version) in self.newest_first() {
            let name = digest.map_or_else(|| "unknown bytes".to_owned(), |digest| format!("sha256:{digest}"));
            let mark = if this.is_some() && digest == this { ", this file" } else { "" };
            page.push(String::new());
            page.push(format!(
                "{name}{mark}: loaded {}, {} in the log, the last time {}",
                times(version.loads),
                count(version.tasks.len(), "task"),
                now.told(version.last)
            ));
            if version.things.is_empty() {
                page.push("  it touched nothing and was denied nothing".to_owned());
            } else {
                page.extend(lines(&version.rows(now)).into_iter().map(|line| format!("  {line}")));
            }
            if version.others > 0 {
                page.push(format!("  and {} lines about other things", version.others));
            }
            for ((capability, by), tasks) in &version.revoked {
                let tasks = usize::try_from(*tasks).unwrap_or(usize::MAX);
                let by = if by.is_empty() { String::new() } else { format!(", by {}", escape(by)) };
                page.push(format!("  taken away: {capability}, from {}{by}", count(tasks, "task")));
            }
        }
        page
    }

    /// As a document.
    pub(in crate::cli) fn document(&self, this: Option<PluginDigest>) -> Value {
        let versions = self.newest_first().into_iter().map(|(digest, version)| {
            let things = version.things.iter().map(|((capability, scope), thing)| {
                json!({
                    "capability": capability, "scope": scope, "allowed": thing.allowed, "denied": thing.denied,
                    "asked": thing.asked, "answers": thing.answers, "rules": thing.rules, "last": thing.last,
                })
            });
            let revoked = version.revoked.iter();
            let revoked =
                revoked.map(|((capability, by), tasks)| json!({"capability": capability, "by": by, "tasks": tasks}));
            json!({
                "sha256": digest.map(|digest| digest.to_string()),
                "this_file": this.is_some() && digest == this,
                "loads": version.loads,
                "tasks": version.tasks.len(),
                "last": version.last,
                "touched": things.collect::<Vec<_>>(),
                "others": version.others,
                "revoked": revoked.collect::<Vec<_>>(),
            })
        });
        versions.collect()
    }
}

impl Version {
    fn rows(&self, now: &Now) -> Rows {
        let header = &["CAPABILITY", "SCOPE", "ALLOWED", "DENIED", "ASKED", "ANSWERS", "LAST", "RULES"];
        let mut rows = Rows::new(header, &[1, 5, 7]);
        for ((capability, scope), thing) in &self.things {
            let answers = thing
                .answers
                .iter()
                .map(|(said, times)| if *times == 1 { said.clone() } else { format!("{said} ({times} times)") });
            rows.add(&[
                capability.to_string(),
                if scope.is_empty() { "-".to_owned() } else { scope.clone() },
                thing.allowed.to_string(),
                thing.denied.to_string(),
                thing.asked.to_string(),
                answers.collect::<Vec<_>>().join("; "),
                now.told(thing.last),
                thing.rules.iter().cloned().collect::<Vec<_>>().join(", "),
            ]);
        }
        rows
    }
}

fn times(number: u64) -> String {
    match number {
        0 => "before the log begins".to_owned(),
        1 => "once".to_owned(),
        number => format!("{number} times"),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use crate::cli::verbs::times::tests::{NOW_MS, now};

    use super::*;

    fn line(digest: u8, rest: &str) -> AuditLine {
        let (digest, task) = (format!("{digest:02x}").repeat(32), "0f".repeat(16));
        let at = NOW_MS - 60_000 + u64::from(digest.as_bytes()[1]);
        AuditLine::read(&format!(
            r#"{{"at":{at},"task":"{task}","plugin":"fetch","digest":"{digest}","capability":"http","scope":"GET https://a.b:443",{rest}}}"#
        ))
        .unwrap_or_else(|| panic!("{rest}"))
    }

    #[test]
    fn t24_what_a_plugin_did_is_told_by_version() {
        let mut history = History::default();
        for line in [
            line(1, r#""what":"allow","rule":"plugins.fetch.allow.http[0]""#),
            line(1, r#""what":"allow","rule":"plugins.fetch.allow.http[0]","times":41"#),
            line(2, r#""what":"ask","rule":"plugins.fetch.ask.http[0]""#),
            line(2, r#""what":"answer","answer":"no","by":"person""#),
            line(2, r#""what":"deny""#),
            line(2, r#""what":"revoke","by":"person""#),
        ] {
            history.add(line);
        }
        let two: String = "02".repeat(32);
        let this = history.versions.keys().flatten().copied().find(|digest| digest.to_string() == two);
        let page = history.page_at(this, &now(), |rows| rows.lines_within(None));
        assert_eq!(
            page[1],
            format!("sha256:{two}, this file: loaded before the log begins, 1 task in the log, the last time 59s ago")
        );
        assert_eq!(
            page[3],
            "  http        GET https://a.b:443  0        1       1      no, by a person  59s ago  plugins.fetch.ask.http[0]"
        );
        assert_eq!(page[4], "  taken away: http, from 1 task, by a person");
        assert!(page[6].starts_with(&format!("sha256:{}: ", "01".repeat(32))), "{page:#?}");
        let document = history.document(this);
        assert_eq!((&document[0]["this_file"], &document[1]["touched"][0]["allowed"]), (&json!(true), &json!(42)));
    }
}
