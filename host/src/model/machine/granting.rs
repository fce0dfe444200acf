//! What becomes of a task that was denied something, or that is about to do what somebody has to be asked about.

use std::time::Duration;

use serde_json::{Value, json};

use super::ending::finish;
use super::waiting::parked_already;
use super::{Refusal, RefusalKind};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::capability::Capability;
use crate::model::command::{Answer, Decision, GrantCommand};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::grants::Access;
use crate::model::grants::touch::Touch;
use crate::model::ids::PluginDigest;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::policy::mandate::{AnswerFor, DENIALS_MAX, Denied};
use crate::model::signal::Party;
use crate::model::snapshot::Usage;
use crate::model::state::TaskState;

/// How long there is to answer. Protects a task from standing still for ever where nobody looks.
const TIMEOUT: Duration = Duration::from_hours(1);

pub(super) fn decide(state: &TaskState, command: GrantCommand) -> Decision {
    match command {
        GrantCommand::Denied { denied, rule, in_row, usage } => was_denied(state, denied, rule, in_row, usage),
        GrantCommand::Ask(ask) => asks(state, *ask),
        GrantCommand::Revoke { capability, by } => revoke(state, capability, by),
        GrantCommand::TakeRoom { folder, bytes, inodes } => take_room(state, folder, bytes, inodes),
    }
}

/// A guest whose log is full may not ask. It is still denied things, and ends by that.
pub(super) fn over_budget(state: &TaskState, command: &GrantCommand) -> Option<Decision> {
    match command {
        GrantCommand::Ask(_) if state.is_full() => {
            Some(Decision::refused(RefusalKind::TooLarge, "this task has written as much into its log as it may"))
        }
        // Room is taken a few times for each folder.
        GrantCommand::Ask(_)
        | GrantCommand::Denied { .. }
        | GrantCommand::Revoke { .. }
        | GrantCommand::TakeRoom { .. } => None,
    }
}

fn was_denied(state: &TaskState, denied: Denied, rule: String, in_row: u32, usage: Usage) -> Decision {
    let Denied { capability, scope, reason, retryable: _ } = denied;
    let too_many = (in_row >= DENIALS_MAX).then(|| {
        let this = if scope.is_empty() { capability.to_string() } else { format!("{capability} {scope}") };
        let named: Vec<&str> = state.granting.denied.iter().map(String::as_str).chain([this.as_str()]).collect();
        let message =
            format!("it was denied {in_row} things in a row, and had not understood; the last: {}", named.join(", "));
        Outcome::Failed(Failure::new(FailureKind::Denied, message))
    });
    let told = (!state.is_full()).then_some(EventBody::Denied { capability, scope, reason, rule });
    let end = too_many.map(|outcome| finish(outcome, state.with_told(usage)).events);
    Decision { events: told.into_iter().chain(end.into_iter().flatten()).collect(), answer: Answer::Done }
}

fn asks(state: &TaskState, ask: ApprovalAsk) -> Decision {
    if let Some(refused) = parked_already(state) {
        return refused;
    }
    if state.cancel.is_some() {
        return Decision::only(Answer::WaitOver(WaitEnd::Cancelled));
    }
    let decided = state.details.permission.decision(&ask);
    let number = ApprovalNumber(state.asked + 1);
    let asked = EventBody::ApprovalRequested { number, ask };
    let decided = decided.map(|decision| EventBody::ApprovalDecided { number, decision });
    Decision { events: std::iter::once(asked).chain(decided).collect(), answer: Answer::Parked }
}

/// A question about it is answered by that.
fn revoke(state: &TaskState, capability: Capability, by: Party) -> Decision {
    if state.granting.revoked.contains(&capability) {
        return Decision::only(Answer::Unchanged);
    }
    let about = |ask: &ApprovalAsk| {
        let named = ask.metadata.as_ref().and_then(|metadata| metadata.get("capability"));
        ask.kind == ApprovalAsk::GRANT && named.and_then(Value::as_str) == Some(capability.name())
    };
    let open = state.approvals.iter().filter(|pending| about(&pending.ask)).map(|pending| {
        let decision = ApprovalDecision::Denied { by, reason: "it was taken away from this task".to_owned() };
        EventBody::ApprovalDecided { number: pending.number, decision }
    });
    let events = std::iter::once(EventBody::Revoked { capability, by }).chain(open).collect();
    Decision { events, answer: Answer::Done }
}

/// What was taken is never given back, so what it has taken before is in it.
fn take_room(state: &TaskState, folder: String, bytes: u64, inodes: u64) -> Decision {
    let (had_bytes, had_inodes) = state.granting.rooms.get(&folder).copied().unwrap_or_default();
    if bytes <= had_bytes && inodes <= had_inodes {
        return Decision::only(Answer::Unchanged);
    }
    let (bytes, inodes) = (bytes.max(had_bytes), inodes.max(had_inodes));
    Decision::done(EventBody::FolderRoomTaken { folder, bytes, inodes })
}

/// The open questions of the kind, over without an answer.
pub(super) fn open(state: &TaskState) -> impl Iterator<Item = EventBody> {
    let asked = state.approvals.iter().filter(|pending| pending.ask.kind == ApprovalAsk::GRANT);
    let over = |number| EventBody::ApprovalDecided { number, decision: ApprovalDecision::Cancelled };
    asked.map(move |pending| over(pending.number))
}

/// Why a decision is none about such a question.
pub(super) fn unfit(state: &TaskState, number: ApprovalNumber, decision: &ApprovalDecision) -> Option<Decision> {
    let asked = state.approvals.iter().find(|pending| pending.number == number)?;
    let ApprovalDecision::Approved { by, input } = decision else { return None };
    if asked.ask.kind != ApprovalAsk::GRANT {
        return None;
    }
    match AnswerFor::of(input.as_ref()) {
        None => Some(Decision::refused(
            RefusalKind::InvalidArgument,
            "what is approved of here is \"once\", \"task\" or \"always\"",
        )),
        // It would change the operator's policy.
        Some(AnswerFor::Always) if *by == Party::Agent => Some(Decision::refused(
            RefusalKind::Denied,
            "the agent may not approve of it for all tasks; \"once\" and \"task\" it may",
        )),
        Some(AnswerFor::Once | AnswerFor::Task | AnswerFor::Always) => None,
    }
}

/// Whose question it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) digest: &'a PluginDigest,
}

/// The question about this. All that a person reads is the host's word; the guest's is beside it, and quoted.
pub(crate) fn question(of: Asker<'_>, touch: &Touch, rule: &str, why: Option<&str>) -> ApprovalAsk {
    let Asker { plugin, digest } = of;
    let mut metadata = json!({
        "capability": touch.capability(),
        "scope": touch.scope(),
        "plugin": plugin,
        "digest": digest,
        "rule": rule,
        // A path that is no text cannot be kept; then nothing is remembered about it beyond this host.
        "touch": serde_json::to_value(touch).unwrap_or_default(),
    });
    if let (Some(why), Some(fields)) = (why, metadata.as_object_mut()) {
        fields.insert("guest_says".to_owned(), format!("{why:?}").into());
    }
    let reason = format!("the policy says to ask about it ({rule})");
    let summary = format!("the plugin {plugin} is about to {}", in_words(touch));
    ApprovalAsk {
        metadata: Some(metadata),
        timeout: Some(TIMEOUT),
        ..ApprovalAsk::new(ApprovalAsk::GRANT, reason, summary)
    }
}

/// What a question is about.
pub(crate) fn touch_of(ask: &ApprovalAsk) -> Option<Touch> {
    let touch = ask.metadata.as_ref()?.get("touch").filter(|_| ask.kind == ApprovalAsk::GRANT)?;
    serde_json::from_value(Value::clone(touch)).ok()
}

fn in_words(touch: &Touch) -> String {
    match touch {
        Touch::Dir { host, guest, access } => {
            let does = match access {
                Access::Read => "read",
                Access::ReadWrite => "write into",
            };
            format!("{does} the folder {guest} ({} on the host)", host.display())
        }
        Touch::Http(request) => format!("send a request: {request}"),
        Touch::Env(name) => format!("read the environment variable {name}"),
        Touch::Secret(name) => format!("have the secret {name} put into a request"),
        Touch::Tasks(plugin) => format!("start a task of the plugin {plugin:?}"),
        Touch::Signal => "reach tasks outside of its own tree".to_owned(),
        Touch::Agent => "tell the agent something".to_owned(),
        Touch::Kv => "use its plugin's store".to_owned(),
        Touch::Function(name) => format!("call the host's function {name:?}"),
        Touch::ClockWall => "learn the time of day".to_owned(),
        Touch::Random => "get random numbers".to_owned(),
    }
}

/// What a guest is told whose question was not answered with yes; `None` for a yes.
pub(crate) fn no(touch: &Touch, decision: &ApprovalDecision) -> Option<Denied> {
    let reason = match decision {
        ApprovalDecision::Approved { .. } => return None,
        ApprovalDecision::Denied { by, reason } if reason.is_empty() => format!("{by} was asked and said no"),
        ApprovalDecision::Denied { by, reason } => format!("{by} was asked and said no: {reason}"),
        ApprovalDecision::TimedOut => "nobody answered the question about it in time, which is a no".to_owned(),
        ApprovalDecision::Cancelled => "the task shall stop, so nobody is asked about it".to_owned(),
    };
    Some(Denied::of(touch, reason, false))
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::new(RefusalKind::Denied, denied.to_string())
    }
}
