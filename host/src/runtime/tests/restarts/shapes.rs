//! Each state that a task can be in when its host stops.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::super::bench::{Bench, key, script, settle, success, wait_for};
use super::{HOUR, SECOND, World, again, failed, once, task, waiting};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::event::{EventBody, WaitEnd};
use crate::model::ids::TaskKey;
use crate::model::outbox::MessageFilter;
use crate::model::outcome::{CellEnd, FailureKind, GuestOutcome, Outcome};
use crate::model::plan::{Plan, PlanStep, StepStatus};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::retry::RetryPolicy;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::ApprovalAnswer;
use crate::runtime::recovery::RecoverError;
use crate::runtime::start_error::StartError;

async fn ask(link: &CellLink, summary: &str, timeout: Option<Duration>) -> String {
    let ask = ApprovalAsk { timeout, ..ApprovalAsk::new("deploy", "because", summary) };
    match link.request(|reply| GuestCall::RequestApproval { ask, reply }).await {
        Ok(ApprovalDecision::Approved { .. }) => "yes".to_owned(),
        Ok(other) => format!("{other:?}"),
        Err(refusal) => refusal.message,
    }
}

#[tokio::test]
async fn r4e_a_task_that_waited_for_room_goes_on_waiting() {
    let (world, script) = (World { places: 0, ..World::new() }, waiting());
    let first = world.host(&script);
    let id = first.inner.start(once().key(TaskKey::new("k").unwrap()).once("o")).await.unwrap().id();
    world.stop(first, HOUR).await;

    let (second, recovery) = World { places: 1, ..world.clone() }.next(&script).await;
    assert_eq!(recovery.went_on, [id]);
    let live = task(&second, id);
    assert_eq!((live.state().phase, live.state().attempt), (Phase::Running, 1));
    assert!(matches!(
        second.inner.start(once().key(TaskKey::new("k").unwrap())).await,
        Err(StartError::KeyInUse { .. })
    ));
    assert_eq!(
        second.inner.start(once().key(TaskKey::new("k").unwrap()).once("o")).await.unwrap().id(),
        id,
        "started once"
    );
    assert!(matches!(
        second.inner.start(again().key(TaskKey::new("k").unwrap()).once("o")).await,
        Err(StartError::IdempotencyKeyUsed { .. })
    ));
    live.notify(key("go"), None, Party::Person).await;
    assert!(matches!(live.wait().await, Outcome::Succeeded { .. }));
    settle().await;
    assert_eq!(world.told(id).len(), 1);
    assert_eq!(second.inner.recover().await, Err(RecoverError::Done));
}

#[tokio::test]
async fn r10_a_moment_and_a_pause_between_attempts_stay_while_no_host_lives() {
    let script = script(|_| async {
        CellEnd::Returned(GuestOutcome::Failed { message: "busy".into(), error: None, retryable: true })
    });
    let world = World::new();
    let first = world.host(&script);
    let mut later = once();
    later.details.run_at = Some(Timestamp(3_600_000));
    let later = first.inner.start(later).await.unwrap().id();
    let mut tried = once();
    tried.details.retry = RetryPolicy::attempts(2).backoff(HOUR, HOUR);
    let tried = first.inner.start(tried).await.unwrap().id();
    first.advance(SECOND).await;
    world.stop(first, HOUR / 4).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.went_on, [later, tried]);
    assert_eq!(task(&second, tried).state().attempt, 1);
    second.advance((HOUR / 4 * 3).saturating_sub(SECOND)).await;
    assert_eq!(task(&second, later).state().phase, Phase::Ended, "its moment has come");
    second.advance(SECOND).await;
    assert_eq!((task(&second, tried).state().phase, task(&second, tried).state().attempt), (Phase::Ended, 2));
}

#[tokio::test]
async fn r27_a_task_that_may_not_begin_yet_has_what_is_left_of_the_time() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let held = |time| ApprovalAsk::new(ApprovalAsk::START, "r", "s").timeout(time);
    let start = |time| StartRequest { approval: Some(held(time)), ..once() };
    let yes = first.inner.start(start(2 * HOUR)).await.unwrap().id();
    let late = first.inner.start(start(HOUR)).await.unwrap().id();
    let never = first.inner.start(start(HOUR / 2)).await.unwrap().id();
    first.advance(HOUR / 4).await;
    world.stop(first, HOUR / 2).await;

    let (second, _) = world.next(&script).await;
    assert_eq!(failed(task(&second, never).state().outcome).0, FailureKind::NotStarted);
    assert_eq!(task(&second, yes).approve(ApprovalNumber(1), None, Party::Person).await, ApprovalAnswer::Decided);
    settle().await;
    assert_eq!(task(&second, yes).state().phase, Phase::Running);
    assert_eq!(task(&second, late).state().phase, Phase::Held);
    second.advance(HOUR / 4).await;
    assert_eq!(failed(task(&second, late).state().outcome).0, FailureKind::NotStarted);
}

#[tokio::test]
async fn r37_a_task_that_ran_and_cannot_be_begun_again_is_lost_and_told() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(once().key(TaskKey::new("k").unwrap())).await.unwrap().id();
    settle().await;
    world.stop(first, HOUR).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!((recovery.lost.len(), recovery.lost[0].id), (1, id));
    let (kind, why) = failed(task(&second, id).state().outcome);
    assert_eq!(kind, FailureKind::Lost);
    assert!(why.contains("not restartable"), "{why}");
    assert_eq!(world.told(id), [task(&second, id).wait().await]);
    second.inner.start(once().key(TaskKey::new("k").unwrap())).await.expect("its key is free");
    assert!(world.log(id).await.last().is_some_and(|event| matches!(event.body, EventBody::Finished { .. })));
    // Told once: it is written down that it was.
    world.stop(second, HOUR).await;
    let (_, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    assert_eq!(world.told(id).len(), 1);
}

#[tokio::test]
async fn t44_other_code_does_not_go_on_with_a_task() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let running = first.inner.start(again()).await.unwrap().id();
    let mut later = again();
    later.details.run_at = Some(Timestamp(9_000_000_000));
    let later = first.inner.start(later).await.unwrap().id();
    settle().await;
    world.stop(first, SECOND).await;
    let second = World { version: "2", ..world.clone() }.host(&script);
    let recovery = second.inner.recover().await.unwrap();
    assert_eq!(recovery.lost.iter().map(|lost| lost.id).collect::<Vec<_>>(), [running, later]);
    assert!(recovery.lost.iter().all(|lost| lost.why.contains("has changed")), "{recovery:?}");
    settle().await;
    assert!(second.codes.lock().unwrap().is_empty());
    assert_eq!((world.told(running).len(), world.told(later).len()), (1, 1));
}

#[tokio::test]
async fn r4e_a_task_that_ran_begins_again_with_its_mailbox() {
    let script = script(|link| async move {
        let first = wait_for(&link, "go", None).await;
        let second = wait_for(&link, "end", None).await;
        success(json!(format!("{first}, {second}")))
    });
    let world = World::new();
    let mut bench = world.host(&script);
    let id = bench.inner.start(again().key(TaskKey::new("k").unwrap()).timeout(HOUR)).await.unwrap().id();
    settle().await;
    task(&bench, id).notify(key("go"), Some(json!(1)), Party::Person).await;
    settle().await;
    for attempt in 2..=4 {
        world.stop(bench, 2 * HOUR).await;
        let recovery;
        (bench, recovery) = world.next(&script).await;
        assert_eq!(recovery.restarted, [id]);
        let state = task(&bench, id).state();
        assert_eq!((state.phase, state.attempt, state.task.key.as_str()), (Phase::Running, attempt, "k"));
        assert!(state.waiting.is_some_and(|point| point.keys == [key("end")]), "it has its signal again");
    }
    task(&bench, id).notify(key("end"), Some(json!(2)), Party::Person).await;
    let outcome = task(&bench, id).wait().await;
    assert!(
        matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "Some(Number(1)) from person, Some(Number(2)) from person"),
        "{outcome:?}"
    );
    settle().await;
    assert_eq!(world.told(id), [outcome]);
}

#[tokio::test]
async fn r26_a_question_outlives_its_host_and_is_asked_once() {
    let script = script(|link| async move {
        let first = ask(&link, "one", None).await;
        let second = ask(&link, "two", Some(3 * HOUR)).await;
        success(json!(format!("{first} {second}")))
    });
    let world = World::new();
    let mut bench = world.host(&script);
    let id = bench.inner.start(again()).await.unwrap().id();
    settle().await;
    task(&bench, id).approve(ApprovalNumber(1), None, Party::Person).await;
    settle().await;
    for _ in 0..2 {
        world.stop(bench, HOUR).await;
        (bench, _) = world.next(&script).await;
        let open = task(&bench, id).state().approvals;
        assert_eq!((open.len(), open[0].number), (1, ApprovalNumber(2)));
    }
    let asked = |body: &&EventBody| matches!(body, EventBody::ApprovalRequested { .. });
    assert_eq!(world.bodies(id).await.iter().filter(asked).count(), 2);
    bench.advance(HOUR.saturating_sub(SECOND)).await;
    assert_eq!(task(&bench, id).state().phase, Phase::Running);
    bench.advance(SECOND).await;
    let outcome = task(&bench, id).wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "yes TimedOut"), "{outcome:?}");
}

#[tokio::test]
async fn r26_a_decision_while_the_task_waits_for_room_is_its_answer() {
    let script = script(|link| async move { success(json!(ask(&link, "one", None).await)) });
    let world = World::new();
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, HOUR).await;
    let (second, _) = World { places: 0, ..world.clone() }.next(&script).await;
    assert_eq!(task(&second, id).state().phase, Phase::Queued);
    task(&second, id).approve(ApprovalNumber(1), None, Party::Person).await;
    second.places.add_permits(1);
    let outcome = task(&second, id).wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "yes"), "{outcome:?}");
}

#[tokio::test]
async fn r28_requests_for_fuel_and_waits_to_be_told_something_begin_anew() {
    let script = script(|link| async move {
        let said = link.request(|reply| GuestCall::NextInstruction { timeout: None, reply }).await;
        let said = said.ok().flatten().map(|said| said.text).unwrap_or_default();
        let reason = String::new();
        let fuel = link.request(|reply| GuestCall::RequestFuel { units: 5, reason, timeout: None, reply }).await;
        success(json!(format!("{said} {fuel:?}")))
    });
    let world = World::new();
    let mut bench = world.host(&script);
    let id = bench.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(bench, HOUR).await;
    (bench, _) = world.next(&script).await;
    assert!(task(&bench, id).state().awaits_instruction);
    task(&bench, id).instruct("hello", Party::Person).await;
    settle().await;
    assert!(task(&bench, id).state().fuel_request.is_some());
    world.stop(bench, HOUR).await;
    (bench, _) = world.next(&script).await;
    let state = task(&bench, id).state();
    assert!(state.fuel_request.is_some() && state.approvals.len() == 1, "it was told the same, and asks once more");
    task(&bench, id).add_fuel(7, Party::Person).await;
    let outcome = task(&bench, id).wait().await;
    assert!(matches!(&outcome, Outcome::Succeeded { data: Some(data), .. } if data == "hello Ok(7)"), "{outcome:?}");
}

#[tokio::test]
async fn r35_a_task_that_stands_still_does_so_in_the_next_host() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    task(&first, id).pause(Party::Person, "lunch").await;
    world.stop(first, HOUR).await;
    let (second, _) = world.next(&script).await;
    let handle = task(&second, id);
    assert!(handle.state().paused.is_some_and(|pause| pause.reason == "lunch"));
    assert!(handle.shared().gate.is_shut());
    handle.resume(Party::Person).await;
    assert!(!handle.shared().gate.is_shut());
}

#[tokio::test]
async fn r33_a_task_that_was_asked_to_stop_is_cancelled_by_whoever_asked() {
    let script = script(|_| std::future::pending());
    let world = World::new();
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    let request = CancelRequest::new(Party::Person, "enough").grace(HOUR);
    let running = task(&first, id);
    tokio::select! { _ = running.cancel(request) => {}, () = settle() => {} }
    assert!(task(&first, id).state().cancel.is_some());
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next(&script).await;
    assert_eq!(recovery.cancelled, [id]);
    let outcome = task(&second, id).wait().await;
    assert!(
        matches!(&outcome, Outcome::Cancelled { by: Party::Person, forced: true, reason, .. } if reason == "enough")
    );
    assert_eq!(world.told(id), [outcome]);
}

#[tokio::test]
async fn r60_a_plan_goes_on_where_it_was() {
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let plan = Plan::new("g").step(PlanStep::new("one")).step(PlanStep::new("two"));
    let id = first.inner.start(again().plan(plan)).await.unwrap().id();
    settle().await;
    task(&first, id).advance(None, Party::Person).await.unwrap();
    world.stop(first, SECOND).await;
    let (second, _) = world.next(&script).await;
    let plan = task(&second, id).plan().unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| step.status).collect();
    assert_eq!(steps, [StepStatus::Completed, StepStatus::Current]);
}

#[tokio::test]
async fn r25_messages_that_nobody_took_come_again_and_are_sent_once() {
    let script = script(|link| async move {
        for (message, once) in [("one", None), ("two", Some(key("k")))] {
            let message = message.to_owned();
            let _ = link.request(|reply| GuestCall::MessageAgent { message, trigger: false, once, reply }).await;
        }
        success(json!(wait_for(&link, "go", None).await))
    });
    let world = World::new();
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    let claimed = first.inner.messages().claim(&MessageFilter::default(), 1, HOUR);
    first.inner.messages().ack(claimed[0].token).await;
    world.stop(first, HOUR).await;

    let (second, _) = world.next(&script).await;
    let texts = |bench: &Bench| {
        let claimed = bench.inner.messages().claim(&MessageFilter::default(), 9, HOUR);
        claimed.into_iter().map(|claimed| claimed.message.message).collect::<Vec<_>>()
    };
    assert_eq!(texts(&second), ["two", "one"], "the attempt that begins again says the first one again");
    task(&second, id).notify(key("go"), None, Party::Person).await;
    task(&second, id).gone().await;
    world.stop(second, HOUR).await;
    // After the end, too.
    let (third, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, texts(&third).len()), (1, 2));
}

#[tokio::test]
async fn r40_what_has_ended_is_there_again_and_goes_in_time() {
    let script = script(|_| async { success(json!("result")) });
    let world = World::new();
    let first = world.host(&script);
    let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    let mut request = once().once("o");
    request.details.labels = labels;
    let id = first.inner.start(request.clone()).await.unwrap().id();
    let gone = first.inner.start(once()).await.unwrap();
    settle().await;
    assert_eq!(gone.notify(key("late"), None, Party::Person).await, crate::model::signal::NotifyAnswer::NoTask);
    let (before, removed) = (task(&first, id).state(), gone.id());
    drop(gone);
    first.inner.remove(removed).await.unwrap();
    world.stop(first, HOUR / 2).await;

    let (second, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    assert_eq!(task(&second, id).state(), before);
    assert!(second.inner.registry.by_id(removed).is_none());
    assert_eq!(second.inner.start(request).await.unwrap().id(), id);
    assert_eq!(world.told(id).len(), 1);
    // An hour, for this bench.
    second.advance(HOUR / 2).await;
    assert_eq!(second.inner.gc().await.tasks, 0);
    second.advance(SECOND).await;
    second.inner.keep_books_short();
    settle().await;
    assert!(second.inner.registry.by_id(id).is_none());
    assert_eq!(world.log(id).await, []);
}

#[tokio::test]
async fn r49_what_was_done_elsewhere_is_there_again() {
    use crate::model::external::ExternalReport;
    let (world, script) = (World::new(), waiting());
    let first = world.host(&script);
    let outcome = Outcome::Succeeded { message: "m".into(), data: None };
    let report = || ExternalReport::new(once().once("r"), outcome.clone(), SECOND);
    let id = first.inner.report_external(report(), Party::Agent).await.unwrap().id();
    world.stop(first, SECOND).await;
    let (second, recovery) = world.next(&script).await;
    assert_eq!((recovery.ended, recovery.effects), (1, 0));
    assert_eq!(second.inner.report_external(report(), Party::Agent).await.unwrap().id(), id);
    assert_eq!(world.told(id), [], "nobody is called about what was done elsewhere");
}

#[tokio::test]
async fn r30_a_wait_of_a_task_that_begins_again_is_its_own() {
    let script = script(|link| async move { success(json!(wait_for(&link, "go", Some(HOUR / 2)).await)) });
    let world = World::new();
    let first = world.host(&script);
    let id = first.inner.start(again()).await.unwrap().id();
    settle().await;
    world.stop(first, 2 * HOUR).await;
    let (second, _) = world.next(&script).await;
    assert_eq!(task(&second, id).state().phase, Phase::Running);
    second.advance(HOUR / 2).await;
    let expected = format!("{:?}", WaitEnd::TimedOut);
    assert!(matches!(task(&second, id).wait().await, Outcome::Succeeded { data: Some(data), .. } if data == expected));
}

#[tokio::test]
async fn r12_of_two_starts_with_one_key_the_acknowledged_one_has_it() {
    let (world, script) = (World::new(), waiting());
    let first = world.mortal(&script, 0, true);
    // Nobody hears that it was stored.
    tokio::select! { _ = first.inner.start(again().key(TaskKey::new("k").unwrap())) => panic!("no answer"), () = settle() => {} }
    world.stop(first, SECOND).await;
    let second = world.host(&script);
    let id = second.inner.start(again().key(TaskKey::new("k").unwrap())).await.unwrap().id();
    settle().await;
    world.stop(second, SECOND).await;
    let (third, recovery) = world.next(&script).await;
    assert_eq!((recovery.restarted, recovery.lost.len()), (vec![id], 1));
    assert!(third.inner.registry.by_ref(task(&third, id).task_ref()).is_some_and(|live| live.id == id));
    assert_eq!(TaskKey::new("k").unwrap(), task(&third, id).task_ref().key);
}
