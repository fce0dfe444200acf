//! The handler behind a model's tools.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::json::has_too_many;
use crate::model::schema::Schema;
use crate::{Host, TaskHandle, TaskId};

use super::answer::{Told, ToolAnswer, head, line};
use super::definition::{Tool, ToolDefinition};
use super::options::{ToolOptions, ToolQuestion, ToolVerdict};

/// How deep the schemas of the tools' own inputs may be: far deeper than they are.
const SCHEMA_DEPTH: u32 = 64;
/// Bytes of a name that a fault quotes.
const NAME_BYTES_MAX: usize = 100;

/// The tools of one agent's model: list them with [`Tools::definitions`], and hand what the model sends to [`Tools::call`].
/// Cheap to clone. It keeps its host alive.
#[derive(Clone)]
pub struct Tools {
    pub(super) host: Arc<Host>,
    pub(super) options: Arc<ToolOptions>,
    known: Arc<[Known]>,
}

struct Known {
    tool: Tool,
    definition: ToolDefinition,
    schema: Option<Schema>,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Host {
    /// What an agent's model can do with this host, as ready tools: see what can be started, start, list, look at, wait for,
    /// read, signal, instruct and stop tasks, and see and decide their questions.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use serde_json::json;
    /// use taskcell::{Host, ToolOptions};
    ///
    /// let host = Arc::new(Host::builder().build()?);
    /// host.load_plugin("digest.wasm").await?;
    /// let tools = host.tools(ToolOptions::session("s1"));
    /// let for_the_model = serde_json::to_value(tools.definitions())?;
    /// // … the model answers that it wants to call a tool:
    /// let answer = tools.call("task_start", json!({"plugin": "digest", "task_type": "digest", "wait_ms": 5_000})).await;
    /// println!("{}", answer.content);
    /// # Ok(()) }
    /// ```
    pub fn tools(self: &Arc<Self>, options: ToolOptions) -> Tools {
        let known = Tool::ALL.into_iter().map(|tool| {
            let definition = tool.definition();
            // Without it the input is still read by its type, which takes nothing else.
            let schema = Schema::new(&definition.input_schema, SCHEMA_DEPTH).ok();
            Known { tool, definition, schema }
        });
        Tools { host: Arc::clone(self), options: Arc::new(options), known: known.collect() }
    }
}

impl Tools {
    /// What to tell the model. It is always the same, whatever plugins are loaded.
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        self.known.iter().map(|known| known.definition.clone()).collect()
    }

    /// Does what the model wants. Whatever it sends, there is an answer for it; with [`ToolAnswer::is_error`] nothing has
    /// happened.
    ///
    /// A call takes no longer than it says: `task_wait` and `task_start` wait as long as their `wait_ms`, at most ten
    /// minutes; a start without it as long as host and plugin say ([`Host::run`]); and what needs somebody's approval until
    /// they have answered.
    ///
    /// Cancel safety: when the future is dropped, what was to be done may or may not have been done.
    pub async fn call(&self, name: &str, input: Value) -> ToolAnswer {
        // Starting is large, and a caller's own future should not be.
        ToolAnswer::of(Box::pin(self.told(name, input)).await)
    }

    async fn told(&self, name: &str, input: Value) -> Told {
        let Some(known) = self.known.iter().find(|known| known.definition.name == name) else {
            let names: Vec<&str> = self.known.iter().map(|known| known.definition.name).collect();
            return Err(format!("there is no tool {:?}; there are: {}", head(name, NAME_BYTES_MAX), names.join(", ")));
        };
        // Some models send nothing at all where nothing is needed.
        let input = if input.is_null() { Value::Object(serde_json::Map::new()) } else { input };
        if has_too_many(&input) {
            return Err("the input has more values than anybody needs; send less".to_owned());
        }
        if let Some(Err(faults)) = known.schema.as_ref().map(|schema| schema.check(&input)) {
            return Err(known.fault(&faults.join("; ")));
        }
        match known.tool {
            Tool::Types => self.types(&known.read(input)?),
            Tool::Start => self.start(known.read(input)?).await,
            Tool::List => self.list(known.read(input)?),
            Tool::State => self.state(&known.read(input)?),
            Tool::Wait => self.wait(&known.read(input)?).await,
            Tool::Output => self.output(&known.read(input)?).await,
            Tool::Notify => self.notify(known.read(input.clone())?, input).await,
            Tool::Instruct => self.instruct(known.read(input.clone())?, input).await,
            Tool::Stop => self.stop(known.read(input.clone())?, input).await,
            Tool::Approvals => self.approvals(&known.read(input)?),
            Tool::Approve => self.approve(known.read(input.clone())?, input).await,
            Tool::Deny => self.deny(known.read(input.clone())?, input).await,
        }
    }

    /// The task of this id, if the model may see it.
    pub(super) fn find(&self, id: &str) -> Result<TaskHandle, String> {
        let task = TaskId::parse(id).and_then(|id| self.host.task(id));
        task.filter(|task| !self.options.own_session_only || self.is_own(task)).ok_or_else(|| {
            format!("there is no task {:?}; task_list shows the ids of those there are", head(id, NAME_BYTES_MAX))
        })
    }

    fn is_own(&self, task: &TaskHandle) -> bool {
        task.state().details.session.as_ref() == Some(&self.options.session)
    }

    /// Asks somebody before something is done to a task of another session.
    pub(super) async fn ask_for_others(
        &self,
        task: &TaskHandle,
        tool: Tool,
        what: &str,
        input: Value,
    ) -> Result<(), String> {
        if self.is_own(task) {
            return Ok(());
        }
        let (session, task_session) = (&self.options.session, task.state().details.session);
        let of =
            task_session.as_ref().map_or_else(|| "no session".to_owned(), |session| format!("the session {session:?}"));
        let question = ToolQuestion {
            tool: tool.name(),
            session: session.clone(),
            id: task.id(),
            task: task.task_ref().clone(),
            summary: format!(
                "the agent of the session {session:?} wants to {what} {}, which is of {of}",
                task.task_ref()
            ),
            task_session,
            input,
        };
        match self.options.ask(question).await {
            ToolVerdict::Yes => Ok(()),
            ToolVerdict::No { by, reason } => {
                let reason = if reason.is_empty() { String::new() } else { format!(" ({})", head(&reason, 500)) };
                Err(format!(
                    "needs approval: task {} is of {}, not of yours, and {by} said no{reason}; nothing was done: tell the \
                     person, or go on with the tasks of your own session (task_list)",
                    task.id(),
                    head(&of, NAME_BYTES_MAX),
                ))
            }
        }
    }
}

impl Known {
    fn read<T: DeserializeOwned>(&self, input: Value) -> Result<T, String> {
        serde_json::from_value(input).map_err(|error| self.fault(&error.to_string()))
    }

    /// What is wrong with an input, what is right, and how it looks.
    fn fault(&self, what: &str) -> String {
        let fields = self.definition.input_schema.get("properties").and_then(Value::as_object);
        let needed = self.definition.input_schema.get("required").and_then(Value::as_array);
        let is_needed = |name: &str| needed.is_some_and(|needed| needed.iter().any(|field| field == name));
        let fields: Vec<String> = fields
            .into_iter()
            .flat_map(|fields| fields.keys())
            .map(|name| if is_needed(name) { format!("{name} (needed)") } else { name.clone() })
            .collect();
        format!(
            "the input does not fit: {}; the fields are: {}; for example: {}",
            head(what, 1_000),
            if fields.is_empty() { "none".to_owned() } else { fields.join(", ") },
            line(&self.tool.example()),
        )
    }
}
