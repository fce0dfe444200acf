//! What happened to a task: an event, numbered and dated.

mod display;
mod kinds;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use super::capability::Capability;
use super::children::ChildOutcome;
use super::delivery::{ContinuePolicy, DeliveryMode};
use super::details::TaskDetails;
use super::hook::TaskHook;
use super::ids::{SignalKey, TaskId, TaskRef};
use super::limits::Limits;
use super::outbox::Settlement;
use super::outcome::{Failure, Outcome};
use super::patch::TaskPatch;
use super::plan::{ActionId, PlanEvent};
use super::request::CancelRequest;
use super::schedule::{ListedSchedule, ScheduleEvent};
use super::signal::{Instruction, Party, Senders, Signal};
use super::snapshot::{Artifact, Usage};
use super::time::Timestamp;
use super::wire::{maybe_millis, millis, shared};

/// An event's place in its task's log: 1, 2, 3, … without gaps. 0 is before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventSeq(pub u64);

impl EventSeq {
    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Its place in the log.
    pub seq: EventSeq,
    /// When it was decided.
    pub at: Timestamp,
    /// The action in which it happened: set while the task is at a step of its plan, and the same for all events of that
    /// step, from `step-started` to `step-finished`, or to the `attempt-ended` with which the step ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// What happened.
    pub body: EventBody,
}

impl Event {
    /// An event that belongs to no step of a plan.
    pub(crate) fn new(seq: EventSeq, at: Timestamp, body: EventBody) -> Self {
        Self { seq, at, action: None, body }
    }
}

/// What can happen to a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EventBody {
    /// The task exists and waits for its turn.
    #[non_exhaustive]
    Created {
        /// Which task it is.
        #[serde(with = "shared")]
        task: Arc<TaskRef>,
        /// Its input.
        #[serde(with = "shared")]
        input: Arc<Value>,
        /// The limits it runs under.
        #[serde(with = "shared")]
        limits: Arc<Limits>,
        /// Whose it is, and how it shall be treated.
        #[serde(default, with = "shared")]
        details: Arc<TaskDetails>,
    },
    /// The moment has come at which it may begin, or be tried again; it waits for its turn.
    Due,
    /// Its cell runs.
    #[non_exhaustive]
    Started {
        /// Which attempt this is, counted from 1.
        attempt: u32,
    },
    /// An attempt failed, and another follows.
    #[non_exhaustive]
    AttemptEnded {
        /// Which attempt.
        attempt: u32,
        /// Why it failed. Boxed, because every event has the room of the largest.
        failure: Box<Failure>,
        /// What the task has used so far.
        usage: Usage,
        /// The time until the next attempt.
        #[serde(rename = "pause_ms", with = "millis")]
        pause: Duration,
    },
    /// It said how far it is.
    #[non_exhaustive]
    Progress {
        /// In its words.
        message: String,
        /// 0 to 100, when it knows. Never lower than in the report before, unless the progress begins anew.
        percent: Option<u8>,
        /// Whether the progress begins anew here.
        #[serde(default, skip_serializing_if = "is_false")]
        restarted: bool,
        /// How many earlier reports this one stands for, beside its own.
        #[serde(default, skip_serializing_if = "is_zero")]
        merged: u64,
    },
    /// It is parked until a signal comes.
    #[non_exhaustive]
    WaitStarted {
        /// Which of its waits this is, counted from 1.
        wait: u64,
        /// What it waits for: a signal with one of these keys.
        keys: Vec<SignalKey>,
        /// From whom.
        #[serde(default, skip_serializing_if = "Senders::is_everybody")]
        senders: Senders,
        /// How long at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// A wait ended without a signal.
    #[non_exhaustive]
    WaitEnded {
        /// Which wait.
        wait: u64,
        /// Why.
        reason: WaitEnd,
    },
    /// A signal came and is kept.
    #[non_exhaustive]
    SignalReceived {
        /// For which key.
        key: SignalKey,
        /// What and from whom.
        signal: Signal,
    },
    /// The task took a signal. If it was parked in a wait, it goes on.
    #[non_exhaustive]
    SignalTaken {
        /// Which key.
        key: SignalKey,
        /// The event that brought it.
        signal: EventSeq,
    },
    /// It sent a message to its agent.
    #[non_exhaustive]
    AgentMessage {
        /// Which of its messages this is, counted from 1.
        number: u64,
        /// The message.
        message: String,
        /// Whether the agent is asked to act on it.
        trigger: bool,
        /// The key by which the task sends it only once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<SignalKey>,
    },
    /// A message to its agent left the outbox, and does not come again. In the lane of what comes after the end, when the
    /// task had ended.
    #[non_exhaustive]
    MessageSettled {
        /// Which of its messages.
        number: u64,
        /// How.
        how: Settlement,
    },
    /// Somebody said something to it.
    Instructed(Instruction),
    /// It took the oldest thing that was said to it. If it was parked for that, it goes on.
    InstructionTaken,
    /// It is parked until somebody says something to it.
    #[non_exhaustive]
    InstructionWaitStarted {
        /// How long at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// Nobody said anything to it.
    #[non_exhaustive]
    InstructionWaitEnded {
        /// Why it no longer waits.
        reason: WaitEnd,
    },
    /// It needs somebody's approval, and is parked, or does not begin, until there is a decision.
    #[non_exhaustive]
    ApprovalRequested {
        /// Its number.
        number: ApprovalNumber,
        /// What is asked.
        ask: ApprovalAsk,
    },
    /// After its host was started again, it asks what it had asked before, and nobody is asked twice: it is parked until the
    /// first question is decided, or goes on with what was decided about that.
    #[non_exhaustive]
    ApprovalRepeated {
        /// The number of the first question.
        number: ApprovalNumber,
        /// What was decided about it, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        decision: Option<ApprovalDecision>,
    },
    /// There is a decision.
    #[non_exhaustive]
    ApprovalDecided {
        /// About which question.
        number: ApprovalNumber,
        /// What was decided.
        decision: ApprovalDecision,
    },
    /// It spent something elsewhere.
    #[non_exhaustive]
    UsageRecorded {
        /// In the name of which tool.
        tool: String,
        /// Tokens of a model.
        tokens: u64,
        /// Actions of a tool.
        actions: u64,
    },
    /// It started a child.
    #[non_exhaustive]
    ChildStarted {
        /// The child.
        child: TaskId,
        /// Its reference.
        task: TaskRef,
        /// Units of fuel that the child got of this task's.
        fuel: u64,
        /// Whether the child goes on when this task ends.
        detached: bool,
    },
    /// A child ended.
    #[non_exhaustive]
    ChildEnded {
        /// The child.
        child: TaskId,
        /// How.
        outcome: ChildOutcome,
        /// Units of fuel that it used, its own children's included. The rest came back.
        fuel: u64,
    },
    /// It is parked until a child ends.
    #[non_exhaustive]
    ChildWaitStarted {
        /// The child.
        child: TaskId,
        /// How long at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// It no longer waits for a child that has not ended.
    #[non_exhaustive]
    ChildWaitEnded {
        /// Why.
        reason: WaitEnd,
    },
    /// It sends a signal to another task. Written before the signal goes out; what became of it only the task knows.
    #[non_exhaustive]
    SignalSent {
        /// To which task.
        target: TaskRef,
        /// For which key.
        key: SignalKey,
    },
    /// It calls a function of the host's. Written before the call; what came of it only the task knows.
    #[non_exhaustive]
    HostCalled {
        /// The function's name.
        name: String,
    },
    /// It attached a file.
    ArtifactAttached(Artifact),
    /// Somebody changed what people see of it. In the lane of what comes after the end, when the task had ended.
    #[non_exhaustive]
    Updated {
        /// Its revision from now on: 1 more than before.
        revision: u64,
        /// What was changed.
        patch: TaskPatch,
        /// Who changed it.
        by: Party,
    },
    /// It stands still from now on, and its clocks with it.
    #[non_exhaustive]
    Paused {
        /// Who wanted that.
        by: Party,
        /// Why; may be empty.
        reason: String,
    },
    /// It goes on.
    #[non_exhaustive]
    Resumed {
        /// Who let it. Whoever cancels a paused task lets it go on, so that it can end by itself.
        by: Party,
    },
    /// It asks for more fuel, and is parked until there is an answer.
    #[non_exhaustive]
    FuelRequested {
        /// Its number among the task's questions.
        #[serde(default)]
        number: ApprovalNumber,
        /// How many units.
        units: u64,
        /// What for, in its words.
        reason: String,
        /// How long it waits at most.
        #[serde(rename = "timeout_ms", with = "maybe_millis")]
        timeout: Option<Duration>,
    },
    /// It has more fuel. If it had asked for some, this is the answer.
    #[non_exhaustive]
    FuelAdded {
        /// How many units more.
        units: u64,
        /// Who gave them. The host does so by itself up to `fuel_on_request`.
        by: Party,
        /// The request that it approves of, when it was decided like a question for approval.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approval: Option<ApprovalNumber>,
    },
    /// Its request for fuel was turned down.
    #[non_exhaustive]
    FuelRefused {
        /// By whom.
        by: Party,
        /// Why; may be empty.
        reason: String,
    },
    /// Its request for fuel ended without an answer.
    #[non_exhaustive]
    FuelRequestEnded {
        /// Why.
        reason: WaitEnd,
    },
    /// Four fifths of a budget are used up. Told once for each size of the budget.
    #[non_exhaustive]
    BudgetLow {
        /// Which budget.
        budget: Budget,
        /// What is used.
        used: u64,
        /// What there is in all.
        limit: u64,
    },
    /// A daemon has burnt its fuel for this hour, and stands still until the next one, or until somebody gives it more.
    #[non_exhaustive]
    HourUsedUp {
        /// Units of fuel that it has burnt in all.
        used: u64,
    },
    /// A daemon has its fuel for another hour. If it stood still for want of it, it goes on.
    #[non_exhaustive]
    FuelRenewed {
        /// How many units more: as many as it has burnt since it had its last, so that none is saved up.
        units: u64,
    },
    /// It burns fuel and calls nothing: it may be in an endless loop. Told once for each such time.
    #[non_exhaustive]
    Stalled {
        /// Units of fuel that it burnt in that time.
        fuel: u64,
        /// How long, at least.
        #[serde(rename = "quiet_ms", with = "millis")]
        quiet: Duration,
    },
    /// It panicked and said so before it trapped.
    #[non_exhaustive]
    Panicked {
        /// The panic's message.
        message: String,
        /// Where in its source.
        place: String,
    },
    /// Nobody waits for it any more: it goes on in the background.
    #[non_exhaustive]
    Detached {
        /// Who sent it there; the host, when the time of its `detach-after` was over.
        by: Party,
    },
    /// What becomes of its updates in the background is another from now on.
    #[non_exhaustive]
    DeliverySet {
        /// Where they go.
        delivery: DeliveryMode,
        /// Whether its result asks for another turn.
        continue_policy: ContinuePolicy,
        /// Who said so.
        by: Party,
    },
    /// Somebody asked it to stop.
    CancelRequested(CancelRequest),
    /// It has its outcome. Nothing that comes later changes it.
    #[non_exhaustive]
    Finished {
        /// How it ended. Whoever has the event has the same one.
        #[serde(with = "shared")]
        outcome: Arc<Outcome>,
        /// What it used.
        usage: Usage,
        /// Who said so, when it was not found out by running the task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        set_by: Option<Party>,
    },
    /// A function that was to be called at its end was. In the lane of what comes after the end.
    #[non_exhaustive]
    OnTerminalDone {
        /// The name that the function is registered by; `None` for one that came with the request.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// What went wrong, if something did: its error, its panic, or that its time was over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A hook of its plugin's was called about its cancel or its end. In the lane of what comes after the end.
    #[non_exhaustive]
    HookDone {
        /// Which hook.
        hook: TaskHook,
        /// Why it failed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<Failure>>,
    },
    /// It was a daemon that ends again and again soon after its start, and it is not started again. In the lane of what
    /// comes after the end.
    #[non_exhaustive]
    DaemonGivenUp {
        /// How many lives it had, one soon after the other.
        lives: u32,
    },
    /// A signal came when it was over. In the lane of what comes after the end.
    #[non_exhaustive]
    LateSignal {
        /// For which key.
        key: SignalKey,
        /// From whom.
        sender: Party,
    },
    /// It was about to do something that it may not, and was told so.
    #[non_exhaustive]
    Denied {
        /// What would have been needed.
        capability: Capability,
        /// On what; empty when it is one thing only.
        scope: String,
        /// Why it is not there.
        reason: String,
        /// The place in the policy that says so; `manifest`, `start`, `policy` or `withdrawn` when none does.
        rule: String,
    },
    /// A capability was taken away from it for good.
    #[non_exhaustive]
    Revoked {
        /// Which one.
        capability: Capability,
        /// By whom.
        by: Party,
    },
    /// It took room in a granted folder that has a quota, before it used it.
    #[non_exhaustive]
    FolderRoomTaken {
        /// Where the guest sees the folder.
        folder: String,
        /// Bytes that it may have written there so far, in all its attempts.
        bytes: u64,
        /// What it may have made there.
        inodes: u64,
    },
    /// Something happened to its plan.
    #[non_exhaustive]
    Plan {
        /// What.
        change: PlanEvent,
    },
    /// Something happened to a schedule. Only in that schedule's stream.
    #[non_exhaustive]
    Schedule {
        /// What.
        change: ScheduleEvent,
    },
    /// These are the schedules that there are now. Only in the stream that lists them.
    #[non_exhaustive]
    Schedules {
        /// All of them.
        list: Vec<ListedSchedule>,
    },
}

/// What can run low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Budget {
    /// The fuel.
    Fuel,
    /// The tokens that it may spend elsewhere.
    Tokens,
    /// The actions that it may do elsewhere.
    Actions,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a wait ended without a signal, or a request for fuel without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WaitEnd {
    /// Its time was over; the task goes on.
    TimedOut,
    /// The task shall stop.
    Cancelled,
    /// The host ended this wait; the task goes on. Requests for fuel do not end so: they are refused.
    WaitCancelled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_no_room_for_what_few_events_have() {
        let size = size_of::<Event>();
        assert!(size <= 192, "each event takes {size} bytes, whatever it tells: share or box what is large");
    }
}
