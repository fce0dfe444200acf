//! What is called at a task's end, and what comes after it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use tokio::task::JoinSet;

use crate::model::event::{EventBody, EventSeq};
use crate::model::ids::TaskKey;
use crate::model::outcome::{CellEnd, Failure, FailureKind, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::runtime::handle::TaskHandle;
use crate::runtime::start_error::StartError;
use crate::runtime::terminal::{OnTerminalError, TaskEnd};
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

/// A function that tells how a task ended, and a way to hear it.
fn teller() -> (impl Fn(TaskEnd) -> std::future::Ready<Result<(), OnTerminalError>>, mpsc::Receiver<TaskEnd>) {
    let (tell, told) = mpsc::channel(16);
    let function = move |end| std::future::ready(tell.try_send(end).map_err(|_| "nobody listens".into()));
    (function, told)
}

fn named(name: &str) -> StartRequest {
    let mut request = request();
    request.details.on_terminal = Some(name.to_owned());
    request
}

/// What was noted of the functions that were called, once all is quiet.
async fn noted(task: &TaskHandle) -> Vec<(Option<String>, Option<String>)> {
    settle().await;
    let events = task.after_events().await.unwrap();
    for (event, number) in events.iter().zip(1..) {
        assert_eq!(event.seq, EventSeq(number), "numbers of its own");
    }
    let done = events.into_iter().map(|event| {
        let EventBody::OnTerminalDone { name, error } = event.body else { panic!("{event:?}") };
        (name, error)
    });
    done.collect()
}

/// Starts a task with a function, ends it, and returns what the function was told: once, and what everybody sees.
async fn told(bench: &Bench, how: impl AsyncFnOnce(&TaskHandle)) -> Outcome {
    let (function, mut told) = teller();
    let task = bench.inner.start_with(request(), function).await.unwrap();
    settle().await;
    how(&task).await;
    let end = told.recv().await.unwrap();
    assert_eq!(end.task.state().outcome.as_ref(), Some(&end.outcome), "f08: the state says the same");
    assert_eq!((end.task.id(), task.wait().await), (task.id(), end.outcome.clone()));
    assert_eq!(noted(&task).await, [(None, None)]);
    assert!(told.try_recv().is_err(), "it was called once");
    log(&task).await;
    end.outcome
}

#[tokio::test]
async fn r31_every_kind_of_end_calls_the_function_once() {
    let failing = |failure: Failure| Bench::new(script(move |_| std::future::ready(CellEnd::Failed(failure.clone()))));
    let nothing = async |_: &TaskHandle| {};
    let bench = Bench::new(script(|_| async { success(json!("x")) }));
    assert!(matches!(told(&bench, nothing).await, Outcome::Succeeded { .. }));
    for kind in [FailureKind::Trap, FailureKind::OutOfFuel, FailureKind::Guest] {
        let outcome = told(&failing(Failure::new(kind, "so it ended")), nothing).await;
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.kind == kind));
    }
    let pending = || Bench::new(script(|_| std::future::pending()));
    let bench = pending();
    let timed_out = told(&bench, async |_| bench.advance(Duration::from_hours(2)).await).await;
    assert!(matches!(timed_out, Outcome::Failed(failure) if failure.is_limit()));
    let force = CancelRequest::force(Party::Person, "enough");
    let cancelled = told(&bench, async |task| drop(task.cancel(force.clone()).await)).await;
    assert!(matches!(cancelled, Outcome::Cancelled { forced: true, .. }));
    let full = Bench::with(script(|_| std::future::pending()), 0, Arc::new(MemoryStore::new()));
    let before = told(&full, async |task| drop(task.cancel(force.clone()).await)).await;
    assert!(matches!(before, Outcome::Cancelled { begun: false, .. }));
    let bench = pending();
    let shut_down = told(&bench, async |_| bench.inner.shut_down().await).await;
    assert!(matches!(shut_down, Outcome::Cancelled { by: Party::Host, .. }));
}

#[tokio::test]
async fn r31_a_task_whose_end_cannot_be_stored_calls_the_function_all_the_same() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = Bench::with(script(|_| std::future::pending()), 1, store.clone());
    let (function, mut told) = teller();
    let task = bench.inner.start_with(request(), function).await.unwrap();
    settle().await;
    store.fail(true);
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    assert!(matches!(told.recv().await.unwrap().outcome, Outcome::Failed(_)));
}

#[tokio::test]
async fn r32_the_key_is_free_when_it_is_called_and_f10_it_can_start_the_same_again() {
    let bench = Arc::new(Bench::new(script(|_| async { success(None) })));
    let keyed = || request().key(TaskKey::new("k").unwrap());
    let (tell, mut told) = mpsc::channel(1);
    let again = Arc::clone(&bench);
    let function = move |end: TaskEnd| async move {
        assert_eq!(end.task.state().phase, Phase::Ended);
        tell.send(again.inner.start(keyed()).await?).await?;
        Ok(())
    };
    let first = bench.inner.start_with(keyed(), function).await.unwrap();
    let second = told.recv().await.unwrap();
    assert_eq!(first.task_ref(), second.task_ref());
    second.wait().await;
    assert_eq!(noted(&first).await, [(None, None)]);
    assert_eq!(second.after_events().await, Ok(Vec::new()));
}

#[tokio::test]
async fn f10_a_function_can_start_the_same_key_again_from_inside() {
    let (bench, told) = (Arc::new(Bench::new(script(|_| async { success(None) }))), Arc::new(AtomicUsize::new(0)));
    let (again, count) = (Arc::clone(&bench), Arc::clone(&told));
    let keyed = || request().key(TaskKey::new("k").unwrap());
    let function = move |_: TaskEnd| async move {
        again.inner.start(keyed()).await?.wait().await;
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let task = bench.inner.start_with(keyed(), function).await.unwrap();
    assert_eq!(noted(&task).await, [(None, None)]);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn f11_what_the_function_waits_for_is_waited_for_by_the_shutdown_too() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let (door, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, count) = (Arc::clone(&door), Arc::clone(&done));
    let function = move |_: TaskEnd| async move {
        let _ = open.acquire().await?;
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let task = bench.inner.start_with(request(), function).await.unwrap();
    // Neither the outcome nor the cleaning up waits for it.
    task.wait().await;
    task.gone().await;
    let mut shutdown = std::pin::pin!(bench.inner.shut_down());
    tokio::select! {
        biased;
        () = &mut shutdown => panic!("it did not wait"),
        () = settle() => {}
    }
    assert_eq!(done.load(Ordering::Relaxed), 0);
    door.add_permits(1);
    shutdown.await;
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn f22_a_shutdown_that_is_given_up_leaves_the_tasks_their_end_and_the_next_waits_for_it() {
    let bench = Arc::new(Bench::new(script(|_| std::future::pending())));
    let (door, done) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (open, count) = (Arc::clone(&door), Arc::clone(&done));
    let function = move |_: TaskEnd| async move {
        let _ = open.acquire().await?;
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    let first = bench.inner.start_with(request(), function).await.unwrap();
    settle().await;
    let shutdown = |into: &mut JoinSet<()>| {
        let bench = Arc::clone(&bench);
        into.spawn(async move { bench.inner.shut_down().await });
    };
    let (mut given_up, mut others) = (JoinSet::new(), JoinSet::new());
    shutdown(&mut given_up);
    shutdown(&mut others);
    shutdown(&mut others);
    settle().await;
    assert!(matches!(first.state().outcome, Some(Outcome::Cancelled { by: Party::Host, .. })));
    given_up.shutdown().await;
    settle().await;
    assert!(others.try_join_next().is_none(), "each of them waits");
    door.add_permits(1);
    others.join_all().await;
    assert_eq!(done.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn r32_a_function_that_fails_panics_or_takes_too_long_changes_nothing() {
    let mut bench = Bench::new(script(|_| async { success(json!("x")) }));
    let functions = &mut bench.inner_mut().on_terminals;
    functions.register("fails".to_owned(), Arc::new(|_| Box::pin(async { Err("no room".into()) })));
    functions.register("panics".to_owned(), Arc::new(|_| Box::pin(async { panic!("oh no") })));
    functions.register("panics-at-once".to_owned(), Arc::new(|_| panic!("oh no")));
    functions.register("hangs".to_owned(), Arc::new(|_| Box::pin(std::future::pending())));
    let cases = [
        ("fails", "no room"),
        ("panics", "it panicked: oh no"),
        ("panics-at-once", "it panicked: oh no"),
        ("hangs", "it did not end within 30 s, and was dropped"),
    ];
    for (name, error) in cases {
        let task = bench.inner.start(named(name)).await.unwrap();
        assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
        let (before, log_before) = (task.state(), log(&task).await);
        bench.advance(Duration::from_secs(30)).await;
        assert_eq!(noted(&task).await, [(Some(name.to_owned()), Some(error.to_owned()))]);
        assert_eq!((task.state().outcome, log(&task).await), (before.outcome, log_before));
    }
}

#[tokio::test]
async fn r32_its_time_is_the_hosts_to_say() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    bench.inner_mut().on_terminals.set_timeout(Duration::from_secs(1));
    let task = bench.inner.start_with(request(), |_| std::future::pending()).await.unwrap();
    bench.advance(Duration::from_millis(999)).await;
    assert_eq!(noted(&task).await, []);
    bench.advance(Duration::from_millis(1)).await;
    assert_eq!(noted(&task).await.len(), 1);
}

#[tokio::test]
async fn r10_a_name_that_nobody_registered_is_an_error_before_anything_happens() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    let (function, _told) = teller();
    bench.inner_mut().on_terminals.register("known".to_owned(), Arc::new(move |end| Box::pin(function(end))));
    let error = bench.inner.start(named("unknown")).await.unwrap_err();
    assert!(matches!(&error, StartError::UnknownOnTerminal { .. }));
    assert_eq!(error.to_string(), "no function for the end of a task is called \"unknown\"; registered: known");
    assert_eq!(bench.inner.registry.known(), 0);
}

#[tokio::test]
async fn r31_the_named_function_is_called_before_the_one_that_came_along() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let function = move |_| {
        seen.lock().unwrap().push("named");
        Box::pin(std::future::ready(Ok(()))) as _
    };
    bench.inner_mut().on_terminals.register("n".to_owned(), Arc::new(function));
    let seen = Arc::clone(&order);
    let own = move |_| async move {
        seen.lock().unwrap().push("own");
        Ok(())
    };
    let task = bench.inner.start_with(named("n"), own).await.unwrap();
    assert_eq!(noted(&task).await, [(Some("n".to_owned()), None), (None, None)]);
    assert_eq!(*order.lock().unwrap(), ["named", "own"]);
}

#[tokio::test]
async fn r30_late_signals_are_noted_and_only_so_many() {
    let bench = Bench::new(script(|link| async move { success(json!(wait_for(&link, "go", None).await)) }));
    let task = bench.start().await;
    settle().await;
    task.notify(key("go"), None, Party::Host).await;
    let outcome = task.wait().await;
    assert_eq!(task.after_events().await, Ok(Vec::new()));
    let before = log(&task).await;
    // All at once: none is lost although each wants to be the next.
    let mut senders = JoinSet::new();
    for _ in 0..100 {
        let task = task.clone();
        senders.spawn(async move { task.notify(key("late"), Some(json!(1)), Party::Person).await });
    }
    for answer in senders.join_all().await {
        assert_eq!(answer, NotifyAnswer::NoTask);
    }
    let after = task.after_events().await.unwrap();
    assert_eq!(after.len(), 64);
    for (event, number) in after.iter().zip(1..) {
        assert_eq!(event.seq, EventSeq(number));
        assert_eq!(event.body, EventBody::LateSignal { key: key("late"), sender: Party::Person });
    }
    assert_eq!((task.state().outcome, log(&task).await), (Some(outcome), before));
}

#[tokio::test]
async fn f14_what_came_after_the_end_is_forgotten_with_the_task() {
    let store = Arc::new(MemoryStore::new());
    let bench = Bench::with(script(|_| async { success(None) }), 1, store.clone());
    let task = bench.start().await;
    let id = task.id();
    task.gone().await;
    task.notify(key("late"), None, Party::Host).await;
    let stream = crate::ports::store::StreamId::After(id);
    assert_eq!(crate::ports::store::TaskStore::head(&*store, stream).await, Ok(Some(EventSeq(1))));
    drop(task);
    for _ in 0..600 {
        bench.start().await.gone().await;
    }
    settle().await;
    assert!(bench.inner.registry.by_id(id).is_none());
    assert_eq!(crate::ports::store::TaskStore::head(&*store, stream).await, Ok(None));
}
