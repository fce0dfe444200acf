//! What another host finds of a task whose own has stopped.

use std::time::Duration;

use super::{Parked, Reference, Said, Woken};
use crate::model::approval::{ApprovalDecision, ApprovalNumber};
use crate::model::command::HostFit;
use crate::model::event::WaitEnd;
use crate::model::ids::SignalKey;
use crate::model::outcome::FailureKind;
use crate::model::signal::{Instruction, Signal};
use crate::model::snapshot::Phase;

/// Restarts, one soon after the other, that a task survives.
const SURVIVED: u32 = 10;

/// What is remembered for the case that the attempt is lost.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost {
    /// How many attempts were.
    pub(super) times: u32,
    /// How many signals came, and which of them lie there: as many as are kept.
    came: u32,
    lying: Vec<u32>,
    /// What the attempt took, heard and asked.
    taken: Vec<(u32, SignalKey, Signal)>,
    heard: Vec<Instruction>,
    asked: Vec<Question>,
    /// What lost attempts had asked.
    before: Vec<Question>,
}

type Question = (ApprovalNumber, String, Option<ApprovalDecision>);

impl Reference {
    fn keeps(&self) -> bool {
        self.made.restartable && self.view.phase == Phase::Running
    }

    /// A signal is laid down.
    pub(super) fn arrives(&mut self) {
        self.lost.came += 1;
        self.lost.lying.push(self.lost.came);
    }

    /// The guest takes the signal that lay at this place.
    pub(super) fn takes(&mut self, place: usize, key: &SignalKey, signal: &Signal) {
        let number = self.lost.lying.remove(place);
        if self.keeps() {
            self.lost.taken.push((number, key.clone(), signal.clone()));
        }
    }

    /// The guest waits for the signal that comes.
    pub(super) fn takes_at_once(&mut self, key: &SignalKey, signal: &Signal) {
        self.arrives();
        self.takes(self.lost.lying.len() - 1, key, signal);
    }

    pub(super) fn hears(&mut self, said: &Instruction) {
        if self.keeps() {
            self.lost.heard.push(said.clone());
        }
    }

    pub(super) fn notes_question(&mut self, kind: &str) {
        if self.keeps() {
            self.lost.asked.push((ApprovalNumber(self.asked), kind.to_owned(), None));
        }
    }

    pub(super) fn notes_decision(&mut self, number: ApprovalNumber, decision: &ApprovalDecision) {
        let known = self.lost.asked.iter_mut().chain(&mut self.lost.before).find(|(known, ..)| *known == number);
        if let Some((_, _, decided)) = known {
            *decided = Some(decision.clone());
        }
    }

    /// Somebody decided a question that this guest, or a lost one, has asked.
    pub(super) fn answers(&mut self, number: ApprovalNumber, decision: &ApprovalDecision) {
        self.notes_decision(number, decision);
        if self.view.parked == Some(Parked::Approval(number)) {
            self.wake(Woken::Decision(decision.clone()));
        }
    }

    /// Whether a lost attempt has asked the same; then nobody is asked twice.
    pub(super) fn asks_again(&mut self, kind: &str, timeout: Option<Duration>) -> Option<Said> {
        let place = self.lost.before.iter().position(|(_, asked, _)| asked == kind)?;
        let (number, _, decision) = self.lost.before[place].clone();
        if decision.is_none() && timeout == Some(Duration::ZERO) {
            return Some(Said::Over(WaitEnd::TimedOut));
        }
        let question = self.lost.before.remove(place);
        self.lost.asked.push(question);
        self.own += 1;
        self.view.parked = Some(Parked::Approval(number));
        if let Some(decision) = decision {
            self.wake(Woken::Decision(decision));
        }
        Some(Said::Parked)
    }

    /// An attempt is over by itself.
    pub(super) fn begins_anew(&mut self) {
        let Lost { times, came, lying, .. } = std::mem::take(&mut self.lost);
        self.lost = Lost { times, came, lying, ..Lost::default() };
    }

    pub(super) fn restarted(&mut self, fit: &HostFit) -> Said {
        if let Some(asked) = self.view.cancel.clone() {
            return self.over(super::stopped(&asked, true, self.view.attempt > 0));
        }
        match fit {
            HostFit::Whole => {}
            HostFit::NoPlugin => return Said::Unchanged,
            HostFit::Unfit(_) => return self.fails(FailureKind::Lost),
        }
        let asked = std::mem::take(&mut self.planner_calls);
        if self.view.phase != Phase::Running {
            // Whoever had asked its planner is gone, and that is told.
            for by in &asked {
                self.counts_plan(*by);
            }
            return if asked.is_empty() { Said::Unchanged } else { Said::Done };
        }
        if !self.made.restartable || self.lost.times >= SURVIVED {
            return self.fails(FailureKind::Lost);
        }
        // Nobody can say yes any more to what the lost attempt was about to do.
        self.answers_grants(&ApprovalDecision::Cancelled);
        let parked = self.view.parked.take();
        (self.view.fuel_question, self.view.hour_used_up) = (None, false);
        self.woken = parked.map(|_| Woken::Over(WaitEnd::Cancelled)).or(self.woken.take());
        self.panicked = None;
        self.plan_again();
        self.own += 1;
        let lost = &mut self.lost;
        lost.times += 1;
        let lying = lost.lying.drain(..).zip(self.view.kept.drain(..));
        let mut all: Vec<_> = lying.map(|(number, (key, signal))| (number, key, signal)).collect();
        all.append(&mut lost.taken);
        all.sort_by_key(|(number, ..)| *number);
        for (number, key, signal) in all {
            lost.lying.push(number);
            self.view.kept.push((key, signal));
        }
        lost.heard.append(&mut self.view.said);
        self.view.said = std::mem::take(&mut lost.heard);
        lost.asked.append(&mut lost.before);
        lost.before = std::mem::take(&mut lost.asked);
        self.moves_to(Phase::Queued)
    }
}
