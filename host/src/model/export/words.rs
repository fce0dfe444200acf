//! What happened, in a sentence for a person, with the text of others as code.

use super::markdown::code;
use crate::model::approval::ApprovalDecision;
use crate::model::children::ChildOutcome;
use crate::model::event::{Budget, EventBody, WaitEnd};
use crate::model::hook::TaskHook;
use crate::model::ids::SignalKey;
use crate::model::outbox::Settlement;
use crate::model::outcome::{Failure, Outcome};
use crate::model::signal::Party;
use crate::model::text::{bytes, duration, fuel};

/// `what`, and why if somebody said why.
fn because(what: String, reason: &str) -> String {
    if reason.is_empty() { what } else { format!("{what}: {}", code(reason)) }
}

fn at_most(timeout: Option<std::time::Duration>) -> String {
    timeout.map_or_else(String::new, |timeout| format!(", for {} at most", duration(timeout)))
}

fn keys(keys: &[SignalKey]) -> String {
    keys.iter().map(|key| code(key.as_str())).collect::<Vec<_>>().join(" or ")
}

fn end(reason: WaitEnd) -> &'static str {
    match reason {
        WaitEnd::TimedOut => "its time was over",
        WaitEnd::Cancelled => "the task shall stop",
        WaitEnd::WaitCancelled => "somebody ended the wait",
    }
}

fn failed(failure: &Failure) -> String {
    because(format!("failed ({})", failure.kind.word()), &failure.message)
}

/// How a task ended, without a capital and a full stop.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded { message, .. } => because("succeeded".to_owned(), message),
        Outcome::Failed(failure) => failed(failure),
        Outcome::Cancelled { by, reason, forced, begun, message, .. } => {
            let cancelled = because(format!("cancelled by {by}"), reason);
            let how = match (begun, forced) {
                (false, _) => "before it had begun",
                (true, true) => "stopped by force",
                (true, false) => "ended by itself",
            };
            because(format!("{cancelled}; {how}"), message)
        }
    }
}

/// What was decided about a question.
pub(super) fn decision(decision: &ApprovalDecision) -> String {
    match decision {
        ApprovalDecision::Approved { by, input: None } => format!("approved by {by}"),
        ApprovalDecision::Approved { by, input: Some(input) } => {
            format!("approved by {by}, of this instead: {}", code(&input.to_string()))
        }
        ApprovalDecision::Denied { by, reason } => because(format!("denied by {by}"), reason),
        ApprovalDecision::TimedOut => "not decided in time, which is a no".to_owned(),
        ApprovalDecision::Cancelled => "needed no decision any more".to_owned(),
    }
}

fn child(outcome: ChildOutcome) -> &'static str {
    match outcome {
        ChildOutcome::Succeeded => "succeeded",
        ChildOutcome::Failed => "failed",
        ChildOutcome::Cancelled => "was cancelled",
        ChildOutcome::NotStarted => "could not be started",
    }
}

fn from(sender: Party) -> String {
    format!("from {sender}")
}

/// What an event says.
#[expect(clippy::too_many_lines, reason = "a sentence for each event")]
pub(super) fn words(event: &EventBody) -> String {
    match event {
        EventBody::Created { .. } => "created".to_owned(),
        EventBody::Due => "its moment came: it waits for its turn".to_owned(),
        EventBody::Started { attempt: 1 } => "began".to_owned(),
        EventBody::Started { attempt } => format!("began again, for the {attempt}. time"),
        EventBody::AttemptEnded { attempt, failure, pause, .. } => {
            format!("attempt {attempt} {}; another follows in {}", failed(failure), duration(*pause))
        }
        EventBody::Progress { message, percent, restarted, merged } => {
            let percent = percent.map(|percent| format!("{percent} %: ")).unwrap_or_default();
            let anew = if *restarted { "begins anew: " } else { "" };
            let merged = if *merged == 0 { String::new() } else { format!(" ({merged} reports between)") };
            format!("{anew}{percent}{}{merged}", code(message))
        }
        EventBody::WaitStarted { keys: awaited, timeout, .. } => {
            format!("waits for the signal {}{}", keys(awaited), at_most(*timeout))
        }
        EventBody::WaitEnded { reason, .. } => format!("waits no longer: {}", end(*reason)),
        EventBody::SignalReceived { key, signal } => {
            let payload = signal.payload.as_ref().map(|payload| format!(": {}", code(&payload.to_string())));
            format!("the signal {} came {}{}", code(key.as_str()), from(signal.sender), payload.unwrap_or_default())
        }
        EventBody::SignalTaken { key, .. } => format!("took the signal {}", code(key.as_str())),
        EventBody::AgentMessage { message, trigger, .. } => {
            format!("told the agent{}: {}", if *trigger { ", who shall act on it" } else { "" }, code(message))
        }
        EventBody::MessageSettled { number, how } => {
            let how = match how {
                Settlement::Accepted => "was taken",
                Settlement::Blocked => "is wanted by nobody",
                Settlement::Acknowledged => "reached the agent",
            };
            format!("its message {number} to the agent {how}")
        }
        EventBody::Instructed(said) => format!("was told by {}: {}", said.by, code(&said.text)),
        EventBody::InstructionTaken => "heard what it was told".to_owned(),
        EventBody::InstructionWaitStarted { timeout } => format!("waits to be told something{}", at_most(*timeout)),
        EventBody::InstructionWaitEnded { reason } => format!("was told nothing: {}", end(*reason)),
        EventBody::ApprovalRequested { number, ask } => {
            let what = format!("asked for approval {} ({}): {}", number.0, code(&ask.kind), code(&ask.summary));
            if ask.reason.is_empty() { what } else { format!("{what}, because {}", code(&ask.reason)) }
        }
        EventBody::ApprovalRepeated { number, decision: None } => format!("asked for approval {} again", number.0),
        EventBody::ApprovalRepeated { number, decision: Some(decided) } => {
            format!("asked for approval {} again: {}", number.0, decision(decided))
        }
        EventBody::ApprovalDecided { number, decision: decided } => {
            format!("approval {}: {}", number.0, decision(decided))
        }
        // What it says of a plan has the task's words within.
        EventBody::Plan { change } => code(&change.display_message()),
        EventBody::Updated { .. } | EventBody::Denied { .. } | EventBody::FolderRoomTaken { .. } => {
            code(&event.display_message())
        }
        EventBody::Revoked { capability, by } => format!("lost {capability}: taken away by {by}"),
        EventBody::Detached { by } => format!("went on in the background, by {by}"),
        EventBody::DeliverySet { by, .. } => format!("another place for its updates, by {by}"),
        EventBody::UsageRecorded { tool, tokens, actions } => {
            format!("spent {tokens} tokens and {actions} actions on {}", code(tool))
        }
        EventBody::ChildStarted { child, task, fuel: units, .. } => {
            format!("started {} as {child}, with {} units of its fuel", code(&task.to_string()), fuel(*units))
        }
        EventBody::ChildEnded { child: id, outcome, fuel: units } => {
            format!("the task {id}, which it started, {} after {} units of fuel", child(*outcome), fuel(*units))
        }
        EventBody::ChildWaitStarted { child, timeout } => format!("waits for the task {child}{}", at_most(*timeout)),
        EventBody::ChildWaitEnded { reason } => format!("waits for no task any longer: {}", end(*reason)),
        EventBody::SignalSent { target, key } => {
            format!("sent the signal {} to {}", code(key.as_str()), code(&target.to_string()))
        }
        EventBody::HostCalled { name } => format!("called the host's function {}", code(name)),
        EventBody::ArtifactAttached(artifact) => {
            format!("attached {} ({}, {})", code(&artifact.name), code(&artifact.media_type), bytes(artifact.size))
        }
        EventBody::Paused { by, reason } => because(format!("paused by {by}"), reason),
        EventBody::Resumed { by } => format!("goes on: resumed by {by}"),
        EventBody::FuelRequested { units, reason, timeout, .. } => {
            because(format!("asked for {} units of fuel more{}", fuel(*units), at_most(*timeout)), reason)
        }
        EventBody::FuelAdded { units, by, .. } => format!("got {} units of fuel more from {by}", fuel(*units)),
        EventBody::FuelRefused { by, reason } => because(format!("got no more fuel: refused by {by}"), reason),
        EventBody::FuelRequestEnded { reason } => format!("got no more fuel: {}", end(*reason)),
        EventBody::BudgetLow { budget, used, limit } => {
            let what = match budget {
                Budget::Fuel => return format!("has used {} of {} units of fuel", fuel(*used), fuel(*limit)),
                Budget::Tokens => "tokens",
                Budget::Actions => "actions",
            };
            format!("has used {used} of {limit} {what}")
        }
        EventBody::HourUsedUp { .. } => "has used its fuel for this hour, and stands still".to_owned(),
        EventBody::FuelRenewed { units } => format!("got {} units of fuel for another hour", fuel(*units)),
        EventBody::Stalled { fuel: units, quiet } => {
            format!("burnt {} units of fuel in {} without a word", fuel(*units), duration(*quiet))
        }
        EventBody::Panicked { message, place } => format!("panicked at {}: {}", code(place), code(message)),
        EventBody::CancelRequested(request) => because(format!("was asked to stop by {}", request.by), &request.reason),
        EventBody::Finished { outcome: how, set_by, .. } => {
            let by = set_by.map(|by| format!(", as {by} said")).unwrap_or_default();
            format!("{}{by}", outcome(how))
        }
        EventBody::OnTerminalDone { name, error } => {
            let name = name.as_ref().map(|name| format!(" {}", code(name))).unwrap_or_default();
            because(format!("the function{name} was called at its end"), error.as_deref().unwrap_or_default())
        }
        EventBody::HookDone { hook, error } => {
            let hook = match hook {
                TaskHook::OnCancel => "on-cancel",
                TaskHook::OnTerminal => "on-terminal",
            };
            let went = error.as_ref().map(|failure| format!(", and {}", failed(failure))).unwrap_or_default();
            format!("its plugin's hook {hook} was called{went}")
        }
        EventBody::DaemonGivenUp { lives } => format!("is not started again after {lives} short lives"),
        EventBody::LateSignal { key, sender } => {
            format!("the signal {} came too late, {}", code(key.as_str()), from(*sender))
        }
        EventBody::Schedule { .. } | EventBody::Schedules { .. } => "something about schedules".to_owned(),
    }
}
