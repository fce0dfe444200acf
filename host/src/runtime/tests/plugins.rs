//! What a plugin is told of its own life, by whoever changes it, and that none of them holds up the others.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::bench::{Bench, Beside, beside, script, settle, success, version_with};
use super::hooks::{Called, End, all, fine, hooked, names};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{Failure, FailureKind};
use crate::model::request::StartRequest;
use crate::ports::hooks::HookWork;
use crate::runtime::host::Inner;
use crate::runtime::plugin::Plugin;
use crate::runtime::start_error::StartError;
use crate::runtime::unloading::{PluginError, ReplaceError, Replaced, Unload};
use crate::sandbox::load::LoadError;

const FORCE: Unload = Unload::Force;

fn bench() -> Bench {
    Bench::new(script(|_| async { success(None) }))
}

fn version(number: &str) -> Plugin {
    version_with("hooked", number, &[("script", TaskKind::Task)], all())
}

async fn load(bench: &Bench, number: &str) -> Result<Plugin, LoadError> {
    bench.inner.load(version(number), Arc::new(())).await
}

async fn replace(inner: &Arc<Inner>, number: &str) -> Result<Replaced, ReplaceError> {
    inner.replace(version(number), Arc::new(()), FORCE).await
}

/// What goes on beside the test with the bench's runtime.
fn go<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    bench: &Bench,
    work: impl FnOnce(Arc<Inner>) -> F,
) -> Beside<T> {
    beside(work(Arc::clone(&bench.inner)))
}

/// Polls it once. The caller keeps it, and never polls it again.
async fn begin<F: Future>(work: F) -> Pin<Box<F>> {
    let mut work = Box::pin(work);
    std::future::poll_fn(|cx| {
        assert!(work.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    settle().await;
    work
}

/// Whether it ends without any time passing.
async fn ends<T: Send + 'static>(work: Beside<T>) -> T {
    settle().await;
    assert!(work.is_finished(), "it is held up");
    work.end().await
}

/// This hook of the plugin `hooked` waits at the door, and then does `then`; all others are fine.
fn slow(bench: &Bench, hook: &'static str, then: fn() -> Result<(), Failure>) -> (Called, Arc<Semaphore>) {
    let door = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&door);
    let called = hooked(bench, move |work: &HookWork| -> End {
        if work.hook.word() != hook || work.context["plugin"] != "hooked" {
            return fine(work);
        }
        let opened = Arc::clone(&opened);
        Box::pin(async move {
            opened.acquire().await.unwrap().forget();
            then()
        })
    });
    (called, door)
}

#[tokio::test]
async fn r36_a_load_that_nobody_polls_any_more_holds_nobody_up_and_is_loaded() {
    let bench = bench();
    let (called, door) = slow(&bench, "init", || Ok(()));
    let kept = begin(load(&bench, "1")).await;
    assert_eq!(names(&called), ["init"]);
    let again = go(&bench, |inner| async move { inner.load(version("1"), Arc::new(())).await });
    settle().await;
    assert!(!again.is_finished(), "it is the turn of the first");
    door.add_permits(1);
    assert!(ends(again).await.is_ok());
    assert_eq!(names(&called), ["init", "on-enabled"]);
    ends(go(&bench, |inner| async move { inner.shut_down().await })).await;
    assert_eq!(names(&called), ["init", "on-enabled", "on-disabled", "shutdown"]);
    drop(kept);
}

#[tokio::test]
async fn r36_no_change_that_nobody_polls_any_more_holds_up_a_shutdown_and_no_shutdown_another() {
    for which in ["replace", "enable", "disable", "unload"] {
        let bench = bench();
        let (slow_hook, before) = match which {
            "replace" => ("init", true),
            "enable" => ("on-enabled", false),
            _ => ("on-disabled", true),
        };
        hooked(&bench, fine);
        load(&bench, "1").await.unwrap();
        bench.inner.set_enabled("hooked", before).await.unwrap();
        let (_, door) = slow(&bench, slow_hook, || Ok(()));
        let inner = Arc::clone(&bench.inner);
        let change = async move {
            match which {
                "replace" => drop(replace(&inner, "2").await),
                "unload" => drop(inner.unload("hooked", FORCE).await),
                _ => drop(inner.set_enabled("hooked", which == "enable").await),
            }
        };
        let kept = begin(change).await;
        let shutdown = begin(bench.inner.shut_down()).await;
        let second = go(&bench, |inner| async move { inner.shut_down().await });
        settle().await;
        assert!(!second.is_finished(), "{which}: the hook has its time");
        door.add_permits(8);
        ends(second).await;
        drop((kept, shutdown));
    }
}

#[tokio::test]
async fn r36_a_load_that_is_dropped_before_its_turn_loads_nothing_and_goes_on_after_that() {
    let bench = bench();
    let fails = || Err(Failure::new(FailureKind::Guest, "no"));
    let (called, door) = slow(&bench, "init", fails);
    let first = go(&bench, |inner| async move { inner.load(version("1"), Arc::new(())).await });
    settle().await;
    drop(begin(load(&bench, "1")).await);
    door.add_permits(8);
    assert!(ends(first).await.is_err());
    settle().await;
    assert_eq!(names(&called), ["init"]);
    let (called, door) = slow(&bench, "init", || Ok(()));
    drop(begin(load(&bench, "1")).await);
    door.add_permits(1);
    settle().await;
    assert!(bench.inner.registry.version("hooked").is_some());
    assert_eq!(names(&called), ["init", "on-enabled"]);
}

#[tokio::test]
async fn r36_a_slow_hook_of_one_plugin_holds_up_no_other_plugin() {
    let bench = bench();
    let (_, door) = slow(&bench, "on-enabled", || Ok(()));
    let loading = go(&bench, |inner| async move { inner.load(version("1"), Arc::new(())).await });
    settle().await;
    let other = go(&bench, |inner| async move {
        let plugin = |number| version_with("quick", number, &[], all());
        inner.load(plugin("1"), Arc::new(())).await.unwrap();
        inner.set_enabled("quick", false).await.unwrap();
        inner.replace(plugin("2"), Arc::new(()), FORCE).await.unwrap();
        inner.unload("quick", FORCE).await.unwrap();
    });
    ends(other).await;
    assert!(!loading.is_finished());
    door.add_permits(1);
    assert!(ends(loading).await.is_ok());
}

#[tokio::test]
async fn r36_an_unload_takes_the_name_at_once_whatever_hook_runs() {
    let bench = bench();
    hooked(&bench, fine);
    load(&bench, "1").await.unwrap();
    let (called, door) = slow(&bench, "init", || Ok(()));
    let replacing = go(&bench, |inner| async move { replace(&inner, "2").await });
    settle().await;
    let unloading = go(&bench, |inner| async move { inner.unload("hooked", FORCE).await });
    ends(unloading).await.unwrap();
    let refused = bench.inner.start(StartRequest::new("hooked", "script")).await;
    assert!(matches!(refused, Err(StartError::UnknownPlugin { .. })));
    assert_eq!(names(&called), ["init", "on-disabled", "shutdown"]);
    door.add_permits(1);
    let error = ends(replacing).await.unwrap_err();
    assert!(matches!(error, ReplaceError::NotLoaded(PluginError::Unknown { .. })), "{error:?}");
    assert_eq!(names(&called)[3..], ["shutdown"], "the new version was initialised and goes");
    assert!(bench.inner.registry.version("hooked").is_none());
}

#[tokio::test]
async fn r5_on_disabled_follows_an_on_enabled_and_shutdown_comes_once_and_last() {
    let bench = bench();
    let called = hooked(&bench, fine);
    let told = || std::mem::take(&mut *called.lock().unwrap()).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    load(&bench, "1").await.unwrap();
    assert_eq!(told(), ["init", "on-enabled"]);
    for (enabled, hooks) in [(false, &["on-disabled"][..]), (false, &[]), (true, &["on-enabled"]), (true, &[])] {
        bench.inner.set_enabled("hooked", enabled).await.unwrap();
        assert_eq!(told(), hooks);
    }
    replace(&bench.inner, "2").await.unwrap();
    let mut both = told();
    // The old version parts beside the beginning of the new one.
    assert_eq!(both.remove(0), "init");
    both.sort();
    assert_eq!(both, ["on-disabled", "on-enabled", "shutdown"]);
    bench.inner.set_enabled("hooked", false).await.unwrap();
    assert_eq!(told(), ["on-disabled"]);
    replace(&bench.inner, "3").await.unwrap();
    assert_eq!(told(), ["init", "shutdown"], "the old one was told before, and the new one was never enabled");
    bench.inner.unload("hooked", FORCE).await.unwrap();
    assert_eq!(told(), ["shutdown"]);
    load(&bench, "1").await.unwrap();
    bench.inner.unload("hooked", FORCE).await.unwrap();
    assert_eq!(told(), ["init", "on-enabled", "on-disabled", "shutdown"]);
    load(&bench, "1").await.unwrap();
    bench.inner.set_enabled("hooked", false).await.unwrap();
    assert_eq!(told(), ["init", "on-enabled", "on-disabled"]);
    bench.inner.shut_down().await;
    assert_eq!(told(), ["shutdown"]);
}

#[tokio::test]
async fn r5_no_hook_is_called_after_the_shutdown() {
    let bench = bench();
    let called = hooked(&bench, fine);
    load(&bench, "1").await.unwrap();
    bench.inner.shut_down().await;
    let before = names(&called);
    for enabled in [false, true] {
        assert_eq!(bench.inner.set_enabled("hooked", enabled).await, Err(PluginError::ShuttingDown));
    }
    for number in ["1", "2"] {
        assert!(matches!(load(&bench, number).await, Err(LoadError::ShuttingDown)));
        let refused = replace(&bench.inner, number).await;
        assert!(matches!(refused, Err(ReplaceError::Load(LoadError::ShuttingDown))));
    }
    bench.inner.unload("hooked", FORCE).await.unwrap();
    bench.inner.shut_down().await;
    assert_eq!(names(&called), before);
}

#[tokio::test]
async fn t45_shutdown_against_unload_tells_each_hook_once_and_both_wait_for_it() {
    for unload_first in [true, false] {
        let bench = bench();
        let (called, door) = slow(&bench, "on-disabled", || Ok(()));
        load(&bench, "1").await.unwrap();
        let unload = || go(&bench, |inner| async move { drop(inner.unload("hooked", FORCE).await) });
        let shutdown = || go(&bench, |inner| async move { inner.shut_down().await });
        let first = if unload_first { unload() } else { shutdown() };
        settle().await;
        let second = if unload_first { shutdown() } else { unload() };
        settle().await;
        assert!(!first.is_finished() && !second.is_finished());
        door.add_permits(8);
        ends(first).await;
        ends(second).await;
        assert_eq!(names(&called), ["init", "on-enabled", "on-disabled", "shutdown"]);
    }
}

#[tokio::test]
async fn r36_whatever_hook_is_slow_holds_an_unload_up_for_a_second_after_its_deadline_and_goes_on() {
    for slow_hook in ["on-disabled", "shutdown", "on-terminal"] {
        let bench = bench();
        // That of a task is told of no plugin.
        let door = Arc::new(Semaphore::new(0));
        let opened = Arc::clone(&door);
        let called = hooked(&bench, move |work: &HookWork| -> End {
            if work.hook.word() != slow_hook {
                return fine(work);
            }
            let opened = Arc::clone(&opened);
            Box::pin(async move {
                opened.acquire().await.unwrap().forget();
                Ok(())
            })
        });
        let code = Arc::new(());
        let held = Arc::downgrade(&code);
        bench.inner.load(version("1"), code).await.unwrap();
        let task = bench.inner.start(StartRequest::new("hooked", "script")).await.unwrap();
        task.wait().await;
        let drain = Unload::Drain { deadline: Duration::from_secs(2) };
        let unloading = go(&bench, move |inner| async move { inner.unload("hooked", drain).await });
        bench.advance(Duration::from_millis(2999)).await;
        assert!(!unloading.is_finished(), "{slow_hook}");
        bench.advance(Duration::from_millis(1)).await;
        ends(unloading).await.unwrap();
        assert!(held.upgrade().is_some(), "{slow_hook}: it runs");
        let refused = bench.inner.start(StartRequest::new("hooked", "script")).await;
        assert!(matches!(refused, Err(StartError::PluginUnloading { .. })));
        door.add_permits(1);
        settle().await;
        assert!(held.upgrade().is_none(), "{slow_hook}");
        assert_eq!(names(&called).last().map(String::as_str), Some("shutdown"));
    }
}
