//! A second account of what a task does, written from the manual and not from the decider: slow, plain, and without
//! events. Tests give both the same commands, and both must say the same.

#![expect(clippy::wildcard_enum_match_arm, reason = "what a rule does not name, it does not speak of")]

mod asked;
mod commands;
mod endings;
mod granting;
mod judge;
mod others;
mod plans;
mod restarts;

use std::collections::BTreeMap;

use serde_json::Value;

use super::approval::{ApprovalDecision, ApprovalNumber, Approvers};
use super::capability::Capability;
use super::children::ChildOutcome;
use super::command::{Command, GrantCommand};
use super::delivery::{ContinuePolicy, DeliveryMode};
use super::event::{Budget, WaitEnd};
use super::ids::{SignalKey, TaskId};
use super::limits::Limits;
use super::machine::RefusalKind;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::permission::Permission;
use super::request::CancelRequest;
use super::retry::RetryPolicy;
use super::signal::{Instruction, NotifyAnswer, Party, Senders, Signal};
use super::snapshot::Phase;

/// What whoever asked is told at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Done,
    Parked,
    Unchanged,
    Signal(SignalKey, Signal),
    Instruction(Option<Instruction>),
    ChildOver,
    NoSignal,
    Over(WaitEnd),
    Notified(NotifyAnswer),
    Updated(u64),
    Stale(u64),
    AlreadyEnded,
    Refused(RefusalKind),
}

/// What a guest is told that was parked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Woken {
    Signal(SignalKey, Signal),
    Instruction(Instruction),
    Fuel(u64),
    NoFuel,
    Decision(ApprovalDecision),
    Child(TaskId),
    Over(WaitEnd),
}

/// What a guest is parked in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parked {
    Wait { number: u64, keys: Vec<SignalKey>, senders: Senders },
    Instruction,
    Fuel(u64),
    Approval(ApprovalNumber),
    Child(TaskId),
}

/// A child: fuel it got, whether it is detached, and how it ended.
pub(super) type Offspring = (TaskId, u64, bool, Option<ChildOutcome>);

/// Everything that anybody can see of a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) phase: Phase,
    pub(super) attempt: u32,
    pub(super) input: Value,
    pub(super) parked: Option<Parked>,
    pub(super) paused: Option<(Party, String)>,
    /// The message of its last report, and the percent.
    pub(super) progress: Option<(String, Option<u8>)>,
    pub(super) budget: u64,
    /// Whether it is a daemon that has burnt its hour's fuel.
    pub(super) hour_used_up: bool,
    /// Tokens, actions, fuel of children.
    pub(super) spent: (u64, u64, u64),
    /// What was sent to it and not taken, oldest first.
    pub(super) kept: Vec<(SignalKey, Signal)>,
    /// What was said to it and not taken, oldest first.
    pub(super) said: Vec<Instruction>,
    pub(super) questions: Vec<(ApprovalNumber, String)>,
    /// The number of its open request for fuel, which is a question too.
    pub(super) fuel_question: Option<ApprovalNumber>,
    /// Its messages to the agent that nobody has taken.
    pub(super) messages: Vec<u64>,
    pub(super) children: Vec<Offspring>,
    pub(super) artifacts: usize,
    pub(super) background: bool,
    pub(super) delivery: (DeliveryMode, ContinuePolicy),
    pub(super) plan: Option<Vec<plans::Step>>,
    pub(super) revision: u64,
    /// Its note, title and labels, and how often they were changed.
    pub(super) shown: (Option<String>, Option<String>, BTreeMap<String, String>),
    pub(super) changes: u64,
    pub(super) cancel: Option<CancelRequest>,
    pub(super) outcome: Option<Outcome>,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Came {
    pub(super) said: Said,
    pub(super) woken: Option<Woken>,
    /// What it was warned of.
    pub(super) warned: Vec<Budget>,
}

/// How a task is made.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says something else about the task")]
pub(super) struct Made {
    pub(super) input: Value,
    pub(super) limits: Limits,
    pub(super) held: bool,
    pub(super) later: bool,
    /// Whether somebody waits for it.
    pub(super) foreground: bool,
    pub(super) retry: RetryPolicy,
    pub(super) approvers: Approvers,
    pub(super) permission: Permission,
    /// Whether its plan is enforced.
    pub(super) enforced: bool,
    pub(super) daemon: bool,
    /// Whether somebody makes its plans.
    pub(super) planner: bool,
    /// Whether it is begun again after its host was.
    pub(super) restartable: bool,
}

/// The second account.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    made: Made,
    pub(super) view: View,
    waits: u64,
    asked: u64,
    sent_once: Vec<SignalKey>,
    revoked: Vec<Capability>,
    /// Bytes and inodes that it has taken of its folder.
    room: (u64, u64),
    panicked: Option<String>,
    /// What it got of the fuel that needs nobody's answer.
    on_request: u64,
    /// What it got of the fuel that approvals give.
    on_approval: u64,
    /// How many others than the host wait for its planner.
    planner_calls: Vec<Party>,
    /// Messages sent to its agent.
    sent: u64,
    warned_of_fuel: Vec<u64>,
    warned_of_tokens: bool,
    warned_of_actions: bool,
    /// Events in its log, by who makes them: the guest's reports, what else it does, what others do.
    reports: u64,
    own: u64,
    others: u64,
    woken: Option<Woken>,
    warned: Vec<Budget>,
    lost: restarts::Lost,
}

impl Reference {
    /// The task as it is made.
    pub(super) fn new(made: Made) -> Self {
        let phase = match (made.held, made.later) {
            (true, _) => Phase::Held,
            (false, true) => Phase::Delayed,
            (false, false) => Phase::Queued,
        };
        let questions = if made.held { vec![(ApprovalNumber(1), "start".to_owned())] } else { Vec::new() };
        let view = View {
            phase,
            attempt: 0,
            input: made.input.clone(),
            parked: None,
            paused: None,
            progress: None,
            budget: made.limits.fuel,
            hour_used_up: false,
            spent: (0, 0, 0),
            kept: Vec::new(),
            said: Vec::new(),
            questions,
            fuel_question: None,
            messages: Vec::new(),
            children: Vec::new(),
            artifacts: 0,
            background: !made.foreground,
            delivery: (DeliveryMode::ToLoop, ContinuePolicy::NotifyOnly),
            plan: None,
            revision: 0,
            shown: (None, None, BTreeMap::new()),
            changes: 0,
            cancel: None,
            outcome: None,
        };
        Self {
            asked: u64::from(made.held),
            made,
            view,
            waits: 0,
            sent_once: Vec::new(),
            revoked: Vec::new(),
            room: (0, 0),
            panicked: None,
            on_request: 0,
            on_approval: 0,
            planner_calls: Vec::new(),
            sent: 0,
            warned_of_fuel: Vec::new(),
            warned_of_tokens: false,
            warned_of_actions: false,
            reports: 0,
            own: 0,
            others: 0,
            woken: None,
            warned: Vec::new(),
            lost: restarts::Lost::default(),
        }
    }

    /// Takes one command in.
    pub(super) fn take(&mut self, command: &Command) -> Came {
        (self.woken, self.warned) = (None, Vec::new());
        let said = if self.view.phase == Phase::Ended { when_over(command) } else { self.when_alive(command) };
        Came { said, woken: self.woken.take(), warned: std::mem::take(&mut self.warned) }
    }

    fn when_alive(&mut self, command: &Command) -> Said {
        match command {
            Command::Due if self.view.phase == Phase::Delayed => self.moves_to(Phase::Queued),
            Command::Start if self.view.phase == Phase::Queued => {
                self.view.attempt += 1;
                self.view.phase = Phase::Running;
                self.begins_step();
                Said::Done
            }
            Command::Notify { key, signal } => self.notified(key, signal),
            Command::Instruct(instruction) => self.instructed(instruction),
            Command::DecideApproval { number, decision, ruling } => self.decided(*number, decision, ruling),
            Command::SettleMessage { number, .. } => {
                let before = self.view.messages.len();
                self.view.messages.retain(|open| open != number);
                if self.view.messages.len() < before { Said::Done } else { Said::Unchanged }
            }
            Command::ApprovalTimedOut { number, .. } => self.undecided(*number),
            Command::WaitTimedOut { wait } => self.ends_wait(WaitEnd::TimedOut, |number, _| number == *wait),
            Command::CancelWait { key } => {
                self.ends_wait(WaitEnd::WaitCancelled, |_, keys| key.as_ref().is_none_or(|key| keys.contains(key)))
            }
            Command::InstructionTimedOut => self.ends(Woken::Over(WaitEnd::TimedOut), |at| *at == Parked::Instruction),
            Command::ChildTimedOut => self.ends(Woken::Over(WaitEnd::TimedOut), |at| matches!(at, Parked::Child(_))),
            Command::FuelRequestTimedOut => {
                self.ends(Woken::Over(WaitEnd::TimedOut), |at| matches!(at, Parked::Fuel(_)))
            }
            Command::ChildEnded { child, outcome, fuel } => self.child_ended(*child, *outcome, *fuel),
            Command::Pause { by, reason } => self.paused(*by, reason),
            Command::Resume { .. } => self.resumed(),
            Command::Detach { .. } if self.view.background => Said::Unchanged,
            Command::Detach { .. } => {
                self.view.background = true;
                Said::Done
            }
            Command::SetDelivery { delivery, continue_policy, by } => self.delivers(*delivery, *continue_policy, *by),
            Command::AddFuel { units, by } => self.fuelled(*units, *by),
            Command::RefuseFuel { .. } => self.fuel_refused(),
            Command::Cancel { request, usage } => self.cancelled(request, usage.fuel),
            Command::SetOutcome { outcome, .. } => self.over(outcome.clone()),
            Command::GraceOver { .. } => match self.view.cancel.clone() {
                Some(asked) => self.over(stopped(&asked, true, true)),
                None => Said::Done,
            },
            Command::DeadlineReached { .. } => self.fails(FailureKind::Timeout),
            Command::Idle { .. } if self.is_silent() => self.fails(FailureKind::Idle),
            Command::Stalled { .. } if self.is_silent() && !self.own_is_full() => {
                self.own += 1;
                Said::Done
            }
            Command::FuelLow { used } => self.fuel_low(*used),
            Command::FuelOut { used } => self.fuel_out(*used),
            Command::NewHour { used } => self.new_hour(*used),
            Command::Update { expected, patch, by } => self.updated(*expected, patch, *by),
            Command::Panic { message, .. } => {
                if self.panicked.is_none() {
                    self.panicked = Some(message.clone());
                    self.own += 1;
                }
                Said::Done
            }
            Command::CellEnded { end, .. } => self.cell_ended(end),
            Command::Plan(command) => self.planned(command),
            Command::HostRestarted { fit, .. } => self.restarted(fit),
            command if is_call(command) => self.asked(command),
            Command::Grant(command) => self.granting(command),
            _ => Said::Unchanged,
        }
    }

    fn moves_to(&mut self, phase: Phase) -> Said {
        self.view.phase = phase;
        Said::Done
    }

    /// Only the task's own silence counts: not that of one that is parked or paused.
    fn is_silent(&self) -> bool {
        clocks(&self.view).1
    }

    fn own_is_full(&self) -> bool {
        self.own >= self.made.limits.log_events
    }

    /// Tasks may fill half of what people may.
    fn others_are_full(&self, by: Party) -> bool {
        let most = self.made.limits.log_events;
        self.others >= if matches!(by, Party::Task(_)) { most / 2 } else { most }
    }

    /// Lets whoever is parked go on.
    fn wake(&mut self, with: Woken) {
        if self.view.parked.take().is_some() {
            self.view.fuel_question = None;
            self.woken = Some(with);
        }
    }

    fn ends(&mut self, with: Woken, is_meant: impl Fn(&Parked) -> bool) -> Said {
        if !self.view.parked.as_ref().is_some_and(is_meant) {
            return Said::Unchanged;
        }
        self.wake(with);
        Said::Done
    }

    fn ends_wait(&mut self, reason: WaitEnd, is_meant: impl Fn(u64, &[SignalKey]) -> bool) -> Said {
        let ended = self
            .ends(Woken::Over(reason), |at| matches!(at, Parked::Wait { number, keys, .. } if is_meant(*number, keys)));
        if ended == Said::Unchanged { Said::NoSignal } else { ended }
    }

    fn fails(&mut self, kind: FailureKind) -> Said {
        self.over(Outcome::Failed(Failure::new(kind, String::new())))
    }

    /// The task has its outcome: whoever is parked hears of it, and nothing is left that somebody could take.
    fn over(&mut self, outcome: Outcome) -> Said {
        self.lets_go();
        self.plan_over(&outcome);
        let view = &mut self.view;
        (view.phase, view.outcome) = (Phase::Ended, Some(outcome));
        (view.paused, view.input, view.hour_used_up) = (None, Value::Null, false);
        (view.kept, view.said, view.questions) = (Vec::new(), Vec::new(), Vec::new());
        Said::Done
    }

    /// A wait of a task that shall stop, or is over, is over too, and so are its open questions.
    fn lets_go(&mut self) {
        self.others += self.view.questions.len() as u64;
        self.view.questions.clear();
        if matches!(self.view.parked, Some(Parked::Approval(_))) {
            self.wake(Woken::Decision(ApprovalDecision::Cancelled));
        } else {
            self.wake(Woken::Over(WaitEnd::Cancelled));
        }
    }

    fn cancelled(&mut self, request: &CancelRequest, used: u64) -> Said {
        let asked = match self.view.cancel.take() {
            // Asked for already, and in less time.
            Some(first) if first.grace <= request.grace => {
                self.view.cancel = Some(first);
                return Said::Done;
            }
            // Who asked first and why stay; only the grace can become shorter.
            Some(first) => CancelRequest { grace: first.grace.min(request.grace), ..first },
            None => request.clone(),
        };
        let running = self.view.phase == Phase::Running;
        self.lets_go();
        if self.view.paused.take().is_some() && running && !asked.grace.is_zero() {
            self.others += 1;
        }
        self.view.cancel = Some(asked.clone());
        if !running {
            return self.over(stopped(&asked, false, self.view.attempt > 0));
        }
        if asked.grace.is_zero() {
            return self.over(stopped(&asked, true, true));
        }
        if self.view.hour_used_up {
            self.renewed(used);
        }
        Said::Done
    }

    fn cell_ended(&mut self, end: &CellEnd) -> Said {
        let outcome = match end.clone() {
            CellEnd::Returned(GuestOutcome::Succeeded { message, data }) => Outcome::Succeeded { message, data },
            CellEnd::Returned(GuestOutcome::Failed { message, error, retryable }) => {
                Outcome::Failed(Failure { error, retryable, ..Failure::new(FailureKind::Guest, message) })
            }
            CellEnd::Returned(GuestOutcome::Cancelled { message, data }) => {
                let asked = self.view.cancel.clone().unwrap_or(CancelRequest::new(Party::Itself, ""));
                let (by, reason) = (asked.by, asked.reason);
                Outcome::Cancelled { by, reason, forced: false, begun: true, message, data }
            }
            CellEnd::Failed(failure) => {
                let ends_a_panic = matches!(failure.kind, FailureKind::Trap | FailureKind::Memory);
                // The first panic is the cause.
                Outcome::Failed(match &self.panicked {
                    Some(first) if ends_a_panic => Failure::new(FailureKind::Panic, format!("panicked at p: {first}")),
                    _ => Failure::new(failure.kind, String::new()),
                })
            }
        };
        match self.held_against_plan(outcome) {
            Outcome::Failed(failure) if self.is_tried_again(&failure) => {
                self.lets_go();
                self.plan_again();
                self.begins_anew();
                self.own += 1;
                self.panicked = None;
                self.view.hour_used_up = false;
                self.moves_to(Phase::Delayed)
            }
            outcome => self.over(outcome),
        }
    }

    fn is_tried_again(&self, failure: &Failure) -> bool {
        let policy = self.made.retry;
        let helps = match failure.kind {
            FailureKind::Guest | FailureKind::Plan => failure.retryable,
            FailureKind::Trap | FailureKind::Panic | FailureKind::Host => policy.crashes,
            _ => false,
        };
        helps && self.view.cancel.is_none() && self.view.attempt - self.lost.times < policy.attempts
    }
}

/// Nothing happens any more, and everybody is told so.
fn when_over(command: &Command) -> Said {
    match command {
        Command::Notify { .. } | Command::Instruct(_) => Said::Notified(NotifyAnswer::NoTask),
        Command::Wait { .. } => Said::Over(WaitEnd::Cancelled),
        Command::Plan(_) => Said::Refused(RefusalKind::Ended),
        command if is_call(command) => Said::Refused(RefusalKind::Ended),
        _ => Said::AlreadyEnded,
    }
}

/// How a task ended that somebody asked to stop and that did not end by itself.
fn stopped(asked: &CancelRequest, forced: bool, begun: bool) -> Outcome {
    let (by, reason) = (asked.by, asked.reason.clone());
    Outcome::Cancelled { by, reason, forced, begun, message: String::new(), data: None }
}

/// Whether its deadline comes nearer, and its idle time: not while somebody else has to do something first.
pub(super) fn clocks(view: &View) -> (bool, bool) {
    let asks = matches!(view.parked, Some(Parked::Fuel(_) | Parked::Approval(_)));
    let runs = view.phase == Phase::Running && view.paused.is_none() && !view.hour_used_up;
    (runs && !asks, runs && view.parked.is_none())
}

/// Whether the guest asks this of its host and gets an answer.
pub(super) fn is_call(command: &Command) -> bool {
    matches!(
        command,
        Command::Progress { .. }
            | Command::Wait { .. }
            | Command::Poll { .. }
            | Command::MessageAgent { .. }
            | Command::NextInstruction { .. }
            | Command::RequestApproval(_)
            | Command::RecordUsage { .. }
            | Command::StartChild { .. }
            | Command::WaitChild { .. }
            | Command::Attach(_)
            | Command::CallHost { .. }
            | Command::SendSignal { .. }
            | Command::Grant(GrantCommand::Ask(_))
            | Command::RequestFuel { .. }
    )
}
