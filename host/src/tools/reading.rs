//! The tools that change nothing.

use std::time::Duration;

use serde_json::Value;

use crate::{ApprovalFilter, ApprovalNumber, OutputCursor, TaskCursor, TaskFilter};

use super::answer::{Fields, Told, fitting};
use super::inputs::{Approvals, List, LiveOrEnded, Output, PAGE_MAX, State, Types, WAIT_MS_MAX, Wait};
use super::toolbox::Tools;
use super::{output, view};

/// Bytes of a list. Protects the model's room from a host with many tasks.
const LIST_BYTES_MAX: usize = 48_000;
/// Tasks on a page when the model does not say how many.
const PAGE_DEFAULT: u32 = 20;
/// How long a call waits when the model does not say.
const WAIT_MS_DEFAULT: u64 = 30_000;

impl Tools {
    pub(super) fn types(&self, input: &Types) -> Told {
        let mut types = Vec::new();
        for plugin in self.host.plugins() {
            for of in &plugin.manifest().tasks {
                let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|wanted| wanted == has);
                if is(&input.plugin, plugin.name()) && is(&input.task_type, &of.name) {
                    types.push(view::task_type(&plugin, of, input.task_type.is_some()));
                }
            }
        }
        if types.is_empty() {
            let loaded: Vec<String> = self.host.plugins().iter().map(|plugin| plugin.name().to_owned()).collect();
            let loaded = if loaded.is_empty() { "none".to_owned() } else { loaded.join(", ") };
            return Err(format!(
                "there is no such type; the plugins are: {loaded}; call task_types without a name to see all"
            ));
        }
        let skipped = usize::try_from(input.offset).unwrap_or(usize::MAX);
        let (shown, more) = fitting(types.into_iter().skip(skipped), LIST_BYTES_MAX);
        let next = (more > 0).then(|| skipped.saturating_add(shown.len()));
        Ok(Fields::default().with("types", shown).with_some("next", next).done())
    }

    pub(super) fn list(&self, input: List) -> Told {
        let others = self.may_see(input.all_sessions)?;
        let session = (!others).then(|| self.options.session.clone());
        let filter = TaskFilter { session, plugin: input.plugin, task_type: input.task_type, ..TaskFilter::default() };
        let filter = match input.state {
            Some(LiveOrEnded::Live) => filter.live(),
            Some(LiveOrEnded::Ended) => filter.ended(),
            None => filter,
        };
        let after = input.cursor.map(|cursor| cursor.parse::<TaskCursor>());
        let after = after.transpose().map_err(|error| format!("cursor: {error}; leave it out for the first page"))?;
        let limit = usize::try_from(input.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX)).unwrap_or(1);
        let page = self.host.list(&filter, after, limit);
        let tasks: Vec<Value> = page.tasks.iter().map(|task| view::line(task, others)).collect();
        Ok(Fields::default().with("tasks", tasks).with_some("next", page.next.map(|next| next.to_string())).done())
    }

    pub(super) fn state(&self, input: &State) -> Told {
        Ok(view::task(&self.find(&input.task)?.state()))
    }

    pub(super) async fn wait(&self, input: &Wait) -> Told {
        let task = self.find(&input.task)?;
        let time = Duration::from_millis(input.wait_ms.unwrap_or(WAIT_MS_DEFAULT).min(WAIT_MS_MAX));
        // Those that the model has been shown; it may well wait for their decision.
        let known: Vec<ApprovalNumber> = task.state().approvals.iter().map(|question| question.number).collect();
        let mut questions = self.host.follow_approvals(ApprovalFilter::task(task.id()));
        let asks = async {
            while let Some(question) = questions.next().await {
                if !known.contains(&question.number) {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            _ = task.wait_for(time) => {}
            () = asks => {}
        }
        Ok(view::task(&task.state()))
    }

    pub(super) async fn output(&self, input: &Output) -> Told {
        let task = self.find(&input.task)?;
        // The cursor is a plain number on the wire.
        let after = input.after.map(|after| serde_json::from_value::<OutputCursor>(after.into()));
        let after = after.and_then(Result::ok).unwrap_or_default();
        Ok(output::end_of(&task, after, input.tail_bytes.unwrap_or(output::TAIL_BYTES_DEFAULT)).await)
    }

    pub(super) fn approvals(&self, input: &Approvals) -> Told {
        let others = self.may_see(input.all_sessions)?;
        let mut filter = ApprovalFilter::default();
        match &input.task {
            Some(task) => filter.task = Some(self.find(task)?.id()),
            None if others => {}
            None => filter.session = Some(self.options.session.clone()),
        }
        let open = self.host.approvals(&filter);
        let (shown, more) = fitting(open.iter().map(|open| view::question(open, others)), LIST_BYTES_MAX);
        Ok(Fields::default().with("questions", shown).with_some("more", (more > 0).then_some(more)).done())
    }

    /// Whether the tasks of all sessions are meant.
    fn may_see(&self, all_sessions: bool) -> Result<bool, String> {
        if all_sessions && self.options.own_session_only {
            return Err("all_sessions: only the tasks of your own session can be seen; leave it out".to_owned());
        }
        Ok(all_sessions)
    }
}
