//! What a guest waits for that people say: instructions, and decisions.

use std::time::Duration;

use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalRuling};
use crate::model::command::{Answer, Command};
use crate::model::event::WaitEnd;
use crate::model::machine::Refusal;
use crate::model::signal::Instruction;
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended, Parked};
use super::calls::done;

impl Actor {
    /// Decides whether the task may begin, if that was said before.
    pub(super) async fn settle_start(&mut self) -> Result<(), Ended> {
        let decided = {
            let state = self.shared.state();
            let pending = state.approvals.first();
            pending.and_then(|pending| Some((pending.number, state.details.permission.decision(&pending.ask)?)))
        };
        let Some((number, decision)) = decided else { return Ok(()) };
        let ruling = ApprovalRuling::Allowed;
        self.decide(Command::DecideApproval { number, decision, ruling }).await.map(|_| ())
    }

    pub(super) async fn next_instruction(
        &mut self,
        timeout: Option<Duration>,
        reply: Reply<Result<Option<Instruction>, Refusal>>,
    ) -> Result<(), Ended> {
        if !self.park(Parked::Instruction(reply)) {
            return Ok(());
        }
        let answer = self.decide(Command::NextInstruction { timeout }).await?;
        if let Answer::Instruction(said) = answer {
            self.end_instruction_wait(Ok(said));
        } else if answer != Answer::Parked {
            self.end_instruction_wait(done(answer).map(|()| None));
        }
        Ok(())
    }

    pub(super) async fn request_approval(
        &mut self,
        ask: ApprovalAsk,
        reply: Reply<Result<ApprovalDecision, Refusal>>,
    ) -> Result<(), Ended> {
        if !self.park(Parked::Approval(reply)) {
            return Ok(());
        }
        let answer = self.decide(Command::RequestApproval(ask)).await?;
        if answer == Answer::WaitOver(WaitEnd::TimedOut) {
            self.end_approval(Ok(ApprovalDecision::TimedOut));
        } else if answer != Answer::Parked {
            self.end_approval(done(answer).map(|()| ApprovalDecision::Cancelled));
        }
        Ok(())
    }

    /// Sets the moment at which the first of its open questions is not open any more.
    pub(super) fn time_questions(&mut self) {
        let state = self.shared.state();
        if state.approvals.is_empty() {
            self.timers.approval = None;
            return;
        }
        let now = self.shared.now();
        let ends = state.approvals.iter().filter_map(|open| {
            let asked = now.date.since(open.since);
            let at = now.steady.checked_add(open.ask.timeout?.saturating_sub(asked))?;
            Some((open.number, at))
        });
        self.timers.approval = ends.min_by_key(|(_, at)| *at);
    }

    /// Answers the guest's open wait for an instruction, if it is parked in one.
    pub(super) fn end_instruction_wait(&mut self, answer: Result<Option<Instruction>, Refusal>) {
        self.timers.instruction = None;
        if let Some(Parked::Instruction(reply)) = self.parked.take_if(|parked| matches!(parked, Parked::Instruction(_)))
        {
            let _ = reply.send(answer);
        }
    }

    /// Answers the guest's open request for approval, if it is parked in one.
    pub(super) fn end_approval(&mut self, answer: Result<ApprovalDecision, Refusal>) {
        if let Some(Parked::Approval(reply)) = self.parked.take_if(|parked| matches!(parked, Parked::Approval(_))) {
            let _ = reply.send(answer);
        }
    }
}
