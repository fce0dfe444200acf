//! What becomes of a task whose host stopped, command by command.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling};
use super::command::{Answer, Command, HostFit};
use super::details::TaskDetails;
use super::event::{Event, EventBody};
use super::ids::{SignalKey, TaskId, TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::request::CancelRequest;
use super::retry::RetryPolicy;
use super::signal::{Instruction, Party, Senders, Signal};
use super::snapshot::{Phase, Usage};
use super::state::{ParkPoint, TaskState};
use super::time::Timestamp;

struct Task {
    state: TaskState,
    now: u64,
}

impl Task {
    fn new(details: TaskDetails) -> Self {
        let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("t").unwrap() };
        let mut new = Self { state: TaskState::default(), now: 1_000_000 };
        let (limits, details) = (Arc::default(), Arc::new(details));
        new.take(Command::Create { task: Arc::new(task), input: Arc::new(json!({})), limits, details, approval: None });
        new
    }

    /// One that runs.
    fn running(restartable: bool) -> Self {
        let mut new = Self::new(TaskDetails { restartable, ..TaskDetails::default() });
        new.take(Command::Start);
        new
    }

    fn take(&mut self, command: Command) -> Answer {
        let decision = step(&self.state, command);
        for event in self.state.numbered(Timestamp(self.now), decision.events) {
            self.state.apply(&event);
        }
        decision.answer
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += ms;
        self
    }

    fn restart(&mut self) -> Answer {
        let now = Timestamp(self.now);
        self.take(Command::HostRestarted { fit: HostFit::Whole, now })
    }

    fn lost(&self) -> Option<&str> {
        match self.state.outcome.as_deref() {
            Some(Outcome::Failed(failure)) if failure.kind == FailureKind::Lost => Some(&failure.message),
            Some(_) | None => None,
        }
    }
}

fn key(name: &str) -> SignalKey {
    SignalKey::new(name).unwrap()
}

fn signal(name: &str, payload: u32) -> Command {
    Command::Notify { key: key(name), signal: Signal::new(Some(json!(payload)), Party::Host) }
}

fn ask(summary: &str) -> Command {
    Command::RequestApproval(ApprovalAsk::new("deploy", "r", summary))
}

fn approve(number: u64) -> Command {
    let decision = ApprovalDecision::Approved { by: Party::Person, input: None };
    Command::DecideApproval { number: ApprovalNumber(number), decision, ruling: ApprovalRuling::AsTheTaskSays }
}

#[test]
fn r37_a_task_that_cannot_be_begun_again_is_lost_and_says_why() {
    let mut task = Task::running(false);
    task.restart();
    assert!(task.lost().unwrap().contains("not restartable"));
    let mut task = Task::new(TaskDetails::default());
    assert_eq!(task.restart(), Answer::Unchanged, "what has not begun waits on");
    let fit = HostFit::Unfit("its plugin has changed".to_owned());
    task.take(Command::HostRestarted { fit, now: Timestamp(0) });
    assert_eq!(task.lost(), Some("its plugin has changed"));
}

#[test]
fn r4e_a_task_without_its_plugin_stays_as_it_is_unless_it_was_asked_to_stop() {
    let without = || Command::HostRestarted { fit: HostFit::NoPlugin, now: Timestamp(0) };
    for mut task in [Task::running(true), Task::running(false), Task::new(TaskDetails::default())] {
        let before = task.state.clone();
        assert_eq!(task.take(without()), Answer::Unchanged);
        assert_eq!(task.state, before);
    }
    let mut task = Task::running(true);
    let request = CancelRequest::new(Party::Person, "enough");
    task.take(Command::Cancel { request, usage: Usage::default() });
    task.take(without());
    assert!(matches!(task.state.outcome.as_deref(), Some(Outcome::Cancelled { by: Party::Person, forced: true, .. })));
}

#[test]
fn r38_a_lost_attempt_is_no_try() {
    let failed = |task: &mut Task| {
        let end = GuestOutcome::Failed { message: "busy".into(), error: None, retryable: true };
        task.take(Command::CellEnded { end: CellEnd::Returned(end), usage: Usage::default(), chance: 0.0 });
    };
    let retry = RetryPolicy::attempts(2).backoff(Duration::from_secs(3), Duration::from_secs(9));
    let mut task = Task::new(TaskDetails { restartable: true, retry, ..TaskDetails::default() });
    for attempt in 1..=3 {
        task.take(Command::Start);
        assert_eq!((task.state.attempt, task.state.phase), (attempt, Some(Phase::Running)));
        if attempt < 3 {
            assert_eq!(task.restart(), Answer::Done);
            assert_eq!((task.state.phase, task.state.due), (Some(Phase::Queued), None), "at once");
        }
    }
    failed(&mut task);
    assert_eq!((task.state.phase, task.state.due), (Some(Phase::Delayed), Some(Timestamp(task.now + 3000))));
    assert_eq!(task.restart(), Answer::Unchanged, "it keeps its moment");
    task.take(Command::Due);
    task.take(Command::Start);
    failed(&mut task);
    assert_eq!(task.state.phase, Some(Phase::Ended));
}

#[test]
fn r22_what_a_lost_attempt_took_lies_there_again_in_order() {
    let mut task = Task::running(true);
    for (name, payload) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        task.take(signal(name, payload));
    }
    for text in ["one", "two", "three"] {
        task.take(Command::Instruct(Instruction { text: text.into(), by: Party::Person }));
    }
    for _ in 0..2 {
        // Each attempt takes what the one before has taken.
        for expected in [1, 3] {
            let Answer::Signal(_, taken) = task.take(Command::Poll { key: key("a") }) else { panic!("there is one") };
            assert_eq!(taken.payload, Some(json!(expected)));
        }
        for expected in ["one", "two"] {
            let Answer::Instruction(Some(said)) = task.take(Command::NextInstruction { timeout: None }) else {
                panic!("there is one")
            };
            assert_eq!(said.text, expected);
        }
        task.restart();
        task.take(Command::Start);
    }
    assert_eq!((task.state.mailbox.count(), task.state.instructions.len()), (4, 3));
    // What comes while it waits for that is handed over at once, and is there again too.
    let mut task = Task::running(true);
    task.take(Command::Wait { keys: vec![key("c")], senders: Senders::default(), timeout: None });
    task.take(signal("c", 5));
    assert_eq!(task.state.mailbox.count(), 0);
    task.restart();
    assert_eq!(task.state.mailbox.count(), 1);
}

#[test]
fn r26_a_question_is_asked_once_however_often_the_host_stops() {
    let mut task = Task::running(true);
    task.take(ask("first"));
    task.take(approve(1));
    task.take(ask("second"));
    for _ in 0..3 {
        task.restart();
        assert_eq!(task.state.parked, None);
        assert_eq!(task.state.questions().len(), 1, "it is open all the while");
        task.take(Command::Start);
        assert_eq!(task.take(ask("first")), Answer::Parked);
        assert_eq!(task.state.parked, None, "answered at once");
        assert_eq!(task.take(ask("second")), Answer::Parked);
        assert_eq!(task.state.parked, Some(ParkPoint::Approval(ApprovalNumber(2))));
    }
    assert_eq!(task.state.asked, 2);
    task.restart();
    // Decided while nobody waits for it.
    task.take(approve(2));
    task.take(Command::Start);
    task.take(ask("second"));
    assert_eq!(task.state.parked, None);
    task.take(ask("second"));
    assert_eq!(task.state.parked, Some(ParkPoint::Approval(ApprovalNumber(3))), "each answer once");
}

#[test]
fn r26_a_decision_about_an_older_question_does_not_answer_another() {
    let mut task = Task::running(true);
    task.take(ask("first"));
    task.restart();
    task.take(Command::Start);
    task.take(ask("other"));
    task.take(approve(1));
    assert_eq!(task.state.parked, Some(ParkPoint::Approval(ApprovalNumber(2))));
    task.take(approve(2));
    assert_eq!(task.state.parked, None);
    task.take(ask("first"));
    assert_eq!((task.state.parked.as_ref(), task.state.asked), (None, 2), "it was decided meanwhile");
}

#[test]
fn r33_a_task_that_was_asked_to_stop_has_stopped_by_force() {
    let mut task = Task::running(true);
    let request = CancelRequest::new(Party::Person, "enough");
    task.take(Command::Cancel { request, usage: Usage::default() });
    task.restart();
    let expected = |outcome: &Outcome| matches!(outcome, Outcome::Cancelled { by: Party::Person, reason, forced: true, begun: true, .. } if reason == "enough");
    assert!(task.state.outcome.as_deref().is_some_and(expected));
}

#[test]
fn r37_a_task_that_may_be_what_stops_its_host_is_given_up() {
    let mut task = Task::running(true);
    for _ in 0..10 {
        task.after(59_000).restart();
        task.take(Command::Start);
    }
    // A quiet time, and it counts anew.
    for _ in 0..10 {
        task.after(61_000).restart();
        task.take(Command::Start);
    }
    for _ in 0..9 {
        task.restart();
        task.take(Command::Start);
    }
    assert_eq!(task.lost(), None);
    task.restart();
    assert!(task.lost().unwrap().contains("11 times"));
}

#[test]
fn r33_the_deadline_counts_what_it_ran_and_not_what_no_host_did() {
    let mut task = Task::running(true);
    task.after(5000).take(Command::Progress {
        message: "on".into(),
        percent: None,
        restarted: false,
        merged: 0,
        last: false,
    });
    task.after(100_000).restart();
    assert_eq!((task.state.traces.ran_ms, task.state.usage.wall), (5000, Duration::from_secs(5)));
    task.after(3000).take(Command::Start);
    task.after(2000).take(Command::Pause { by: Party::Person, reason: String::new() });
    task.after(50_000).take(Command::Resume { by: Party::Person });
    task.after(1000).take(signal("a", 1));
    assert_eq!(task.state.traces.ran_ms, 8000);
}

#[test]
fn r33_no_pause_counts_for_longer_than_a_task_is_silent() {
    let mut task = Task::running(true);
    task.after(365 * 86_400_000).take(signal("a", 1));
    assert_eq!((task.state.traces.ran_ms, task.state.traces.wall_ms), (3_600_000, 3_600_000));
}

#[test]
fn r40_fuel_is_known_as_far_as_events_say() {
    let mut task = Task::running(true);
    let child = TaskId::from_random(7);
    let of = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(child) };
    let fuel = Limits::default().fuel;
    task.take(Command::FuelLow { used: fuel - 10 });
    task.take(Command::StartChild { child, task: of, fuel: 8, detached: false });
    let outcome = super::children::ChildOutcome::Succeeded;
    task.take(Command::ChildEnded { child, outcome, fuel: 3 });
    task.restart();
    assert_eq!(task.state.usage.fuel, fuel - 10 + 3);
}

#[test]
fn r40_fuel_that_came_back_from_a_child_stays_after_another_restart() {
    let mut task = Task::running(true);
    let child = TaskId::from_random(7);
    let of = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(child) };
    task.take(Command::StartChild { child, task: of, fuel: 8, detached: false });
    task.restart();
    assert_eq!(task.state.known_usage().fuel, 8);
    let outcome = super::children::ChildOutcome::Succeeded;
    task.take(Command::ChildEnded { child, outcome, fuel: 3 });
    task.take(Command::Start);
    task.restart();
    assert_eq!(task.state.known_usage().fuel, 3);
}

#[test]
fn r65_whoever_waited_for_a_planner_holds_nobody_up_after_a_restart() {
    use super::command::PlanCommand;
    let mut task = Task::new(TaskDetails { planner: Some("p".into()), ..TaskDetails::default() });
    let ask = || PlanCommand::AskPlanner { reason: String::new(), by: Party::Person, first: false };
    assert_eq!(task.take(Command::Plan(ask())), Answer::Done);
    assert!(matches!(task.take(Command::Plan(ask())), Answer::PlanRefused(_)));
    assert_eq!(task.restart(), Answer::Done);
    assert_eq!(task.take(Command::Plan(ask())), Answer::Done);
}

#[test]
fn r37_a_loss_is_written_down_in_words() {
    let failure = Failure::new(FailureKind::Lost, "m");
    let body =
        EventBody::AttemptEnded { attempt: 1, failure: failure.into(), usage: Usage::default(), pause: Duration::ZERO };
    let event = Event::new(super::event::EventSeq(1), Timestamp(0), body);
    let text = serde_json::to_string(&event).unwrap();
    assert!(text.contains(r#""kind":"lost""#), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}

#[test]
fn r4a_a_task_that_was_written_down_before_restarts_were_known_is_not_begun_again() {
    let mut details = serde_json::to_value(TaskDetails { restartable: true, ..TaskDetails::default() }).unwrap();
    assert_eq!(details.as_object_mut().unwrap().remove("restartable"), Some(json!(true)));
    assert!(!serde_json::from_value::<TaskDetails>(details).unwrap().restartable);
}
