//! Which task a person means: its id, the beginning of it, or with `--key` its plugin, type and key.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::client::Client;
use crate::cli::exit::Exit;
use crate::cli::fault::Fault;
use crate::serve::wire::{ListQuery, task_id};
use crate::{TaskFilter, TaskId, TaskSummary, escape};

use super::completing;

/// Digits of an id that are shown.
pub(super) const DIGITS: usize = 8;
/// Digits of an id at least, so that a slip of the finger names no task.
pub(super) const DIGITS_MIN: usize = 4;
/// Digits of a whole id.
const DIGITS_ALL: usize = 32;
/// Tasks that are named when several are meant.
const NAMED_MAX: usize = 5;
/// Tasks that are asked for at once.
const PAGE: usize = 1000;

/// One task.
#[derive(Debug, Args)]
pub(super) struct One {
    /// The task: its id, or the beginning of it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(completing::tasks))]
    pub(super) id: String,
    /// ID is a PLUGIN/TYPE/KEY
    #[arg(long)]
    pub(super) key: bool,
}

/// One task or more.
#[derive(Debug, Args)]
pub(super) struct Many {
    /// The tasks: their ids, or the beginnings of them
    #[arg(value_name = "ID", required = true, add = ArgValueCompleter::new(completing::tasks))]
    pub(super) ids: Vec<String>,
    /// Each ID is a PLUGIN/TYPE/KEY
    #[arg(long)]
    pub(super) key: bool,
}

impl One {
    /// The task that is meant.
    pub(super) async fn find(&self, client: &Client) -> Result<TaskId, Fault> {
        one(client, &self.id, self.key).await
    }
}

impl Many {
    /// The tasks that are meant, each once, in the order in which they were named.
    pub(super) async fn find(&self, client: &Client) -> Result<Vec<TaskId>, Fault> {
        let mut found = Vec::new();
        for name in &self.ids {
            let id = one(client, name, self.key).await?;
            if !found.contains(&id) {
                found.push(id);
            }
        }
        Ok(found)
    }
}

/// The task that a name means.
pub(super) async fn one(client: &Client, name: &str, by_key: bool) -> Result<TaskId, Fault> {
    let sought = match Name::read(name, by_key)? {
        Name::Id(id) => return Ok(id),
        Name::Sought(sought) => sought,
    };
    let mut search = Search::of(&sought);
    let mut query = ListQuery { filter: sought.filter(), limit: Some(PAGE), ..ListQuery::default() };
    loop {
        let page = client.list(&query).await?;
        for task in &page.tasks {
            search.look_at(task);
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return search.found();
        }
    }
}

/// A task's id as it is shown.
pub(super) fn short(id: TaskId) -> String {
    let id = id.to_string();
    id.get(..DIGITS).unwrap_or(&id).to_owned()
}

/// How a task was named.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    /// By its whole id.
    Id(TaskId),
    /// By what has to be looked for.
    Sought(Sought),
}

/// What of a task is known.
#[derive(Debug, PartialEq, Eq)]
enum Sought {
    /// The beginning of its id.
    Beginning(String),
    /// What it is.
    Key { plugin: String, task_type: String, key: String },
}

impl Name {
    fn read(text: &str, by_key: bool) -> Result<Self, Fault> {
        if by_key {
            let mut parts = text.splitn(3, '/').filter(|part| !part.is_empty()).map(str::to_owned);
            return match (parts.next(), parts.next(), parts.next()) {
                (Some(plugin), Some(task_type), Some(key)) => Ok(Self::Sought(Sought::Key { plugin, task_type, key })),
                _ => Err(Fault::usage(format!("`{text}` is no PLUGIN/TYPE/KEY, which --key needs"))
                    .hint("for example --key digest/digest/nightly; `taskcell list` shows the keys")),
            };
        }
        let digits = text.to_ascii_lowercase();
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) || digits.len() > DIGITS_ALL {
            let hint = if text.contains('/') {
                format!("to name a task by its plugin, type and key, say --key {text}")
            } else {
                "`taskcell list` shows the ids; the first digits are enough".to_owned()
            };
            return Err(Fault::usage(format!("`{text}` is no task's id")).hint(hint));
        }
        if digits.len() < DIGITS_MIN {
            return Err(Fault::usage(format!(
                "`{text}` is too little of an id: at least {DIGITS_MIN} digits are needed"
            ))
            .hint("`taskcell list` shows the ids"));
        }
        Ok(task_id(&digits).map_or(Self::Sought(Sought::Beginning(digits)), Self::Id))
    }
}

impl Sought {
    /// Where to look for it.
    fn filter(&self) -> TaskFilter {
        match self {
            Self::Beginning(_) => TaskFilter::default(),
            Self::Key { plugin, task_type, .. } => TaskFilter::default().of_type(plugin, task_type),
        }
    }
}

/// Looks for the task that is meant, among all of them.
#[derive(Debug)]
struct Search<'a> {
    sought: &'a Sought,
    found: Vec<(TaskId, String)>,
    count: usize,
}

impl<'a> Search<'a> {
    fn of(sought: &'a Sought) -> Self {
        Self { sought, found: Vec::new(), count: 0 }
    }

    /// The newest come first.
    fn look_at(&mut self, task: &TaskSummary) {
        let is_meant = match self.sought {
            Sought::Beginning(digits) => task.id.to_string().starts_with(digits),
            // Of several that had the key one after the other, the newest is meant: only that can live.
            Sought::Key { key, .. } => task.task.key.as_str() == key && self.found.is_empty(),
        };
        if is_meant {
            self.count += 1;
            if self.found.len() < NAMED_MAX {
                self.found.push((task.id, format!("{} ({})", task.id, task.task)));
            }
        }
    }

    fn found(self) -> Result<TaskId, Fault> {
        let refused = |message: String| Fault::new(Exit::Refused, anyhow::Error::msg(message));
        match (self.found.as_slice(), self.sought) {
            ([(id, _)], _) => Ok(*id),
            ([], Sought::Key { plugin, task_type, key }) => {
                let shown = escape(&format!("{plugin}/{task_type}/{key}")).into_owned();
                Err(refused(format!("there is no task {shown}"))
                    .hint("`taskcell list` shows what there is; an ended task may have been thrown away"))
            }
            ([], Sought::Beginning(digits)) => Err(refused(format!("there is no task whose id begins with {digits}"))
                .hint("`taskcell list` shows the ids; an ended task may have been thrown away")),
            (several, _) => {
                let mut names: Vec<&str> = several.iter().map(|(_, name)| name.as_str()).collect();
                let more = format!("{} more", self.count.saturating_sub(several.len()));
                if self.count > several.len() {
                    names.push(&more);
                }
                let names = names.join(", ");
                Err(Fault::usage(format!("{} tasks have an id that begins so: {names}", self.count))
                    .hint("add digits until only one is meant"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(id: &str, key: &str) -> TaskSummary {
        let document = json!({
            "id": format!("{id:0<32}"), "phase": "running", "created_at": 1, "ended_at": null,
            "task": {"plugin": "p", "task_type": "t", "key": key},
        });
        serde_json::from_value(document).unwrap()
    }

    fn search(name: &str, by_key: bool, tasks: &[TaskSummary]) -> Result<String, String> {
        let name = Name::read(name, by_key).map_err(|fault| fault.lines().join("\n"))?;
        let sought = match name {
            Name::Id(id) => return Ok(id.to_string()),
            Name::Sought(sought) => sought,
        };
        let mut search = Search::of(&sought);
        for task in tasks {
            search.look_at(task);
        }
        search.found().map(|id| id.to_string()).map_err(|fault| fault.lines().join("\n"))
    }

    #[test]
    fn r41_a_task_is_named_by_an_unambiguous_beginning_of_its_id() {
        let tasks = [task("abcd1", "a"), task("abcd2", "b"), task("0123", "c")];
        assert_eq!(search("ABCD1", false, &tasks), Ok(tasks[0].id.to_string()));
        assert_eq!(search("0123", false, &tasks), Ok(tasks[2].id.to_string()));
        // A whole one is the server's to know.
        assert_eq!(search(&"f".repeat(32), false, &[]), Ok("f".repeat(32)));
        let several = search("abcd", false, &tasks).unwrap_err();
        assert!(
            several.contains("2 tasks") && several.contains("p/t [b]") && several.contains("add digits"),
            "{several}"
        );
        let many: Vec<TaskSummary> = (0..9).map(|digit| task(&format!("abcd{digit}"), "k")).collect();
        assert!(search("abcd", false, &many).unwrap_err().contains("9 tasks"));
        assert!(search("abcd", false, &many).unwrap_err().contains("4 more"));
        assert!(search("9999", false, &tasks).unwrap_err().contains("no task whose id begins with 9999"));
    }

    #[test]
    fn r41_a_task_is_named_by_its_plugin_type_and_key() {
        let tasks = [task("2222", "nightly/1"), task("1111", "nightly/1"), task("3333", "x")];
        assert_eq!(search("p/t/nightly/1", true, &tasks), Ok(tasks[0].id.to_string()), "the newest");
        assert!(search("p/t/none", true, &tasks).unwrap_err().contains("there is no task p/t/none"));
        assert!(search("p/t", true, &tasks).unwrap_err().contains("is no PLUGIN/TYPE/KEY"));
        assert!(search("//x", true, &tasks).unwrap_err().contains("is no PLUGIN/TYPE/KEY"));
    }

    #[test]
    fn r41_what_is_no_name_is_told_with_what_to_type() {
        assert!(search("abc", false, &[]).unwrap_err().contains("at least 4 digits"));
        assert!(search("hello", false, &[]).unwrap_err().contains("is no task's id"));
        assert!(search("p/t/k", false, &[]).unwrap_err().contains("say --key p/t/k"));
        assert!(search(&"a".repeat(33), false, &[]).unwrap_err().contains("is no task's id"));
        assert!(search("", false, &[]).is_err());
    }
}
