//! Messages to the agent that nobody has taken yet: who may claim which of them, and for how long. No clock and no log:
//! the moments are told, and what is settled is written down elsewhere.
//!
//! The messages of one task are claimed in their order: while some of them are claimed, no other claim gets more of that
//! task's. Between tasks the oldest comes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{SignalKey, TaskId, TaskRef};
use super::time::Timestamp;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivery {
    /// The agent has it.
    Accepted,
    /// Nobody listens right now; it is kept in the outbox until somebody claims and acknowledges it.
    Queued,
    /// The agent wants no messages from this task. It stays in the event log and is kept nowhere else.
    Blocked,
}

/// How a message left the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Settlement {
    /// The sink took it.
    Accepted,
    /// The sink wanted none; it was not delivered.
    Blocked,
    /// Somebody claimed it and said that the agent has it.
    Acknowledged,
}

/// A message from a task to the agent that it works for. `id` and `number` together say which message it is, so that
/// one that comes twice is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentMessage {
    /// The task that sent it.
    pub id: TaskId,
    /// Its reference.
    pub task: TaskRef,
    /// The session that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Which of the task's messages it is, counted from 1.
    pub number: u64,
    /// The message, as the guest wrote it: escape it before showing it.
    pub message: String,
    /// Whether the agent is asked to act on it now.
    pub trigger: bool,
    /// The key by which the task sends it only once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<SignalKey>,
    /// When it was sent.
    pub at: Timestamp,
}

impl AgentMessage {
    /// What it weighs against the limits.
    pub(crate) fn bytes(&self) -> u64 {
        message_bytes(&self.message, self.once.as_ref())
    }
}

/// What a message weighs against the limits.
pub(crate) fn message_bytes(message: &str, once: Option<&SignalKey>) -> u64 {
    (message.len() + once.map_or(0, |key| key.as_str().len())) as u64
}

/// The right to say what became of a claimed message. It cannot be guessed. Its text is 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimToken(u128);

impl ClaimToken {
    pub(crate) fn from_random(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A text that is no claim token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a claim token is 32 hex digits")]
pub struct InvalidToken;

impl FromStr for ClaimToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidToken);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| InvalidToken)
    }
}

/// A message that somebody has claimed: nobody else gets it until the claim's time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimedMessage {
    /// Says what became of it.
    pub token: ClaimToken,
    /// The message.
    pub message: AgentMessage,
    /// How often it has been claimed, this time included: more than once means that it may have been handled before.
    pub claims: u32,
}

/// Which messages are meant; without anything said, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageFilter {
    /// Only those of this session.
    pub session: Option<String>,
    /// Only those of this task.
    pub task: Option<TaskId>,
}

impl MessageFilter {
    /// Those of this session.
    pub fn session(session: impl Into<String>) -> Self {
        Self { session: Some(session.into()), task: None }
    }

    /// Those of this task.
    pub fn task(task: TaskId) -> Self {
        Self { session: None, task: Some(task) }
    }

    fn takes(&self, task: TaskId, queue: &Queue) -> bool {
        self.task.is_none_or(|wanted| wanted == task)
            && self.session.as_ref().is_none_or(|wanted| queue.session.as_ref() == Some(wanted))
    }
}

/// The messages of one task that are still open, by number, as its log knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenMessages {
    sizes: BTreeMap<u64, u64>,
    bytes: u64,
}

impl OpenMessages {
    pub(crate) fn put(&mut self, number: u64, bytes: u64) {
        self.sizes.insert(number, bytes);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn settle(&mut self, number: u64) {
        if let Some(bytes) = self.sizes.remove(&number) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    pub(crate) fn holds(&self, number: u64) -> bool {
        self.sizes.contains_key(&number)
    }

    /// Whether one more of this size would be more than so many of so many bytes together.
    pub(crate) fn is_full(&self, more: u64, messages_max: u32, bytes_max: u64) -> bool {
        self.sizes.len() as u64 >= u64::from(messages_max) || self.bytes.saturating_add(more) > bytes_max
    }
}

/// What a host keeps of its tasks' messages in all. Protects its memory from agents that never look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutboxLimits {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

/// The open messages of all tasks of a host, and who has claimed them.
#[derive(Debug)]
pub(crate) struct Outbox {
    limits: OutboxLimits,
    messages: u64,
    bytes: u64,
    /// The place of the next message in the order of all.
    next: u64,
    queues: HashMap<TaskId, Queue>,
    /// The tasks none of whose messages is claimed, by the place of their first message.
    ready: BTreeMap<u64, TaskId>,
    /// Where the claimed messages are, and those whose claim is over but which nobody has claimed since.
    tokens: HashMap<ClaimToken, (TaskId, u64)>,
    /// When the claims end.
    ends: BTreeSet<(Duration, ClaimToken)>,
}

/// The open messages of one task.
#[derive(Debug, Default)]
struct Queue {
    session: Option<String>,
    /// By their place in the order of all. In boxes: a node of the tree has room for eleven, and most tasks have one.
    entries: BTreeMap<u64, Box<Entry>>,
    /// How many of them are claimed now.
    claimed: usize,
}

#[derive(Debug)]
struct Entry {
    message: AgentMessage,
    claims: u32,
    /// The newest claim.
    token: Option<ClaimToken>,
    hold: Hold,
}

/// Who has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Nobody: it can be claimed.
    Free,
    /// Somebody, until then.
    Claimed(Duration),
    /// Its acknowledgement is being written down.
    Settling(Duration),
}

impl Outbox {
    pub(crate) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            messages: 0,
            bytes: 0,
            next: 0,
            queues: HashMap::new(),
            ready: BTreeMap::new(),
            tokens: HashMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// Keeps room for a message of this size. Says whether there is some.
    pub(crate) fn reserve(&mut self, bytes: u64) -> bool {
        let fits = self.messages < self.limits.messages && self.bytes.saturating_add(bytes) <= self.limits.bytes;
        if fits {
            self.messages += 1;
            self.bytes += bytes;
        }
        fits
    }

    /// Gives room back that was kept.
    pub(crate) fn unreserve(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Puts a message in whether there is room or not.
    pub(crate) fn put_anyway(&mut self, message: AgentMessage) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.bytes());
        self.put(message);
    }

    /// Puts a message in, for which room was kept.
    pub(crate) fn put(&mut self, message: AgentMessage) {
        let (task, place) = (message.id, self.next);
        self.next += 1;
        let queue = self.queues.entry(task).or_default();
        queue.session.clone_from(&message.session);
        let entry = Entry { message, claims: 0, token: None, hold: Hold::Free };
        queue.entries.insert(place, Box::new(entry));
        self.make_ready(task);
    }

    /// Enters a task among those whose messages can be claimed, if they can.
    fn make_ready(&mut self, task: TaskId) {
        let Some(queue) = self.queues.get(&task) else { return };
        match queue.entries.keys().next() {
            Some(first) if queue.claimed == 0 => drop(self.ready.insert(*first, task)),
            Some(_) => {}
            None => drop(self.queues.remove(&task)),
        }
    }

    /// Lets go of the claims whose time is over.
    fn expire(&mut self, now: Duration) {
        while let Some(&(until, token)) = self.ends.first() {
            if until > now {
                break;
            }
            self.free(token);
        }
    }

    /// Lets a claimed message be claimed again. Its token stays good until somebody does.
    fn free(&mut self, token: ClaimToken) -> bool {
        let Some(&(task, place)) = self.tokens.get(&token) else { return false };
        let Some(queue) = self.queues.get_mut(&task) else { return false };
        let Some(entry) = queue.entries.get_mut(&place) else { return false };
        let (Hold::Claimed(until) | Hold::Settling(until)) = entry.hold else { return false };
        entry.hold = Hold::Free;
        queue.claimed = queue.claimed.saturating_sub(1);
        self.ends.remove(&(until, token));
        self.make_ready(task);
        true
    }

    /// Claims at most so many messages until then, the oldest first. `token` makes one for each.
    pub(crate) fn claim(
        &mut self,
        filter: &MessageFilter,
        most: usize,
        now: Duration,
        until: Duration,
        mut token: impl FnMut() -> ClaimToken,
    ) -> Vec<ClaimedMessage> {
        self.expire(now);
        let mut claimed = Vec::new();
        let wanted = |queues: &HashMap<TaskId, Queue>, task: &TaskId| {
            queues.get(task).is_some_and(|queue| filter.takes(*task, queue))
        };
        // The tasks that this claim takes from, by the place of their next message.
        let mut open: BTreeMap<u64, TaskId> = if let Some(task) = filter.task {
            // One task's messages are found without looking at all the others'.
            let queue = self.queues.get(&task).filter(|queue| queue.claimed == 0 && filter.takes(task, queue));
            queue.and_then(|queue| queue.entries.keys().next()).map(|place| (*place, task)).into_iter().collect()
        } else {
            let ready = self.ready.iter().filter(|(_, task)| wanted(&self.queues, task));
            // No more than so many tasks can have a message among so many.
            ready.map(|(place, task)| (*place, *task)).take(most).collect()
        };
        while claimed.len() < most
            && let Some((place, task)) = open.pop_first()
        {
            self.ready.remove(&place);
            let Some(queue) = self.queues.get_mut(&task) else { continue };
            let Some(entry) = queue.entries.get_mut(&place) else { continue };
            let token = token();
            if let Some(last) = entry.token.replace(token) {
                self.tokens.remove(&last);
            }
            entry.claims = entry.claims.saturating_add(1);
            entry.hold = Hold::Claimed(until);
            queue.claimed += 1;
            claimed.push(ClaimedMessage { token, message: entry.message.clone(), claims: entry.claims });
            self.tokens.insert(token, (task, place));
            self.ends.insert((until, token));
            if let Some((next, _)) = queue.entries.range(place + 1..).next() {
                open.insert(*next, task);
            }
        }
        claimed
    }

    /// Gives a claimed message back before its time. Says whether it was claimed by this token.
    pub(crate) fn release(&mut self, token: ClaimToken, now: Duration) -> bool {
        self.expire(now);
        let claimed = matches!(self.hold(token), Some(Hold::Claimed(_)));
        claimed && self.free(token)
    }

    fn hold(&self, token: ClaimToken) -> Option<Hold> {
        let (task, place) = self.tokens.get(&token)?;
        Some(self.queues.get(task)?.entries.get(place)?.hold)
    }

    /// Which message of which task this token stands for, if it is good: nobody else gets the message from now on, until
    /// [`Outbox::settled`] or [`Outbox::unsettled`]. A token whose time is over is good until somebody else claims.
    pub(crate) fn begin_to_settle(&mut self, token: ClaimToken, now: Duration) -> Option<(TaskId, u64)> {
        self.expire(now);
        let &(task, place) = self.tokens.get(&token)?;
        let queue = self.queues.get_mut(&task)?;
        let entry = queue.entries.get_mut(&place)?;
        match entry.hold {
            Hold::Settling(_) => return None,
            Hold::Claimed(until) => {
                self.ends.remove(&(until, token));
                entry.hold = Hold::Settling(until);
            }
            Hold::Free => {
                // Its time is over, and others of its task may be somebody else's now; order is kept all the same,
                // because this one has been handled.
                queue.claimed += 1;
                entry.hold = Hold::Settling(now);
                let number = entry.message.number;
                if let Some(first) = queue.entries.keys().next() {
                    self.ready.remove(first);
                }
                return Some((task, number));
            }
        }
        Some((task, entry.message.number))
    }

    /// The message is settled, and goes.
    pub(crate) fn settled(&mut self, token: ClaimToken) {
        let Some((task, place)) = self.tokens.remove(&token) else { return };
        let Some(queue) = self.queues.get_mut(&task) else { return };
        let Some(entry) = queue.entries.remove(&place) else { return };
        let bytes = entry.message.bytes();
        if let Hold::Claimed(until) | Hold::Settling(until) = entry.hold {
            queue.claimed = queue.claimed.saturating_sub(1);
            self.ends.remove(&(until, token));
        }
        self.unreserve(bytes);
        self.make_ready(task);
    }

    /// It could not be written down: the claim is as it was.
    pub(crate) fn unsettled(&mut self, token: ClaimToken, now: Duration) {
        let Some(&(task, place)) = self.tokens.get(&token) else { return };
        let Some(entry) = self.queues.get_mut(&task).and_then(|queue| queue.entries.get_mut(&place)) else { return };
        if let Hold::Settling(until) = entry.hold {
            entry.hold = Hold::Claimed(until);
            self.ends.insert((until, token));
            self.expire(now);
        }
    }

    /// Forgets a task's messages, because the task is forgotten.
    pub(crate) fn forget(&mut self, task: TaskId) {
        let Some(queue) = self.queues.remove(&task) else { return };
        if let Some(first) = queue.entries.keys().next() {
            self.ready.remove(first);
        }
        for entry in queue.entries.into_values() {
            self.unreserve(entry.message.bytes());
            if let Some(token) = entry.token {
                self.tokens.remove(&token);
                if let Hold::Claimed(until) | Hold::Settling(until) = entry.hold {
                    self.ends.remove(&(until, token));
                }
            }
        }
    }

    /// When the next claim ends.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Whether an open message of this session's asks its agent to act, claimed ones included.
    pub(crate) fn calls(&self, session: &str) -> bool {
        let mut queues = self.queues.values().filter(|queue| queue.session.as_deref() == Some(session));
        queues.any(|queue| queue.entries.values().any(|entry| entry.message.trigger))
    }

    /// How many messages are open, claimed ones included.
    pub(crate) fn open(&self, filter: &MessageFilter) -> usize {
        let queues = self.queues.iter().filter(|(task, queue)| filter.takes(**task, queue));
        queues.map(|(_, queue)| queue.entries.len()).sum()
    }
}

#[cfg(test)]
mod tests;
