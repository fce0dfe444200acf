//! The decider against random sequences of commands.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::command::{Answer, Command};
use super::event::{Event, EventBody};
use super::ids::{SignalKey, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outcome::{CellEnd, GuestOutcome};
use super::request::CancelRequest;
use super::signal::{NotifyAnswer, Party, Signal};
use super::state::{Phase, TaskState, Usage};
use super::time::Timestamp;

fn create() -> Command {
    let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
    let limits = Limits { signals_per_key: 2, signals_in_all: 3, ..Limits::default() };
    Command::Create { task, input: json!({}), limits }
}

fn key(number: u8) -> SignalKey {
    SignalKey::new(format!("key{number}")).unwrap()
}

fn any_command() -> impl Strategy<Value = Command> {
    let usage = Usage::default();
    let grace = prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(1)), Just(Duration::from_secs(9))];
    prop_oneof![
        1 => Just(create()),
        2 => Just(Command::Start),
        1 => any::<Option<u8>>().prop_map(|percent| Command::Progress { message: "m".into(), percent, restarted: false, merged: 0 }),
        4 => (0..3u8, any::<Option<bool>>()).prop_map(|(number, zero)| Command::Wait {
            key: key(number),
            timeout: zero.map(|zero| Duration::from_secs(u64::from(!zero))),
        }),
        1 => (0..3u8).prop_map(|number| Command::Poll { key: key(number) }),
        1 => (0..5u64).prop_map(|wait| Command::WaitTimedOut { wait }),
        1 => (0..3u8).prop_map(|number| Command::CancelWait { key: key(number) }),
        6 => (0..3u8, any::<bool>()).prop_map(|(number, payload)| Command::Notify {
            key: key(number),
            signal: Signal::new(payload.then(|| json!(number)), Party::Host),
        }),
        1 => Just(Command::MessageAgent { message: "m".into(), trigger: true }),
        1 => Just(Command::Panic { message: "m".into(), place: "p".into() }),
        1 => grace.prop_map(move |grace| Command::Cancel {
            request: CancelRequest::new(Party::Person, "r").grace(grace),
            usage,
        }),
        1 => Just(Command::GraceOver { usage }),
        1 => Just(Command::DeadlineReached { usage }),
        1 => Just(Command::CellEnded {
            end: CellEnd::Returned(GuestOutcome::Cancelled { message: String::new(), data: None }),
            usage,
        }),
    ]
}

/// A guest is parked in its wait: it cannot call again, nor end by itself, until the wait is over.
fn can_happen(state: &TaskState, command: &Command) -> bool {
    let guest_acts = matches!(
        command,
        Command::Progress { .. }
            | Command::Wait { .. }
            | Command::Poll { .. }
            | Command::MessageAgent { .. }
            | Command::Panic { .. }
            | Command::CellEnded { .. }
    );
    !guest_acts || (state.phase != Some(Phase::Queued) && state.waiting.is_none())
}

proptest! {
    #[test]
    fn r30_whatever_happens_one_outcome_is_decided_and_stays(commands in prop::collection::vec(any_command(), 0..60)) {
        let mut state = TaskState::default();
        let mut log: Vec<Event> = Vec::new();
        for command in std::iter::once(create()).chain(commands) {
            if !can_happen(&state, &command) {
                continue;
            }
            let before = state.clone();
            let notified = matches!(command, Command::Notify { .. });
            let decision = step(&state, command);
            for body in decision.events {
                let event = Event { seq: state.seq.next(), at: Timestamp(0), body };
                state.apply(&event);
                log.push(event);
            }
            if before.outcome.is_some() {
                prop_assert_eq!(&before, &state, "nothing changes after the end");
            }
            if let Answer::Notified(answer) = decision.answer {
                let dropped = matches!(answer, NotifyAnswer::NoTask | NotifyAnswer::Full);
                prop_assert!(notified && dropped == (before == state), "a signal is taken or refused, and it is said");
            }
            prop_assert!(state.kept_signals <= 3 && state.mailbox.values().all(|kept| kept.len() <= 2));
            let kept: usize = state.mailbox.values().map(std::collections::VecDeque::len).sum();
            prop_assert!(state.outcome.is_some() || kept == state.kept_signals as usize);
            // Whoever is parked has nothing to take: a signal for it would have woken it.
            prop_assert!(state.waiting.as_ref().is_none_or(|point| state.oldest(&point.key).is_none()));
        }
        let finished = log.iter().filter(|event| matches!(event.body, EventBody::Finished { .. })).count();
        prop_assert_eq!(finished, usize::from(state.phase == Some(Phase::Ended)));
        let folded = log.iter().fold(TaskState::default(), |mut state, event| { state.apply(event); state });
        prop_assert_eq!(folded, state, "the log alone gives the state");
    }

    #[test]
    fn events_survive_being_written_down(commands in prop::collection::vec(any_command(), 0..20)) {
        let mut state = TaskState::default();
        for command in std::iter::once(create()).chain(commands) {
            if !can_happen(&state, &command) {
                continue;
            }
            for body in step(&state, command).events {
                let event = Event { seq: state.seq.next(), at: Timestamp(0), body };
                let text = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), &event, "{}", text);
                state.apply(&event);
            }
        }
    }
}
