//! Where messages to the agent go at once.

use crate::model::outbox::{AgentMessage, Delivery};

/// Takes messages for the agent.
///
/// A message that it answers with `accepted` or `blocked` is settled by that; one that is `queued` stays in the outbox
/// ([`Host::messages`](crate::Host::messages)), as all do where there is no sink. A closure `Fn(&AgentMessage) -> Delivery`
/// is a sink.
pub trait AgentSink: Send + Sync {
    /// Takes one message. Must not block: the task's own events wait meanwhile.
    fn deliver(&self, message: &AgentMessage) -> Delivery;
}

impl<F: Fn(&AgentMessage) -> Delivery + Send + Sync> AgentSink for F {
    fn deliver(&self, message: &AgentMessage) -> Delivery {
        self(message)
    }
}
