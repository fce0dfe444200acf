//! What the embedder says about a model's tools.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::{Party, StartRequest, TaskId, TaskRef};

type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;
type Confirm = dyn Fn(ToolQuestion) -> BoxFuture<ToolVerdict> + Send + Sync;
type Prepare = dyn Fn(StartRequest) -> StartRequest + Send + Sync;

/// Whose tools these are, and what they may do.
///
/// ```
/// use taskcell::{Party, ToolOptions, ToolVerdict};
///
/// let options = ToolOptions::session("s1")
///     .prepare(|request| request.fuel(20_000_000_000))
///     .confirm(|question| async move {
///         // Show it to a person, and wait for what they say.
///         println!("{}", taskcell::escape(&question.summary));
///         ToolVerdict::No { by: Party::Person, reason: "that one is mine".to_owned() }
///     });
/// ```
#[derive(Clone)]
pub struct ToolOptions {
    pub(super) session: String,
    pub(super) own_session_only: bool,
    confirm: Option<Arc<Confirm>>,
    prepare: Option<Arc<Prepare>>,
}

/// Something that a model wants to do to a task of another session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ToolQuestion {
    /// The tool's name.
    pub tool: &'static str,
    /// The session of the model.
    pub session: String,
    /// The task that it would be done to.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The session that the task belongs to; `None` when it belongs to none.
    pub task_session: Option<String>,
    /// What the model sent.
    pub input: Value,
    /// What would be done, in a sentence for a person. It has words of the model and the plugin: escape it before showing
    /// it.
    pub summary: String,
}

/// What somebody says about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolVerdict {
    /// It may be done.
    Yes,
    /// It is not done.
    No {
        /// Who says so. The model is told.
        by: Party,
        /// Why; may be empty. The model is told.
        reason: String,
    },
}

impl fmt::Debug for ToolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolOptions")
            .field("session", &self.session)
            .field("own_session_only", &self.own_session_only)
            .field("asks", &self.confirm.is_some())
            .field("prepares", &self.prepare.is_some())
            .finish()
    }
}

impl ToolOptions {
    /// Tools of the model that works in this session. Its tasks are started there; it sees those of other sessions when it
    /// asks for them, and changes nothing about them unless [`ToolOptions::confirm`] says yes.
    pub fn session(session: impl Into<String>) -> Self {
        Self { session: session.into(), own_session_only: false, confirm: None, prepare: None }
    }

    /// For a model that shall not even see the tasks of other sessions: to it, there are none.
    #[must_use]
    pub fn own_session_only(mut self) -> Self {
        self.own_session_only = true;
        self
    }

    /// Asks somebody before a task of another session is stopped, sent a signal, told something, or one of its questions
    /// decided. Without this the answer is no.
    ///
    /// The call waits for the answer. When the call is dropped meanwhile, nothing is done.
    #[must_use]
    pub fn confirm<F, Fut>(mut self, asks: F) -> Self
    where
        F: Fn(ToolQuestion) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ToolVerdict> + Send + 'static,
    {
        self.confirm = Some(Arc::new(move |question| Box::pin(asks(question))));
        self
    }

    /// Completes each request before it is started: with grants and limits, which a model has no say in, with the agent,
    /// the turn or the call that it belongs to. The session is the tools' own in any case. Must not block.
    #[must_use]
    pub fn prepare(mut self, completes: impl Fn(StartRequest) -> StartRequest + Send + Sync + 'static) -> Self {
        self.prepare = Some(Arc::new(completes));
        self
    }

    /// The request as it is started.
    pub(super) fn prepared(&self, request: StartRequest) -> StartRequest {
        let request = match &self.prepare {
            Some(completes) => completes(request),
            None => request,
        };
        request.session(self.session.clone())
    }

    /// What somebody says; without anybody it is no.
    pub(super) async fn ask(&self, question: ToolQuestion) -> ToolVerdict {
        match &self.confirm {
            Some(asks) => asks(question).await,
            None => ToolVerdict::No { by: Party::Host, reason: "nobody is there to be asked".to_owned() },
        }
    }
}
