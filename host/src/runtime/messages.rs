//! What a guest tells its agent: written down, handed to the sink, and kept in the outbox until somebody has it.

use std::sync::Arc;

use crate::model::command::{Answer, Command};
use crate::model::ids::SignalKey;
use crate::model::machine::Refusal;
use crate::model::outbox::{AgentMessage, Delivery, Settlement, message_bytes};
use crate::ports::runner::Reply;

use super::actor::{Actor, Ended};
use super::calls::done;
use super::outbox::OutboxPlace;

impl Actor {
    pub(super) async fn message_agent(
        &mut self,
        message: String,
        trigger: bool,
        once: Option<SignalKey>,
        reply: Reply<Result<Delivery, Refusal>>,
    ) -> Result<(), Ended> {
        let place = self.shared.around.outbox.reserve(message_bytes(&message, once.as_ref()));
        let room = place.is_some();
        let command = Command::MessageAgent { message: message.clone(), trigger, once: once.clone(), room };
        let decided = self.decide(command).await?;
        let answer = match (decided, place) {
            // It was sent before, and the answer is that of then. There is no event that would slow it down.
            (Answer::Unchanged, _) => {
                self.take_turn();
                Ok(once.as_ref().and_then(|key| self.told_once.get(key).copied()).unwrap_or(Delivery::Queued))
            }
            (decided, place) => match (done(decided), place) {
                (Ok(()), Some(place)) => {
                    let message = self.message(message, trigger, once.clone());
                    Ok(self.deliver(message, place).await?)
                }
                (Ok(()), None) => Ok(Delivery::Queued),
                (Err(refusal), _) => Err(refusal),
            },
        };
        if let (Some(key), Ok(delivery)) = (once, &answer) {
            self.told_once.entry(key).or_insert(*delivery);
        }
        let _ = reply.send(answer);
        Ok(())
    }

    /// The message that was just written down.
    fn message(&self, message: String, trigger: bool, once: Option<SignalKey>) -> AgentMessage {
        AgentMessage {
            id: self.shared.id,
            task: self.shared.task_ref(),
            session: self.shared.session.clone(),
            number: self.shared.state().agent_messages,
            message,
            trigger,
            once,
            at: self.shared.around.clock.date(),
        }
    }

    /// Hands a message to the sink. What that does not settle can be claimed afterwards, also when it panics.
    async fn deliver(&mut self, message: AgentMessage, mut place: OutboxPlace) -> Result<Delivery, Ended> {
        let number = message.number;
        let Some(sink) = &self.sink else {
            place.hold(message, Arc::clone(&self.shared));
            return Ok(Delivery::Queued);
        };
        place.hold(message.clone(), Arc::clone(&self.shared));
        let delivery = sink.deliver(&message);
        let how = match delivery {
            Delivery::Accepted => Settlement::Accepted,
            Delivery::Blocked => Settlement::Blocked,
            Delivery::Queued => return Ok(delivery),
        };
        self.decide(Command::SettleMessage { number, how }).await?;
        place.clear();
        Ok(delivery)
    }
}
