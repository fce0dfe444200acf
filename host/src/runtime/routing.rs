//! Starting a task and waiting for it, as long as somebody decided.

use std::fmt;
use std::sync::Arc;

use crate::model::delivery::book::beside::Settled;
use crate::model::details::Routing;
use crate::model::manifest::TaskType;
use crate::model::outcome::Outcome;
use crate::model::request::StartRequest;
use crate::model::routing::decide;
use crate::model::signal::Party;

use super::beside::Waiter;
use super::handle::TaskHandle;
use super::host::Inner;
use super::start::{Begun, start_or_join};
use super::start_error::StartError;
use super::stopping::LAST_WORD;

/// What a start came to for a caller who was ready to wait. There is no third answer.
#[derive(Debug, Clone)]
pub enum Started {
    /// The task had its outcome in time.
    #[non_exhaustive]
    Ready {
        /// The task.
        task: TaskHandle,
        /// How it ended.
        outcome: Outcome,
    },
    /// The task goes on in the background.
    Pending(TaskHandle),
}

impl Started {
    /// The task, in either case.
    pub fn task(&self) -> &TaskHandle {
        match self {
            Self::Ready { task, .. } | Self::Pending(task) => task,
        }
    }

    /// The outcome, if it came in time.
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ready { outcome, .. } => Some(outcome),
            Self::Pending(_) => None,
        }
    }
}

type Decides = dyn Fn(&StartRequest, &TaskType) -> Option<Routing> + Send + Sync;

/// What the host says about where callers wait.
#[derive(Clone, Default)]
pub(crate) struct RoutingPolicy(Option<Arc<Decides>>);

impl RoutingPolicy {
    pub(crate) fn new(decides: impl Fn(&StartRequest, &TaskType) -> Option<Routing> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decides)))
    }
}

impl fmt::Debug for RoutingPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoutingPolicy").field(&self.0.is_some()).finish()
    }
}

/// Where the caller of this request waits. For a task that there is not, it does not matter: it is refused.
pub(super) fn route(inner: &Inner, request: &StartRequest) -> Routing {
    let version = inner.registry.version(&request.plugin);
    let task_type = version.as_ref().and_then(|version| version.plugin.manifest().task_type(&request.task_type));
    let own = request.details.routing;
    let asked = inner.routing.0.as_deref().zip(task_type).filter(|_| own.is_none());
    let policy = asked.and_then(|(decides, of)| decides(request, of));
    decide(own, policy, task_type.and_then(|of| of.routing))
}

/// Starts a task, and waits for it as long as was decided. While it waits, nobody else is told what would answer the call.
///
/// Cancel safety: when the future is dropped while it waits, the task goes on, and its call is answered by its turn.
pub(super) async fn run(inner: &Arc<Inner>, mut request: StartRequest) -> Result<Started, StartError> {
    let routing = route(inner, &request);
    request.details.routing = Some(routing);
    let clock = Arc::clone(&inner.around.clock);
    let until = clock.steady().checked_add(routing.patience());
    let waits = !routing.patience().is_zero();
    let mut waiter = Waiter::new(&inner.loops);
    let beside = waits.then(|| waiter.mark());
    let asked = &request.details;
    let (session, turn, call_id) = (asked.session.clone(), asked.turn.clone(), asked.call_id.clone());
    let Begun { task, joined } = Box::pin(start_or_join(inner, Box::new(request), None, beside)).await?;
    if !waits {
        return Ok(Started::Pending(task));
    }
    // Whoever asks again for the same call, because the answer was lost, waits for its own.
    let is_own = || {
        let details = &task.shared().state().details;
        details.is_of_call(session.as_deref(), turn.as_deref(), call_id.as_deref())
    };
    let joined =
        joined && !(is_own() && session.as_deref().is_some_and(|session| waiter.take_over(session, task.id())));
    let over = async {
        match until {
            Some(until) => clock.sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    // Another start's task is left where it is: whoever joins it only stops to wait.
    let detached = async { if joined { std::future::pending().await } else { task.detached().await } };
    let outcome = tokio::select! {
        biased;
        outcome = task.wait() => Some(outcome),
        () = detached => None,
        () = over => {
            // A store that does not answer holds up its task, and not whoever waits: the actor detaches it then.
            let patience = clock.steady().saturating_add(LAST_WORD);
            tokio::select! {
                biased;
                outcome = async { if joined { None } else { task.detach(Party::Host).await.outcome() } } => outcome,
                () = clock.sleep_until(patience) => None,
            }
        },
    };
    waiter.settled = if outcome.is_some() { Settled::Ended } else { Settled::GoesOn };
    Ok(match outcome {
        Some(outcome) => Started::Ready { task, outcome },
        None => Started::Pending(task),
    })
}
