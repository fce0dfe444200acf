//! What can be typed next, as the running server knows it. Quick, and silent when there is no server: a completion is a
//! help, and never an error.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap_complete::CompletionCandidate;

use crate::cli::client::{CallError, Client, data_dir};
use crate::cli::environment;
use crate::serve::wire::ListQuery;
use crate::{ApprovalFilter, TaskSummary, escape};

use super::{standing, which};

/// A person who pressed Tab waits no longer.
const PATIENCE: Duration = Duration::from_millis(500);
/// Tasks that are offered.
const TASKS_MAX: usize = 200;

/// The tasks there are, by their ids, or by what they are when `--key` is said.
pub(super) fn tasks(current: &OsStr) -> Vec<CompletionCandidate> {
    let query = ListQuery { limit: Some(TASKS_MAX), ..ListQuery::default() };
    let found = ask(async |client: Client| Ok(client.list(&query).await?.tasks));
    let by_key = words().any(|word| word == "--key");
    offered(&found.unwrap_or_default(), &current.to_string_lossy(), by_key)
}

/// What is offered for the beginning of a word.
fn offered(tasks: &[TaskSummary], current: &str, by_key: bool) -> Vec<CompletionCandidate> {
    // A shell has only half of a word in quotes, or with backslashes, so a name with other characters is left out.
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@+".contains(c));
    let candidate = |task: &TaskSummary| {
        let what = format!("{}/{}", task.task.plugin, task.task.task_type);
        let name = if by_key {
            format!("{what}/{}", task.task.key)
        } else if current.len() > which::DIGITS {
            task.id.to_string()
        } else {
            which::short(task.id)
        };
        let help = format!("{what} · {}", standing::of(task));
        let help = match &task.title {
            Some(title) => format!("{help} · {title}"),
            None => help,
        };
        (name.starts_with(current) && plain(&name)).then(|| told(&name, &help))
    };
    tasks.iter().filter_map(candidate).collect()
}

/// The tasks that ask for something.
pub(super) fn asking(current: &OsStr) -> Vec<CompletionCandidate> {
    let filter = ApprovalFilter::default();
    let found = ask(async |client: Client| Ok(client.approvals(&filter).await?.approvals)).unwrap_or_default();
    let current = current.to_string_lossy();
    let names = found.iter().map(|open| (which::short(open.id), super::approve::words(&open.ask)));
    names.filter(|(id, _)| id.starts_with(current.as_ref())).map(|(id, words)| told(&id, &words)).collect()
}

/// The server's plugins.
pub(super) fn plugins() -> Vec<CompletionCandidate> {
    let found = ask(async |client: Client| Ok(client.plugins().await?.plugins)).unwrap_or_default();
    found.iter().map(|plugin| told(&plugin.name, plugin.description.as_deref().unwrap_or_default())).collect()
}

/// The task types of the plugin that is named before, else of all.
pub(super) fn task_types() -> Vec<CompletionCandidate> {
    let found = ask(async |client: Client| Ok(client.plugins().await?.plugins)).unwrap_or_default();
    let words: BTreeSet<OsString> = words().collect();
    let named: Vec<_> = found.iter().filter(|plugin| words.contains(OsStr::new(&plugin.name))).collect();
    let all: Vec<_> = if named.is_empty() { found.iter().collect() } else { named };
    let types = all.iter().flat_map(|plugin| plugin.task_types.iter().map(|name| told(name, &plugin.name)));
    types.collect()
}

/// The server's schedules.
pub(super) fn schedules() -> Vec<CompletionCandidate> {
    let found = ask(async |client: Client| Ok(client.schedules().await?.schedules)).unwrap_or_default();
    found
        .iter()
        .map(|schedule| told(&schedule.name, &format!("{}/{}", schedule.task.plugin, schedule.task.task_type)))
        .collect()
}

/// A candidate, with a word about it that is safe to show.
fn told(name: &str, help: &str) -> CompletionCandidate {
    let help = Some(escape(help).into_owned()).filter(|help| !help.is_empty());
    CompletionCandidate::new(name).help(help.map(Into::into))
}

/// What is typed already. The shell hands it over behind `--`.
fn words() -> impl Iterator<Item = OsString> {
    environment::arguments().skip_while(|word| word != "--").skip(1)
}

/// The directory that is named on the line that is being typed.
fn flag(words: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut words = words;
    while let Some(word) = words.next() {
        if word == "--data" {
            return words.next().map(PathBuf::from);
        }
        if let Some(dir) = word.to_str().and_then(|word| word.strip_prefix("--data=")) {
            return Some(PathBuf::from(dir));
        }
    }
    None
}

/// Asks the server something, if there is one that answers soon.
fn ask<T>(question: impl AsyncFnOnce(Client) -> Result<T, CallError>) -> Option<T> {
    let dir = flag(words());
    let client = Client::new(data_dir(dir.as_deref().map(Path::new)).ok()?).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let over = backon::Sleeper::sleep(&backon::TokioSleeper, PATIENCE);
        tokio::select! {
            biased;
            answer = question(client) => answer.ok(),
            () = over => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(id: &str, key: &str) -> TaskSummary {
        let document = json!({
            "id": format!("{id:0<32}"), "phase": "running", "created_at": 1, "ended_at": null,
            "task": {"plugin": "p", "task_type": "t", "key": key}, "title": "x\u{1b}[2J",
        });
        serde_json::from_value(document).unwrap()
    }

    fn values(candidates: &[CompletionCandidate]) -> Vec<&str> {
        candidates.iter().map(|candidate| candidate.get_value().to_str().unwrap()).collect()
    }

    #[test]
    fn what_is_offered_begins_as_what_was_typed() {
        let tasks = [task("abcd", "nightly"), task("1234", "a b")];
        let by_id = offered(&tasks, "ab", false);
        assert_eq!(values(&by_id), ["abcd0000"]);
        assert_eq!(by_id[0].get_help().unwrap().to_string(), r"p/t · running · x\u{1b}[2J");
        assert_eq!(values(&offered(&tasks, "abcd00000", false)), [format!("{:0<32}", "abcd")]);
        assert_eq!(values(&offered(&tasks, "", false)).len(), 2);
        // What a shell would have to quote is left out.
        assert_eq!(values(&offered(&tasks, "p/", true)), ["p/t/nightly"]);
    }

    #[test]
    fn the_directory_is_the_one_on_the_line() {
        let dir = |words: &[&str]| flag(words.iter().map(OsString::from));
        assert_eq!(dir(&["taskcell", "show", "--data", "/d", ""]), Some("/d".into()));
        assert_eq!(dir(&["taskcell", "show", "--data=/d", ""]), Some("/d".into()));
        assert_eq!(dir(&["taskcell", "show", ""]), None);
    }
}
