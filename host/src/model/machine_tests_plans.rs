//! A task's plan: set, gone through, set anew, and settled by the task's end.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::command::{Answer, Command, PlanCommand};
use super::details::TaskDetails;
use super::event::{Event, EventBody};
use super::ids::{TaskKey, TaskRef};
use super::limits::Limits;
use super::machine::step;
use super::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use super::plan::{ActionId, Plan, PlanError, PlanEvent, PlanStep, StepStatus};
use super::request::CancelRequest;
use super::retry::RetryPolicy;
use super::signal::Party;
use super::snapshot::{Phase, Usage};
use super::state::TaskState;
use super::time::Timestamp;

/// A task with its log.
struct Task {
    state: TaskState,
    log: Vec<Event>,
}

impl Task {
    fn new(details: TaskDetails) -> Self {
        Self::within(details, &Limits::default())
    }

    fn within(details: TaskDetails, limits: &Limits) -> Self {
        let mut task = Self { state: TaskState::default(), log: Vec::new() };
        let name = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new("k").unwrap() };
        let (limits, details) = (Arc::new(*limits), Arc::new(details));
        task.takes(Command::Create {
            task: Arc::new(name),
            input: Arc::new(json!({})),
            limits,
            details,
            approval: None,
        });
        task
    }

    fn takes(&mut self, command: Command) -> Answer {
        let decision = step(&self.state, command);
        for event in self.state.numbered(Timestamp(0), decision.events) {
            let before = self.state.action();
            self.state.apply(&event);
            assert_eq!(event.action, before.or(self.state.action()), "it carries the action of its step: {event:?}");
            self.log.push(event);
        }
        decision.answer
    }

    fn set(&mut self, plan: Plan) -> Answer {
        self.takes(Command::Plan(PlanCommand::Set { plan: Ok(Box::new(plan)), expected: None, by: Party::Itself }))
    }

    fn advances(&mut self, note: &str) -> Answer {
        let (note, usage) = (Some(note.to_owned()), Usage::default());
        self.takes(Command::Plan(PlanCommand::Advance { note, by: Party::Itself, usage }))
    }

    fn finishes(&mut self, status: StepStatus) -> Answer {
        self.takes(Command::Plan(PlanCommand::FinishStep { status, note: None, by: Party::Itself }))
    }

    fn ends(&mut self, end: CellEnd) -> Answer {
        self.takes(Command::CellEnded { end, usage: Usage::default(), chance: 0.0 })
    }

    /// Each step with where it is: `a+ b> c` for completed, current and pending; `!`, `-` and `x` for the others.
    fn shows(&self) -> String {
        shown(self.state.plan.as_ref().unwrap())
    }

    fn note(&self, step: usize) -> &str {
        self.state.plan.as_ref().unwrap().steps[step].note.as_deref().unwrap_or_default()
    }

    fn failure(&self) -> &Failure {
        match self.state.outcome.as_deref() {
            Some(Outcome::Failed(failure)) => failure,
            other => panic!("it has not failed: {other:?}"),
        }
    }
}

fn shown(plan: &Plan) -> String {
    let mark = |step: &PlanStep| match step.status {
        StepStatus::Pending => "",
        StepStatus::Current => ">",
        StepStatus::Completed => "+",
        StepStatus::Failed => "!",
        StepStatus::Skipped => "-",
        StepStatus::Cancelled => "x",
    };
    plan.steps.iter().map(|step| format!("{}{}", step.name, mark(step))).collect::<Vec<_>>().join(" ")
}

fn plan(names: &str) -> Plan {
    names.split_whitespace().fold(Plan::new("g"), |plan, name| plan.step(PlanStep::new(name)))
}

fn running(names: &str) -> Task {
    let mut task = Task::new(TaskDetails::default());
    task.takes(Command::Start);
    assert_eq!(task.set(plan(names)), Answer::Done);
    task
}

fn succeeded() -> CellEnd {
    CellEnd::Returned(GuestOutcome::Succeeded { message: "done".into(), data: None })
}

#[test]
fn r60_the_first_pending_step_becomes_the_current_one_when_the_task_runs() {
    let mut task = Task::new(TaskDetails::default());
    assert_eq!(task.set(plan("a b c")), Answer::Done);
    assert_eq!(task.shows(), "a b c");
    task.takes(Command::Start);
    assert_eq!(task.shows(), "a> b c");
    assert_eq!(task.advances("made"), Answer::Done);
    assert_eq!((task.shows().as_str(), task.note(0)), ("a+ b> c", "made"));
    assert_eq!(task.advances(""), Answer::Done);
    assert_eq!(task.advances(""), Answer::Done);
    assert_eq!(task.shows(), "a+ b+ c+");
    assert!(task.state.plan.as_ref().unwrap().is_done());
    assert_eq!(task.advances(""), Answer::Unchanged, "there is nothing left to go on to");
}

#[test]
fn r61_a_step_ends_as_somebody_says_and_the_next_begins_with_the_next_advance() {
    let mut task = running("a b");
    for status in [StepStatus::Pending, StepStatus::Current] {
        assert_eq!(task.finishes(status), Answer::PlanRefused(PlanError::NotAnEnd(status)));
    }
    assert_eq!(task.finishes(StepStatus::Skipped), Answer::Done);
    assert_eq!(task.shows(), "a- b");
    assert_eq!(task.finishes(StepStatus::Failed), Answer::PlanRefused(PlanError::NoCurrent));
    assert_eq!(task.advances("this ends no step"), Answer::Done);
    assert_eq!((task.shows().as_str(), task.note(0)), ("a- b>", ""));
    let mut bare = Task::new(TaskDetails::default());
    assert_eq!(bare.advances(""), Answer::PlanRefused(PlanError::NoPlan));
    bare.set(plan("a"));
    assert_eq!(bare.advances(""), Answer::PlanRefused(PlanError::NotRunning));
}

#[test]
fn r61_a_new_plan_keeps_what_is_done_and_goes_on_with_the_rest() {
    let mut task = running("a b c d");
    task.advances("");
    task.finishes(StepStatus::Skipped);
    task.advances("");
    assert_eq!(task.shows(), "a+ b- c> d");
    let action = task.state.plan.as_ref().unwrap().current().unwrap().action_id;
    assert_eq!(task.set(plan("e c a")), Answer::Done);
    assert_eq!(task.shows(), "a+ b- e c>", "the step that it is at stays the current one");
    assert_eq!(task.state.plan.as_ref().unwrap().current().unwrap().action_id, action);
    assert_eq!(task.set(plan("b f")), Answer::Done);
    assert_eq!(task.shows(), "a+ b> f", "what was skipped and is named again is done after all");
    let cancelled = |event: &Event| {
        matches!(&event.body, EventBody::Plan { change: PlanEvent::StepFinished { name, status: StepStatus::Cancelled, .. } }
            if name == "c")
    };
    assert!(task.log.iter().any(cancelled), "a step that is not in the next plan is over");
    task.finishes(StepStatus::Failed);
    assert_eq!(task.set(plan("b")), Answer::Done);
    assert_eq!(task.shows(), "a+ b>", "what failed is tried again when it is named again");
}

#[test]
fn r61_whoever_believes_in_another_revision_changes_nothing() {
    let mut task = Task::new(TaskDetails::default());
    task.takes(Command::Start);
    let set = |expected| {
        Command::Plan(PlanCommand::Set { plan: Ok(Box::new(plan("a b"))), expected: Some(expected), by: Party::Host })
    };
    assert_eq!(task.takes(set(1)), Answer::PlanRefused(PlanError::Stale { expected: 1, is: 0 }));
    assert_eq!(task.takes(set(0)), Answer::Done);
    task.advances("");
    assert_eq!(task.takes(set(1)), Answer::PlanRefused(PlanError::Stale { expected: 1, is: 4 }));
    assert_eq!(task.takes(set(4)), Answer::Done);
    assert_eq!((task.shows().as_str(), task.state.plan.as_ref().unwrap().revision), ("a+ b>", 5));
    // A step that begins is a change, whatever began it.
    let mut waits = Task::new(TaskDetails::default());
    waits.set(plan("a"));
    waits.takes(Command::Start);
    assert_eq!(waits.takes(set(1)), Answer::PlanRefused(PlanError::Stale { expected: 1, is: 2 }));
}

#[test]
fn r62_no_next_step_while_some_are_not_done_fails_the_task() {
    let mut task = running("a b");
    task.finishes(StepStatus::Failed);
    task.advances("");
    assert_eq!(task.shows(), "a! b>");
    task.advances("");
    let failure = task.failure();
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Plan, false));
    assert!(failure.message.contains("1 of 2 steps are not: \"a\" (failed)"), "{}", failure.message);
    assert_eq!(failure.error, Some(json!({"unfinished": ["a"]})));
    assert_eq!(task.shows(), "a! b+");
}

#[test]
fn r62_a_bad_plan_is_an_event_and_an_error_and_the_task_goes_on() {
    let mut task = running("a b");
    let two = PlanStep { status: StepStatus::Current, ..PlanStep::new("c") };
    let other = PlanStep { name: "d".into(), ..two.clone() };
    let long = "x".repeat(5000);
    let bad = [
        (Plan::new(""), PlanError::NoSteps),
        (plan("c c"), PlanError::SameName { name: "c".into() }),
        (Plan::new("").step(two).step(other), PlanError::TwoCurrent),
        (Plan::new("").step(PlanStep::new("a\nb")), PlanError::Name { step: 1 }),
        (plan("c").step(PlanStep::new("")), PlanError::Name { step: 2 }),
        (Plan::new(long.clone()).step(PlanStep::new("c")), PlanError::Text { what: "goal", bytes: 5000 }),
        (Plan::new("").step(PlanStep::new("c").action(long)), PlanError::Text { what: "action", bytes: 5000 }),
        (
            (0..257).fold(Plan::new(""), |plan, step| plan.step(PlanStep::new(step.to_string()))),
            PlanError::TooManySteps { steps: 257 },
        ),
    ];
    for (plan, error) in bad {
        let before = task.state.plan.clone();
        assert_eq!(task.set(plan), Answer::PlanRefused(error.clone()));
        assert_eq!(task.state.plan, before, "nothing changes");
        let Some(Event { body: EventBody::Plan { change: PlanEvent::Refused { by, why } }, .. }) = task.log.last()
        else {
            panic!("{error} is an event");
        };
        assert_eq!((*by, why), (Party::Itself, &error.to_string()));
    }
    // What is done already counts too.
    let many = (0..256).fold(Plan::new(""), |plan, step| plan.step(PlanStep::new(step.to_string())));
    task.advances("");
    assert_eq!(task.set(many), Answer::PlanRefused(PlanError::TooManySteps { steps: 257 }));
    assert_eq!(task.advances(""), Answer::Done, "it is not stuck");
    let texts = (0..200)
        .fold(Plan::new(""), |plan, step| plan.step(PlanStep::new(step.to_string()).description("x".repeat(2000))));
    assert!(matches!(texts.check(), Err(PlanError::TooLarge { bytes: 400_000.. })));
}

#[test]
fn f29_a_success_says_which_steps_were_never_done() {
    let mut task = running("a b c");
    task.advances("");
    task.ends(succeeded());
    assert!(matches!(task.state.outcome.as_deref(), Some(Outcome::Succeeded { .. })), "its plan is not enforced");
    assert_eq!(task.shows(), "a+ b- c-");
    assert_eq!(
        (task.note(0), task.note(1), task.note(2)),
        ("", "the task succeeded without it", "the task succeeded without it")
    );
    assert_eq!(task.state.plan.as_ref().unwrap().completed(), 1);
    assert_eq!(task.advances(""), Answer::PlanRefused(PlanError::Ended));
}

#[test]
fn r62_the_end_of_a_task_settles_its_steps_with_the_reason() {
    let mut failed = running("a b c");
    failed.advances("");
    failed.ends(CellEnd::Failed(Failure::new(FailureKind::Trap, "unreachable")));
    assert_eq!(failed.shows(), "a+ b! cx");
    assert_eq!(failed.note(1), "the task failed (trap): unreachable");
    assert_eq!(failed.note(2), failed.note(1));

    let mut cancelled = running("a b");
    let request = CancelRequest::force(Party::Person, "no longer needed");
    cancelled.takes(Command::Cancel { request, usage: Usage::default() });
    assert_eq!(cancelled.shows(), "ax bx");
    assert_eq!(cancelled.note(0), "the task was cancelled by a person: no longer needed");
    assert!(matches!(cancelled.log.last().unwrap().body, EventBody::Finished { .. }), "the end comes last");

    let mut waiting = Task::new(TaskDetails::default());
    waiting.set(plan("a"));
    waiting.takes(Command::Cancel { request: CancelRequest::new(Party::Agent, ""), usage: Usage::default() });
    assert_eq!((waiting.shows().as_str(), waiting.note(0)), ("ax", "the task was cancelled by the agent"));

    let mut timed_out = running("a");
    timed_out.takes(Command::DeadlineReached { usage: Usage::default() });
    assert_eq!(timed_out.shows(), "a!");
}

fn enforced(attempts: u32) -> Task {
    let details = TaskDetails { enforce_plan: true, retry: RetryPolicy::attempts(attempts), ..TaskDetails::default() };
    let mut task = Task::new(details);
    task.set(plan("a b c"));
    task.takes(Command::Start);
    task
}

#[test]
fn r63_a_success_before_an_enforced_plan_is_done_is_a_failure_that_is_tried_again() {
    let mut task = enforced(2);
    task.advances("");
    task.finishes(StepStatus::Failed);
    task.ends(succeeded());
    let Some(Event { body: EventBody::AttemptEnded { failure, .. }, .. }) = task.log.last() else {
        panic!("the attempt has ended: {:?}", task.log.last());
    };
    assert_eq!((failure.kind, failure.retryable), (FailureKind::Plan, true));
    assert!(failure.message.contains("2 of 3 steps are not: \"b\" (failed), \"c\" (pending)"), "{}", failure.message);
    assert_eq!(task.shows(), "a+ b c", "what is done stays");
    task.takes(Command::Due);
    task.takes(Command::Start);
    assert_eq!(task.shows(), "a+ b> c");
    assert_eq!(task.state.plan.as_ref().unwrap().current().unwrap().action_id, Some(ActionId(3)));
    task.ends(succeeded());
    assert_eq!((task.failure().kind, task.shows().as_str()), (FailureKind::Plan, "a+ b! cx"));
}

#[test]
fn r63_an_enforced_plan_that_is_done_stands_in_nobodys_way() {
    let mut task = enforced(1);
    task.advances("");
    task.finishes(StepStatus::Skipped);
    task.advances("");
    task.advances("");
    assert_eq!(task.shows(), "a+ b- c+");
    task.ends(succeeded());
    assert!(matches!(task.state.outcome.as_deref(), Some(Outcome::Succeeded { .. })));
    // Whoever was asked to stop is cancelled, and has not failed.
    let mut asked = enforced(2);
    asked.takes(Command::Cancel { request: CancelRequest::new(Party::Person, "enough"), usage: Usage::default() });
    asked.ends(succeeded());
    assert!(matches!(asked.state.outcome.as_deref(), Some(Outcome::Cancelled { forced: false, .. })));
    assert_eq!(asked.shows(), "ax bx cx");
}

#[test]
fn r64_the_events_of_a_step_carry_its_action() {
    let mut task = running("a b");
    let report = || Command::Progress { message: "m".into(), percent: None, restarted: false, merged: 0, last: false };
    task.takes(report());
    task.finishes(StepStatus::Failed);
    task.takes(report());
    task.advances("");
    task.takes(report());
    task.takes(Command::DeadlineReached { usage: Usage::default() });
    let actions: Vec<Option<u64>> = task.log.iter().map(|event| event.action.map(|action| action.0)).collect();
    let (none, one, two) = (None, Some(1), Some(2));
    // Created, started, set; a begins, is reported of, ends; a report; b begins, is reported of, ends; the end.
    assert_eq!(actions, [none, none, none, one, one, one, none, two, two, two, none]);
    let text = serde_json::to_value(&task.log).unwrap();
    assert_eq!((text[0].get("action"), &text[3]["action"]), (None, &json!(1)));
    assert_eq!(serde_json::from_value::<Vec<Event>>(text).unwrap(), task.log);
}

#[test]
fn r60_a_plan_counts_against_the_log_of_whoever_sets_it() {
    let limits = Limits { log_events: 4, ..Limits::default() };
    let mut task = Task::within(TaskDetails::default(), &limits);
    task.takes(Command::Start);
    for _ in 0..4 {
        assert_eq!(task.set(plan("a b")), Answer::Done);
    }
    for answer in [task.set(plan("c")), task.advances(""), task.finishes(StepStatus::Failed)] {
        assert_eq!(answer, Answer::PlanRefused(PlanError::LogFull));
    }
    let person = PlanCommand::Advance { note: None, by: Party::Person, usage: Usage::default() };
    assert_eq!(task.takes(Command::Plan(person)), Answer::Done, "others have room of their own");
    let large = Limits { log_bytes: 3000, ..Limits::default() };
    let mut task = Task::within(TaskDetails::default(), &large);
    let long = || Plan::new("x".repeat(2000)).step(PlanStep::new("a"));
    assert_eq!((task.set(long()), task.set(long())), (Answer::Done, Answer::Done));
    assert_eq!(task.set(long()), Answer::PlanRefused(PlanError::LogFull), "its texts count");
    let small = Limits { log_bytes: 100_000, ..Limits::default() };
    let mut task = Task::within(TaskDetails::default(), &small);
    let many = || (0..256).fold(Plan::new(""), |plan, step| plan.step(PlanStep::new(step.to_string())));
    let sets = (0..100).take_while(|_| task.set(many()) == Answer::Done).count();
    assert!(sets < 10, "its steps count, however little they say: {sets}");
}

#[test]
fn r60_a_plan_crosses_as_a_document_with_a_version() {
    let mut task = running("a b");
    task.advances("made");
    let plan = task.state.plan.unwrap();
    let document = plan.to_json();
    assert_eq!(
        document,
        json!({
            "version": 1, "goal": "g", "revision": 4,
            "steps": [
                {"name": "a", "status": "completed", "note": "made", "action_id": 1},
                {"name": "b", "status": "current", "action_id": 2},
            ],
        })
    );
    assert_eq!(Plan::from_json(document).unwrap(), *plan);
    for (document, said) in [
        (json!([]), "it is not a JSON object"),
        (json!({"version": 2, "steps": [{"name": "a"}]}), "its version is not 1"),
        (json!({"steps": [{"name": "a", "staus": "pending"}]}), "unknown field `staus`"),
        (json!({"steps": [{"name": "a", "status": "done"}]}), "unknown variant `done`"),
    ] {
        let error = Plan::from_json(document).unwrap_err();
        assert!(matches!(&error, PlanError::NotAPlan(why) if why.contains(said)), "{error}");
    }
    assert_eq!(Plan::from_json(json!({"steps": []})), Err(PlanError::NoSteps));
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let status = prop_oneof![
        6 => Just(StepStatus::Pending),
        1 => Just(StepStatus::Current),
        1 => Just(StepStatus::Completed),
        1 => Just(StepStatus::Failed),
        1 => Just(StepStatus::Skipped),
        1 => Just(StepStatus::Cancelled),
    ];
    let step = (0..6u8, status).prop_map(|(name, status)| PlanStep { status, ..PlanStep::new(name.to_string()) });
    prop::collection::vec(step, 0..5).prop_map(|steps| Plan { steps, ..Plan::new("g") })
}

fn any_command() -> impl Strategy<Value = Command> {
    let by = || prop_oneof![3 => Just(Party::Itself), 1 => Just(Party::Host), 1 => Just(Party::Person)];
    let status = prop_oneof![
        Just(StepStatus::Completed),
        Just(StepStatus::Failed),
        Just(StepStatus::Skipped),
        Just(StepStatus::Cancelled),
        Just(StepStatus::Pending),
    ];
    let usage = Usage::default();
    let set = (any_plan(), prop::option::weighted(0.2, 0..6u64), by());
    let broken = || Failure { retryable: true, ..Failure::new(FailureKind::Guest, "no") };
    prop_oneof![
        4 => set.prop_map(|(plan, expected, by)| PlanCommand::Set { plan: Ok(Box::new(plan)), expected, by }).prop_map(Command::Plan),
        6 => by().prop_map(move |by| Command::Plan(PlanCommand::Advance { note: None, by, usage })),
        4 => (status, by()).prop_map(|(status, by)| Command::Plan(PlanCommand::FinishStep { status, note: None, by })),
        3 => Just(Command::Start),
        3 => Just(Command::Due),
        2 => Just(Command::CellEnded { end: CellEnd::Failed(broken()), usage, chance: 0.0 }),
        1 => Just(Command::CellEnded { end: succeeded(), usage, chance: 0.0 }),
        1 => Just(Command::Cancel { request: CancelRequest::new(Party::Person, ""), usage }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn r60_whatever_happens_a_plan_is_whole(
        enforce_plan in any::<bool>(),
        commands in prop::collection::vec(any_command(), 0..40),
    ) {
        let details = TaskDetails { enforce_plan, retry: RetryPolicy::attempts(9), ..TaskDetails::default() };
        let mut task = Task::new(details);
        for command in commands {
            let runs = task.state.phase == Some(Phase::Running);
            if matches!(command, Command::CellEnded { .. }) && !runs {
                continue;
            }
            let before = task.state.clone();
            let refused = matches!(task.takes(command), Answer::PlanRefused(_));
            let (old, Some(new)) = (before.plan.clone().unwrap_or_default(), &task.state.plan) else { continue };
            prop_assert_eq!(new.check(), Ok(()), "it has one current step at most");
            prop_assert!(new.revision >= old.revision, "a revision never goes back");
            prop_assert!(old == *new || old.revision < new.revision, "no change without a revision");
            prop_assert!(!refused || old == *new, "what is refused changes nothing");
            prop_assert!(before.outcome.is_none() || old == *new, "nothing changes after the end");
            let ran = before.phase != Some(Phase::Running) && task.state.phase == Some(Phase::Running);
            prop_assert!(!ran || new.current().is_some() || new.next_place().is_none(), "it begins with the first");
            prop_assert!(task.state.phase == Some(Phase::Running) || new.current().is_none(), "only who runs is at a step");
            let completed = |plan: &Plan| -> Vec<String> {
                let steps = plan.steps.iter().filter(|step| step.status == StepStatus::Completed);
                steps.map(|step| step.name.clone()).collect()
            };
            let now = completed(new);
            prop_assert!(completed(&old).iter().all(|name| now.contains(name)), "what is done stays: {} {}", shown(&old), shown(new));
            if task.state.outcome.is_some() {
                prop_assert!(new.steps.iter().all(|step| step.status.is_over()), "no step is left open: {}", shown(new));
                prop_assert!(new.steps.iter().all(|step| step.status == StepStatus::Completed || before.outcome.is_some()
                    || old.steps.contains(step) || step.note.is_some()), "each is told why");
            }
            if let Some(Outcome::Succeeded { .. }) = task.state.outcome.as_deref() {
                prop_assert!(!enforce_plan || old.is_done(), "an enforced plan is done: {}", shown(&old));
            }
        }
        let numbers = task.log.iter().filter_map(|event| {
            if let EventBody::Plan { change: PlanEvent::StepStarted { action, .. } } = &event.body {
                Some(action.0)
            } else {
                None
            }
        });
        prop_assert!(numbers.eq(1..=task.state.plan_actions), "each action has a number of its own");
        let folded = task.log.iter().fold(TaskState::default(), |mut state, event| { state.apply(event); state });
        prop_assert_eq!(folded, task.state, "the log alone gives the state");
    }
}
