//! What a task's log tells a host that was started again, and nobody else: how long it ran and what it used, as far as
//! anybody wrote down, and what its newest attempt had taken and asked.

use super::TaskState;
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::event::{Budget, Event, EventBody};
use crate::model::ids::SignalKey;
use crate::model::mailbox::Kept;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::signal::Instruction;
use crate::model::snapshot::{Phase, Usage};
use crate::model::time::Timestamp;

/// More milliseconds than a task lives without an event: of a longer pause only so much counts, because somebody may have
/// set the date meanwhile.
const PAUSE_MAX_MS: u64 = 3_600_000;

/// Restarts are in a row when one comes so soon after the other, in milliseconds.
const SOON_MS: u64 = 60_000;

/// What is kept of the past for a host that was started again.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Traces {
    /// The moment of the newest event.
    last: Timestamp,
    /// Milliseconds for which the deadline came nearer.
    pub(crate) ran_ms: u64,
    /// Milliseconds since the first start, without the times in which no host ran it.
    pub(crate) wall_ms: u64,
    /// Fuel that it used, as far as events say, with what it has lent.
    pub(crate) fuel: u64,
    /// Attempts that were lost, which do not count as tries.
    pub(crate) lost: u32,
    /// How many of them in a row, and when the newest was.
    in_row: u32,
    lost_at: Option<Timestamp>,
    /// The signals that the attempt has taken, and what it was told. Only of a task that may be begun again.
    signals: Vec<(SignalKey, Kept)>,
    instructions: Vec<Instruction>,
    /// The questions that the attempt has asked, and those of lost attempts that none has repeated since.
    asked: Vec<Asked>,
    before: Vec<Asked>,
}

/// A question, and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) number: ApprovalNumber,
    ask: ApprovalAsk,
    pub(crate) decision: Option<ApprovalDecision>,
}

impl Asked {
    /// Whether somebody who has answered the one need not be asked the other.
    fn is_same(&self, other: &ApprovalAsk) -> bool {
        let ApprovalAsk { kind, reason, summary, metadata, timeout: _ } = &self.ask;
        (kind, reason, summary, metadata) == (&other.kind, &other.reason, &other.summary, &other.metadata)
    }
}

impl Traces {
    /// The oldest question of a lost attempt that is this one, and was not repeated.
    pub(crate) fn repeated(&self, ask: &ApprovalAsk) -> Option<&Asked> {
        self.before.iter().find(|asked| asked.is_same(ask))
    }

    /// How many restarts there are in a row, with one at this moment.
    pub(crate) fn restarts_with(&self, now: Timestamp) -> u32 {
        let soon = self.lost_at.is_some_and(|at| now.0.saturating_sub(at.0) <= SOON_MS);
        if soon { self.in_row.saturating_add(1) } else { 1 }
    }

    fn uses(&mut self, fuel: u64) {
        self.fuel = self.fuel.max(fuel);
    }

    fn decide(&mut self, number: ApprovalNumber, decision: &ApprovalDecision) {
        if let Some(asked) = self.asked.iter_mut().chain(&mut self.before).find(|asked| asked.number == number) {
            asked.decision = Some(decision.clone());
        }
    }

    /// An attempt is over, and the next one begins anew.
    fn begin_again(&mut self) {
        (self.signals, self.instructions) = (Vec::new(), Vec::new());
        (self.asked, self.before) = (Vec::new(), Vec::new());
    }
}

impl TaskState {
    /// What it has used, as far as its log says.
    pub(crate) fn known_usage(&self) -> Usage {
        let wall = std::time::Duration::from_millis(self.traces.wall_ms);
        self.with_told(Usage { fuel: self.traces.fuel, wall, ..self.usage })
    }

    /// The date of its newest event.
    pub(crate) fn last_at(&self) -> Timestamp {
        self.traces.last
    }

    /// Its attempts, without those that were lost.
    pub(crate) fn tries(&self) -> u32 {
        self.attempt.saturating_sub(self.traces.lost)
    }

    /// Notes what an event says, before it is folded in.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most events leave no such trace")]
    pub(super) fn trace(&mut self, event: &Event) {
        let lost = is_loss(&event.body);
        // Nobody knows for how much of the time until then it still ran.
        let passed = if lost { 0 } else { event.at.0.saturating_sub(self.traces.last.0).min(PAUSE_MAX_MS) };
        if self.deadline_runs() {
            self.traces.ran_ms = self.traces.ran_ms.saturating_add(passed);
        }
        if self.started_at.is_some() {
            self.traces.wall_ms = self.traces.wall_ms.saturating_add(passed);
        }
        self.traces.last = event.at;
        let keeps = self.details.restartable && self.phase == Some(Phase::Running);
        match &event.body {
            EventBody::SignalTaken { key, signal } if keeps => {
                if let Some(taken) = self.mailbox.get(key, *signal) {
                    self.traces.signals.push((key.clone(), Kept { seq: *signal, signal: taken.clone() }));
                }
            }
            EventBody::InstructionTaken if keeps => self.traces.instructions.extend(self.instructions.front().cloned()),
            EventBody::ApprovalRequested { number, ask } if keeps => {
                self.traces.asked.push(Asked { number: *number, ask: ask.clone(), decision: None });
            }
            EventBody::ApprovalRepeated { number, .. } => {
                let place = self.traces.before.iter().position(|asked| asked.number == *number);
                self.traces.asked.extend(place.map(|place| self.traces.before.remove(place)));
            }
            EventBody::ApprovalDecided { number, decision } => self.traces.decide(*number, decision),
            EventBody::BudgetLow { budget: Budget::Fuel, used, .. } | EventBody::HourUsedUp { used } => {
                self.traces.uses(*used);
            }
            EventBody::ChildStarted { fuel, .. } => self.traces.fuel = self.traces.fuel.saturating_add(*fuel),
            EventBody::ChildEnded { child, fuel, .. } => {
                let open = self.children.iter().find(|known| known.id == *child && known.outcome.is_none());
                let back = open.map_or(0, |open| open.fuel.saturating_sub(*fuel));
                self.traces.fuel = self.traces.fuel.saturating_sub(back);
            }
            EventBody::AttemptEnded { usage, .. } if lost => {
                self.traces.uses(usage.fuel);
                self.lose_attempt(event.at);
            }
            EventBody::AttemptEnded { usage, .. } => {
                self.traces.uses(usage.fuel);
                self.traces.begin_again();
            }
            EventBody::Finished { .. } => self.traces.begin_again(),
            _ => {}
        }
    }

    /// The next attempt finds what the lost one had taken, and need not ask again.
    fn lose_attempt(&mut self, at: Timestamp) {
        let traces = &mut self.traces;
        (traces.in_row, traces.lost_at) = (traces.restarts_with(at), Some(at));
        traces.lost = traces.lost.saturating_add(1);
        for (key, kept) in traces.signals.drain(..) {
            self.mailbox.put_back(key, kept);
        }
        for told in traces.instructions.drain(..).rev() {
            self.instructions.push_front(told);
        }
        let rest = std::mem::take(&mut traces.before);
        traces.before = traces.asked.drain(..).chain(rest).collect();
        // Whoever waited for a plan is gone with the host.
        self.planner_callers.clear();
    }
}

/// Whether it says that the host had stopped before.
fn is_loss(body: &EventBody) -> bool {
    let lost = |failure: &Failure| failure.kind == FailureKind::Lost;
    if let EventBody::AttemptEnded { failure, .. } = body {
        lost(failure)
    } else if let EventBody::Finished { outcome, .. } = body
        && let Outcome::Failed(failure) = &**outcome
    {
        lost(failure)
    } else {
        false
    }
}
