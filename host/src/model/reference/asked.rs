//! What a guest asks of its host.

use std::time::Duration;

use super::others::is_low;
use super::{Parked, Reference, Said, Woken};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::command::Command;
use crate::model::event::{Budget, WaitEnd};
use crate::model::ids::{SignalKey, TaskId};
use crate::model::machine::RefusalKind;
use crate::model::outcome::FailureKind;
use crate::model::permission::{ApprovalKinds, NOBODY};
use crate::model::signal::{Party, Senders};

/// Keys of one wait.
const KEYS_MAX: usize = 64;

impl Reference {
    pub(super) fn asked(&mut self, command: &Command) -> Said {
        // A log that is full takes nothing more of the guest; what is there already may still be taken.
        let is_full = match command {
            Command::Progress { last, .. } => !last && self.reports >= self.made.limits.log_events,
            Command::Poll { .. } => false,
            _ => self.own_is_full(),
        };
        if is_full {
            return Said::Refused(RefusalKind::TooLarge);
        }
        match command {
            Command::Progress { message, percent, restarted, .. } => self.reported(message, *percent, *restarted),
            Command::Wait { keys, senders, timeout } => self.waits(keys, senders, *timeout),
            Command::Poll { key } => {
                self.first_of(std::slice::from_ref(key), &Senders::default()).unwrap_or(Said::NoSignal)
            }
            Command::MessageAgent { once, room, .. } => self.tells_agent(once.as_ref(), *room),
            Command::NextInstruction { timeout } => self.next_instruction(*timeout),
            Command::RequestApproval(ask) => self.asks_approval(ask),
            Command::RecordUsage { tool, tokens, actions, .. } => self.records(tool, *tokens, *actions),
            Command::StartChild { child, fuel, detached, .. } => self.starts_child(*child, *fuel, *detached),
            Command::WaitChild { child, timeout } => self.waits_for_child(*child, *timeout),
            Command::Attach(_) => {
                self.view.artifacts += 1;
                self.made_one()
            }
            Command::CallHost { .. } if self.view.cancel.is_some() => Said::Refused(RefusalKind::Cancelled),
            Command::Grant(command) => self.granting(command),
            Command::RequestFuel { units, timeout, .. } => self.asks_fuel(*units, *timeout),
            _ => self.made_one(),
        }
    }

    /// A message stays until somebody has it, and no more than so many stay.
    fn tells_agent(&mut self, once: Option<&SignalKey>, room: bool) -> Said {
        if once.is_some_and(|key| self.sent_once.contains(key)) {
            return Said::Unchanged;
        }
        if self.view.messages.len() >= self.made.limits.agent_messages as usize || !room {
            return Said::Refused(RefusalKind::TooLarge);
        }
        self.sent_once.extend(once.cloned());
        self.sent += 1;
        self.view.messages.push(self.sent);
        self.made_one()
    }

    fn made_one(&mut self) -> Said {
        self.own += 1;
        Said::Done
    }

    pub(super) fn parks(&mut self, at: Parked) -> Said {
        self.own += 1;
        self.view.parked = Some(at);
        Said::Parked
    }

    fn reported(&mut self, message: &str, percent: Option<u8>, restarted: bool) -> Said {
        if percent.is_some_and(|percent| percent > 100) {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        let before = self.view.progress.as_ref().and_then(|(_, percent)| *percent).filter(|_| !restarted);
        let highest = [before, percent].into_iter().flatten().max();
        self.view.progress = Some((message.to_owned(), highest));
        self.reports += 1;
        Said::Done
    }

    fn waits(&mut self, keys: &[SignalKey], senders: &Senders, timeout: Option<Duration>) -> Said {
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        if self.view.cancel.is_some() {
            return Said::Over(WaitEnd::Cancelled);
        }
        if let Some(signal) = self.first_of(keys, senders) {
            return signal;
        }
        if timeout == Some(Duration::ZERO) {
            return Said::Over(WaitEnd::TimedOut);
        }
        self.waits += 1;
        self.parks(Parked::Wait { number: self.waits, keys: keys.to_vec(), senders: senders.clone() })
    }

    /// The oldest of what is kept that fits.
    fn first_of(&mut self, keys: &[SignalKey], senders: &Senders) -> Option<Said> {
        let fits = |(key, signal): &(SignalKey, super::Signal)| keys.contains(key) && senders.allow(signal.sender);
        let place = self.view.kept.iter().position(fits)?;
        let (key, signal) = self.view.kept.remove(place);
        self.takes(place, &key, &signal);
        self.own += 1;
        Some(Said::Signal(key, signal))
    }

    fn next_instruction(&mut self, timeout: Option<Duration>) -> Said {
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        if !self.view.said.is_empty() {
            self.own += 1;
            let said = self.view.said.remove(0);
            self.hears(&said);
            return Said::Instruction(Some(said));
        }
        if self.view.cancel.is_some() {
            return Said::Refused(RefusalKind::Cancelled);
        }
        if timeout == Some(Duration::ZERO) {
            return Said::Instruction(None);
        }
        self.parks(Parked::Instruction)
    }

    fn asks_approval(&mut self, ask: &ApprovalAsk) -> Said {
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        let kind = &ask.kind;
        if kind.is_empty()
            || kind.len() > 64
            || kind.chars().any(char::is_control)
            || ["start", "fuel", "grant"].contains(&kind.as_str())
        {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        if self.view.cancel.is_some() {
            return Said::Over(WaitEnd::Cancelled);
        }
        if let Some(said) = self.asks_again(kind, ask.timeout) {
            return said;
        }
        let before = self.permission(kind);
        if before.is_none() && ask.timeout == Some(Duration::ZERO) {
            return Said::Over(WaitEnd::TimedOut);
        }
        self.asked += 1;
        let parked = self.parks(Parked::Approval(ApprovalNumber(self.asked)));
        self.notes_question(kind);
        let by = Party::Host;
        match before {
            None => self.view.questions.push((ApprovalNumber(self.asked), kind.clone())),
            Some(yes) => {
                self.others += 1;
                let decision = if yes {
                    ApprovalDecision::Approved { by, input: None }
                } else {
                    ApprovalDecision::Denied { by, reason: NOBODY.to_owned() }
                };
                self.notes_decision(ApprovalNumber(self.asked), &decision);
                self.wake(Woken::Decision(decision));
            }
        }
        parked
    }

    fn records(&mut self, tool: &str, tokens: u64, actions: u64) -> Said {
        if tool.is_empty() || tool.len() > 256 || tool.chars().any(char::is_control) {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        self.own += 1;
        self.view.spent.0 += tokens;
        self.view.spent.1 += actions;
        let (tokens, actions, _) = self.view.spent;
        let limits = (self.made.limits.tokens, self.made.limits.actions);
        if is_low(tokens, limits.0) && !std::mem::replace(&mut self.warned_of_tokens, is_low(tokens, limits.0)) {
            self.warned.push(Budget::Tokens);
        }
        if is_low(actions, limits.1) && !std::mem::replace(&mut self.warned_of_actions, is_low(actions, limits.1)) {
            self.warned.push(Budget::Actions);
        }
        // A budget of nothing is used up by the first that is spent.
        if tokens > 0 && tokens >= limits.0 || actions > 0 && actions >= limits.1 {
            return self.fails(FailureKind::Budget);
        }
        Said::Done
    }

    fn starts_child(&mut self, child: TaskId, fuel: u64, detached: bool) -> Said {
        if self.view.cancel.is_some() {
            return Said::Refused(RefusalKind::Cancelled);
        }
        let live = self.view.children.iter().filter(|(.., outcome)| outcome.is_none()).count();
        let limits = &self.made.limits;
        if live >= limits.children as usize || self.view.children.len() >= limits.children_in_all as usize {
            return Said::Refused(RefusalKind::TooLarge);
        }
        self.view.children.push((child, fuel, detached, None));
        self.made_one()
    }

    fn waits_for_child(&mut self, child: TaskId, timeout: Option<Duration>) -> Said {
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        let Some((_, _, _, outcome)) = self.view.children.iter().find(|(id, ..)| *id == child) else {
            return Said::Refused(RefusalKind::NotFound);
        };
        if outcome.is_some() {
            return Said::ChildOver;
        }
        if self.view.cancel.is_some() {
            return Said::Refused(RefusalKind::Cancelled);
        }
        if timeout == Some(Duration::ZERO) {
            return Said::Over(WaitEnd::TimedOut);
        }
        self.parks(Parked::Child(child))
    }

    fn asks_fuel(&mut self, units: u64, timeout: Option<Duration>) -> Said {
        if units == 0 {
            return Said::Refused(RefusalKind::InvalidArgument);
        }
        if self.view.parked.is_some() {
            return Said::Refused(RefusalKind::Host);
        }
        if self.view.cancel.is_some() {
            return Said::Refused(RefusalKind::Cancelled);
        }
        // Some of it is given without asking anybody, and some is decided before.
        let free = self.on_request + units <= self.made.limits.fuel_on_request;
        let before = if free { Some(true) } else { self.permission("fuel") };
        if before.is_none() && timeout == Some(Duration::ZERO) {
            return Said::Refused(RefusalKind::TimedOut);
        }
        self.asked += 1;
        let parked = self.parks(Parked::Fuel(units));
        let Some(yes) = before else {
            self.view.fuel_question = Some(ApprovalNumber(self.asked));
            return parked;
        };
        self.others += 1;
        if free {
            self.on_request += units;
        } else if !yes || !self.approved(units) {
            self.wake(Woken::NoFuel);
            return parked;
        }
        self.view.budget += units;
        self.view.hour_used_up = false;
        self.wake(Woken::Fuel(units));
        parked
    }

    /// What was decided about questions of this kind before they are asked.
    fn permission(&self, kind: &str) -> Option<bool> {
        let permission = &self.made.permission;
        let yes = match &permission.approve {
            ApprovalKinds::All => true,
            ApprovalKinds::Only(kinds) => kinds.contains(kind),
        };
        if yes { Some(true) } else { permission.deny_others.then_some(false) }
    }

    /// Whether approvals may give so much more; if so, they did.
    pub(super) fn approved(&mut self, units: u64) -> bool {
        let fits = self.on_approval + units <= self.made.limits.fuel_on_approval;
        self.on_approval += if fits { units } else { 0 };
        fits
    }
}
