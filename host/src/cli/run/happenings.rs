//! What happens to a task, in words: a line for each thing a person wants to know, and where the task stands.

use crate::cli::plans;
use crate::cli::progress::labelled;
use crate::cli::text;
use crate::{
    AnswerFor, ApprovalAsk, ApprovalDecision, ApprovalNumber, Budget, Change, EventBody, Party, SignalKey, Snapshot,
    TaskPatch, WaitEnd,
};

/// Why a question is withdrawn when the task was asked to stop.
const STOPS: &str = "No answer is needed any more: the task shall stop.";

/// What the person is being asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// For a signal with one of these keys.
    Signal(Vec<SignalKey>),
    /// For approval.
    Approval(ApprovalNumber, Box<ApprovalAsk>),
    /// To say something to the task.
    Message,
    /// For so many units of fuel, and what for.
    Fuel(ApprovalNumber, u64, String),
}

/// What an event looks like, if it has a line of its own. Not escaped yet.
pub(in crate::cli) fn line(event: &EventBody) -> Option<String> {
    let (label, words) = match event {
        EventBody::AgentMessage { message, trigger: true, .. } => ("agent!", message.clone()),
        EventBody::AgentMessage { message, trigger: false, .. } => ("agent", message.clone()),
        EventBody::AttemptEnded { attempt, failure, pause, .. } => {
            let again = text::elapsed(*pause);
            (
                "retry",
                format!("attempt {attempt} failed ({}): {}; again in {again}", failure.kind.word(), failure.message),
            )
        }
        EventBody::Plan { change } => ("plan", plans::line(change)?),
        EventBody::Instructed(said) => ("told", format!("by {}: {}", said.by, said.text)),
        EventBody::ApprovalDecided { decision, .. } => ("answer", decided(decision)),
        EventBody::ChildStarted { task, .. } => ("child", format!("starts {task}")),
        EventBody::BudgetLow { budget: Budget::Tokens, used, limit } => {
            ("budget", format!("low: {used} of {limit} tokens are used"))
        }
        EventBody::BudgetLow { budget: Budget::Actions, used, limit } => {
            ("budget", format!("low: {used} of {limit} actions are used"))
        }
        EventBody::SignalSent { target, key } => ("signal", format!("`{key}` to {target}")),
        EventBody::Denied { .. } | EventBody::Revoked { .. } => ("grant", event.display_message()),
        EventBody::HostCalled { name } => ("call", format!("`{name}`")),
        EventBody::ArtifactAttached(artifact) => {
            ("file", format!("{} ({}, {})", artifact.name, artifact.media_type, text::bytes(artifact.size)))
        }
        EventBody::Updated { patch: TaskPatch { note: Change::Set(note), .. }, .. } => ("note", note.clone()),
        EventBody::Paused { by, reason } => ("pause", because("paused by", *by, reason)),
        EventBody::Resumed { by } => ("pause", format!("goes on: resumed by {by}")),
        EventBody::FuelAdded { units, by, .. } => ("fuel", format!("{} units more, from {by}", text::fuel(*units))),
        EventBody::FuelRefused { by, reason } => ("fuel", because("no more fuel: refused by", *by, reason)),
        EventBody::BudgetLow { budget: Budget::Fuel, used, limit } => {
            ("fuel", format!("low: {} of {} units are used", text::fuel(*used), text::fuel(*limit)))
        }
        EventBody::HourUsedUp { .. } => {
            ("fuel", "its fuel for this hour is used up: it stands still until the next".to_owned())
        }
        EventBody::FuelRenewed { units } => ("fuel", format!("{} units more, for another hour", text::fuel(*units))),
        EventBody::Stalled { fuel, quiet } => {
            let (quiet, fuel) = (text::elapsed(*quiet), text::fuel(*fuel));
            ("stall", format!("not a word for {quiet}, and {fuel} units of fuel burnt meanwhile: it may be stuck"))
        }
        EventBody::Created { .. }
        | EventBody::Due
        | EventBody::Started { .. }
        | EventBody::InstructionTaken
        | EventBody::InstructionWaitStarted { .. }
        | EventBody::InstructionWaitEnded { .. }
        | EventBody::ApprovalRequested { .. }
        | EventBody::ApprovalRepeated { .. }
        | EventBody::UsageRecorded { .. }
        | EventBody::ChildEnded { .. }
        | EventBody::ChildWaitStarted { .. }
        | EventBody::ChildWaitEnded { .. }
        | EventBody::Progress { .. }
        | EventBody::WaitStarted { .. }
        | EventBody::WaitEnded { .. }
        | EventBody::SignalReceived { .. }
        | EventBody::SignalTaken { .. }
        | EventBody::MessageSettled { .. }
        | EventBody::Updated { .. }
        | EventBody::FuelRequested { .. }
        | EventBody::FuelRequestEnded { .. }
        | EventBody::Panicked { .. }
        | EventBody::Detached { .. }
        | EventBody::DeliverySet { .. }
        | EventBody::CancelRequested(_)
        | EventBody::Finished { .. }
        | EventBody::OnTerminalDone { .. }
        | EventBody::HookDone { .. }
        | EventBody::DaemonGivenUp { .. }
        | EventBody::Schedule { .. }
        | EventBody::Schedules { .. }
        | EventBody::FolderRoomTaken { .. }
        | EventBody::LateSignal { .. } => return None,
    };
    Some(labelled(label, &words))
}

/// What was decided about a question.
fn decided(decision: &ApprovalDecision) -> String {
    match decision {
        ApprovalDecision::Approved { by, input: None } => format!("approved by {by}"),
        // How long a yes to the policy's question holds.
        ApprovalDecision::Approved { by, input: Some(input) } if AnswerFor::of(Some(input)).is_some() => {
            format!("approved by {by}: {}", input.as_str().unwrap_or_default())
        }
        ApprovalDecision::Approved { by, input: Some(_) } => format!("approved by {by}, with a change"),
        ApprovalDecision::Denied { by, reason } => because("denied by", *by, reason),
        ApprovalDecision::TimedOut => "nobody decided in time, which is a no".to_owned(),
        ApprovalDecision::Cancelled => "no decision is needed any more: the task shall stop".to_owned(),
    }
}

/// `what` by whom, and why if somebody said why.
fn because(what: &str, by: Party, reason: &str) -> String {
    if reason.is_empty() { format!("{what} {by}") } else { format!("{what} {by}: {reason}") }
}

/// Why a question needs no answer any more after an event, if so.
pub(super) fn answered(event: &EventBody, question: &Question) -> Option<&'static str> {
    match (event, question) {
        (EventBody::WaitEnded { reason, .. }, Question::Signal(_)) => Some(match reason {
            WaitEnd::TimedOut => "Its time is over: the task goes on without an answer.",
            WaitEnd::Cancelled => STOPS,
            WaitEnd::WaitCancelled => "No answer is needed any more.",
        }),
        (EventBody::SignalTaken { key, .. }, Question::Signal(asked)) if asked.contains(key) => {
            Some("The signal came from elsewhere.")
        }
        (EventBody::ApprovalDecided { number, decision }, Question::Approval(asked, _)) if number == asked => {
            Some(match decision {
                ApprovalDecision::Approved { .. } => "It was approved elsewhere.",
                ApprovalDecision::Denied { .. } => "It was denied elsewhere.",
                ApprovalDecision::TimedOut => "Its time is over: nobody decided, which is a no.",
                ApprovalDecision::Cancelled => STOPS,
            })
        }
        (EventBody::InstructionTaken, Question::Message) => Some("The task was told something from elsewhere."),
        (EventBody::InstructionWaitEnded { reason }, Question::Message) => Some(match reason {
            WaitEnd::TimedOut => "Its time is over: the task goes on without a word.",
            WaitEnd::Cancelled => STOPS,
            WaitEnd::WaitCancelled => "No answer is needed any more.",
        }),
        (EventBody::FuelAdded { .. }, Question::Fuel(..)) => Some("The fuel came from elsewhere."),
        (EventBody::FuelRefused { .. }, Question::Fuel(..)) => Some("It was refused elsewhere."),
        (EventBody::FuelRequestEnded { reason }, Question::Fuel(..)) => Some(match reason {
            WaitEnd::TimedOut => "Its time is over: the task goes on without more fuel.",
            WaitEnd::Cancelled => STOPS,
            WaitEnd::WaitCancelled => "No answer is needed any more.",
        }),
        (_, Question::Signal(_) | Question::Fuel(..) | Question::Approval(..) | Question::Message) => None,
    }
}

/// Whether the person may be asked something because of it.
pub(super) fn asks(event: &EventBody) -> bool {
    matches!(
        event,
        EventBody::WaitStarted { .. }
            | EventBody::InstructionWaitStarted { .. }
            | EventBody::ApprovalRequested { .. }
            | EventBody::FuelRequested { .. }
    )
}

/// Whether it is the task itself that made this happen.
pub(super) fn is_sign_of_life(event: &EventBody) -> bool {
    event.is_by_guest() || matches!(event, EventBody::Progress { .. })
}

/// Why a running task does not go on, or may soon not.
pub(super) fn standing(state: &Snapshot, stalled: bool, low_on_fuel: bool) -> Option<&'static str> {
    let reasons = [
        (state.paused.is_some(), "paused"),
        (state.fuel_request.is_some(), "waits for more fuel"),
        (state.hour_used_up, "waits for its next hour"),
        (!state.approvals.is_empty(), "waits for approval"),
        (state.waiting.is_some(), "waits for a signal"),
        (state.awaits_instruction, "waits to be told something"),
        (state.awaits_child.is_some(), "waits for a task that it started"),
        (stalled, "may be stuck"),
        (low_on_fuel, "low on fuel"),
    ];
    reasons.into_iter().find_map(|(holds, words)| holds.then_some(words))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::Usage;

    use super::*;

    #[test]
    fn what_keeps_a_task_from_going_on_comes_before_what_may() {
        let state = |field: &str, value: serde_json::Value| -> Snapshot {
            let mut state = json!({
                "id": "0".repeat(32), "task": {"plugin": "p", "task_type": "t", "key": "k"}, "phase": "running",
                "artifacts": [], "usage": Usage::default(), "seq": 1,
            });
            state[field] = value;
            serde_json::from_value(state).unwrap()
        };
        let paused = state("paused", json!({"by": "person", "reason": "", "since": 1}));
        let hungry = state("fuel_request", json!({"units": 5, "reason": "more"}));
        assert_eq!(standing(&paused, true, true), Some("paused"));
        assert_eq!(standing(&hungry, true, true), Some("waits for more fuel"));
        let ask = json!({"kind": "deploy", "reason": "", "summary": "version 7"});
        let asking = state("approvals", json!([{"number": 1, "ask": ask, "since": 1}]));
        assert_eq!(standing(&asking, true, true), Some("waits for approval"));
        let listening = state("awaits_instruction", json!(true));
        assert_eq!(standing(&listening, true, true), Some("waits to be told something"));
        let running = state("seq", json!(2));
        assert_eq!(standing(&running, true, true), Some("may be stuck"));
        assert_eq!(standing(&running, false, true), Some("low on fuel"));
        assert_eq!(standing(&running, false, false), None);
    }

    #[test]
    fn what_happens_is_said_with_who_and_why() {
        let said = |event| line(&event).unwrap();
        let paused = |reason: &str| EventBody::Paused { by: Party::Agent, reason: reason.to_owned() };
        assert_eq!(said(paused("lunch")), " pause | paused by the agent: lunch");
        assert_eq!(said(paused("")), " pause | paused by the agent");
        assert_eq!(
            said(EventBody::FuelAdded { units: 5_000_000_000, by: Party::Person, approval: None }),
            "  fuel | 5G units more, from a person"
        );
        let low = EventBody::BudgetLow { budget: Budget::Fuel, used: 800_000_000, limit: 1_000_000_000 };
        assert_eq!(said(low), "  fuel | low: 800M of 1G units are used");
        let stalled = EventBody::Stalled { fuel: 6_000_000_000, quiet: Duration::from_mins(1) };
        assert_eq!(
            said(stalled),
            " stall | not a word for 1m 00s, and 6G units of fuel burnt meanwhile: it may be stuck"
        );
        let soon = EventBody::Stalled { fuel: 6_000_000, quiet: Duration::from_millis(200) };
        assert_eq!(
            line(&soon).unwrap(),
            " stall | not a word for 200ms, and 6M units of fuel burnt meanwhile: it may be stuck"
        );
        assert_eq!(line(&EventBody::Started { attempt: 1 }), None);
    }

    #[test]
    fn only_what_the_task_does_itself_shows_that_it_is_not_stuck() {
        let message = EventBody::AgentMessage { number: 1, message: "here".to_owned(), trigger: false, once: None };
        let wait = EventBody::WaitStarted {
            wait: 1,
            keys: vec![SignalKey::new("go").unwrap()],
            senders: crate::Senders::default(),
            timeout: None,
        };
        assert!(is_sign_of_life(&message) && is_sign_of_life(&wait));
        let stalled = EventBody::Stalled { fuel: 5, quiet: Duration::from_mins(1) };
        let added = EventBody::FuelAdded { units: 5, by: Party::Person, approval: None };
        assert!(!is_sign_of_life(&stalled) && !is_sign_of_life(&added));
    }

    #[test]
    fn a_question_is_withdrawn_by_what_answers_it_and_by_nothing_else() {
        let signal = Question::Signal(vec![SignalKey::new("stay").unwrap(), SignalKey::new("go").unwrap()]);
        let fuel = Question::Fuel(ApprovalNumber(1), 5, String::new());
        let added = EventBody::FuelAdded { units: 5, by: Party::Host, approval: None };
        assert_eq!(answered(&added, &fuel), Some("The fuel came from elsewhere."));
        assert_eq!(answered(&added, &signal), None);
        let over = EventBody::FuelRequestEnded { reason: WaitEnd::TimedOut };
        assert!(answered(&over, &fuel).unwrap().contains("without more fuel"));
        let taken =
            |key: &str| EventBody::SignalTaken { key: SignalKey::new(key).unwrap(), signal: crate::EventSeq(1) };
        assert!(answered(&taken("go"), &signal).is_some());
        assert_eq!((answered(&taken("other"), &signal), answered(&taken("go"), &fuel)), (None, None));
        let approval = Question::Approval(ApprovalNumber(2), Box::new(ApprovalAsk::new("deploy", "", "version 7")));
        let decided = |number, decision| EventBody::ApprovalDecided { number: ApprovalNumber(number), decision };
        let late = answered(&decided(2, ApprovalDecision::TimedOut), &approval).unwrap();
        assert!(late.contains("which is a no"), "{late}");
        assert_eq!(answered(&decided(1, ApprovalDecision::TimedOut), &approval), None);
        assert!(answered(&EventBody::InstructionTaken, &Question::Message).is_some());
        assert_eq!(answered(&EventBody::InstructionTaken, &approval), None);
    }
}
