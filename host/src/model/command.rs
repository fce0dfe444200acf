//! What is asked of the decider, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling};
use super::capability::Capability;
use super::children::ChildOutcome;
use super::delivery::{ContinuePolicy, DeliveryMode};
use super::details::TaskDetails;
use super::event::{EventBody, WaitEnd};
use super::ids::{SignalKey, TaskId, TaskRef};
use super::limits::Limits;
use super::machine::{Refusal, RefusalKind};
use super::outbox::Settlement;
use super::outcome::{CellEnd, Outcome};
use super::patch::TaskPatch;
use super::plan::{Plan, PlanError, StepStatus};
use super::policy::mandate::Denied;
use super::request::CancelRequest;
use super::signal::{Instruction, NotifyAnswer, Party, Senders, Signal};
use super::snapshot::{Artifact, Usage};
use super::time::Timestamp;

/// Something that somebody wants of a task, or that happened to it outside.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// The caller wants the task to exist.
    ///
    /// `approval`: it may not begin before somebody has approved of this.
    Create {
        task: Arc<TaskRef>,
        input: Arc<Value>,
        limits: Arc<Limits>,
        details: Arc<TaskDetails>,
        approval: Option<Box<ApprovalAsk>>,
    },
    /// The moment has come at which the task may begin, or be tried again.
    Due,
    /// A cell is free for it.
    Start,
    /// The guest says how far it is.
    ///
    /// `last`: before the task's end, so that it is told even when the log is full.
    Progress { message: String, percent: Option<u8>, restarted: bool, merged: u64, last: bool },
    /// The guest waits.
    Wait { keys: Vec<SignalKey>, senders: Senders, timeout: Option<Duration> },
    /// The guest looks for a signal.
    Poll { key: SignalKey },
    /// The time of a wait is over.
    WaitTimedOut { wait: u64 },
    /// Somebody ends the wait for a key, or whatever wait there is.
    CancelWait { key: Option<SignalKey> },
    /// Somebody sends a signal.
    Notify { key: SignalKey, signal: Signal },
    /// The guest sends a message to its agent.
    ///
    /// `once`: only if it has not sent one with this key. `room`: whether the host has room for one more.
    MessageAgent { message: String, trigger: bool, once: Option<SignalKey>, room: bool },
    /// A message to the agent was delivered, or is wanted by nobody.
    SettleMessage { number: u64, how: Settlement },
    /// Somebody says something to the task.
    Instruct(Instruction),
    /// The guest looks for something said to it, or waits for it.
    NextInstruction { timeout: Option<Duration> },
    /// The time of that wait is over.
    InstructionTimedOut,
    /// The guest asks for approval.
    RequestApproval(ApprovalAsk),
    /// Somebody decides.
    ///
    /// `ruling`: what the host's own policy says about them.
    DecideApproval { number: ApprovalNumber, decision: ApprovalDecision, ruling: ApprovalRuling },
    /// Nobody decided in time.
    ApprovalTimedOut { number: ApprovalNumber, usage: Usage },
    /// The guest spent something elsewhere.
    RecordUsage { tool: String, tokens: u64, actions: u64, usage: Usage },
    /// The guest starts a child, which gets this much of its fuel.
    StartChild { child: TaskId, task: TaskRef, fuel: u64, detached: bool },
    /// A child ended, or could not be started after all.
    ChildEnded { child: TaskId, outcome: ChildOutcome, fuel: u64 },
    /// The guest waits for a child.
    WaitChild { child: TaskId, timeout: Option<Duration> },
    /// The time of that wait is over.
    ChildTimedOut,
    /// The host knows how the task ended, because it is over elsewhere.
    SetOutcome { outcome: Outcome, by: Party, usage: Usage },
    /// Somebody changes what people see of it, if its revision is the expected one.
    Update { expected: Option<u64>, patch: Box<TaskPatch>, by: Party },
    /// The guest attached a file, and it is stored.
    Attach(Artifact),
    /// The guest calls a function of the host's.
    CallHost { name: String },
    /// The guest's panic hook speaks.
    Panic { message: String, place: String },
    /// The guest sends a signal to another task.
    SendSignal { target: TaskRef, key: SignalKey },
    /// Somebody wants the task to stand still.
    Pause { by: Party, reason: String },
    /// Somebody wants it to go on.
    Resume { by: Party },
    /// The guest asks for more fuel.
    RequestFuel { units: u64, reason: String, timeout: Option<Duration> },
    /// Somebody gives fuel, asked for or not.
    AddFuel { units: u64, by: Party },
    /// Somebody turns a request for fuel down.
    RefuseFuel { by: Party, reason: String },
    /// The time of a request for fuel is over.
    FuelRequestTimedOut,
    /// Most of the fuel is used.
    FuelLow { used: u64 },
    /// A daemon has none left.
    FuelOut { used: u64 },
    /// Another hour of a daemon's life begins.
    NewHour { used: u64 },
    /// The guest burns fuel and calls nothing.
    Stalled { fuel: u64, quiet: Duration },
    /// The guest does nothing at all, or nothing that anybody sees.
    Idle { usage: Usage },
    /// Nobody waits for the task any more.
    Detach { by: Party },
    /// Somebody wants its updates to go elsewhere, or its result to ask for another turn, or not to.
    SetDelivery { delivery: Option<DeliveryMode>, continue_policy: Option<ContinuePolicy>, by: Party },
    /// Somebody wants the task to stop.
    Cancel { request: CancelRequest, usage: Usage },
    /// The grace of a cancel request is over.
    GraceOver { usage: Usage },
    /// The deadline is there.
    DeadlineReached { usage: Usage },
    /// The cell ended.
    ///
    /// `chance`: 0 to 1, for the time until the next attempt.
    CellEnded { end: CellEnd, usage: Usage, chance: f64 },
    /// About its plan.
    Plan(PlanCommand),
    /// About what it may touch.
    Grant(GrantCommand),
    /// The host was started again, and found the task unfinished.
    HostRestarted { fit: HostFit, now: Timestamp },
}

/// What a host has of all that it needs to go on with a task of a host before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostFit {
    /// Everything.
    Whole,
    /// No plugin of the task's. One may be loaded later.
    NoPlugin,
    /// Not what it needs, and that does not change; why.
    Unfit(String),
}

/// What somebody wants of a task's plan.
#[derive(Debug, Clone)]
pub(crate) enum PlanCommand {
    /// Somebody has a plan for it, or something that is none.
    ///
    /// `expected`: only if the plan that it has now is at this revision; 0 is no plan.
    Set { plan: Result<Box<Plan>, PlanError>, expected: Option<u64>, by: Party },
    /// The current step is done, if there is one, and the next one begins.
    Advance { note: Option<String>, by: Party, usage: Usage },
    /// The current step is over, and no other begins.
    FinishStep { status: StepStatus, note: Option<String>, by: Party },
    /// Somebody wants the task's planner to make a plan.
    ///
    /// `first`: the host itself does, because the task does not begin without one.
    AskPlanner { reason: String, by: Party, first: bool },
    /// The planner made one, or says why not.
    ///
    /// `since`: the revision of the plan that it was shown. `first`: as it was asked.
    Planned { plan: Result<Box<Plan>, PlanError>, since: u64, by: Party, first: bool },
}

/// What happens to what a task may touch.
#[derive(Debug, Clone)]
pub(crate) enum GrantCommand {
    /// The guest was denied something, by this rule.
    ///
    /// `in_row`: how many times in a row, with this one.
    Denied { denied: Denied, rule: String, in_row: u32, usage: Usage },
    /// The guest is about to do something that the policy says to ask about.
    Ask(Box<ApprovalAsk>),
    /// Somebody takes a capability away from it.
    Revoke { capability: Capability, by: Party },
    /// The guest is about to use room in a granted folder: so much in all its life.
    TakeRoom { folder: String, bytes: u64, inodes: u64 },
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// What happened, in order. May be empty.
    pub(crate) events: Vec<EventBody>,
    /// What whoever asked is told.
    pub(crate) answer: Answer,
}

/// What whoever sent a command is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// The guest is parked; a later event answers it.
    Parked,
    /// It was so already, or there was nothing to change.
    Unchanged,
    /// Here is the signal.
    Signal(SignalKey, Signal),
    /// Here is what was said, or nothing was.
    Instruction(Option<Instruction>),
    /// The child has its outcome already.
    ChildOver,
    /// There is no signal now.
    NoSignal,
    /// The wait is over without a signal.
    WaitOver(WaitEnd),
    /// What became of the signal.
    Notified(NotifyAnswer),
    /// It was changed, and this is its revision now.
    Updated(u64),
    /// It was changed before, and this is its revision.
    Stale(u64),
    /// The task has its outcome already, and it stays.
    AlreadyEnded,
    /// The command does not fit the state; nothing happened.
    Refused(Refusal),
    /// The plan stays as it is.
    PlanRefused(PlanError),
}

impl Decision {
    pub(super) fn only(answer: Answer) -> Self {
        Self { events: Vec::new(), answer }
    }

    pub(super) fn done(event: EventBody) -> Self {
        Self { events: vec![event], answer: Answer::Done }
    }

    pub(super) fn refused(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::only(Answer::Refused(Refusal::new(kind, message)))
    }
}
