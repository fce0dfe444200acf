//! The decider against random sequences of commands.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::command::{Answer, Command};
use super::event::{Budget, Event, EventBody};
use super::ids::{SignalKey, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outbox::Settlement;
use super::outcome::{CellEnd, GuestOutcome};
use super::request::CancelRequest;
use super::signal::{NotifyAnswer, Party, Senders, Signal};
use super::snapshot::{Artifact, Phase, Usage, WaitPoint};
use super::state::TaskState;
use super::time::Timestamp;

fn task() -> TaskRef {
    TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() }
}

fn limits() -> Limits {
    Limits {
        signals_per_key: 2,
        signals_in_all: 3,
        // Two numbers of five digits, or of fewer.
        signal_bytes: 2 * 69,
        fuel: 100,
        fuel_on_request: 10,
        ..Limits::default()
    }
}

fn create() -> Command {
    create_with(&limits())
}

fn create_with(limits: &Limits) -> Command {
    Command::Create {
        task: Arc::new(task()),
        input: Arc::new(json!({})),
        limits: Arc::new(*limits),
        details: Arc::default(),
        approval: None,
    }
}

/// A task whose log may be full soon.
fn create_brief(log_events: u64) -> Command {
    create_with(&Limits { log_events, ..limits() })
}

fn key(number: u8) -> SignalKey {
    SignalKey::new(format!("key{number}")).unwrap()
}

fn progress() -> impl Strategy<Value = Command> {
    (any::<Option<u8>>(), prop::bool::weighted(0.1)).prop_map(|(percent, restarted)| Command::Progress {
        message: "m".into(),
        percent,
        restarted,
        merged: 0,
        last: false,
    })
}

/// Pauses, and everything about fuel. The host gives ten units by itself.
fn control() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::Pause { by: Party::Person, reason: "r".into() }),
        Just(Command::Resume { by: Party::Agent }),
        (0..12u64, any::<Option<bool>>()).prop_map(|(units, zero)| Command::RequestFuel {
            units,
            reason: "r".into(),
            timeout: zero.map(|zero| Duration::from_secs(u64::from(!zero))),
        }),
        (0..3u64).prop_map(|units| Command::AddFuel { units, by: Party::Host }),
        Just(Command::RefuseFuel { by: Party::Person, reason: String::new() }),
        Just(Command::FuelRequestTimedOut),
        (0..200u64).prop_map(|used| Command::FuelLow { used }),
        Just(Command::Stalled { fuel: 1, quiet: Duration::from_secs(1) }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let usage = Usage::default();
    let grace = prop_oneof![Just(Duration::ZERO), Just(Duration::from_secs(1)), Just(Duration::from_secs(9))];
    prop_oneof![
        8 => control(),
        1 => Just(Command::Idle { usage }),
        1 => (0..3u8).prop_map(|number| Command::SendSignal { target: task(), key: key(number) }),
        1 => Just(create()),
        2 => Just(Command::Start),
        2 => progress(),
        4 => (0..3u8, any::<Option<bool>>()).prop_map(|(number, zero)| Command::Wait {
            keys: vec![key(number), key(0)],
            senders: Senders::default(),
            timeout: zero.map(|zero| Duration::from_secs(u64::from(!zero))),
        }),
        1 => (0..3u8).prop_map(|number| Command::Poll { key: key(number) }),
        1 => (0..5u64).prop_map(|wait| Command::WaitTimedOut { wait }),
        1 => (0..3u8).prop_map(|number| Command::CancelWait { key: (number > 0).then(|| key(number)) }),
        6 => (0..3u8, any::<Option<u16>>(), any::<bool>()).prop_map(|(number, payload, itself)| Command::Notify {
            key: key(number),
            signal: Signal::new(payload.map(|payload| json!(payload)), if itself { Party::Itself } else { Party::Host }),
        }),
        1 => any::<bool>().prop_map(|room| Command::MessageAgent { message: "m".into(), trigger: true, once: None, room }),
        1 => (0..4u64).prop_map(|number| Command::SettleMessage { number, how: Settlement::Acknowledged }),
        1 => Just(Command::Attach(Artifact {
            number: 1,
            name: "n".into(),
            media_type: "text/plain".into(),
            sha256: String::new(),
            size: 1,
        })),
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
            chance: 0.0,
        }),
    ]
}

/// A guest that is parked cannot call again, nor end by itself, until it is answered.
fn can_happen(state: &TaskState, command: &Command) -> bool {
    let guest_acts = matches!(
        command,
        Command::Progress { .. }
            | Command::Wait { .. }
            | Command::Poll { .. }
            | Command::MessageAgent { .. }
            | Command::SendSignal { .. }
            | Command::RequestFuel { .. }
            | Command::Panic { .. }
            | Command::CellEnded { .. }
    );
    let parked = state.parked.is_some();
    !guest_acts || (state.phase != Some(Phase::Queued) && !parked)
}

/// What somebody makes of a log who knows nothing but the log: each thing that begins has an end, and none comes twice.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a reader remembers")]
struct Reader {
    events: u64,
    started: bool,
    ended: bool,
    waits: u64,
    waiting: Option<Vec<SignalKey>>,
    asked_for_fuel: bool,
    paused: bool,
    kept: std::collections::HashMap<SignalKey, usize>,
    budget: u64,
    cancel: Option<CancelRequest>,
    panicked: bool,
    open_messages: std::collections::HashSet<u64>,
}

impl Reader {
    fn read(&mut self, event: &Event) {
        assert!(!self.ended, "nothing comes after the end");
        self.events += 1;
        assert_eq!(event.seq.0, self.events, "there is no gap");
        assert_eq!(matches!(event.body, EventBody::Created { .. }), self.events == 1, "created once, and first");
        let parked = self.waiting.is_some() || self.asked_for_fuel;
        match &event.body {
            EventBody::Created { limits, .. } => self.budget = limits.fuel,
            EventBody::AgentMessage { number, .. } => assert!(self.open_messages.insert(*number)),
            EventBody::MessageSettled { number, .. } => {
                assert!(self.open_messages.remove(number), "sent, and settled once");
            }
            EventBody::Started { .. } => assert!(!std::mem::replace(&mut self.started, true)),
            EventBody::WaitStarted { wait, keys, .. } => {
                assert!(!parked && self.cancel.is_none());
                self.waits += 1;
                assert_eq!(*wait, self.waits);
                self.waiting = Some(keys.clone());
            }
            EventBody::WaitEnded { wait, .. } => {
                assert!(self.waiting.take().is_some());
                assert_eq!(*wait, self.waits);
            }
            EventBody::SignalReceived { key, .. } => *self.kept.entry(key.clone()).or_default() += 1,
            EventBody::SignalTaken { key, .. } => {
                *self.kept.get_mut(key).filter(|kept| **kept > 0).unwrap() -= 1;
                self.waiting.take_if(|waiting| waiting.contains(key));
            }
            EventBody::Paused { .. } => {
                assert!(!std::mem::replace(&mut self.paused, true) && self.cancel.is_none());
            }
            EventBody::Resumed { .. } => assert!(std::mem::take(&mut self.paused)),
            EventBody::FuelRequested { .. } => {
                assert!(!parked && self.cancel.is_none());
                self.asked_for_fuel = true;
            }
            EventBody::FuelAdded { units, .. } => {
                assert!(*units > 0);
                self.budget += units;
                self.asked_for_fuel = false;
            }
            EventBody::FuelRefused { .. } | EventBody::FuelRequestEnded { .. } => {
                assert!(std::mem::take(&mut self.asked_for_fuel));
            }
            EventBody::BudgetLow { budget: Budget::Fuel, used, limit } => {
                assert!(*limit == self.budget && *used >= limit / 5 * 4);
            }
            EventBody::Stalled { .. } => assert!(self.started && !parked && !self.paused),
            EventBody::Panicked { .. } => assert!(!std::mem::replace(&mut self.panicked, true)),
            EventBody::CancelRequested(request) => {
                if let Some(first) = self.cancel.replace(request.clone()) {
                    assert!(first.grace > request.grace && first.by == request.by && first.reason == request.reason);
                }
            }
            EventBody::Finished { .. } => self.ended = true,
            EventBody::Progress { .. }
            | EventBody::SignalSent { .. }
            | EventBody::HostCalled { .. }
            | EventBody::ArtifactAttached(_) => {}
            EventBody::Due
            | EventBody::Updated { .. }
            | EventBody::AttemptEnded { .. }
            | EventBody::Instructed(_)
            | EventBody::InstructionTaken
            | EventBody::InstructionWaitStarted { .. }
            | EventBody::InstructionWaitEnded { .. }
            | EventBody::ApprovalRequested { .. }
            | EventBody::ApprovalRepeated { .. }
            | EventBody::ApprovalDecided { .. }
            | EventBody::UsageRecorded { .. }
            | EventBody::ChildStarted { .. }
            | EventBody::ChildEnded { .. }
            | EventBody::ChildWaitStarted { .. }
            | EventBody::ChildWaitEnded { .. }
            | EventBody::OnTerminalDone { .. }
            | EventBody::HookDone { .. }
            | EventBody::Detached { .. }
            | EventBody::Denied { .. }
            | EventBody::Revoked { .. }
            | EventBody::FolderRoomTaken { .. }
            | EventBody::DeliverySet { .. }
            | EventBody::Plan { .. }
            | EventBody::Schedule { .. }
            | EventBody::Schedules { .. }
            | EventBody::LateSignal { .. }
            | EventBody::BudgetLow { .. }
            | EventBody::HourUsedUp { .. }
            | EventBody::FuelRenewed { .. }
            | EventBody::DaemonGivenUp { .. } => panic!("nobody asked for it: {event:?}"),
        }
    }

    /// What holds whenever a decision has been folded in.
    fn agrees_with(&self, state: &TaskState) {
        assert_eq!((self.ended, self.budget), (state.phase == Some(Phase::Ended), state.fuel_budget));
        let parked = (state.waiting().map(|point| &point.keys), state.fuel_request().is_some());
        if self.ended {
            // Whoever was parked was answered by the end, and what was kept has nobody to take it.
            assert_eq!((parked, state.paused.is_some(), state.mailbox.count() == 0), ((None, false), false, true));
        } else {
            assert_eq!((parked, state.paused.is_some()), ((self.waiting.as_ref(), self.asked_for_fuel), self.paused));
            assert_eq!(self.kept.values().sum::<usize>(), state.mailbox.count() as usize);
            assert!(self.cancel.is_none() || (parked == (None, false) && !self.paused), "what shall stop can run");
        }
    }
}

/// Many more than usual: a case takes well under a millisecond.
fn many() -> ProptestConfig {
    ProptestConfig { cases: 2000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn r31_a_log_tells_a_whole_story(log_events in 1..60u64, commands in prop::collection::vec(any_command(), 0..60)) {
        let (mut state, mut reader) = (TaskState::default(), Reader::default());
        for command in std::iter::once(create_brief(log_events)).chain(commands) {
            if !can_happen(&state, &command) {
                continue;
            }
            let was_full = state.is_full();
            let decision = step(&state, command);
            let by_guest = decision.events.iter().any(EventBody::is_by_guest);
            // What is kept already may still be taken.
            let takes = decision.events.iter().any(|body| matches!(body, EventBody::SignalTaken { .. }));
            let panics = decision.events.iter().any(|body| matches!(body, EventBody::Panicked { .. }));
            prop_assert!(!was_full || !by_guest || takes || panics, "a full log is full: {:?}", decision);
            for body in decision.events {
                let event = Event::new(state.seq.next(), Timestamp(0), body);
                reader.read(&event);
                state.apply(&event);
            }
            reader.agrees_with(&state);
        }
    }

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
            let idle = matches!(command, Command::Idle { .. });
            let restarted = matches!(command, Command::Progress { restarted: true, .. });
            let decision = step(&state, command);
            for body in decision.events {
                let event = Event::new(state.seq.next(), Timestamp(0), body);
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
            prop_assert!(state.mailbox.bytes() <= 2 * 69 && state.mailbox.count() <= 3);
            let percent = |state: &TaskState| state.progress.as_ref().and_then(|progress| progress.percent);
            prop_assert!(restarted || percent(&state) >= percent(&before), "progress does not go back");
            prop_assert!(state.fuel_budget >= before.fuel_budget, "a budget never shrinks");
            prop_assert!(state.fuel_on_request <= 10, "the host gives no more by itself");
            prop_assert!(before.cancel.is_none() || !state.stands_still(), "what shall stop can run");
            prop_assert!(!idle || !before.idle_runs() || state.outcome.is_some());
            prop_assert!(!idle || before.idle_runs() || state == before, "silence that is not its own");
            // Whoever is parked has nothing to take: a signal for it would have woken it.
            let is_for = |point: &WaitPoint| state.mailbox.oldest(&point.keys, &point.senders).is_some();
            prop_assert!(!state.waiting().is_some_and(is_for));
        }
        let finished = log.iter().filter(|event| matches!(event.body, EventBody::Finished { .. })).count();
        prop_assert_eq!(finished, usize::from(state.phase == Some(Phase::Ended)));
        let low = |event: &Event| if let EventBody::BudgetLow { limit, .. } = event.body { Some(limit) } else { None };
        let lows: Vec<u64> = log.iter().filter_map(low).collect();
        prop_assert!(lows.is_sorted_by(|one, next| one < next), "each budget is told of once: {:?}", lows);
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
                let event = Event::new(state.seq.next(), Timestamp(0), body);
                let text = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Event>(&text).unwrap(), &event, "{}", text);
                state.apply(&event);
            }
        }
    }

    /// Nothing in the protocol lets a guest call twice at once; if one did, its first call would still be answered.
    #[test]
    fn r20_a_parked_task_is_not_parked_again(commands in prop::collection::vec(any_command(), 0..60)) {
        let mut state = TaskState::default();
        for command in [create(), Command::Start].into_iter().chain(commands) {
            let parked = state.parked.clone();
            let parks = matches!(command, Command::Wait { .. } | Command::RequestFuel { .. });
            let decision = step(&state, command);
            prop_assert!(!(parks && parked.is_some()) || decision.events.is_empty(), "{:?}", decision);
            for body in decision.events {
                let event = Event::new(state.seq.next(), Timestamp(0), body);
                state.apply(&event);
            }
        }
    }
}
