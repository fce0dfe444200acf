//! The outbox of a host: where its tasks' messages wait for whoever brings them to the agent.
//!
//! It lives in memory and is no truth of its own: a message is in it from its `agent-message` event on until its
//! `message-settled` event, which a task's actor writes, or which is noted in the lane of what comes after the end.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::command::Command;
use crate::model::ids::TaskId;
use crate::model::outbox::{AgentMessage, ClaimToken, ClaimedMessage, MessageFilter, Outbox, OutboxLimits, Settlement};
use crate::ports::clock::Clock;

use super::actor::stopped;
use super::registry::Registry;
use super::shared::{Control, Shared};

/// The outbox, shared by the tasks that write to it and those who claim.
#[derive(Debug)]
pub(crate) struct OutboxDesk {
    book: Mutex<Outbox>,
    /// Changes whenever there may be more to claim.
    changes: watch::Sender<()>,
}

impl OutboxDesk {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self { book: Mutex::new(Outbox::new(limits)), changes: watch::Sender::new(()) }
    }

    fn book(&self) -> MutexGuard<'_, Outbox> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the book, and wakes whoever waits for more.
    fn change<T>(&self, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let changed = change(&mut self.book());
        self.changes.send_replace(());
        changed
    }

    /// Room for a message of this size; `None` when there is none.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<OutboxPlace> {
        let fits = self.book().reserve(bytes);
        fits.then(|| OutboxPlace { desk: Arc::clone(self), bytes, message: None })
    }

    /// Puts messages in that were written down in a host before this one, in this order. None is lost for want of room.
    pub(super) fn take_back(&self, messages: impl IntoIterator<Item = AgentMessage>) {
        self.change(|book| {
            for message in messages {
                book.put_anyway(message);
            }
        });
    }

    /// Whether a message of this session's asks its agent to act, and nobody has taken it.
    pub(super) fn calls(&self, session: &str) -> bool {
        self.book().calls(session)
    }

    /// Forgets the messages of tasks that are forgotten.
    pub(super) fn forget(&self, task: TaskId) {
        self.book().forget(task);
    }
}

/// Room for one message. What is in it when it is dropped can be claimed from then on, whatever happened meanwhile.
#[derive(Debug)]
pub(super) struct OutboxPlace {
    desk: Arc<OutboxDesk>,
    bytes: u64,
    message: Option<(AgentMessage, Arc<Shared>)>,
}

impl OutboxPlace {
    /// The message of this task is written down: it must not be lost any more.
    pub(super) fn hold(&mut self, message: AgentMessage, of: Arc<Shared>) {
        self.message = Some((message, of));
    }

    /// The message is settled.
    pub(super) fn clear(&mut self) {
        self.message = None;
    }
}

impl Drop for OutboxPlace {
    fn drop(&mut self) {
        match self.message.take() {
            Some((message, of)) => {
                let calls = message.trigger;
                self.desk.change(|book| book.put(message));
                if calls {
                    of.call_loop();
                }
            }
            None => self.desk.book().unreserve(self.bytes),
        }
    }
}

/// What became of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckAnswer {
    /// It is written down: the message does not come again.
    Acknowledged,
    /// The token is not good any more: somebody has claimed the message since, or it is settled, or its task is forgotten.
    /// Nothing has changed.
    Stale,
    /// The store could not write it down. The claim is as it was, and the message comes again when that is over.
    NotStored,
}

/// The messages of a host's tasks to their agents that nobody has taken yet.
///
/// Each is delivered at least once: whoever claims it has it alone for the time of the claim, and says with
/// [`ack`](Messages::ack) that the agent has it. What is not acknowledged in that time can be claimed again; the message's
/// `id` and `number` tell that it is the same. The messages of one task are claimed in their order, and while some of them
/// are claimed, no other claim gets more of them. An acknowledgement is an event of the task's
/// ([`EventBody::MessageSettled`]). Messages outlive their task, and go when it is forgotten.
///
/// ```no_run
/// # async fn example(host: taskcell::Host) {
/// use std::time::Duration;
/// use taskcell::MessageFilter;
///
/// let messages = host.messages();
/// let mine = MessageFilter::session("s1");
/// loop {
///     let claimed = messages.next(&mine, 10, Duration::from_secs(60)).await;
///     if claimed.is_empty() {
///         // The host shuts down.
///         break;
///     }
///     for claimed in claimed {
///         println!("{}", taskcell::escape(&claimed.message.message));
///         messages.ack(claimed.token).await;
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Messages {
    pub(super) desk: Arc<OutboxDesk>,
    pub(super) registry: Arc<Registry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}

impl Messages {
    /// Claims at most so many messages for so long, the oldest first. Does not wait.
    pub fn claim(&self, filter: &MessageFilter, most: usize, time: Duration) -> Vec<ClaimedMessage> {
        let now = self.clock.steady();
        let token = || ClaimToken::from_random(uuid::Uuid::new_v4().as_u128());
        self.desk.book().claim(filter, most, now, now.saturating_add(time), token)
    }

    /// Claims messages as [`Messages::claim`] does, as soon as there are some. Empty when the host shuts down and there
    /// are none, or when none were asked for.
    ///
    /// Cancel safety: when the future is dropped, nothing was claimed.
    pub async fn next(&self, filter: &MessageFilter, most: usize, time: Duration) -> Vec<ClaimedMessage> {
        let mut changes = self.desk.changes.subscribe();
        let mut shutdown = self.shutdown.clone();
        loop {
            // Looked at before the book, so that a change in between is not slept through.
            changes.mark_unchanged();
            let claimed = self.claim(filter, most, time);
            if !claimed.is_empty() || most == 0 {
                return claimed;
            }
            let end = self.desk.book().next_end();
            tokio::select! {
                // The sender lives in the desk.
                _ = changes.changed() => {}
                () = self.until(end) => {}
                () = stopped(&mut shutdown) => return self.claim(filter, most, time),
            }
        }
    }

    async fn until(&self, end: Option<Duration>) {
        match end {
            Some(end) => self.clock.sleep_until(end).await,
            None => std::future::pending().await,
        }
    }

    /// Says that the agent has a claimed message. A token whose time is over is good until somebody claims the message
    /// again.
    ///
    /// Cancel safety: when the future is dropped, it may or may not have been written down; if the message comes again, it
    /// can be acknowledged again.
    pub async fn ack(&self, token: ClaimToken) -> AckAnswer {
        let begun = self.desk.book().begin_to_settle(token, self.clock.steady());
        let Some((task, number)) = begun else { return AckAnswer::Stale };
        let mut settling = Settling { messages: self, token, stored: false };
        let Some(shared) = self.registry.by_id(task) else { return AckAnswer::Stale };
        settling.stored = shared.settle_message(number).await;
        if settling.stored { AckAnswer::Acknowledged } else { AckAnswer::NotStored }
    }

    /// Gives a claimed message back before its time, so that somebody else can claim it. Says whether it was claimed by
    /// this token.
    pub fn release(&self, token: ClaimToken) -> bool {
        let now = self.clock.steady();
        self.desk.change(|book| book.release(token, now))
    }

    /// How many messages nobody has taken yet, claimed ones included.
    pub fn open(&self, filter: &MessageFilter) -> usize {
        self.desk.book().open(filter)
    }
}

/// An acknowledgement on its way into the log.
struct Settling<'a> {
    messages: &'a Messages,
    token: ClaimToken,
    stored: bool,
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        let now = self.messages.clock.steady();
        self.messages.desk.change(|book| {
            if self.stored {
                book.settled(self.token);
            } else {
                book.unsettled(self.token, now);
            }
        });
    }
}

impl Shared {
    /// Writes down that somebody has a message of this task. Says whether that is written.
    async fn settle_message(&self, number: u64) -> bool {
        let how = Settlement::Acknowledged;
        let command = Command::SettleMessage { number, how };
        if self.tell(|reply| Control::Change { command, reply }).await.is_some() {
            // Done, or it was done before.
            return true;
        }
        // The task is over, or its store has just failed.
        if !self.state().open_messages.holds(number) {
            return true;
        }
        self.settle_after(number, how).await
    }
}
