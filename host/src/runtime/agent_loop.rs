//! An agent's loop: what it waits for in its turns, and what comes to it between them.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::model::delivery::book::beside::Standing;
use crate::model::delivery::book::{Item, ItemBody, SessionBook, TurnLook};
use crate::model::delivery::{DeliveryMode, LoopUpdate, UpdateBody};
use crate::model::details::Routing;
use crate::model::ids::TaskId;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::clock::Clock;

use super::actor::{is_stopped, stopped};
use super::delivery::LoopDesk;
use super::detaching::DetachAnswer;
use super::handle::TaskHandle;
use super::host::{Host, Inner};
use super::registry::Registry;
use super::routing::route;
use super::start::{Begun, start_or_join};
use super::start_error::StartError;
use super::stopping::{LAST_WORD, StopReport, stop};

/// An agent's loop, as its session's tasks see it. Cheap to clone; all handles of a session share its queues.
///
/// In a [`Turn`] the loop starts tasks and waits for those in the foreground. What is in the background, from its start on or
/// since it was detached, comes between the turns: [`AgentLoop::wait_ready`] says that something is there, and
/// [`AgentLoop::drain`] takes it. Every result is told once, and every call answered once ([`LoopUpdate::answers_call`]).
///
/// Only what is there is kept in memory, as small as an id: results stay with their tasks, and go when the host forgets those
/// ([`HostBuilder::ended_max`](crate::HostBuilder::ended_max)). [`Drained::lost`] counts them.
///
/// ```no_run
/// # async fn example(host: taskcell::Host) -> Result<(), taskcell::StartError> {
/// use taskcell::{Routing, StartRequest, TurnStart};
///
/// let agent = host.agent_loop("s1");
/// let turn = agent.turn("t1");
/// let request = StartRequest::new("digest", "digest").call("call-1").routing(Routing::Foreground);
/// if let TurnStart::Background(task) = turn.start(request).await? {
///     println!("call-1: {} goes on in the background", task.id());
/// }
/// while let Some(update) = turn.next().await {
///     println!("{:?}: {:?}", update.call_id, update.body);
/// }
/// while let Some(ready) = agent.wait_ready().await {
///     for update in agent.drain(100).updates {
///         println!("notification: {:?}", update.body);
///     }
///     if ready.continue_requested {
///         println!("the agent takes another turn");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AgentLoop {
    seat: Arc<Seat>,
}

/// One turn of an agent: what it does for one thing that was said to it. Cheap to clone.
#[derive(Clone)]
pub struct Turn {
    seat: Arc<Seat>,
    name: String,
}

/// What all handles to one loop have in common.
struct Seat {
    desk: Arc<LoopDesk>,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    host: Weak<Inner>,
    session: String,
    changes: watch::Receiver<()>,
    shutdown: watch::Receiver<bool>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.leave(&self.session);
    }
}

impl fmt::Debug for AgentLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentLoop").field("session", &self.seat.session).finish_non_exhaustive()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("session", &self.seat.session).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a start in a turn came to: who answers its call.
#[derive(Debug, Clone)]
pub enum TurnStart {
    /// The turn does: with the result, or with the news that the task was detached.
    Foreground(TaskHandle),
    /// The caller does, now: the task goes on in the background, and its result comes as a notification.
    Background(TaskHandle),
    /// The caller does: nothing was started, and nothing is told for this call. Another call's task was joined, or this one's
    /// that was answered before, that [`Host::run`] waits for, or that was done elsewhere ([`Host::report_external`]).
    Joined(TaskHandle),
}

impl TurnStart {
    /// The task, in any case.
    pub fn task(&self) -> &TaskHandle {
        match self {
            Self::Foreground(task) | Self::Background(task) | Self::Joined(task) => task,
        }
    }
}

/// What came first for whoever waits for a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum TurnStep {
    /// An update. It comes first when both are there.
    Update(Box<LoopUpdate>),
    /// The turn has nothing to wait for.
    Over,
    /// Whoever waits shall stop to.
    Stopped,
}

/// What an interrupted turn left behind. With it every call of the turn is answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Interrupted {
    /// How the tasks ended that the turn waited for; nothing more is told about them. Those that a caller of [`Host::run`]
    /// waits for are stopped too, and left out here: that caller is told.
    pub stopped: StopReport,
    /// The answers that lay ready and that nobody had taken.
    pub cleared: Vec<LoopUpdate>,
}

/// What there is for a loop. Nothing of it is taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopReady {
    /// How many updates can be drained.
    pub updates: usize,
    /// Whether one of them asks for another turn. Told once, until all are drained.
    pub continue_requested: bool,
    /// Whether a message came that asks the agent to act ([`Messages`](crate::Messages)). Told once.
    pub message: bool,
}

/// What was taken.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Drained {
    /// The updates, oldest first.
    pub updates: Vec<LoopUpdate>,
    /// Whether one of them asks for another turn.
    pub continue_requested: bool,
    /// How many results of the session were forgotten before anybody took them, since the last time. Only while there is a
    /// handle, or a task, does anybody count.
    pub lost: u64,
}

impl Host {
    /// The loop of the agent that a session belongs to. It need not be there when a task starts: what came before lies ready.
    pub fn agent_loop(&self, session: impl Into<String>) -> AgentLoop {
        self.inner().agent_loop(session.into())
    }
}

impl Inner {
    pub(super) fn agent_loop(self: &Arc<Self>, session: String) -> AgentLoop {
        let (changes, is_first) = self.loops.attend(&session);
        // It may have come while the session had no book. One that comes from now on calls the loop by itself.
        if is_first && self.around.outbox.calls(&session) {
            self.loops.change(&session, SessionBook::call);
        }
        let seat = Seat {
            desk: Arc::clone(&self.loops),
            registry: Arc::clone(&self.registry),
            clock: Arc::clone(&self.around.clock),
            host: Arc::downgrade(self),
            session,
            changes,
            shutdown: self.shutdown.subscribe(),
        };
        AgentLoop { seat: Arc::new(seat) }
    }
}

impl AgentLoop {
    /// The session.
    pub fn session(&self) -> &str {
        &self.seat.session
    }

    /// A turn of the agent, begun or to begin.
    pub fn turn(&self, name: impl Into<String>) -> Turn {
        Turn { seat: Arc::clone(&self.seat), name: name.into() }
    }

    /// Waits until there is something for the loop, and takes nothing; `None` when the host shuts down and nothing more comes.
    /// Comes back at once while something is left that was told before: drain it first. After `None` drain once more: a task that
    /// was just being started when the host shut down may have ended since.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn wait_ready(&self) -> Option<LoopReady> {
        let mut changes = self.seat.changes.clone();
        let mut shutdown = self.seat.shutdown.clone();
        loop {
            // Looked at before the book, so that a change in between is not slept through.
            changes.mark_unchanged();
            // So is this.
            let stops = is_stopped(&shutdown);
            let (ready, idle) = self.seat.look(|book| {
                let (updates, message) = (book.ready(), book.tell_call());
                let ready = LoopReady { updates, continue_requested: book.tell_on(), message };
                ((updates > 0 || message).then_some(ready), book.is_idle())
            });
            if ready.is_some() || (stops && idle) {
                return ready;
            }
            let goes_on = tokio::select! {
                goes_on = self.seat.changed(&mut changes) => goes_on,
                () = stopped(&mut shutdown), if !stops => true,
            };
            if !goes_on {
                return None;
            }
        }
    }

    /// Takes at most so many updates of tasks in the background whose delivery is [`DeliveryMode::ToLoop`], oldest first. Does
    /// not wait.
    pub fn drain(&self, most: usize) -> Drained {
        self.seat.drain(DeliveryMode::ToLoop, most)
    }

    /// The same for those whose delivery is [`DeliveryMode::Manual`]. They wake nobody and ask for no turn.
    pub fn drain_ready(&self, most: usize) -> Drained {
        self.seat.drain(DeliveryMode::Manual, most)
    }

    /// Waits until every task of the session has its outcome, and its result lies ready. Tasks that the session's tasks
    /// started by themselves are not waited for. Says whether it is so: not when the host shuts down, and a task has no outcome
    /// because its store does not answer.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn wait_idle(&self) -> bool {
        let mut changes = self.seat.changes.clone();
        loop {
            changes.mark_unchanged();
            let idle = self.seat.look(|book| book.is_idle());
            if idle || !self.seat.changed(&mut changes).await {
                return idle;
            }
        }
    }

    /// Sends a task of the session to the background, as [`TaskHandle::detach`] does.
    ///
    /// Cancel safety: when the future is dropped, the task may or may not be detached.
    pub async fn detach(&self, task: TaskId, by: Party) -> DetachAnswer {
        match self.seat.registry.by_id(task).filter(|task| task.session.as_ref() == Some(&self.seat.session)) {
            Some(task) => TaskHandle::new(task).detach(by).await,
            None => DetachAnswer::NotFound,
        }
    }
}

impl Turn {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts a task in this turn and session, and does not wait for its end. Whether the turn waits for it is decided as
    /// [`Host::run`] does: by the request, the host's policy, or the plugin's hint.
    ///
    /// # Errors
    /// Like [`Host::start`]; [`StartError::ShuttingDown`] when the host is gone. The caller answers the call then.
    ///
    /// Cancel safety: like [`Host::start`].
    pub async fn start(&self, mut request: StartRequest) -> Result<TurnStart, StartError> {
        let inner = self.seat.host.upgrade().ok_or(StartError::ShuttingDown)?;
        request.details.session = Some(self.seat.session.clone());
        request.details.turn = Some(self.name.clone());
        request.details.routing = Some(route(&inner, &request));
        let call = request.details.call_id.clone();
        let Begun { task, joined } = Box::pin(start_or_join(&inner, Box::new(request), None, None)).await?;
        let (is_foreground, is_own) = {
            let details = &task.shared().state().details;
            let is_own = details.is_of_call(Some(&self.seat.session), Some(&self.name), call.as_deref());
            (details.routing.is_some_and(Routing::is_foreground), is_own)
        };
        let standing = if !joined {
            if is_foreground { Standing::Turn } else { Standing::Loop }
        } else if is_own {
            // Whoever asks again, because the answer was lost, joins its own: what is still to come answers it.
            self.seat.look(|book| book.standing(task.id()))
        } else {
            Standing::Nobody
        };
        Ok(match standing {
            Standing::Turn => TurnStart::Foreground(task),
            Standing::Loop => TurnStart::Background(task),
            Standing::Nobody => TurnStart::Joined(task),
        })
    }

    /// The next update of the turn's tasks in the foreground, first in first out; `None` when none is left that anybody waits
    /// for. Who starts one more may ask again. When the host shuts down, the ends of its tasks come, and then none.
    ///
    /// Cancel safety: no update is lost.
    pub async fn next(&self) -> Option<LoopUpdate> {
        let mut changes = self.seat.changes.clone();
        loop {
            // Looked at before the book, so that a change in between is not slept through.
            changes.mark_unchanged();
            match self.seat.look(|book| book.next_in(&self.name)) {
                TurnLook::Over => return None,
                TurnLook::Next(item) => {
                    if let Some(update) = self.seat.told(item) {
                        return Some(update);
                    }
                }
                TurnLook::Wait => {
                    if !self.seat.changed(&mut changes).await {
                        return None;
                    }
                }
            }
        }
    }

    /// The same, until somebody wants the loop to stop. An update that lies ready wins. Stopping changes nothing by itself:
    /// see [`Turn::interrupt`].
    ///
    /// ```no_run
    /// # async fn example(turn: taskcell::Turn, stop: tokio::sync::oneshot::Receiver<()>) {
    /// use std::time::Duration;
    /// use taskcell::{CancelRequest, Party, TurnStep};
    ///
    /// let mut stop = std::pin::pin!(async { drop(stop.await) });
    /// loop {
    ///     match turn.next_until(stop.as_mut()).await {
    ///         TurnStep::Update(update) => println!("{:?}", update.body),
    ///         TurnStep::Over => break,
    ///         TurnStep::Stopped => {
    ///             let request = CancelRequest::new(Party::Person, "Esc").grace(Duration::from_secs(1));
    ///             let left = turn.interrupt(request, Duration::from_secs(2)).await;
    ///             println!("{} tasks stopped", left.stopped.tasks.len());
    ///             break;
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// Cancel safety: no update is lost.
    pub async fn next_until(&self, stop: impl Future<Output = ()>) -> TurnStep {
        tokio::select! {
            biased;
            update = self.next() => update.map_or(TurnStep::Over, |update| TurnStep::Update(Box::new(update))),
            () = stop => TurnStep::Stopped,
        }
    }

    /// Stops the turn's tasks in the foreground, all at the same time, as [`Host::stop_all`] does, and takes back what lies
    /// ready for it. Those in the background go on, and so does whatever is started in the turn later. Whoever waits for the
    /// turn finds it over, at once.
    ///
    /// Cancel safety: from the first poll on the turn is interrupted, and its tasks are being stopped, whoever waits for it.
    pub async fn interrupt(&self, request: CancelRequest, deadline: Duration) -> Interrupted {
        let left = self.seat.change(|book| book.interrupt(&self.name));
        let cleared = left.cleared.into_iter().filter_map(|item| self.seat.told(item)).collect();
        let (mut stopping, mut tasks) = (Vec::new(), Vec::new());
        let host = self.seat.host.upgrade();
        let over = self.seat.clock.steady().saturating_add(deadline);
        // The guest is told the truth about the time that it has.
        let request = CancelRequest { grace: request.grace.min(deadline), ..request };
        let told_here = left.stopped.into_iter().map(|task| (task, true));
        let stopped = told_here.chain(left.beside.into_iter().map(|task| (task, false)));
        for (task, told_here) in stopped.filter_map(|(id, here)| Some((self.seat.registry.by_id(id)?, here))) {
            let request = request.clone();
            if let Some(inner) = &host {
                let (tell, told) = oneshot::channel();
                inner.spawn(Box::pin(async move { drop(tell.send(stop(task, request, true, over).await)) }));
                stopping.push((told, told_here));
            } else {
                // The host is gone and stops all of them anyway: what is left is how each ends.
                tasks.extend(Some(stop(task, request, true, over).await).filter(|_| told_here));
            }
        }
        drop(host);
        for (told, told_here) in stopping {
            // It is only not told when the runtime goes.
            tasks.extend(told.await.ok().filter(|_| told_here));
        }
        Interrupted { stopped: StopReport { tasks, more: 0 }, cleared }
    }
}

impl Seat {
    fn look<T: Default>(&self, look: impl FnOnce(&mut SessionBook) -> T) -> T {
        // There is a book as long as there is a handle.
        self.desk.look(&self.session, look).unwrap_or_default()
    }

    fn change<T: Default>(&self, change: impl FnOnce(&mut SessionBook) -> T) -> T {
        self.desk.change(&self.session, change).unwrap_or_default()
    }

    /// Waits for a change of the book. Says whether one may come: not any more when the host shuts down and nothing has happened
    /// for as long as a task may take to say how it ended.
    async fn changed(&self, changes: &mut watch::Receiver<()>) -> bool {
        let mut shutdown = self.shutdown.clone();
        let silence = async {
            stopped(&mut shutdown).await;
            self.clock.sleep_until(self.clock.steady().saturating_add(LAST_WORD)).await;
        };
        tokio::select! {
            biased;
            // The handle keeps the sender.
            _ = changes.changed() => true,
            () = silence => false,
        }
    }

    fn drain(&self, from: DeliveryMode, most: usize) -> Drained {
        let items = self.look(|book| book.drain(from, most));
        let asks = |item: &Item| matches!(item.body, ItemBody::Result { asks_on: true, .. });
        let continue_requested = items.iter().any(asks);
        let updates = items.into_iter().filter_map(|item| self.told(item)).collect();
        Drained { updates, continue_requested, lost: self.look(SessionBook::tell_lost) }
    }

    /// What an item says. A result whose task was forgotten just now is counted.
    fn told(&self, item: Item) -> Option<LoopUpdate> {
        let update = self.update(item);
        if update.is_none() && matches!(item.body, ItemBody::Result { .. }) {
            self.look(SessionBook::lose);
        }
        update
    }

    /// What an item says; nothing, when its question is decided or its task forgotten by now.
    fn update(&self, item: Item) -> Option<LoopUpdate> {
        let task = self.registry.by_id(item.task)?;
        let body = match item.body {
            ItemBody::Detached => UpdateBody::Detached,
            ItemBody::Result { answers_call, .. } => UpdateBody::Result { outcome: task.final_outcome(), answers_call },
            ItemBody::Question(number) => {
                let open = task.open_approvals().into_iter().find(|open| open.number == number)?;
                UpdateBody::Question(Box::new(open))
            }
        };
        let state = task.state();
        let details = &state.details;
        Some(LoopUpdate {
            id: task.id,
            task: task.task_ref(),
            turn: details.turn.clone(),
            call_id: details.call_id.clone(),
            call_metadata: details.call_metadata.clone(),
            body,
        })
    }
}
