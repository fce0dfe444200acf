//! What others do to a task: send, say, decide, pause, give.

use super::{Came, Parked, Reference, Said, Woken};
use crate::model::approval::{ApprovalDecision, ApprovalNumber, ApprovalRuling, Approvers};
use crate::model::children::ChildOutcome;
use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::event::Budget;
use crate::model::ids::{SignalKey, TaskId};
use crate::model::machine::RefusalKind;
use crate::model::outcome::FailureKind;
use crate::model::patch::{Change, TaskPatch};
use crate::model::signal::{Instruction, NotifyAnswer, Party, Signal};
use crate::model::snapshot::Phase;
use serde_json::Value;

/// Instructions that a task keeps.
const SAID_MAX: usize = 1024;

impl Reference {
    pub(super) fn notified(&mut self, key: &SignalKey, signal: &Signal) -> Said {
        let by_itself = signal.sender == Party::Itself;
        if by_itself && self.own_is_full() || !by_itself && self.others_are_full(signal.sender) {
            return Said::Notified(NotifyAnswer::Full);
        }
        let waits = matches!(&self.view.parked, Some(Parked::Wait { keys, senders, .. })
            if keys.contains(key) && senders.allow(signal.sender));
        let of_key = self.view.kept.iter().filter(|(known, _)| known == key).count();
        let weight = |signal: &Signal| signal.payload.as_ref().map_or(0, weight);
        let bytes: u64 = self.view.kept.iter().map(|(_, signal)| weight(signal)).sum();
        let limits = &self.made.limits;
        let room = of_key < limits.signals_per_key as usize
            && self.view.kept.len() < limits.signals_in_all as usize
            && bytes + weight(signal) <= limits.signal_bytes;
        if !waits && !room {
            return Said::Notified(NotifyAnswer::Full);
        }
        *(if by_itself { &mut self.own } else { &mut self.others }) += 1;
        if waits {
            self.own += 1;
            self.takes_at_once(key, signal);
            self.wake(Woken::Signal(key.clone(), signal.clone()));
            return Said::Notified(NotifyAnswer::Delivered);
        }
        self.view.kept.push((key.clone(), signal.clone()));
        self.arrives();
        Said::Notified(NotifyAnswer::Buffered)
    }

    pub(super) fn instructed(&mut self, instruction: &Instruction) -> Said {
        let waits = self.view.parked == Some(Parked::Instruction);
        if self.others_are_full(instruction.by) || !waits && self.view.said.len() >= SAID_MAX {
            return Said::Notified(NotifyAnswer::Full);
        }
        self.others += 1;
        if waits {
            self.own += 1;
            self.hears(instruction);
            self.wake(Woken::Instruction(instruction.clone()));
            return Said::Notified(NotifyAnswer::Delivered);
        }
        self.view.said.push(instruction.clone());
        Said::Notified(NotifyAnswer::Buffered)
    }

    /// The first decision of somebody who may decide stands.
    pub(super) fn decided(
        &mut self,
        number: ApprovalNumber,
        decision: &ApprovalDecision,
        ruling: &ApprovalRuling,
    ) -> Said {
        let (by, yes) = match decision {
            ApprovalDecision::Approved { by, .. } => (*by, true),
            ApprovalDecision::Denied { by, .. } => (*by, false),
            ApprovalDecision::TimedOut | ApprovalDecision::Cancelled => return Said::Refused(RefusalKind::Host),
        };
        let fuel = self.view.fuel_question == Some(number);
        if !fuel && !self.view.questions.iter().any(|(open, _)| *open == number) {
            return Said::Unchanged;
        }
        let says_the_task = match self.made.approvers {
            Approvers::Anybody => true,
            Approvers::PersonOrHost => matches!(by, Party::Person | Party::Host),
            Approvers::Person => by == Party::Person,
        };
        let may = match ruling {
            ApprovalRuling::AsTheTaskSays => says_the_task,
            ApprovalRuling::Allowed => true,
            ApprovalRuling::Forbidden(_) => false,
        };
        // No task decides, whatever anybody says.
        if !may || matches!(by, Party::Task(_) | Party::Itself) {
            return Said::Refused(RefusalKind::Denied);
        }
        if let Some(refused) = self.is_no_answer(number, decision) {
            return refused;
        }
        if fuel {
            return self.decided_fuel(decision);
        }
        self.settles(number);
        if self.view.phase != Phase::Held {
            self.answers(number, decision);
            return Said::Done;
        }
        if !yes {
            return self.fails(FailureKind::Denied);
        }
        if let ApprovalDecision::Approved { input: Some(input), .. } = decision {
            self.view.input = input.clone();
        }
        self.moves_to(if self.made.later { Phase::Delayed } else { Phase::Queued })
    }

    /// What was asked for, or another amount, within what approvals may give; or nothing.
    fn decided_fuel(&mut self, decision: &ApprovalDecision) -> Said {
        let ApprovalDecision::Approved { input, .. } = decision else { return self.fuel_refused() };
        let Some(Parked::Fuel(wanted)) = self.view.parked else { return Said::Unchanged };
        let units = match input {
            None => wanted,
            Some(Value::Number(units)) => units.as_u64().unwrap_or(0),
            Some(other) => other["units"].as_u64().unwrap_or(0),
        };
        if units == 0 {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        if !self.approved(units) {
            return Said::Refused(RefusalKind::TooLarge);
        }
        self.others += 1;
        self.view.budget += units;
        self.view.hour_used_up = false;
        self.wake(Woken::Fuel(units));
        Said::Done
    }

    /// Nobody decided in time, which is a no.
    pub(super) fn undecided(&mut self, number: ApprovalNumber) -> Said {
        if !self.view.questions.iter().any(|(open, _)| *open == number) {
            return Said::Unchanged;
        }
        self.settles(number);
        if self.view.phase == Phase::Held {
            return self.fails(FailureKind::NotStarted);
        }
        self.answers(number, &ApprovalDecision::TimedOut);
        Said::Done
    }

    pub(super) fn settles(&mut self, number: ApprovalNumber) {
        self.others += 1;
        self.view.questions.retain(|(open, _)| *open != number);
    }

    pub(super) fn child_ended(&mut self, child: TaskId, outcome: ChildOutcome, fuel: u64) -> Said {
        let known = self.view.children.iter_mut().find(|(id, ..)| *id == child);
        let Some((_, lent, _, ended @ None)) = known else { return Said::Unchanged };
        let comes_back = fuel < *lent;
        *ended = Some(outcome);
        self.view.spent.2 += fuel;
        self.view.hour_used_up &= !comes_back;
        if self.view.parked == Some(Parked::Child(child)) {
            self.wake(Woken::Child(child));
        }
        Said::Done
    }

    pub(super) fn paused(&mut self, by: Party, reason: &str) -> Said {
        if self.others_are_full(by) || self.view.paused.is_some() || self.view.cancel.is_some() {
            return Said::Unchanged;
        }
        self.others += 1;
        self.view.paused = Some((by, reason.to_owned()));
        Said::Done
    }

    pub(super) fn resumed(&mut self) -> Said {
        if self.view.paused.take().is_none() {
            return Said::Unchanged;
        }
        self.others += 1;
        Said::Done
    }

    pub(super) fn delivers(
        &mut self,
        delivery: Option<DeliveryMode>,
        continue_policy: Option<ContinuePolicy>,
        by: Party,
    ) -> Said {
        let (now, full) = (self.view.delivery, self.others_are_full(by));
        self.view.delivery = (delivery.unwrap_or(now.0), continue_policy.unwrap_or(now.1));
        if full || self.view.delivery == now {
            self.view.delivery = now;
            return Said::Unchanged;
        }
        self.others += 1;
        Said::Done
    }

    pub(super) fn fuelled(&mut self, units: u64, by: Party) -> Said {
        let asked = matches!(self.view.parked, Some(Parked::Fuel(_)));
        if units == 0 || !asked && self.others_are_full(by) {
            return Said::Unchanged;
        }
        self.others += 1;
        self.view.budget += units;
        self.view.hour_used_up = false;
        if asked {
            self.wake(Woken::Fuel(units));
        }
        Said::Done
    }

    pub(super) fn fuel_refused(&mut self) -> Said {
        let refused = self.ends(Woken::NoFuel, |at| matches!(at, Parked::Fuel(_)));
        self.others += u64::from(refused == Said::Done);
        refused
    }

    /// It stands still when it has burnt all, until it has more.
    pub(super) fn fuel_out(&mut self, used: u64) -> Said {
        if !self.made.daemon || self.view.hour_used_up || used < self.view.budget {
            return Said::Unchanged;
        }
        self.view.hour_used_up = true;
        Said::Done
    }

    /// What it has burnt comes back, and not what it lent: with that it would have more than an hour's.
    pub(super) fn new_hour(&mut self, used: u64) -> Said {
        let lent: u64 = self.view.children.iter().filter(|child| child.3.is_none()).map(|child| child.1).sum();
        if self.made.daemon && self.renewed(used.saturating_sub(lent)) { Said::Done } else { Said::Unchanged }
    }

    /// An hour's fuel, of which what is left is a part.
    pub(super) fn renewed(&mut self, used: u64) -> bool {
        let left = i128::from(self.view.budget) - i128::from(used);
        let units = u64::try_from(i128::from(self.made.limits.fuel) - left).unwrap_or(0);
        self.view.budget += units;
        self.view.hour_used_up &= units == 0;
        units > 0
    }

    /// What people see of it, unless somebody was faster.
    pub(super) fn updated(&mut self, expected: Option<u64>, patch: &TaskPatch, by: Party) -> Said {
        let itself = by == Party::Itself;
        if itself && self.own_is_full() || !itself && self.others_are_full(by) {
            return Said::Refused(RefusalKind::TooLarge);
        }
        if expected.is_some_and(|expected| expected != self.view.changes) {
            return Said::Stale(self.view.changes);
        }
        if matches!(&patch.note, Change::Set(note) if note.is_empty() || note.chars().count() > 255) {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        if *patch == TaskPatch::default() {
            return Said::Updated(self.view.changes);
        }
        let (note, title, labels) = &mut self.view.shown;
        for (shown, change) in [(note, &patch.note), (title, &patch.title)] {
            match change {
                Change::Nothing => {}
                Change::Clear => *shown = None,
                Change::Set(text) => *shown = Some(text.clone()),
            }
        }
        for (name, value) in &patch.labels {
            labels.remove(name);
            labels.extend(value.clone().map(|value| (name.clone(), value)));
        }
        *(if itself { &mut self.own } else { &mut self.others }) += 1;
        self.view.changes += 1;
        Said::Updated(self.view.changes)
    }

    /// Once for each size of the budget, from four fifths on.
    pub(super) fn fuel_low(&mut self, used: u64) -> Said {
        let budget = self.view.budget;
        if !is_low(used, budget) || self.warned_of_fuel.contains(&budget) {
            return Said::Unchanged;
        }
        self.warned_of_fuel.push(budget);
        self.warned.push(Budget::Fuel);
        Said::Done
    }
}

/// Four fifths, and not of nothing.
pub(super) fn is_low(used: u64, limit: u64) -> bool {
    used > 0 && u128::from(used) * 5 >= u128::from(limit) * 4
}

/// A payload weighs its text, and 64 bytes for each value in it.
pub(super) fn weight(payload: &Value) -> u64 {
    fn values(value: &Value) -> u64 {
        let inside: u64 = match value {
            Value::Array(list) => list.iter().map(values).sum(),
            Value::Object(fields) => fields.values().map(values).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        };
        1 + inside
    }
    payload.to_string().len() as u64 + 64 * values(payload)
}

impl Came {
    /// Nothing was woken and nothing warned of.
    pub(super) fn only(said: Said) -> Self {
        Self { said, woken: None, warned: Vec::new() }
    }
}
