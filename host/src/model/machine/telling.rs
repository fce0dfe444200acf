//! What a task tells its agent: messages that stay in the outbox until somebody has them.

use crate::model::command::{Answer, Decision};
use crate::model::event::EventBody;
use crate::model::ids::SignalKey;
use crate::model::outbox::{Settlement, message_bytes};
use crate::model::state::TaskState;
use crate::model::text;

use super::RefusalKind;

pub(super) fn message_agent(
    state: &TaskState,
    message: String,
    trigger: bool,
    once: Option<SignalKey>,
    room: bool,
) -> Decision {
    if once.as_ref().is_some_and(|key| state.sent_once.contains(key)) {
        return Decision::only(Answer::Unchanged);
    }
    let (messages_max, bytes_max) = (state.limits.agent_messages, state.limits.agent_message_bytes);
    let size = message_bytes(&message, once.as_ref());
    if state.open_messages.is_full(size, messages_max, bytes_max) {
        let bytes = text::bytes(bytes_max);
        let full = format!(
            "the agent has not taken this task's messages yet, and no more than {messages_max} with {bytes} wait for it"
        );
        return Decision::refused(RefusalKind::TooLarge, full);
    }
    if !room {
        let full = "too many messages of all tasks wait for agents to take them, and this host keeps no more";
        return Decision::refused(RefusalKind::TooLarge, full);
    }
    Decision::done(EventBody::AgentMessage { number: state.agent_messages + 1, message, trigger, once })
}

/// The first end of a message counts.
pub(super) fn settle_message(state: &TaskState, number: u64, how: Settlement) -> Decision {
    if state.open_messages.holds(number) {
        Decision::done(EventBody::MessageSettled { number, how })
    } else {
        Decision::only(Answer::Unchanged)
    }
}
