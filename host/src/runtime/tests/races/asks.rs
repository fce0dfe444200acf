//! Two answers to one question, and a question against its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;

use super::steps::{keyed, narrow, nothing_is_left, orders, race, settle};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber};
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::ports::functions::{Functions, HostFunction};
use crate::ports::runner::GuestCall;
use crate::runtime::handle::{ApprovalAnswer, ControlAnswer, TaskHandle};
use crate::runtime::tests::bench::{Bench, log, script, success};

const FIRST: ApprovalNumber = ApprovalNumber(1);
const SECOND: Duration = Duration::from_secs(1);

/// A guest that asks once and tells what it was told.
fn asking() -> Bench {
    narrow(script(|link| async move {
        let ask = ApprovalAsk::new("deploy", "r", "s").timeout(SECOND);
        let told = link.request(|reply| GuestCall::RequestApproval { ask, reply }).await;
        success(json!(match told {
            Ok(ApprovalDecision::Approved { by, .. }) => format!("yes of {by}"),
            Ok(ApprovalDecision::Denied { by, .. }) => format!("no of {by}"),
            Ok(ApprovalDecision::TimedOut) => "timed out".to_owned(),
            Ok(ApprovalDecision::Cancelled) => "cancelled".to_owned(),
            Err(refusal) => refusal.message,
        }))
    }))
}

fn data(outcome: &Outcome) -> String {
    let Outcome::Succeeded { data: Some(data), .. } = outcome else { panic!("{outcome}") };
    data.as_str().unwrap().to_owned()
}

async fn decisions(task: &TaskHandle) -> Vec<ApprovalDecision> {
    let decided = |body| if let EventBody::ApprovalDecided { decision, .. } = body { Some(decision) } else { None };
    log(task).await.into_iter().filter_map(|event| decided(event.body)).collect()
}

#[tokio::test]
async fn t45_of_two_who_decide_the_first_decides() {
    for order in orders(5) {
        let bench = asking();
        let task = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let yes = task.approve(FIRST, None, Party::Person);
        let no = task.deny(FIRST, "no", Party::Host);
        let (yes, no) = race(&order, yes, no).await;
        let told = data(&task.wait().await);
        let expected = match (&yes, &no) {
            (ApprovalAnswer::Decided, ApprovalAnswer::NotAsked | ApprovalAnswer::AlreadyEnded(_)) => "yes of a person",
            (ApprovalAnswer::NotAsked | ApprovalAnswer::AlreadyEnded(_), ApprovalAnswer::Decided) => "no of the host",
            other => panic!("{other:?}: {order:?}"),
        };
        assert_eq!(told, expected, "{order:?}");
        assert_eq!(decisions(&task).await.len(), 1, "{order:?}");
        nothing_is_left(&bench, &order).await;
    }
}

#[tokio::test]
async fn t45_a_decision_against_its_timeout_and_against_a_cancel() {
    for cancels in [false, true] {
        let mut seen = [0; 2];
        for order in orders(5) {
            let bench = asking();
            let task = bench.inner.start(keyed()).await.unwrap();
            settle().await;
            let against = async {
                if cancels {
                    task.cancel(CancelRequest::new(Party::Agent, "enough")).await;
                } else {
                    bench.clock.advance(SECOND);
                }
            };
            let (answer, ()) = race(&order, task.approve(FIRST, None, Party::Person), against).await;
            settle().await;
            let told = data(&task.wait().await);
            let decided = answer == ApprovalAnswer::Decided;
            let other = if cancels { "cancelled" } else { "timed out" };
            assert_eq!(told, if decided { "yes of a person" } else { other }, "{answer:?}: {order:?}");
            assert_eq!(decisions(&task).await.len(), 1, "{order:?}");
            seen[usize::from(decided)] += 1;
            nothing_is_left(&bench, &order).await;
        }
        assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
    }
}

#[tokio::test]
async fn t45_a_start_that_is_approved_and_denied_at_once_runs_or_does_not() {
    for order in orders(5) {
        let bench = narrow(script(|_| async { success(json!("ran")) }));
        let mut request = keyed();
        request.approval = Some(ApprovalAsk::new(ApprovalAsk::START, "r", "s"));
        let task = bench.inner.start(request).await.unwrap();
        let yes = task.approve(FIRST, None, Party::Person);
        let no = task.deny(FIRST, "no", Party::Person);
        let (yes, no) = race(&order, yes, no).await;
        let outcome = task.wait().await;
        settle().await;
        let ran = bench.inputs.lock().unwrap().len() == 1;
        assert_eq!(ran, yes == ApprovalAnswer::Decided, "{yes:?}, {no:?}: {order:?}");
        assert_ne!(ran, no == ApprovalAnswer::Decided, "{yes:?}, {no:?}: {order:?}");
        match outcome {
            Outcome::Succeeded { .. } => assert!(ran, "{order:?}"),
            Outcome::Failed(failure) => assert_eq!((failure.kind, ran), (FailureKind::Denied, false), "{order:?}"),
            Outcome::Cancelled { .. } => panic!("nobody cancelled it: {order:?}"),
        }
        nothing_is_left(&bench, &order).await;
    }
}

#[tokio::test]
async fn t45_fuel_that_is_given_and_refused_at_once_is_told_as_the_first_said() {
    for order in orders(5) {
        let bench = narrow(script(|link| async move {
            let reason = "more".to_owned();
            let told = link.request(|reply| GuestCall::RequestFuel { units: 5, reason, timeout: None, reply }).await;
            success(json!(told.map_or_else(|refusal| refusal.message, |units| units.to_string())))
        }));
        let task = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let budget = task.state().fuel_budget;
        let (given, refused) = race(&order, task.add_fuel(7, Party::Person), task.refuse_fuel(Party::Host, "no")).await;
        let told = data(&task.wait().await);
        let first = told == "7";
        assert_eq!(refused == ControlAnswer::Done, !first, "{told}: {order:?}");
        let added = given == ControlAnswer::Done;
        assert!(added || !first, "{told}: {order:?}");
        assert_eq!(task.state().fuel_budget, budget + if added { 7 } else { 0 }, "{order:?}");
        nothing_is_left(&bench, &order).await;
    }
}

/// Counts what is alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A grant cannot be taken back from a task that runs; a cancel takes all of them.
#[tokio::test]
async fn t45_a_hosts_function_that_is_in_use_ends_with_its_result_or_its_cancel() {
    let mut seen = [0; 2];
    for order in orders(5) {
        let (gate, alive) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let mut bench = narrow(script(|link| async move {
            let name = "slow".to_owned();
            let told = link.ask(|reply| GuestCall::CallHost { name, input: json!(null), reply }).await;
            success(json!(told.unwrap().map_or_else(|error| error.kind().word().to_owned(), |value| value.to_string())))
        }));
        let (opens, lives) = (Arc::clone(&gate), Arc::clone(&alive));
        let mut functions = Functions::default();
        let body = Arc::new(move |_| {
            let (gate, alive) = (Arc::clone(&opens), Alive::new(&lives));
            Box::pin(async move {
                gate.notified().await;
                drop(alive);
                Ok(json!(1))
            }) as crate::ports::clock::BoxFuture<'static, _>
        });
        functions.provide(HostFunction::new("slow"), body, 32).unwrap();
        bench.inner_mut().functions = Arc::new(functions);
        let task = bench.inner.start(keyed().grants(Grants::default().function("slow"))).await.unwrap();
        settle().await;
        assert_eq!(alive.load(Ordering::SeqCst), 1);
        let ends = async { gate.notify_one() };
        race(&order, task.cancel(CancelRequest::new(Party::Person, "enough")), ends).await;
        let told = data(&task.wait().await);
        assert!(["1", "cancelled"].contains(&told.as_str()), "{told}: {order:?}");
        seen[usize::from(told == "1")] += 1;
        task.gone().await;
        assert_eq!(alive.load(Ordering::SeqCst), 0, "the function is dropped with its call: {order:?}");
        nothing_is_left(&bench, &order).await;
    }
    assert!(seen[0] > 0 && seen[1] > 0, "both come first in some order: {seen:?}");
}

#[tokio::test]
async fn t45_a_pause_against_a_cancel_never_holds_the_task_up() {
    for order in orders(5) {
        let bench = asking();
        let task = bench.inner.start(keyed()).await.unwrap();
        settle().await;
        let pause = task.pause(Party::Person, "lunch");
        let cancel = task.cancel(CancelRequest::new(Party::Host, "enough"));
        race(&order, pause, cancel).await;
        settle().await;
        assert_eq!(data(&task.wait().await), "cancelled", "{order:?}");
        let events = log(&task).await;
        let count = |is: fn(&EventBody) -> bool| events.iter().filter(|event| is(&event.body)).count();
        assert_eq!(
            count(|body| matches!(body, EventBody::Paused { .. })),
            count(|body| matches!(body, EventBody::Resumed { .. })),
            "{order:?}"
        );
        nothing_is_left(&bench, &order).await;
    }
}
