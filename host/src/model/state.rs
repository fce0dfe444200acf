//! A task's state: its log, folded.

mod granting;
mod traces;
mod weight;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::Value;

use super::approval::{ApprovalNumber, PendingApproval};
use super::children::Child;
use super::details::{Routing, TaskDetails};
use super::event::{Event, EventBody, EventSeq};
use super::ids::{SignalKey, TaskId, TaskRef};
use super::limits::Limits;
use super::mailbox::Mailbox;
use super::outbox::{OpenMessages, message_bytes};
use super::outcome::Outcome;
use super::plan::{ActionId, Plan, PlanEvent};
use super::progress::Estimate;
use super::request::CancelRequest;
use super::signal::{Instruction, Party};
use super::snapshot::{Artifact, FuelRequest, Pause, Phase, Progress, Snapshot, Usage, WaitPoint};
use super::time::Timestamp;

pub(crate) use granting::{Granting, lasting};
pub(crate) use traces::Traces;
use weight::written_bytes;
pub(crate) use weight::{event_bytes, outcome_bytes, payload_bytes};

/// What a guest is parked in. It makes one call at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ParkPoint {
    Wait(WaitPoint),
    Fuel(FuelRequest),
    /// With the question that it waits for: others may be open that an attempt had asked which was lost.
    Approval(ApprovalNumber),
    Instruction,
    Child(TaskId),
}

/// A task's state. Only [`TaskState::apply`] changes it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TaskState {
    pub(crate) task: Option<Arc<TaskRef>>,
    pub(crate) input: Arc<Value>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) details: Arc<TaskDetails>,
    pub(crate) phase: Option<Phase>,
    /// Which attempt it is in, counted from 1; 0 before the first.
    pub(crate) attempt: u32,
    /// When it may begin, or be tried again, while it waits for that.
    pub(crate) due: Option<Timestamp>,
    /// What only a host wants to know that was started again.
    pub(crate) traces: Traces,
    /// What it reported last; its `eta` is not kept but made for each look.
    pub(crate) progress: Option<Progress>,
    pub(crate) estimate: Estimate,
    pub(crate) parked: Option<ParkPoint>,
    pub(crate) paused: Option<Box<Pause>>,
    pub(crate) fuel_budget: u64,
    /// What it got of `fuel_on_request`.
    pub(crate) fuel_on_request: u64,
    /// What approvals gave it.
    pub(crate) fuel_on_approval: u64,
    /// The budget of which the task was last told that it runs low.
    pub(crate) warned_of: Option<u64>,
    /// Whether it is a daemon that stands still because its fuel for this hour is burnt.
    pub(crate) hour_used_up: bool,
    pub(crate) warned_of_tokens: bool,
    pub(crate) warned_of_actions: bool,
    /// Since when it is paused or parked in a request for fuel or approval.
    pub(crate) still_since: Option<Timestamp>,
    pub(crate) waits: u64,
    pub(crate) mailbox: Mailbox,
    /// How many approvals it has asked for.
    pub(crate) asked: u64,
    pub(crate) approvals: Vec<PendingApproval>,
    /// What was said to it and not taken.
    pub(crate) instructions: std::collections::VecDeque<Instruction>,
    pub(crate) agent_messages: u64,
    /// Those of them that are still in the outbox.
    pub(crate) open_messages: OpenMessages,
    pub(crate) sent_once: BTreeSet<SignalKey>,
    pub(crate) children: Vec<Child>,
    pub(crate) children_fuel: u64,
    pub(crate) tokens: u64,
    pub(crate) actions: u64,
    /// What somebody wants to be seen beside it.
    pub(crate) note: Option<String>,
    /// How often its note, title or labels were changed.
    pub(crate) revision: u64,
    /// Whether nobody waits for it, or nobody does any more.
    pub(crate) background: bool,
    /// What was taken away from it, and answered about what it may touch.
    pub(crate) granting: Granting,
    pub(crate) plan: Option<Box<Plan>>,
    /// How often a step of its plans has begun: the number of its newest action.
    pub(crate) plan_actions: u64,
    /// Who waits for its planner beside the host.
    pub(crate) planner_callers: Vec<Party>,
    pub(crate) cancel: Option<Box<CancelRequest>>,
    pub(crate) panic: Option<Box<(String, String)>>,
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) outcome: Option<Arc<Outcome>>,
    pub(crate) usage: Usage,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) seq: EventSeq,
    /// Bytes of texts and payloads in the log.
    pub(crate) written_bytes: u64,
    /// What of the log is progress: events, and bytes of their messages.
    pub(crate) progress_events: u64,
    pub(crate) progress_bytes: u64,
    /// What of it the guest made beside that, and what others did, by their sending, saying and deciding.
    pub(crate) guest_events: u64,
    pub(crate) guest_bytes: u64,
    pub(crate) other_events: u64,
    pub(crate) other_bytes: u64,
    /// Bytes of the input, the details and what the outcome carries, which the log and the state share.
    pub(crate) ends_bytes: u64,
}

impl TaskState {
    /// Before the first event. Made once: its input, limits and details are on the heap, and the first event has its own.
    pub(crate) fn blank() -> Self {
        static BLANK: LazyLock<TaskState> = LazyLock::new(TaskState::default);
        BLANK.clone()
    }

    /// The action that it is in: that of the step that it is at.
    pub(crate) fn action(&self) -> Option<ActionId> {
        self.plan.as_deref().and_then(Plan::current).and_then(|step| step.action_id)
    }

    /// Whether it does not begin before its planner has made a plan.
    pub(crate) fn awaits_first_plan(&self) -> bool {
        self.details.planner.is_some() && self.plan.is_none() && self.attempt == 0
    }

    /// What was decided in this state, as events: numbered, dated, and each with the action in which it happens.
    pub(crate) fn numbered(&self, at: Timestamp, bodies: Vec<EventBody>) -> Vec<Event> {
        let (mut seq, mut action) = (self.seq, self.action());
        let number = |body: EventBody| {
            seq = seq.next();
            let after = if let EventBody::Plan { change } = &body { change.action_after(action) } else { action };
            // What begins a step belongs to it, and so does what ends it.
            let own = action.or(after);
            action = after;
            Event { action: own, ..Event::new(seq, at, body) }
        };
        bodies.into_iter().map(number).collect()
    }

    /// Whether the guest has written as much about its progress as it may.
    pub(crate) fn is_full_of_progress(&self) -> bool {
        self.progress_events >= self.limits.log_events || self.progress_bytes >= self.limits.log_bytes
    }

    /// Whether the guest has written as much of everything else as it may.
    pub(crate) fn is_full(&self) -> bool {
        self.guest_events >= self.limits.log_events || self.guest_bytes >= self.limits.log_bytes
    }

    /// Whether others have made as much of its log as they may. Tasks may make half of it, so that they leave a person
    /// something.
    pub(crate) fn is_full_of_others(&self, by: Party) -> bool {
        let part = if matches!(by, Party::Task(_)) { 2 } else { 1 };
        self.other_events >= self.limits.log_events / part || self.other_bytes >= self.limits.log_bytes / part
    }

    /// The wait that it is parked in.
    pub(crate) fn waiting(&self) -> Option<&WaitPoint> {
        match &self.parked {
            Some(ParkPoint::Wait(point)) => Some(point),
            Some(ParkPoint::Fuel(_) | ParkPoint::Approval(_) | ParkPoint::Instruction | ParkPoint::Child(_)) | None => {
                None
            }
        }
    }

    /// Whether it is parked until such a signal comes.
    pub(crate) fn waits_for(&self, key: &SignalKey, sender: Party) -> bool {
        self.waiting().is_some_and(|point| point.keys.contains(key) && point.senders.allow(sender))
    }

    /// The request for fuel that it is parked in.
    pub(crate) fn fuel_request(&self) -> Option<&FuelRequest> {
        match &self.parked {
            Some(ParkPoint::Fuel(request)) => Some(request),
            Some(ParkPoint::Wait(_) | ParkPoint::Approval(_) | ParkPoint::Instruction | ParkPoint::Child(_)) | None => {
                None
            }
        }
    }

    /// The child that it is parked for.
    pub(crate) fn awaited_child(&self) -> Option<TaskId> {
        match &self.parked {
            Some(ParkPoint::Child(child)) => Some(*child),
            Some(ParkPoint::Wait(_) | ParkPoint::Approval(_) | ParkPoint::Instruction | ParkPoint::Fuel(_)) | None => {
                None
            }
        }
    }

    /// Takes one more event in. Folding a task's whole log from the default state gives the task's state.
    #[expect(clippy::too_many_lines, reason = "an arm for each event, and little in each")]
    pub(crate) fn apply(&mut self, event: &Event) {
        self.trace(event);
        self.granting.note(&event.body, &self.approvals);
        self.seq = event.seq;
        let bytes = written_bytes(&event.body);
        self.written_bytes += bytes;
        if matches!(event.body, EventBody::Progress { .. }) {
            self.progress_events += 1;
            self.progress_bytes += bytes;
        } else if event.body.is_by_guest()
            || matches!(event.body, EventBody::Stalled { .. } | EventBody::AttemptEnded { .. })
        {
            self.guest_events += 1;
            self.guest_bytes += bytes;
        } else if event.body.is_by_others() {
            self.other_events += 1;
            self.other_bytes += bytes;
        }
        match &event.body {
            EventBody::Created { task, limits, input, details } => {
                self.ends_bytes = payload_bytes(Some(input)) + details.weight();
                self.task = Some(Arc::clone(task));
                self.input = Arc::clone(input);
                self.limits = Arc::clone(limits);
                self.details = Arc::clone(details);
                self.background = !self.details.routing.is_some_and(Routing::is_foreground);
                self.fuel_budget = limits.fuel;
                self.approved();
                self.created_at = Some(event.at);
            }
            EventBody::Due => (self.phase, self.due) = (Some(Phase::Queued), None),
            EventBody::Started { attempt } => {
                self.phase = Some(Phase::Running);
                self.attempt = *attempt;
                self.started_at.get_or_insert(event.at);
            }
            EventBody::AttemptEnded { usage, pause, .. } => {
                self.phase = Some(Phase::Delayed);
                self.due = Some(event.at.after(*pause));
                self.usage = *usage;
                self.parked = None;
                self.hour_used_up = false;
                self.panic = None;
                self.plan.iter_mut().for_each(|plan| plan.begin_again());
            }
            EventBody::Progress { message, percent, restarted, .. } => {
                self.progress = Some(Progress { message: message.clone(), percent: *percent, eta: None });
                self.estimate.report(event.at, *percent, *restarted);
            }
            EventBody::WaitStarted { wait, keys, senders, .. } => {
                self.waits = *wait;
                let point = WaitPoint { wait: *wait, keys: keys.clone(), senders: senders.clone() };
                self.parked = Some(ParkPoint::Wait(point));
            }
            EventBody::WaitEnded { .. }
            | EventBody::FuelRefused { .. }
            | EventBody::FuelRequestEnded { .. }
            | EventBody::InstructionWaitEnded { .. }
            | EventBody::ChildWaitEnded { .. } => self.parked = None,
            EventBody::SignalReceived { key, signal } => self.mailbox.put(event.seq, key.clone(), signal.clone()),
            EventBody::SignalTaken { key, signal } => {
                if self.waiting().is_some_and(|point| point.keys.contains(key)) {
                    self.parked = None;
                }
                self.mailbox.take(key, *signal);
            }
            EventBody::AgentMessage { number, message, once, .. } => {
                self.agent_messages = *number;
                self.open_messages.put(*number, message_bytes(message, once.as_ref()));
                self.sent_once.extend(once.clone());
            }
            EventBody::MessageSettled { number, .. } => self.open_messages.settle(*number),
            EventBody::SignalSent { .. }
            | EventBody::ApprovalRepeated { decision: Some(_), .. }
            | EventBody::HostCalled { .. }
            | EventBody::Denied { .. }
            | EventBody::Revoked { .. }
            | EventBody::FolderRoomTaken { .. }
            | EventBody::Stalled { .. }
            // Never in this log: what comes after the end changes nothing, and schedules have streams of their own.
            | EventBody::OnTerminalDone { .. }
            | EventBody::HookDone { .. }
            | EventBody::DaemonGivenUp { .. }
            | EventBody::Schedule { .. }
            | EventBody::Schedules { .. }
            | EventBody::LateSignal { .. } => {}
            EventBody::Instructed(instruction) => self.instructions.push_back(instruction.clone()),
            EventBody::InstructionTaken => {
                self.instructions.pop_front();
                self.parked = None;
            }
            EventBody::InstructionWaitStarted { .. } => self.parked = Some(ParkPoint::Instruction),
            EventBody::ApprovalRequested { number, ask } => {
                self.asked = number.0;
                self.approvals.push(PendingApproval { number: *number, ask: ask.clone(), since: event.at });
                if self.phase == Some(Phase::Running) {
                    self.parked = Some(ParkPoint::Approval(*number));
                } else {
                    self.phase = Some(Phase::Held);
                }
            }
            EventBody::ApprovalRepeated { number, decision: None } => self.parked = Some(ParkPoint::Approval(*number)),
            EventBody::ApprovalDecided { number, decision } => self.decided(*number, decision),
            EventBody::UsageRecorded { tokens, actions, .. } => {
                self.tokens = self.tokens.saturating_add(*tokens);
                self.actions = self.actions.saturating_add(*actions);
            }
            EventBody::ChildStarted { child, task, fuel, detached } => self.children.push(Child {
                id: *child,
                task: task.clone(),
                fuel: *fuel,
                detached: *detached,
                outcome: None,
            }),
            EventBody::ChildEnded { child, outcome, fuel } => {
                self.children_fuel = self.children_fuel.saturating_add(*fuel);
                if let Some(child) = self.children.iter_mut().find(|known| known.id == *child) {
                    child.outcome = Some(*outcome);
                    if child.fuel > *fuel {
                        // Some of it comes back.
                        self.hour_used_up = false;
                    }
                }
                if self.awaited_child() == Some(*child) {
                    self.parked = None;
                }
            }
            EventBody::ChildWaitStarted { child, .. } => self.parked = Some(ParkPoint::Child(*child)),
            EventBody::Updated { revision, patch, .. } => self.patch(*revision, patch),
            EventBody::Paused { by, reason } => {
                let pause = Pause { by: *by, reason: reason.clone(), since: event.at };
                self.paused = Some(Box::new(pause));
            }
            EventBody::Resumed { .. } => self.paused = None,
            EventBody::FuelRequested { number, units, reason, timeout } => {
                self.asked = self.asked.max(number.0);
                if self.has_on_request(*units) {
                    self.fuel_on_request += units;
                }
                let (number, units, since, timeout) = (*number, *units, event.at, *timeout);
                let request = FuelRequest { units, reason: reason.clone(), number, since, timeout };
                self.parked = Some(ParkPoint::Fuel(request));
            }
            EventBody::HourUsedUp { .. } => self.hour_used_up = true,
            EventBody::FuelRenewed { units } => {
                self.fuel_budget = self.fuel_budget.saturating_add(*units);
                self.hour_used_up = false;
            }
            EventBody::FuelAdded { units, approval, .. } => {
                if approval.is_some() {
                    self.fuel_on_approval = self.fuel_on_approval.saturating_add(*units);
                }
                self.fuel_budget = self.fuel_budget.saturating_add(*units);
                self.hour_used_up = false;
                if self.fuel_request().is_some() {
                    self.parked = None;
                }
            }
            EventBody::BudgetLow { budget, limit, .. } => match budget {
                super::event::Budget::Fuel => self.warned_of = Some(*limit),
                super::event::Budget::Tokens => self.warned_of_tokens = true,
                super::event::Budget::Actions => self.warned_of_actions = true,
            },
            EventBody::Plan { change } => self.planned(change),
            EventBody::ArtifactAttached(artifact) => self.artifacts.push(artifact.clone()),
            EventBody::Panicked { message, place } => self.panic = Some(Box::new((message.clone(), place.clone()))),
            EventBody::Detached { .. } => self.background = true,
            EventBody::DeliverySet { delivery, continue_policy, .. } => {
                let details = Arc::make_mut(&mut self.details);
                details.delivery = *delivery;
                details.continue_policy = *continue_policy;
            }
            EventBody::CancelRequested(request) => self.cancel = Some(Box::new(request.clone())),
            EventBody::Finished { outcome, usage, .. } => self.finished(event.at, outcome, *usage),
        }
        self.note_stillness(event.at);
    }

    /// It needs nobody's approval any more, or never did.
    fn approved(&mut self) {
        self.due = self.details.run_at;
        self.phase = Some(if self.due.is_some() { Phase::Delayed } else { Phase::Queued });
    }

    fn decided(&mut self, number: ApprovalNumber, decision: &super::approval::ApprovalDecision) {
        self.approvals.retain(|pending| pending.number != number);
        if self.phase == Some(Phase::Held) {
            self.approved();
            if let super::approval::ApprovalDecision::Approved { input: Some(input), .. } = decision {
                // The log has the one before and this one, and the state this one once more.
                self.ends_bytes += payload_bytes(Some(input));
                self.input = Arc::new(input.clone());
            }
        } else if self.parked == Some(ParkPoint::Approval(number)) {
            self.parked = None;
        }
    }

    fn planned(&mut self, change: &PlanEvent) {
        if let PlanEvent::StepStarted { action: ActionId(number), .. } = change {
            self.plan_actions = *number;
        }
        change.note_caller(&mut self.planner_callers);
        match (change, &mut self.plan) {
            (_, Some(plan)) => plan.apply(change),
            (PlanEvent::Set { plan, .. }, None) => self.plan = Some(plan.clone()),
            (_, None) => {}
        }
    }

    fn finished(&mut self, at: Timestamp, outcome: &Arc<Outcome>, usage: Usage) {
        self.phase = Some(Phase::Ended);
        self.outcome = Some(Arc::clone(outcome));
        self.ends_bytes += outcome_bytes(outcome);
        self.usage = usage;
        self.ended_at = Some(at);
        self.plan.iter_mut().for_each(|plan| plan.close(outcome));
        // Nobody can take them any more.
        self.mailbox.clear();
        self.instructions.clear();
        self.approvals.clear();
        self.sent_once.clear();
        self.input = Arc::default();
        self.hour_used_up = false;
        self.parked = None;
        self.paused = None;
        self.due = None;
        self.planner_callers.clear();
    }

    /// Takes the time that the task stood still out of how fast it was.
    fn note_stillness(&mut self, now: Timestamp) {
        match (self.still_since, self.stands_still()) {
            (None, true) => self.still_since = Some(now),
            (Some(since), false) => {
                self.still_since = None;
                self.estimate.stood_still(now.0.saturating_sub(since.0));
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Whether somebody else has to do something before the task can go on: then its time does not run.
    pub(crate) fn stands_still(&self) -> bool {
        self.paused.is_some()
            || self.hour_used_up
            || matches!(self.parked, Some(ParkPoint::Fuel(_) | ParkPoint::Approval(_)))
    }

    /// Whether its deadline comes nearer.
    pub(crate) fn deadline_runs(&self) -> bool {
        self.phase == Some(Phase::Running) && !self.stands_still()
    }

    /// Whether its silence is its own: a task that is parked cannot call.
    pub(crate) fn idle_runs(&self) -> bool {
        self.deadline_runs() && self.parked.is_none()
    }

    /// Whether so many units are left of what the task gets without anybody being asked.
    pub(crate) fn has_on_request(&self, units: u64) -> bool {
        self.fuel_on_request.checked_add(units).is_some_and(|sum| sum <= self.limits.fuel_on_request)
    }

    /// Whether so many units are left of what approvals may give it.
    pub(crate) fn has_on_approval(&self, units: u64) -> bool {
        self.fuel_on_approval.checked_add(units).is_some_and(|sum| sum <= self.limits.fuel_on_approval)
    }

    /// The units that are lent to children which have not ended.
    pub(crate) fn lent_fuel(&self) -> u64 {
        let open = self.children.iter().filter(|child| child.outcome.is_none());
        open.fold(0, |sum, child| sum.saturating_add(child.fuel))
    }

    /// The numbers of its open questions.
    pub(crate) fn open_numbers(&self) -> Vec<ApprovalNumber> {
        let fuel = self.fuel_request().map(|request| request.number);
        self.approvals.iter().map(|pending| pending.number).chain(fuel).collect()
    }

    /// The questions that nobody has decided, a request for fuel among them.
    pub(crate) fn questions(&self) -> Vec<PendingApproval> {
        self.approvals.iter().cloned().chain(self.fuel_request().map(FuelRequest::question)).collect()
    }

    /// How long it still takes, if it goes on as it went.
    pub(crate) fn eta(&self, now: Timestamp) -> Option<Duration> {
        self.deadline_runs().then(|| self.estimate.left(now)).flatten()
    }

    /// The public view of this state.
    pub(crate) fn snapshot(&self, id: TaskId, usage: Usage, now: Timestamp) -> Option<Snapshot> {
        let eta = self.eta(now);
        Some(Snapshot {
            id,
            task: (**self.task.as_ref()?).clone(),
            phase: self.phase?,
            details: (*self.details).clone(),
            attempt: self.attempt,
            progress: self.progress.clone().map(|progress| Progress { eta, ..progress }),
            plan: self.plan.as_deref().cloned(),
            approvals: self.questions(),
            children: self.children.clone(),
            awaits_instruction: self.parked == Some(ParkPoint::Instruction),
            awaits_child: self.awaited_child(),
            awaits_plugin: None,
            waiting: self.waiting().cloned(),
            paused: self.paused.as_deref().cloned(),
            fuel_request: self.fuel_request().cloned(),
            fuel_budget: self.fuel_budget,
            hour_used_up: self.hour_used_up,
            note: self.note.clone(),
            revision: self.revision,
            background: self.background,
            cancel: self.cancel.as_deref().cloned(),
            outcome: self.outcome.as_deref().cloned(),
            artifacts: self.artifacts.clone(),
            usage: if self.outcome.is_some() { self.usage } else { self.with_told(usage) },
            created_at: self.created_at,
            started_at: self.started_at,
            ended_at: self.ended_at,
            seq: self.seq,
        })
    }

    /// What the cell used, and what only the log knows beside it.
    pub(crate) fn with_told(&self, usage: Usage) -> Usage {
        Usage { children_fuel: self.children_fuel, tokens: self.tokens, actions: self.actions, ..usage }
    }
}
