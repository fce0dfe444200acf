//! Lists of tasks and of what they ask, and how a task is written out.

use serde::{Deserialize, Serialize};

use crate::{ApprovalFilter, ExportFormat, MessageFilter, OpenApproval, Phase, TaskCursor, TaskFilter};

use super::query::{BadQuery, Pairs, Query, Said, from_word, word};

/// Entries of a page when nobody says how many.
pub const PAGE_DEFAULT: usize = 100;

impl Query for TaskFilter {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut said = Said::default()
            .with("task", self.id)
            .with("plugin", self.plugin.as_ref())
            .with("task_type", self.task_type.as_ref())
            .with("session", self.session.as_ref())
            .with("turn", self.turn.as_ref())
            .with("parent", self.parent);
        for phase in &self.phases {
            said = said.with("state", Some(word(phase)));
        }
        for (name, value) in &self.labels {
            said = said.with("label", Some(format!("{name}:{value}")));
        }
        said.0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let mut filter = Self {
            id: pairs.task("task")?,
            plugin: pairs.one("plugin")?,
            task_type: pairs.one("task_type")?,
            session: pairs.one("session")?,
            turn: pairs.one("turn")?,
            parent: pairs.task("parent")?,
            ..Self::default()
        };
        for text in pairs.all("state") {
            match text.as_str() {
                // The word for all that have no outcome yet.
                "live" => filter.phases.extend(Self::default().live().phases),
                phase => filter.phases.push(from_word::<Phase>("state", phase)?),
            }
        }
        for text in pairs.all("label") {
            let (name, value) = text.split_once(':').ok_or_else(|| BadQuery::new("label", "is not NAME:VALUE"))?;
            if filter.labels.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(BadQuery::new("label", format!("names {name:?} twice")));
            }
        }
        Ok(filter)
    }
}

/// `GET /v1/tasks`: which tasks, and which page of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListQuery {
    /// Which tasks.
    pub filter: TaskFilter,
    /// How many on the page; [`PAGE_DEFAULT`] when nothing is said, and never more than the server allows.
    pub limit: Option<usize>,
    /// Where the page begins: what the page before says.
    pub cursor: Option<TaskCursor>,
    /// Whether each is told as a whole snapshot, and not in a line.
    pub full: bool,
}

impl Query for ListQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let page = Said::default().with("limit", self.limit).with("cursor", self.cursor).with_flag("full", self.full);
        self.filter.pairs().into_iter().chain(page.0).collect()
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(Self {
            filter: TaskFilter::take(pairs)?,
            limit: pairs.parsed("limit")?,
            cursor: pairs.parsed("cursor")?,
            full: pairs.flag("full")?,
        })
    }
}

/// `GET /v1/tasks/{id}/export`: how, and whether with all that it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportQuery {
    /// How it is written.
    pub format: ExportFormat,
    /// Whether the tasks that it started, and they, are written too.
    pub tree: bool,
}

impl Query for ExportQuery {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Said::default().with("format", Some(word(&self.format))).with_flag("tree", self.tree).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        Ok(Self { format: pairs.word("format")?.unwrap_or(ExportFormat::JsonLines), tree: pairs.flag("tree")? })
    }
}

/// `GET /v1/approvals`: the questions that nobody has decided, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApprovalList {
    /// Each of them.
    pub approvals: Vec<OpenApproval>,
}

impl Query for ApprovalFilter {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let said = Said::default().with("session", self.session.as_ref()).with("plugin", self.plugin.as_ref());
        said.with("task", self.task).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let mut filter = Self::default();
        (filter.session, filter.plugin, filter.task) =
            (pairs.one("session")?, pairs.one("plugin")?, pairs.task("task")?);
        Ok(filter)
    }
}

impl Query for MessageFilter {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        Said::default().with("session", self.session.as_ref()).with("task", self.task).0
    }

    fn take(pairs: &mut Pairs) -> Result<Self, BadQuery> {
        let mut filter = Self::default();
        (filter.session, filter.task) = (pairs.one("session")?, pairs.task("task")?);
        Ok(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<Q: Query>(query: &Q) -> Result<Q, BadQuery> {
        Q::read(query.pairs().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn r41_a_filter_is_read_as_it_was_written() {
        let id = super::super::task_id(&"0f".repeat(16));
        let mut filter =
            TaskFilter::session("s 1").of_type("p", "t").turn("2").label("a", "b:c").label("d", "").ended();
        (filter.id, filter.parent) = (id, id);
        let query = ListQuery { filter, limit: Some(7), cursor: "t1f".parse().ok(), full: true };
        assert_eq!(back(&query), Ok(query));
        assert_eq!(back(&ListQuery::default()), Ok(ListQuery::default()));
        let live = ListQuery::read(vec![("state".to_owned(), "live".to_owned())]).unwrap();
        assert_eq!(live.filter, TaskFilter::default().live());
    }

    #[test]
    fn t33_what_means_nothing_is_refused() {
        for (name, value) in [
            ("limit", "-1"),
            ("limit", "1e9"),
            ("cursor", "t"),
            ("cursor", "../x"),
            ("state", "asleep"),
            ("label", "x"),
            ("task", "1"),
            ("parent", "%2e%2e"),
            ("full", "maybe"),
        ] {
            let read = ListQuery::read(vec![(name.to_owned(), value.to_owned())]);
            assert_eq!(read.unwrap_err().name, name);
        }
    }
}
