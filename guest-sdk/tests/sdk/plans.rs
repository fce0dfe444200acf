//! Plans, with the fake host.

use taskcell_guest::testing::FakeHost;
use taskcell_guest::{Plan, PlanStep, RefusalKind, StepStatus, WaitError};

fn plan(names: &[&str]) -> Plan {
    names.iter().fold(Plan::new("g"), |plan, name| plan.step(PlanStep::new(*name)))
}

fn words(plan: &Plan) -> Vec<(&str, &str)> {
    plan.steps.iter().map(|step| (step.name.as_str(), step.status.as_str())).collect()
}

#[test]
fn r61_a_new_plan_keeps_what_is_done() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    assert_eq!(ctl.plan(), Ok(None));
    ctl.set_plan(&plan(&["a", "b", "c"]), Some(0)).unwrap();
    let now = ctl.advance("made").unwrap();
    assert_eq!((now.revision, now.steps[0].note.as_deref()), (4, Some("made")));
    assert_eq!(ctl.set_plan(&plan(&["d"]), Some(1)).unwrap_err().kind, RefusalKind::Conflict);
    let now = ctl.set_plan(&plan(&["d", "b", "a"]), Some(4)).unwrap();
    assert_eq!(words(&now), [("a", "completed"), ("d", "pending"), ("b", "current")]);
    assert_eq!(now.current().unwrap().action_id, Some(2), "it is at the same step still");
    assert_eq!(host.plan(), Some(now));
}

#[test]
fn r62_what_cannot_be_a_plan_is_refused_and_nothing_changes() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    for bad in [plan(&[]), plan(&["a", "a"]), plan(&[""]), plan(&["a\nb"])] {
        assert_eq!(ctl.set_plan(&bad, None).unwrap_err().kind, RefusalKind::InvalidArgument);
    }
    assert_eq!(ctl.advance(None).unwrap_err().kind, RefusalKind::NotFound);
    host.give_plan(plan(&["a", "b"])).unwrap();
    assert_eq!(ctl.finish_step(StepStatus::Pending, None).unwrap_err().kind, RefusalKind::InvalidArgument);
    ctl.finish_step(StepStatus::Failed, "no disk").unwrap();
    assert_eq!(ctl.finish_step(StepStatus::Failed, None).unwrap_err().kind, RefusalKind::NotFound);
    assert_eq!(words(&ctl.advance(None).unwrap()), [("a", "failed"), ("b", "current")]);
    // The real host ends the task here.
    assert_eq!(ctl.advance(None).unwrap_err().kind, RefusalKind::Ended);
}

#[test]
fn r65_a_planner_makes_a_plan_or_says_why_not() {
    let host = FakeHost::new();
    let ctl = host.ctl();
    let refused = |error: WaitError| {
        if let WaitError::Refused(refused) = error { refused.kind.as_str().to_owned() } else { error.to_string() }
    };
    assert_eq!(refused(ctl.replan("nothing there").unwrap_err()), "not-found");
    host.planner_makes(plan(&["a"]));
    host.planner_fails("no idea");
    host.planner_makes(plan(&["b"]));
    assert_eq!(words(&ctl.replan("the first").unwrap()), [("a", "current")]);
    assert_eq!(refused(ctl.replan("the second").unwrap_err()), "failed");
    host.cancel("enough");
    assert!(matches!(ctl.replan("the third"), Err(WaitError::Cancelled(_))));
    assert_eq!(host.asked_planner(), ["the first", "the second"]);
}
