//! What is called when a task has its outcome.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::model::details::TaskDetails;
use crate::model::event::EventBody;
use crate::model::outcome::Outcome;
use crate::model::text;
use crate::ports::clock::BoxFuture;

use super::guard::guarded;
use super::handle::TaskHandle;
use super::shared::Shared;
use super::start_error::StartError;

/// How long such a function may take unless somebody says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Bytes of its error that are kept.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// A task that has its outcome: what a function is given that is called then.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskEnd {
    /// The task. Its state shows the outcome already, its key is free, and its own cleaning up goes on meanwhile.
    pub task: TaskHandle,
    /// How it ended.
    pub outcome: Outcome,
}

impl TaskEnd {
    /// The same text each time that this end is told of. A function is called at least once: again by the next host, if
    /// this one stops before it was written down that the call was over. Whoever has seen the key has nothing to do.
    pub fn idempotency_key(&self) -> String {
        format!("{}-end", self.task.id())
    }
}

/// Why a function failed that was called at a task's end. It is written down, and changes nothing.
pub type OnTerminalError = Box<dyn std::error::Error + Send + Sync>;

type Called = BoxFuture<'static, Result<(), OnTerminalError>>;

/// A function that came with a request.
pub(crate) type OnTerminal = Box<dyn FnOnce(TaskEnd) -> Called + Send>;

/// A function that is registered by its name.
pub(crate) type NamedOnTerminal = Arc<dyn Fn(TaskEnd) -> Called + Send + Sync>;

/// The registered functions of a host, and how long each call of one may take.
pub(crate) struct OnTerminals {
    named: BTreeMap<String, NamedOnTerminal>,
    timeout: Duration,
}

impl Default for OnTerminals {
    fn default() -> Self {
        Self { named: BTreeMap::new(), timeout: TIMEOUT_DEFAULT }
    }
}

impl OnTerminals {
    /// Registers a function. One of the same name is replaced.
    pub(crate) fn register(&mut self, name: String, function: NamedOnTerminal) {
        self.named.insert(name, function);
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Whether there is a function of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// What is to be called at the end of a task: the function that its request names, and then the one that came along.
    pub(super) fn of(&self, details: &TaskDetails, own: Option<OnTerminal>) -> Result<Option<Box<AtEnd>>, StartError> {
        let mut calls = Vec::new();
        if let Some(name) = &details.on_terminal {
            let known = || self.named.keys().cloned().collect();
            let unknown = || StartError::UnknownOnTerminal { name: name.clone(), known: known() };
            let function = self.named.get(name).cloned().ok_or_else(unknown)?;
            calls.push((Some(name.clone()), Box::new(move |end| function(end)) as OnTerminal));
        }
        calls.extend(own.map(|own| (None, own)));
        if calls.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::new(AtEnd { calls: Mutex::new(calls), timeout: self.timeout })))
    }
}

/// What is to be called at the end of one task.
pub(crate) struct AtEnd {
    /// Only ever taken out: the lock lets an actor be shared that holds what cannot be.
    calls: Mutex<Vec<(Option<String>, OnTerminal)>>,
    timeout: Duration,
}

impl fmt::Debug for AtEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtEnd").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl AtEnd {
    /// Calls them, one after the other, beside whatever the caller goes on to do.
    pub(super) fn call(self: Box<Self>, shared: Arc<Shared>) -> JoinSet<()> {
        let mut running = JoinSet::new();
        running.spawn(async move {
            let task = TaskHandle::new(Arc::clone(&shared));
            let calls = self.calls.into_inner().unwrap_or_else(PoisonError::into_inner);
            for (name, function) in calls {
                shared.around.suspended.pass().await;
                let end = TaskEnd { outcome: task.wait().await, task: task.clone() };
                let error = called(function, end, self.timeout, &shared).await.err();
                shared.note_after(EventBody::OnTerminalDone { name, error }).await;
            }
        });
        running
    }
}

/// Calls a function, and says what went wrong.
async fn called(function: OnTerminal, end: TaskEnd, timeout: Duration, shared: &Shared) -> Result<(), String> {
    let over = shared.around.clock.steady().saturating_add(timeout);
    let call = async {
        let failed = function(end).await;
        failed.map_err(|error| text::shortened(&error.to_string(), ERROR_BYTES_MAX).into_owned())
    };
    let call = pin!(call);
    tokio::select! {
        biased;
        done = guarded(call) => match done {
            Ok(done) => done,
            Err(panic) => Err(format!("it panicked: {}", text::shortened(&panic, ERROR_BYTES_MAX))),
        },
        () = shared.around.clock.sleep_until(over) => {
            Err(format!("it did not end within {}, and was dropped", text::duration(timeout)))
        }
    }
}
