//! Plugins' hooks: when they are called, with what, and that nobody is held up by one.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::bench::{Bench, Script, log, plugin, script, settle, success};
use crate::model::event::EventBody;
use crate::model::hook::{AnyHook, Hooks, TaskHook};
use crate::model::ids::TaskKey;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::ports::clock::BoxFuture;
use crate::ports::hooks::HookWork;
use crate::runtime::handle::TaskHandle;
use crate::runtime::plugin::Plugin;
use crate::runtime::suspending::Suspended;
use crate::sandbox::load::LoadError;
use crate::store::memory::MemoryStore;

pub(super) type Called = Arc<Mutex<Vec<(String, Value)>>>;
type Body = fn(&HookWork) -> End;
pub(super) type End = BoxFuture<'static, Result<(), Failure>>;

pub(super) fn all() -> Hooks {
    Hooks { plugin: true, task: true }
}

/// Lets the hooks do this, and returns what was called.
pub(super) fn hooked(bench: &Bench, body: impl Fn(&HookWork) -> End + Send + Sync + 'static) -> Called {
    let called = Called::default();
    let calls = Arc::clone(&called);
    *bench.hooks.lock().unwrap() = Arc::new(move |work| {
        calls.lock().unwrap().push((work.hook.word().to_owned(), work.context.clone()));
        body(&work)
    });
    called
}

pub(super) fn fine(_: &HookWork) -> End {
    Box::pin(std::future::ready(Ok(())))
}

pub(super) fn names(called: &Called) -> Vec<String> {
    called.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
}

/// A bench with the plugin `hooked`, whose calls so far are forgotten.
async fn loaded(
    script: Script,
    places: usize,
    body: impl Fn(&HookWork) -> End + Send + Sync + 'static,
) -> (Bench, Called, Plugin) {
    let bench = Bench::with(script, places, Arc::new(MemoryStore::new()));
    let plugin = bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap();
    let called = hooked(&bench, body);
    (bench, called, plugin)
}

fn request() -> StartRequest {
    StartRequest::new("hooked", "script")
}

async fn start(bench: &Bench) -> TaskHandle {
    bench.inner.start(request()).await.unwrap()
}

/// What was noted of the task's hooks, once all is quiet.
async fn done(task: &TaskHandle) -> Vec<(TaskHook, Option<(FailureKind, String)>)> {
    settle().await;
    let events = task.after_events().await.unwrap();
    let done = events.into_iter().map(|event| {
        let EventBody::HookDone { hook, error } = event.body else { panic!("{event:?}") };
        (hook, error.map(|failure| (failure.kind, failure.message)))
    });
    done.collect()
}

#[tokio::test]
async fn r5_a_plugin_is_initialised_and_then_enabled_and_once_however_often_it_is_loaded() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let registry = Arc::clone(&bench.inner.registry);
    let called = hooked(&bench, move |work| {
        let is_init = work.hook.word() == "init";
        assert_eq!(registry.version("hooked").is_none(), is_init, "it can be used when it is enabled");
        // Whoever loads it meanwhile waits for this one.
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(())
        })
    });
    let mut loads = JoinSet::new();
    for _ in 0..3 {
        let inner = Arc::clone(&bench.inner);
        loads.spawn(async move { inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap() });
    }
    assert_eq!(loads.join_all().await.len(), 3);
    assert_eq!(names(&called), ["init", "on-enabled"]);
    let context = called.lock().unwrap()[0].1.clone();
    assert_eq!(context, json!({"version": 1, "plugin": "hooked", "config": {}}));
}

#[tokio::test]
async fn r5_a_plugin_without_hooks_has_none_called() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let called = hooked(&bench, fine);
    bench.inner.load(plugin("plain", Hooks::default()), Arc::new(())).await.unwrap();
    bench.inner.start(StartRequest::new("plain", "script")).await.unwrap().wait().await;
    bench.inner.shut_down().await;
    assert!(names(&called).is_empty());
}

#[tokio::test]
async fn r5_a_failing_init_stops_the_load_and_the_next_load_tries_again() {
    let bench = Bench::new(script(|_| async { success(None) }));
    let failing = |_: &HookWork| -> End { Box::pin(async { Err(Failure::new(FailureKind::Guest, "no\ndatabase")) }) };
    let called = hooked(&bench, failing);
    let error = bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap_err();
    assert!(matches!(&error, LoadError::Init { error } if error.kind() == FailureKind::Guest));
    assert_eq!(error.to_string(), r"the plugin could not be initialised: no\ndatabase");
    assert!(bench.inner.registry.version("hooked").is_none());
    assert_eq!(names(&called), ["init"]);
    let called = hooked(&bench, fine);
    bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap();
    assert_eq!(names(&called), ["init", "on-enabled"]);
}

#[tokio::test]
async fn r5_an_init_that_never_returns_or_panics_the_host_stops_the_load_too() {
    let bench = Bench::new(script(|_| async { success(None) }));
    hooked(&bench, |_| Box::pin(std::future::pending()));
    let inner = Arc::clone(&bench.inner);
    let mut loading = JoinSet::new();
    loading.spawn(async move { inner.load(plugin("hooked", all()), Arc::new(())).await });
    bench.advance(Duration::from_secs(9)).await;
    assert!(loading.try_join_next().is_none());
    bench.advance(Duration::from_secs(1)).await;
    let error = loading.join_next().await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&error, LoadError::Init { error } if error.kind() == FailureKind::Timeout), "{error}");
    hooked(&bench, |_| panic!("oh no"));
    let error = bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap_err();
    assert!(matches!(&error, LoadError::Init { error } if error.kind() == FailureKind::Host), "{error}");
}

#[tokio::test]
async fn r5_what_is_wrong_with_on_enabled_is_noted_and_the_plugin_is_loaded() {
    let bench = Bench::new(script(|_| async { success(None) }));
    hooked(&bench, |work| {
        let hook = work.hook.word();
        work.output.log("info", "here".to_owned(), format!("in {hook}"));
        let end = if hook == "init" { Ok(()) } else { Err(Failure::new(FailureKind::Trap, "a bad access")) };
        Box::pin(std::future::ready(end))
    });
    let plugin = bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap();
    let notes = plugin.notes();
    let [init, enabled] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((init.hook, &init.error, &init.log[..]), ("init", &None, &["info here: in init".to_owned()][..]));
    assert_eq!(enabled.hook, "on-enabled");
    assert_eq!(enabled.error.as_ref().unwrap().to_string(), "failed (trap): a bad access");
    start(&bench).await.wait().await;
    for _ in 0..40 {
        start(&bench).await.wait().await;
    }
    settle().await;
    assert_eq!(plugin.notes().len(), 32, "only so many are kept");
}

#[tokio::test]
async fn r5_the_shutdown_lets_all_plugins_part_after_their_tasks_and_waits_no_longer_than_their_time() {
    let (bench, _, hanging) = loaded(script(|_| std::future::pending()), 16, fine).await;
    let failing = bench.inner.load(plugin("failing", all()), Arc::new(())).await.unwrap();
    let called = hooked(&bench, |work| match (work.context["plugin"].as_str(), work.hook.word()) {
        (Some("hooked"), "on-disabled") => Box::pin(std::future::pending()),
        (Some("failing"), _) => Box::pin(async { Err(Failure::new(FailureKind::Guest, "not now")) }),
        _ => fine(work),
    });
    let task = start(&bench).await;
    settle().await;
    let inner = Arc::clone(&bench.inner);
    let mut given_up = JoinSet::new();
    given_up.spawn(async move { inner.shut_down().await });
    settle().await;
    // Whoever gives the shutdown up stops nothing of it.
    given_up.shutdown().await;
    let inner = Arc::clone(&bench.inner);
    let mut shutdown = JoinSet::new();
    shutdown.spawn(async move { inner.shut_down().await });
    settle().await;
    assert!(shutdown.try_join_next().is_none());
    let names_so_far = names(&called);
    assert_eq!(names_so_far[0], "on-terminal", "the tasks come first: {names_so_far:?}");
    assert!(names_so_far.contains(&"shutdown".to_owned()), "plugins do not wait for each other");
    bench.advance(Duration::from_secs(10)).await;
    shutdown.join_next().await.unwrap().unwrap();
    let order = |plugin: &str| -> Vec<String> {
        let called = called.lock().unwrap();
        called.iter().filter(|(_, told)| told["plugin"] == plugin).map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(
        (order("hooked"), order("failing")),
        (vec!["on-disabled".into(), "shutdown".into()], vec!["on-disabled".into(), "shutdown".into()])
    );
    assert_eq!(hanging.notes()[0].error.as_ref().unwrap().kind(), FailureKind::Timeout);
    assert_eq!(failing.notes().len(), 2);
    assert!(task.state().outcome.is_some());
    bench.inner.shut_down().await;
    assert_eq!(order("hooked").len(), 2, "once");
    let error = bench.inner.load(plugin("late", all()), Arc::new(())).await.unwrap_err();
    assert!(matches!(error, LoadError::ShuttingDown));
}

#[tokio::test]
async fn r5_a_dropped_host_runs_nobodys_code() {
    let (bench, called, plugin) = loaded(script(|_| std::future::pending()), 16, fine).await;
    let task = start(&bench).await;
    settle().await;
    // What the drop of a host does.
    bench.inner.hooks.close();
    bench.inner.stop_everything();
    assert!(matches!(task.wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    let [(TaskHook::OnTerminal, Some((FailureKind::Host, _)))] = &done(&task).await[..] else {
        panic!("{:?}", done(&task).await)
    };
    assert!(names(&called).is_empty() && plugin.notes().is_empty());
}

#[tokio::test]
async fn r31_a_hook_that_its_host_cuts_off_is_left_to_the_next_host() {
    let mut bench = Bench::new(script(|_| async { success(None) }));
    bench.around_mut().suspended = Arc::new(Suspended::new(true));
    bench.inner.load(plugin("hooked", all()), Arc::new(())).await.unwrap();
    let called = hooked(&bench, |_| Box::pin(std::future::pending()));
    let task = start(&bench).await;
    task.wait().await;
    settle().await;
    assert_eq!(names(&called), ["on-terminal"]);
    bench.inner.hooks.close();
    assert_eq!(done(&task).await, []);
}

#[tokio::test]
async fn r31_on_terminal_is_called_once_for_every_end() {
    let told = async |script: Script, places: usize, how: &dyn Fn(TaskHandle) -> BoxFuture<'static, ()>| {
        let (bench, called, _) = loaded(script, places, fine).await;
        let task = start(&bench).await;
        settle().await;
        how(task.clone()).await;
        bench.advance(Duration::from_hours(2)).await;
        let outcome = task.wait().await;
        assert_eq!(done(&task).await, [(TaskHook::OnTerminal, None)]);
        let calls = called.lock().unwrap().clone();
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!((&calls[0].1["id"], &calls[0].1["task"]["plugin"]), (&json!(task.id()), &json!("hooked")));
        assert_eq!(calls[0].1["usage"], json!(task.state().usage));
        log(&task).await;
        (outcome, calls[0].1["outcome"].clone())
    };
    let wait: &dyn Fn(TaskHandle) -> BoxFuture<'static, ()> = &|_| Box::pin(std::future::ready(()));
    let force: &dyn Fn(TaskHandle) -> BoxFuture<'static, ()> =
        &|task| Box::pin(async move { drop(task.cancel(CancelRequest::force(Party::Person, "enough")).await) });
    let (_, told_of) = told(script(|_| async { success(json!("x")) }), 16, wait).await;
    assert_eq!((&told_of["outcome"], &told_of["data"]), (&json!("succeeded"), &json!("x")));
    let trap = script(|_| async { crate::model::outcome::CellEnd::Failed(Failure::new(FailureKind::Trap, "oh")) });
    assert_eq!(told(trap, 16, wait).await.1["kind"], "trap");
    assert_eq!(told(script(|_| std::future::pending()), 16, wait).await.1["kind"], "idle");
    let (_, told_of) = told(script(|_| std::future::pending()), 16, force).await;
    assert_eq!((&told_of["outcome"], &told_of["forced"]), (&json!("cancelled"), &json!(true)));
    let (outcome, told_of) = told(script(|_| std::future::pending()), 0, force).await;
    assert!(matches!(outcome, Outcome::Cancelled { begun: false, .. }));
    assert_eq!(told_of["outcome"], "cancelled");
    let (bench, called, _) = loaded(script(|_| std::future::pending()), 16, fine).await;
    let task = start(&bench).await;
    bench.inner.shut_down().await;
    assert_eq!(done(&task).await, [(TaskHook::OnTerminal, None)]);
    let by = called.lock().unwrap()[0].1["outcome"]["by"].clone();
    assert_eq!(
        (by, names(&called)),
        (json!("host"), vec!["on-terminal".into(), "on-disabled".into(), "shutdown".into()])
    );
}

#[tokio::test]
async fn r32_the_key_is_free_and_the_outcome_shows_when_on_terminal_is_called() {
    let place: Arc<Mutex<Option<TaskHandle>>> = Arc::default();
    let door = Arc::new(Semaphore::new(0));
    let (seen, opened) = (Arc::clone(&place), Arc::clone(&door));
    let (bench, called, _) = loaded(script(|_| async { success(None) }), 16, move |work| {
        if matches!(work.hook, AnyHook::Task(TaskHook::OnTerminal)) {
            assert!(seen.lock().unwrap().as_ref().is_some_and(|task| task.state().outcome.is_some()));
        }
        let opened = Arc::clone(&opened);
        Box::pin(async move {
            opened.acquire().await.unwrap().forget();
            Ok(())
        })
    })
    .await;
    let keyed = || request().key(TaskKey::new("k").unwrap());
    let first = bench.inner.start(keyed()).await.unwrap();
    *place.lock().unwrap() = Some(first.clone());
    first.wait().await;
    settle().await;
    assert_eq!(names(&called), ["on-terminal"]);
    // It still runs: the same key begins anew, and the first one's cell is gone.
    first.gone().await;
    let second = bench.inner.start(keyed()).await.unwrap();
    *place.lock().unwrap() = Some(second.clone());
    second.wait().await;
    // The shutdown waits for both.
    let mut shutdown = pin!(bench.inner.shut_down());
    tokio::select! {
        biased;
        () = &mut shutdown => panic!("it did not wait"),
        () = settle() => {}
    }
    door.add_permits(8);
    shutdown.await;
    assert_eq!(done(&first).await, [(TaskHook::OnTerminal, None)]);
}

#[tokio::test]
async fn r32_a_hook_that_fails_panics_or_takes_too_long_changes_nothing() {
    let (bench, _, plugin) = loaded(script(|_| async { success(json!("x")) }), 16, fine).await;
    let cases: [(Body, FailureKind, &str); 3] = [
        (
            |_| Box::pin(async { Err(Failure::new(FailureKind::OutOfFuel, "no fuel")) }),
            FailureKind::OutOfFuel,
            "no fuel",
        ),
        (|_| Box::pin(std::future::pending()), FailureKind::Timeout, "it did not end within 10 s, and was stopped"),
        (
            |_| Box::pin(async { panic!("oh no") }),
            FailureKind::Host,
            "the host panicked while it worked for this hook: oh no",
        ),
    ];
    for (body, kind, message) in cases {
        hooked(&bench, body);
        let task = start(&bench).await;
        let outcome = task.wait().await;
        assert!(matches!(outcome, Outcome::Succeeded { .. }));
        let before = (task.state().outcome, log(&task).await);
        bench.advance(Duration::from_secs(10)).await;
        assert_eq!(done(&task).await, [(TaskHook::OnTerminal, Some((kind, message.to_owned())))]);
        assert_eq!((task.state().outcome, log(&task).await), before);
        assert_eq!(plugin.notes().last().unwrap().task, Some(task.id()));
    }
}

#[tokio::test]
async fn r5_a_hooks_time_begins_with_its_turn_for_which_it_waits_only_so_long() {
    let (bench, _, plugin) = loaded(script(|_| async { success(None) }), 16, fine).await;
    let turn = Arc::new(Semaphore::new(0));
    let comes = Arc::clone(&turn);
    *bench.hooks.lock().unwrap() = Arc::new(move |work| {
        let comes = Arc::clone(&comes);
        Box::pin(async move {
            comes.acquire().await.unwrap().forget();
            work.begun.send_replace(true);
            std::future::pending().await
        })
    });
    let (first, second) = (start(&bench).await, start(&bench).await);
    first.wait().await;
    bench.advance(Duration::from_secs(59)).await;
    turn.add_permits(1);
    bench.advance(Duration::from_secs(1)).await;
    let message = "it was not begun: other hooks took all the room for 1 min".to_owned();
    assert_eq!(done(&second).await, [(TaskHook::OnTerminal, Some((FailureKind::NotStarted, message)))]);
    bench.advance(Duration::from_millis(8999)).await;
    assert_eq!(done(&first).await, []);
    bench.advance(Duration::from_millis(1)).await;
    let message = "it did not end within 10 s, and was stopped".to_owned();
    assert_eq!(done(&first).await, [(TaskHook::OnTerminal, Some((FailureKind::Timeout, message)))]);
    assert_eq!(plugin.notes().len(), 2);
}

#[tokio::test]
async fn r5_on_cancel_runs_beside_the_task_once_and_delays_neither_its_outcome_nor_its_cells_end() {
    let (bench, called, _) = loaded(script(|_| std::future::pending()), 16, |work| match work.hook {
        AnyHook::Task(TaskHook::OnCancel) => Box::pin(std::future::pending()),
        AnyHook::Task(TaskHook::OnTerminal) | AnyHook::Plugin(_) => fine(work),
    })
    .await;
    let task = start(&bench).await;
    settle().await;
    let request = CancelRequest::new(Party::Person, "enough").grace(Duration::from_secs(4));
    task.cancel(request.clone()).await;
    task.cancel(CancelRequest { grace: Duration::from_secs(3), ..request }).await;
    settle().await;
    assert_eq!(names(&called), ["on-cancel"]);
    let told = called.lock().unwrap()[0].1.clone();
    assert_eq!((&told["by"], &told["reason"], &told["grace_ms"]), (&json!("person"), &json!("enough"), &json!(4000)));
    assert!(task.state().outcome.is_none(), "the task goes on");
    // The grace was shortened, and the hook's time with it.
    bench.advance(Duration::from_secs(3)).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { forced: true, .. }));
    task.gone().await;
    let message = "it did not end within the grace of its task's cancel, and was stopped".to_owned();
    let late = Some((FailureKind::Timeout, message));
    assert_eq!(done(&task).await, [(TaskHook::OnCancel, late), (TaskHook::OnTerminal, None)]);
    assert_eq!(names(&called), ["on-cancel", "on-terminal"]);
}

#[tokio::test]
async fn r5_on_terminal_follows_on_cancel_which_a_task_that_has_no_time_left_has_not() {
    let door = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&door);
    let (bench, called, _) = loaded(
        script(|link| async move {
            link.cancel.until(Option::is_some).await;
            success(None)
        }),
        1,
        move |work| {
            let opened = Arc::clone(&opened);
            let is_cancel = work.hook == AnyHook::Task(TaskHook::OnCancel);
            Box::pin(async move {
                if is_cancel {
                    opened.acquire().await.unwrap().forget();
                }
                Ok(())
            })
        },
    )
    .await;
    let (task, queued) = (start(&bench).await, start(&bench).await);
    settle().await;
    queued.cancel(CancelRequest::new(Party::Person, "")).await;
    assert_eq!(done(&queued).await, [(TaskHook::OnTerminal, None)]);
    task.cancel(CancelRequest::new(Party::Person, "")).await;
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    task.gone().await;
    assert_eq!(done(&task).await, []);
    door.add_permits(1);
    assert_eq!(done(&task).await, [(TaskHook::OnCancel, None), (TaskHook::OnTerminal, None)]);
    assert_eq!(names(&called), ["on-terminal", "on-cancel", "on-terminal"]);
}
