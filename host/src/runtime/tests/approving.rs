//! The list of all open questions, who may decide them, what is decided before anybody asks, and fuel as a question.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, Script, log, request, script, settle, success};
use crate::model::approval::{
    ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling, ApprovalVerdict, Approvers, OpenApproval,
};
use crate::model::event::EventBody;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::permission::{ApprovalKinds, Permission};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::model::time::Timestamp;
use crate::ports::approvals::ApprovalPolicy;
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::approvals::{ApprovalDesk, ApprovalFilter, ApprovalStream};
use crate::runtime::handle::{ApprovalAnswer, ControlAnswer, TaskHandle};
use crate::runtime::start_error::StartError;

const SECOND: Duration = Duration::from_secs(1);
const FIRST: ApprovalNumber = ApprovalNumber(1);

fn yes() -> ApprovalVerdict {
    ApprovalVerdict::Approve(None)
}

fn instead(input: Value) -> ApprovalVerdict {
    ApprovalVerdict::Approve(Some(input))
}

fn no() -> ApprovalVerdict {
    ApprovalVerdict::Deny("no".to_owned())
}

async fn ask(link: &CellLink, kind: &str, timeout: Option<Duration>) -> String {
    let question = ApprovalAsk { timeout, ..ApprovalAsk::new(kind, "why", "what") };
    match link.request(|reply| GuestCall::RequestApproval { ask: question, reply }).await {
        Ok(ApprovalDecision::Approved { by, .. }) => format!("{kind}: yes of {by}"),
        Ok(ApprovalDecision::Denied { by, reason }) => format!("{kind}: no of {by} ({reason})"),
        Ok(ApprovalDecision::TimedOut) => format!("{kind}: timed out"),
        Ok(ApprovalDecision::Cancelled) => format!("{kind}: cancelled"),
        Err(refusal) => format!("{kind}: {}", refusal.kind.word()),
    }
}

async fn ask_for_fuel(link: &CellLink, units: u64, timeout: Option<Duration>) -> String {
    let request = |reply| GuestCall::RequestFuel { units, reason: "more files".to_owned(), timeout, reply };
    match link.request(request).await {
        Ok(units) => format!("{units} units"),
        Err(refusal) => format!("{}: {}", refusal.kind.word(), refusal.message),
    }
}

fn asker(kinds: &'static [&'static str], timeout: Option<Duration>) -> Script {
    script(move |link| async move {
        let mut answers = Vec::new();
        for kind in kinds {
            answers.push(ask(&link, kind, timeout).await);
        }
        success(json!(answers.join(", ")))
    })
}

fn hungry(units: u64, timeout: Option<Duration>) -> Script {
    script(move |link| async move { success(json!(ask_for_fuel(&link, units, timeout).await)) })
}

async fn answer(task: &TaskHandle) -> String {
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = &outcome else { panic!("{outcome:?}") };
    data.as_str().unwrap().to_owned()
}

fn permitted(permission: Permission) -> StartRequest {
    let mut asked = request();
    asked.details.permission = permission;
    asked
}

async fn decisions(task: &TaskHandle) -> Vec<ApprovalDecision> {
    let decided = |body: EventBody| {
        if let EventBody::ApprovalDecided { decision, .. } = body { Some(decision) } else { None }
    };
    log(task).await.into_iter().filter_map(|event| decided(event.body)).collect()
}

fn ruled(bench: &mut Bench, policy: impl ApprovalPolicy + 'static) {
    bench.around_mut().approvals = Arc::new(ApprovalDesk::new(Some(Arc::new(policy))));
}

#[tokio::test]
async fn r26_all_open_questions_are_in_one_list_and_are_decided_in_any_order() {
    let bench = Bench::new(asker(&["deploy", "pay"], Some(60 * SECOND)));
    let mut asked = request();
    (asked.details.session, asked.details.title) = (Some("s1".to_owned()), Some("Ship it".to_owned()));
    let first = bench.inner.start(asked).await.unwrap();
    bench.advance(SECOND).await;
    let held = bench.inner.start(StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..request() });
    let held = held.await.unwrap();
    let third = bench.inner.start(StartRequest::new("other", "script")).await.unwrap();
    settle().await;
    let open = bench.inner.approvals(&ApprovalFilter::default());
    let told: Vec<_> = open.iter().map(|open| (open.id, open.number, open.ask.kind.as_str())).collect();
    assert_eq!(told, [(first.id(), FIRST, "deploy"), (held.id(), FIRST, "start"), (third.id(), FIRST, "deploy")]);
    let OpenApproval { session, title, since, until, approvers, .. } = &open[0];
    assert_eq!((session.as_deref(), title.as_deref(), *approvers), (Some("s1"), Some("Ship it"), Approvers::default()));
    assert_eq!(*until, Some(Timestamp(since.0 + 60_000)));
    for (filter, count) in [
        (ApprovalFilter::session("s1"), 1),
        (ApprovalFilter::plugin("other"), 1),
        (ApprovalFilter::task(held.id()), 1),
        (ApprovalFilter::session("s2"), 0),
    ] {
        assert_eq!(bench.inner.approvals(&filter).len(), count, "{filter:?}");
    }
    for task in [&third, &held, &first] {
        assert_eq!(bench.inner.decide(task.id(), FIRST, yes(), Party::Person).await, ApprovalAnswer::Decided);
    }
    settle().await;
    let then: Vec<_> =
        bench.inner.approvals(&ApprovalFilter::default()).into_iter().map(|open| open.number.0).collect();
    assert_eq!(then, [2, 2, 2], "each asks its next question");
    assert_eq!(bench.inner.decide(first.id(), FIRST, no(), Party::Person).await, ApprovalAnswer::NotAsked);
    let nobody = crate::model::ids::TaskId::from_random(7);
    assert_eq!(bench.inner.decide(nobody, FIRST, no(), Party::Person).await, ApprovalAnswer::NotAsked);
}

async fn is_told_more(stream: &mut ApprovalStream) -> bool {
    let mut next = std::pin::pin!(stream.next());
    std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx).is_ready())).await
}

#[tokio::test]
async fn r26_each_question_is_told_once_to_whoever_follows() {
    let bench = Bench::new(asker(&["a", "b"], None));
    let early = bench.start().await;
    settle().await;
    let mut stream = bench.inner.follow_approvals(ApprovalFilter::default());
    assert_eq!(stream.next().await.map(|open| open.id), Some(early.id()));
    assert!(!is_told_more(&mut stream).await, "it was told already");
    let late = bench.start().await;
    assert_eq!(stream.next().await.map(|open| (open.id, open.number)), Some((late.id(), FIRST)));
    early.approve(FIRST, None, Party::Person).await;
    late.cancel(CancelRequest::force(Party::Host, "")).await;
    assert_eq!(stream.next().await.map(|open| (open.id, open.number.0)), Some((early.id(), 2)));
    // One that is over before anybody came to it is not told.
    let brief = bench.start().await;
    settle().await;
    brief.cancel(CancelRequest::force(Party::Host, "")).await;
    bench.inner.stop_everything();
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn r27_a_task_that_may_not_begin_yet_is_told_to_whoever_follows() {
    let bench = Bench::new(asker(&[], None));
    let mut stream = bench.inner.follow_approvals(ApprovalFilter::default());
    let asked = StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..request() };
    let (next, task) = tokio::join!(stream.next(), bench.inner.start(asked));
    assert_eq!(next.map(|open| open.id), Some(task.unwrap().id()));
}

#[tokio::test]
async fn r26_the_hosts_policy_allows_more_or_less_than_the_task_and_a_no_of_it_leaves_the_question() {
    let policy = |open: &OpenApproval, by: Party| match (&*open.ask.kind, by) {
        ("lint", Party::Agent | Party::Itself) => ApprovalRuling::Allowed,
        ("pay", Party::Host) => ApprovalRuling::Forbidden("people pay".to_owned()),
        _ => ApprovalRuling::AsTheTaskSays,
    };
    for (kind, by, may) in [
        ("lint", Party::Agent, true),
        ("lint", Party::Itself, false),
        ("deploy", Party::Agent, false),
        ("deploy", Party::Host, true),
        ("pay", Party::Host, false),
        ("pay", Party::Person, true),
    ] {
        let kinds = match kind {
            "lint" => &["lint"],
            "pay" => &["pay"],
            _ => &["deploy"],
        };
        let mut bench = Bench::new(asker(kinds, None));
        ruled(&mut bench, policy);
        let task = bench.start().await;
        settle().await;
        let told = bench.inner.decide(task.id(), FIRST, yes(), by).await;
        if may {
            assert_eq!(told, ApprovalAnswer::Decided, "{kind} {by}");
            let word = decisions(&task).await;
            assert_eq!(word, [ApprovalDecision::Approved { by, input: None }], "the event says who");
        } else {
            assert!(matches!(told, ApprovalAnswer::NotAllowed(_)), "{kind} {by}: {told:?}");
            assert_eq!(bench.inner.approvals(&ApprovalFilter::default()).len(), 1);
        }
    }
}

#[tokio::test]
async fn r26_a_policy_of_parties_narrows_and_does_not_widen() {
    for (policy, task_says, by, may) in [
        (Approvers::Person, Approvers::Anybody, Party::Agent, false),
        (Approvers::Person, Approvers::Anybody, Party::Person, true),
        (Approvers::Anybody, Approvers::Person, Party::Agent, false),
    ] {
        let mut bench = Bench::new(asker(&["deploy"], None));
        ruled(&mut bench, policy);
        let mut asked = request();
        asked.details.approvers = task_says;
        let task = bench.inner.start(asked).await.unwrap();
        settle().await;
        let told = task.approve(FIRST, None, by).await;
        assert_eq!(told == ApprovalAnswer::Decided, may, "{policy:?} {task_says:?} {by}: {told:?}");
    }
}

#[tokio::test]
async fn r26_a_task_that_nobody_attends_gets_its_answers_at_once() {
    let deploy = || ApprovalKinds::only(["deploy"]);
    let nobody = "no of the host (nobody is asked in this run, and this was not approved of before it)";
    for (permission, deploys, pays) in [
        (Permission::deny_all(), format!("deploy: {nobody}"), format!("pay: {nobody}")),
        (Permission::approve(deploy()).deny_others(), "deploy: yes of the host".to_owned(), format!("pay: {nobody}")),
        (Permission::approve(deploy()), "deploy: yes of the host".to_owned(), "pay: timed out".to_owned()),
    ] {
        // Nobody has time to answer, and nobody need have.
        let mut bench = Bench::new(asker(&["deploy", "pay"], Some(Duration::ZERO)));
        bench.inner_mut().approve_in_advance = deploy();
        let task = bench.inner.start(permitted(permission.clone())).await.unwrap();
        assert_eq!(answer(&task).await, format!("{deploys}, {pays}"), "{permission:?}");
        let asked =
            log(&task).await.iter().filter(|event| matches!(event.body, EventBody::ApprovalRequested { .. })).count();
        assert_eq!(decisions(&task).await.len(), asked, "f19: each has its decision");
    }
}

#[tokio::test]
async fn r26_a_request_approves_of_no_more_in_advance_than_the_operator_allows() {
    let mut bench = Bench::new(asker(&[], None));
    bench.inner_mut().approve_in_advance = ApprovalKinds::only(["deploy", "lint"]);
    for (kinds, may) in [
        (ApprovalKinds::only(["deploy"]), true),
        (ApprovalKinds::only(["deploy", "pay"]), false),
        (ApprovalKinds::All, false),
    ] {
        let started = bench.inner.start(permitted(Permission::approve(kinds.clone()))).await;
        assert_eq!(started.is_ok(), may, "{kinds:?}");
        assert!(may || matches!(started, Err(StartError::Permission)));
    }
    assert_eq!(bench.inner.registry.known(), 1, "r13: nothing is left of a refused start");
}

#[tokio::test]
async fn r26_a_question_that_is_over_is_not_told_whatever_ended_it() {
    let bench = Bench::new(hungry(40, Some(60 * SECOND)));
    for way in 0..4 {
        let mut stream = bench.inner.follow_approvals(ApprovalFilter::default());
        let (first, second) = (bench.start().await, bench.start().await);
        settle().await;
        assert_eq!(stream.next().await.map(|open| open.id), Some(first.id()));
        // The second was seen together with the first.
        match way {
            0 => drop(second.add_fuel(40, Party::Person).await),
            1 => drop(second.refuse_fuel(Party::Person, "").await),
            2 => drop(second.cancel(CancelRequest::new(Party::Host, "")).await),
            _ => drop(second.cancel(CancelRequest::force(Party::Host, "")).await),
        }
        settle().await;
        assert!(!is_told_more(&mut stream).await, "{way}");
        for task in [first, second] {
            task.cancel(CancelRequest::force(Party::Host, "")).await;
        }
    }
}

#[tokio::test]
async fn r26_what_is_settled_in_advance_is_nobodys_to_decide() {
    let bench = Bench::new(asker(&[], None));
    let start =
        |permission| StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..permitted(permission) };
    let task = bench.inner.start(start(Permission::deny_all())).await.unwrap();
    // Its actor has not settled it yet.
    assert_eq!((task.state().phase, bench.inner.approvals(&ApprovalFilter::default())), (Phase::Held, vec![]));
    let told = task.approve(FIRST, None, Party::Person).await;
    assert!(!matches!(told, ApprovalAnswer::Decided), "{told:?}");
    assert!(matches!(task.wait().await, Outcome::Failed(Failure { kind: FailureKind::Denied, .. })));
}

#[tokio::test]
async fn r27_a_start_is_settled_by_the_permission_too() {
    let mut bench = Bench::new(asker(&[], None));
    bench.inner_mut().approve_in_advance = ApprovalKinds::All;
    let asking =
        |permission| StartRequest { approval: Some(ApprovalAsk::new("start", "", "")), ..permitted(permission) };
    let denied = bench.inner.start(asking(Permission::deny_all())).await.unwrap();
    let outcome = denied.wait().await;
    assert!(matches!(&outcome, Outcome::Failed(Failure { kind: FailureKind::Denied, .. })), "{outcome:?}");
    denied.gone().await;
    let begun = bench.inner.start(asking(Permission::approve(ApprovalKinds::All))).await.unwrap();
    assert_eq!(answer(&begun).await, "");
    assert_eq!(decisions(&begun).await, [ApprovalDecision::Approved { by: Party::Host, input: None }]);
    let held = bench.inner.start(asking(Permission::default())).await.unwrap();
    settle().await;
    assert_eq!(held.state().phase, Phase::Held);
}

#[tokio::test]
async fn t45_two_yeses_and_a_no_at_the_same_time_are_one_decision() {
    let bench = Bench::new(asker(&["deploy"], None));
    let task = bench.start().await;
    settle().await;
    let decide = |verdict, by| bench.inner.decide(task.id(), FIRST, verdict, by);
    let (a, b, c) = tokio::join!(decide(yes(), Party::Person), decide(yes(), Party::Host), decide(no(), Party::Person));
    let decided = [&a, &b, &c].into_iter().filter(|told| **told == ApprovalAnswer::Decided).count();
    assert_eq!(decided, 1, "{a:?} {b:?} {c:?}");
    assert_eq!(decisions(&task).await.len(), 1);
}

#[tokio::test]
async fn t45_a_decision_and_the_end_of_its_time_meet_in_either_order() {
    for decision_first in [true, false] {
        let bench = Bench::new(asker(&["deploy"], Some(5 * SECOND)));
        let task = bench.start().await;
        bench.advance(Duration::from_millis(4999)).await;
        let expected = if decision_first {
            assert_eq!(task.approve(FIRST, None, Party::Person).await, ApprovalAnswer::Decided);
            bench.advance(SECOND).await;
            "deploy: yes of a person"
        } else {
            bench.advance(SECOND).await;
            let late = task.approve(FIRST, None, Party::Person).await;
            assert!(!matches!(late, ApprovalAnswer::Decided), "{late:?}");
            "deploy: timed out"
        };
        assert_eq!(answer(&task).await, expected);
        assert_eq!(decisions(&task).await.len(), 1);
    }
}

#[tokio::test]
async fn r26_a_request_for_fuel_is_a_question_like_others() {
    let bench = Bench::new(hungry(40, Some(60 * SECOND)));
    for (verdict, told) in [
        (yes(), "40 units"),
        (instead(json!(25)), "25 units"),
        (instead(json!({"units": 70})), "70 units"),
        (no(), "denied: the request for fuel was turned down by a person: no"),
    ] {
        let task = bench.inner.start(request().fuel(100)).await.unwrap();
        settle().await;
        let open = bench.inner.approvals(&ApprovalFilter::task(task.id()));
        let [OpenApproval { number, ask, until: Some(_), .. }] = &open[..] else { panic!("{open:?}") };
        assert_eq!(
            (ask.kind.as_str(), ask.reason.as_str(), &ask.metadata),
            ("fuel", "more files", &Some(json!({"units": 40})))
        );
        assert_eq!(task.state().approvals.len(), 1);
        let may_not = bench.inner.decide(task.id(), *number, verdict.clone(), Party::Agent).await;
        assert!(matches!(may_not, ApprovalAnswer::NotAllowed(_)), "{may_not:?}");
        let decided = bench.inner.decide(task.id(), *number, verdict, Party::Person).await;
        assert_eq!(decided, ApprovalAnswer::Decided);
        assert_eq!(answer(&task).await, told);
    }
}

#[tokio::test]
async fn r26_approved_fuel_stays_below_its_limit_and_the_question_open_beyond_it() {
    let bench = Bench::new(script(|link| async move {
        let first = ask_for_fuel(&link, 60, None).await;
        success(json!(format!("{first}, {}", ask_for_fuel(&link, 60, None).await)))
    }));
    let limits = LimitsRequest { fuel: Some(100), ..LimitsRequest::default() }.fuel_on_approval(100);
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    let decide = |number, verdict| bench.inner.decide(task.id(), ApprovalNumber(number), verdict, Party::Person);
    for bad in [json!(101), json!(0), json!("much"), json!({"units": -1})] {
        let told = decide(1, instead(bad.clone())).await;
        assert!(matches!(told, ApprovalAnswer::NotAllowed(_)), "{bad}: {told:?}");
    }
    assert_eq!(decide(1, yes()).await, ApprovalAnswer::Decided);
    settle().await;
    let told = decide(2, yes()).await;
    let ApprovalAnswer::NotAllowed(why) = told else { panic!("{told:?}") };
    assert_eq!(why, "60 units are more than the 40 that are left of the limit fuel_on_approval");
    assert_eq!(decide(2, instead(json!(40))).await, ApprovalAnswer::Decided);
    assert_eq!(answer(&task).await, "60 units, 40 units");
    assert_eq!(task.state().fuel_budget, 200);
}

#[tokio::test]
async fn t45_fuel_that_is_added_and_approved_at_once_is_given_once() {
    for approve_first in [true, false] {
        let bench = Bench::new(hungry(40, None));
        let task = bench.inner.start(request().fuel(100)).await.unwrap();
        settle().await;
        if approve_first {
            assert_eq!(task.approve(FIRST, None, Party::Person).await, ApprovalAnswer::Decided);
            let refused = task.refuse_fuel(Party::Person, "late").await;
            assert!(!matches!(refused, ControlAnswer::Done), "{refused:?}");
        } else {
            assert_eq!(task.add_fuel(40, Party::Person).await, ControlAnswer::Done);
            let late = task.approve(FIRST, None, Party::Person).await;
            assert!(!matches!(late, ApprovalAnswer::Decided), "{late:?}");
        }
        assert_eq!(answer(&task).await, "40 units");
        assert_eq!(task.state().fuel_budget, 140);
    }
}

#[tokio::test]
async fn r26_fuel_is_settled_by_the_permission_and_within_the_limit() {
    let fuel = || ApprovalKinds::only(["fuel"]);
    for (permission, limit, told) in [
        (Permission::approve(fuel()), 40, "40 units"),
        (Permission::approve(fuel()), 39, "denied: "),
        (Permission::deny_all(), 40, "denied: "),
        (Permission::default(), 40, "timed-out: "),
    ] {
        let mut bench = Bench::new(hungry(40, Some(Duration::ZERO)));
        bench.inner_mut().approve_in_advance = fuel();
        bench.inner_mut().limits.fuel_on_approval = limit;
        let task = bench.inner.start(permitted(permission.clone())).await.unwrap();
        let answer = answer(&task).await;
        assert!(answer.starts_with(told), "{permission:?} {limit}: {answer}");
    }
}

#[tokio::test]
async fn r26_a_task_cannot_ask_in_the_name_of_the_host() {
    let bench = Bench::new(asker(&["fuel", "start", ""], None));
    let task = bench.start().await;
    assert_eq!(answer(&task).await, "fuel: invalid-argument, start: invalid-argument, : invalid-argument");
}
