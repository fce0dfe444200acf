//! Plans: with a real guest.

use std::time::Duration;

use serde_json::{Value, json};
use taskcell::{
    EventBody, FailureKind, Host, Outcome, Party, Plan, PlanEvent, PlanStep, Plugin, RetryPolicy, SignalKey, StepStatus,
};

use crate::support::task::{data, events, failed, outcome, parked, start, start_as};
use crate::support::{builder, fixture, request, with_fixture, within};

fn names(names: &[&str]) -> Plan {
    names.iter().fold(Plan::new("g"), |plan, name| plan.step(PlanStep::new(*name)))
}

fn steps(names: &[&str]) -> Value {
    json!({ "steps": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() })
}

fn words(plan: &Plan) -> Vec<(&str, &str)> {
    plan.steps.iter().map(|step| (step.name.as_str(), step.status.word())).collect()
}

#[tokio::test]
async fn r61_a_guest_makes_a_plan_and_goes_through_it() {
    let (host, _) = fixture().await;
    let acts = json!({ "acts": [
        "look",
        { "set": [steps(&["a", "b", "c"]), 0] },
        { "report": "at a" },
        { "advance": "made" },
        { "finish": ["skipped", null] },
        { "finish": ["failed", null] },
        { "set": [steps(&["d", "b", "a"]), 9] },
        { "set": [steps(&["d", "b", "a"]), 5] },
        { "set": [steps(&["e", "e"]), null] },
        { "finish": ["pending", null] },
        { "advance": null },
        { "replan": ["why not", null] },
        { "advance": null },
        "look",
    ] });
    let task = start(&host, "plan", acts).await;
    let seen = data(outcome(&task).await);
    let expected = [
        "none",
        "a> b c",
        "reported",
        "a+ b> c",
        "a+ b- c",
        "not-found",
        "conflict",
        "a+ d> b",
        "invalid-argument",
        "invalid-argument",
        "a+ d+ b>",
        "not-found",
        "a+ d+ b+",
        "a+ d+ b+",
    ];
    assert_eq!(seen, json!(expected));
    let plan = task.plan().unwrap();
    assert!(plan.is_done());
    assert_eq!((plan.steps[0].note.as_deref(), plan.completed()), (Some("made"), 3));
    let log = events(&task).await;
    let refused =
        |body: &EventBody| matches!(body, EventBody::Plan { change: PlanEvent::Refused { by: Party::Itself, .. }, .. });
    assert_eq!(log.iter().filter(|event| refused(&event.body)).count(), 1, "a bad plan is an event");
    let report = log.iter().find(|event| matches!(event.body, EventBody::Progress { .. })).unwrap();
    assert_eq!(report.action, plan.steps[0].action_id, "what happens in a step carries its action");
}

#[tokio::test]
async fn r62_no_next_step_while_one_is_not_done_ends_the_task() {
    let (host, _) = fixture().await;
    let acts = json!({ "acts": [
        { "set": [steps(&["a", "b"]), null] },
        { "finish": ["failed", "no disk"] },
        { "advance": null },
        { "advance": null },
        { "report": "never" },
    ] });
    let task = start(&host, "plan", acts).await;
    let failure = failed(outcome(&task).await, FailureKind::Plan);
    assert!(failure.message.contains("\"a\" (failed)"), "{}", failure.message);
    assert_eq!(words(&task.plan().unwrap()), [("a", "failed"), ("b", "completed")]);
}

#[tokio::test]
async fn f29_a_plan_that_was_never_done_is_not_reported_as_completed() {
    let (host, _) = fixture().await;
    let acts = json!({ "acts": [{ "advance": null }] });
    let task = start_as(&host, request("plan", acts.clone()).plan(names(&["a", "b", "c"]))).await;
    assert!(matches!(outcome(&task).await, Outcome::Succeeded { .. }));
    let plan = task.plan().unwrap();
    assert_eq!(words(&plan), [("a", "completed"), ("b", "skipped"), ("c", "skipped")]);
    assert_eq!(plan.steps[2].note.as_deref(), Some("the task succeeded without it"));
    let task = start_as(&host, request("plan", acts).plan(names(&["a", "b", "c"])).enforce_plan()).await;
    failed(outcome(&task).await, FailureKind::Plan);
    assert_eq!(words(&task.plan().unwrap()), [("a", "completed"), ("b", "failed"), ("c", "cancelled")]);
}

#[tokio::test]
async fn r63_a_success_before_the_plan_is_done_is_tried_again_at_the_first_step_that_is_not() {
    let (host, _) = fixture().await;
    let again = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let acts = json!({ "acts": ["look", { "advance": null }] });
    let task = start_as(&host, request("plan", acts).plan(names(&["a", "b"])).enforce_plan().retry(again)).await;
    assert_eq!(data(outcome(&task).await), json!(["a+ b>", "a+ b+"]), "the second attempt goes on");
    assert_eq!((task.state().attempt, task.plan().unwrap().is_done()), (2, true));
    let why = events(&task).await.into_iter().find_map(|event| match event.body {
        EventBody::AttemptEnded { failure, .. } => Some(failure.kind),
        _ => None,
    });
    assert_eq!(why, Some(FailureKind::Plan));
}

#[tokio::test]
async fn r64_the_events_of_a_step_carry_its_action_and_each_says_what_happened() {
    let (host, _) = fixture().await;
    let acts =
        json!({ "acts": [{ "report": "at a" }, { "advance": null }, { "report": "at b" }, { "advance": null }] });
    let task = start_as(&host, request("plan", acts).plan(names(&["a", "b"]))).await;
    outcome(&task).await;
    let log = events(&task).await;
    let reports: Vec<_> = log
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::Progress { message, .. } => Some((message.as_str(), event.action)),
            _ => None,
        })
        .collect();
    let steps = task.plan().unwrap().steps;
    assert_eq!(reports, [("at a", steps[0].action_id), ("at b", steps[1].action_id)]);
    assert!(steps[0].action_id.is_some() && steps[0].action_id != steps[1].action_id);
    for event in &log {
        let message = event.display_message();
        assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
    }
}

#[tokio::test]
async fn r61_a_plan_changes_under_a_running_guest_which_sees_it() {
    let (host, _) = fixture().await;
    let acts = json!({ "acts": ["wait", "look", { "advance": null }] });
    let task = start_as(&host, request("plan", acts).plan(names(&["a", "b"]))).await;
    parked(&task, 1).await;
    let by = Party::Person;
    within(task.finish_step(StepStatus::Skipped, Some("not today".into()), by)).await.unwrap();
    let plan = within(task.set_plan(names(&["c"]), Some(3), by)).await.unwrap();
    assert_eq!(words(&plan), [("a", "skipped"), ("c", "current")]);
    within(task.notify(SignalKey::new("go").unwrap(), None, by)).await;
    assert_eq!(data(outcome(&task).await), json!(["waited", "a- c>", "a- c+"]));
}

/// A host that plans as a task of the fixture's, and as a function.
async fn with_planners() -> (Host, Plugin) {
    let builder = builder().planner_task("by task", "fixture", "make-plan").planner("by function", |ask| async move {
        let again = ask.plan.map_or(0, |plan| plan.steps.len());
        Ok(names(&["look", "write"]).step(PlanStep::new(format!("after {again}"))))
    });
    with_fixture(builder).await
}

#[tokio::test]
async fn r65_a_function_makes_the_first_plan_and_another() {
    let (host, _) = with_planners().await;
    let acts = json!({ "acts": ["look", { "advance": null }, { "replan": ["more", null] }] });
    let task = start_as(&host, request("plan", acts).planner("by function")).await;
    let seen = data(outcome(&task).await);
    assert_eq!(seen, json!(["look> write after 0", "look+ write> after 0", "look+ write> after 3"]));
}

#[tokio::test]
async fn r65_a_task_of_a_plugin_plans_for_others() {
    let (host, _) = with_planners().await;
    let acts = json!({ "acts": ["look", { "replan": ["once more", 60_000] }], "planned": steps(&["a", "b"]) });
    let task = start_as(&host, request("plan", acts).planner("by task")).await;
    assert_eq!(data(outcome(&task).await), json!(["a> b", "a> b"]));
    assert_eq!(task.state().children, [], "it is no child of the task's");
    // One that finds nothing to plan fails, and the task has nothing to begin with.
    let acts = json!({ "acts": [{ "replan": ["again", null] }] });
    let task = start_as(&host, request("plan", acts.clone()).planner("by task")).await;
    let failure = failed(outcome(&task).await, FailureKind::Plan);
    assert!(failure.message.contains("nothing to plan: "), "{}", failure.message);
    // One that has a plan keeps it.
    let task = start_as(&host, request("plan", acts).planner("by task").plan(names(&["a"]))).await;
    assert_eq!(data(outcome(&task).await), json!(["failed"]));
    let why = |body: &EventBody| matches!(body, EventBody::Plan { change: PlanEvent::PlannerFailed { .. }, .. });
    assert_eq!(events(&task).await.iter().filter(|event| why(&event.body)).count(), 1);
}
