//! Daemons: kept alive with their plugin, and stopped with it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, Script, key, log, script, settle, success, version_of, wait_for};
use super::races::unloads::shut;
use crate::model::children::ChildOptions;
use crate::model::event::EventBody;
use crate::model::ids::{TaskId, TaskKey, TaskRef};
use crate::model::limits::{Limits, LimitsRequest};
use crate::model::manifest::TaskKind;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::clock::Clock;
use crate::ports::runner::GuestCall;
use crate::runtime::belongings::Belongings;
use crate::runtime::daemons::DaemonPhase;
use crate::runtime::handle::TaskHandle;
use crate::runtime::queue::Queue;
use crate::runtime::start_error::StartError;
use crate::runtime::unloading::Unload;
use crate::store::memory::MemoryStore;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const FORCE: Unload = Unload::Force;

fn reference() -> TaskRef {
    TaskRef { plugin: "watcher".into(), task_type: "watch".into(), key: TaskKey::new("watch").unwrap() }
}

/// The live daemon.
fn daemon(bench: &Bench) -> Option<TaskHandle> {
    bench.inner.registry.by_ref(&reference()).map(TaskHandle::new)
}

async fn load(bench: &Bench) {
    let types = [("watch", TaskKind::Daemon), ("script", TaskKind::Task)];
    bench.inner.load(version_of("watcher", "1", &types), Arc::new(())).await.unwrap();
    settle().await;
}

fn phase(bench: &Bench) -> DaemonPhase {
    let statuses = bench.inner.daemon_statuses();
    assert_eq!(statuses.len(), 1);
    assert_eq!((statuses[0].plugin.as_str(), statuses[0].task_type.as_str()), ("watcher", "watch"));
    statuses[0].phase.clone()
}

/// Waits for `end`; ends well when it comes, and tidies up when it is asked to stop.
fn watching() -> Script {
    script(|link| async move {
        match wait_for(&link, "end", None).await.as_str() {
            "Cancelled" => CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None }),
            _ => success(None),
        }
    })
}

fn crashing() -> Script {
    script(|_| async { CellEnd::Failed(Failure::new(FailureKind::Trap, "it trapped")) })
}

fn stopped_by_host(outcome: &Outcome, why: &str) -> bool {
    matches!(outcome, Outcome::Cancelled { by: Party::Host, reason, message, .. } if reason == why && message == "tidied up")
}

#[tokio::test]
async fn r6_a_daemon_begins_with_its_plugin_and_ends_with_it() {
    let mut bench = Bench::new(watching());
    let config = json!({"daemons": {"watch": {"every": 5}}});
    bench.inner_mut().plugins =
        Belongings::new([("watcher".to_owned(), config)].into(), None, 1 << 20, Arc::new(MemoryStore::new()));
    load(&bench).await;
    let task = daemon(&bench).expect("it runs");
    assert_eq!(phase(&bench), DaemonPhase::Running { task: task.id() });
    assert_eq!(*bench.inputs.lock().unwrap(), [json!({"every": 5})]);
    assert_eq!(task.state().details.kind, TaskKind::Daemon);
    // However long anything lasts, a drain does not wait for a daemon.
    let report = bench.inner.unload("watcher", Unload::Drain { deadline: HOUR }).await.unwrap();
    assert_eq!(report.tasks.len(), 1);
    assert!(stopped_by_host(&task.wait().await, "its plugin watcher was unloaded"));
    bench.advance(HOUR).await;
    assert!(daemon(&bench).is_none() && bench.inner.daemon_statuses().is_empty());
    log(&task).await;
}

#[tokio::test]
async fn r6_a_daemon_may_live_and_be_silent_as_long_as_it_likes() {
    let bench = Bench::new(script(|_| std::future::pending()));
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    for _ in 0..50 {
        bench.advance(HOUR).await;
    }
    assert_eq!(task.state().phase, Phase::Running);
    assert_eq!(daemon(&bench).unwrap().id(), task.id());
    // Those that it starts are tasks, with a task's time.
    let ordinary = bench.inner.start(StartRequest::new("watcher", "script")).await.unwrap();
    bench.advance(HOUR).await;
    assert!(matches!(ordinary.state().outcome, Some(Outcome::Failed(_))));
}

#[tokio::test]
async fn r6_a_daemon_that_ends_is_started_again_after_a_pause() {
    let bench = Bench::new(watching());
    load(&bench).await;
    let first = daemon(&bench).unwrap();
    bench.advance(HOUR).await;
    first.notify(key("end"), None, Party::Host).await;
    settle().await;
    assert_eq!(phase(&bench), DaemonPhase::Waiting);
    assert!(daemon(&bench).is_none(), "not at once");
    bench.advance(SECOND).await;
    let second = daemon(&bench).expect("it is there again");
    assert_ne!(first.id(), second.id());
    assert!(matches!(first.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn r6_a_daemon_that_keeps_crashing_is_given_up_and_says_so_until_it_is_enabled_anew() {
    let bench = Bench::new(crashing());
    load(&bench).await;
    for _ in 0..100 {
        bench.advance(SECOND).await;
    }
    assert_eq!(bench.inputs.lock().unwrap().len(), 5);
    let DaemonPhase::GivenUp { why } = phase(&bench) else { panic!("{:?}", phase(&bench)) };
    assert!(why.starts_with("it ended 5 times soon after its start, at last so: failed"), "{why}");
    let last: Vec<TaskId> = bench.inner.registry.known_ids();
    let mut told = 0;
    for id in last {
        let task = TaskHandle::new(bench.inner.registry.by_id(id).unwrap());
        for event in task.after_events().await.unwrap() {
            assert_eq!(event.body, EventBody::DaemonGivenUp { lives: 5 });
            told += 1;
        }
    }
    assert_eq!(told, 1, "an event of its last task says so");
    bench.inner.set_enabled("watcher", false).await.unwrap();
    settle().await;
    assert_eq!(phase(&bench), DaemonPhase::Disabled);
    bench.inner.set_enabled("watcher", true).await.unwrap();
    settle().await;
    assert_eq!(bench.inputs.lock().unwrap().len(), 6, "a new beginning");
}

#[tokio::test]
async fn r6_a_daemon_that_cannot_be_started_is_given_up_at_once() {
    let mut bench = Bench::new(watching());
    let config = json!({"daemons": {"watch": "no object"}});
    bench.inner_mut().plugins =
        Belongings::new([("watcher".to_owned(), config)].into(), None, 1 << 20, Arc::new(MemoryStore::new()));
    load(&bench).await;
    let DaemonPhase::GivenUp { why } = phase(&bench) else { panic!("{:?}", phase(&bench)) };
    assert!(why.starts_with("it cannot be started: the input does not match"), "{why}");
    assert!(daemon(&bench).is_none());
}

#[tokio::test]
async fn r6_a_daemon_that_a_person_stops_stays_stopped() {
    let bench = Bench::new(watching());
    load(&bench).await;
    daemon(&bench).unwrap().cancel(CancelRequest::new(Party::Person, "enough")).await;
    bench.advance(HOUR).await;
    assert_eq!(phase(&bench), DaemonPhase::Stopped);
    assert!(daemon(&bench).is_none());
}

#[tokio::test]
async fn r6_a_disabled_plugin_has_no_daemon_and_an_enabled_one_has() {
    let bench = Bench::new(watching());
    load(&bench).await;
    let first = daemon(&bench).unwrap();
    bench.inner.set_enabled("watcher", false).await.unwrap();
    assert!(stopped_by_host(&first.wait().await, "its plugin watcher was disabled"));
    bench.advance(HOUR).await;
    assert!(daemon(&bench).is_none());
    assert_eq!(phase(&bench), DaemonPhase::Disabled);
    bench.inner.set_enabled("watcher", true).await.unwrap();
    settle().await;
    assert!(daemon(&bench).is_some());
}

#[tokio::test]
async fn t45_disable_against_the_start_of_a_daemon_leaves_none() {
    let (bench, store) = shut();
    load(&bench).await;
    assert!(daemon(&bench).is_none(), "its start is under way");
    bench.inner.set_enabled("watcher", false).await.unwrap();
    store.open.add_permits(1);
    settle().await;
    assert!(daemon(&bench).is_none());
    assert_eq!(phase(&bench), DaemonPhase::Disabled);
    assert_eq!(*bench.inputs.lock().unwrap(), Vec::<Value>::new(), "it never ran");
}

#[tokio::test]
async fn r6_a_deaf_daemon_is_stopped_where_it_is_when_the_grace_is_over() {
    let bench = Arc::new(Bench::new(script(|_| std::future::pending())));
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    let mut disabling = tokio::task::JoinSet::new();
    let inner = Arc::clone(&bench.inner);
    disabling.spawn(async move { inner.set_enabled("watcher", false).await });
    bench.advance(SECOND * 4).await;
    assert!(disabling.try_join_next().is_none());
    bench.advance(SECOND).await;
    assert_eq!(disabling.join_all().await, [Ok(true)]);
    assert!(matches!(task.wait().await, Outcome::Cancelled { forced: true, .. }));
}

#[tokio::test]
async fn r6_a_replaced_plugin_has_the_new_daemon_when_the_old_one_is_gone() {
    let bench = Bench::new(watching());
    load(&bench).await;
    let old = daemon(&bench).unwrap();
    let types = [("watch", TaskKind::Daemon)];
    let new = version_of("watcher", "2", &types);
    let digest = new.digest();
    let replaced = bench.inner.replace(new, Arc::new(()), Unload::Drain { deadline: HOUR }).await.unwrap();
    assert_eq!(replaced.report.tasks.len(), 1);
    assert!(stopped_by_host(&old.wait().await, "its plugin watcher was replaced by version 2"));
    settle().await;
    let now = daemon(&bench).expect("the new one");
    assert_ne!(now.id(), old.id());
    assert_eq!(bench.codes.lock().unwrap().last(), Some(&digest));
}

#[tokio::test]
async fn r6_there_is_one_of_each_daemon_whoever_starts_it() {
    let mut bench = Bench::new(watching());
    let by_hand = || StartRequest::new("watcher", "watch");
    load(&bench).await;
    assert!(matches!(bench.inner.start(by_hand()).await, Err(StartError::KeyInUse { task }) if task == reference()));
    let other = by_hand().key(TaskKey::new("other").unwrap());
    assert!(matches!(bench.inner.start(other).await, Err(StartError::DaemonKey { name }) if name == "watch"));
    bench.inner.shut_down().await;
    // A host that starts none lets a person start it, without a deadline all the same.
    bench = Bench::new(watching());
    bench.inner_mut().daemons.start = false;
    load(&bench).await;
    assert!(daemon(&bench).is_none() && bench.inner.daemon_statuses().is_empty());
    let task = bench.inner.start(by_hand()).await.unwrap();
    assert_eq!(*task.task_ref(), reference());
    bench.advance(HOUR * 24).await;
    assert_eq!(task.state().phase, Phase::Running);
    // It is its plugin's daemon.
    bench.inner.set_enabled("watcher", false).await.unwrap();
    assert!(stopped_by_host(&task.wait().await, "its plugin watcher was disabled"));
}

#[tokio::test]
async fn r6_a_daemon_is_nobodys_child() {
    let bench = Bench::new(script(|link| async move {
        let options = Box::new(ChildOptions { limits: LimitsRequest::default().fuel(1), ..ChildOptions::default() });
        let task_type = "watch".to_owned();
        let child = link.request(|reply| GuestCall::StartChild { task_type, input: json!({}), options, reply }).await;
        success(json!(child.unwrap_err().message))
    }));
    let mut bench = bench;
    bench.inner_mut().daemons.start = false;
    load(&bench).await;
    let task = bench.inner.start(StartRequest::new("watcher", "script")).await.unwrap();
    let Outcome::Succeeded { data: Some(Value::String(said)), .. } = task.wait().await else { panic!() };
    assert!(said.contains("nobody's child"), "{said}");
}

#[tokio::test]
async fn r6_a_shutdown_ends_daemons_and_starts_none() {
    let bench = Bench::new(watching());
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    bench.inner.shut_down().await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { by: Party::Host, .. }));
    bench.advance(HOUR).await;
    assert!(daemon(&bench).is_none());
    assert_eq!(bench.inputs.lock().unwrap().len(), 1);
}

/// A daemon that burns its tank each time it has one.
fn burning() -> Bench {
    let mut bench = Bench::new(script(|link| async move {
        loop {
            link.gauges.set_fuel_used(link.gauges.fuel_budget());
            link.news.is_out_of_fuel();
            link.gauges.fuel_came().await;
            if link.cancel.read(Option::is_some) {
                return CellEnd::Returned(GuestOutcome::Cancelled { message: "tidied up".to_owned(), data: None });
            }
        }
    }));
    bench.inner_mut().limits = Limits::default().fuel_per_hour(100);
    bench
}

fn count(events: &[crate::model::event::Event], what: impl Fn(&EventBody) -> bool) -> usize {
    events.iter().filter(|event| what(&event.body)).count()
}

#[tokio::test]
async fn r6_a_daemon_that_has_burnt_its_hour_stands_still_until_the_next() {
    let bench = burning();
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    assert!(task.state().hour_used_up);
    assert_eq!(task.state().fuel_budget, 100);
    bench.advance(HOUR.checked_sub(SECOND).unwrap()).await;
    assert_eq!((task.state().fuel_budget, task.state().phase), (100, Phase::Running), "it is held, and not ended");
    for hour in 2..5 {
        bench.advance(if hour == 2 { SECOND } else { HOUR }).await;
        assert_eq!((task.state().fuel_budget, task.state().hour_used_up), (hour * 100, true));
    }
    // Somebody may give it more at any time.
    task.add_fuel(50, Party::Person).await;
    settle().await;
    assert_eq!(task.state().fuel_budget, 450);
    bench.inner.unload("watcher", FORCE).await.unwrap();
    let events = log(&task).await;
    assert_eq!(count(&events, |body| matches!(body, EventBody::FuelRenewed { units: 100 })), 3);
    assert_eq!(count(&events, |body| matches!(body, EventBody::HourUsedUp { .. })), 5);
}

#[tokio::test]
async fn r6_a_daemon_that_stands_still_gets_what_it_needs_to_end_by_itself() {
    let bench = burning();
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    assert!(task.state().hour_used_up);
    bench.inner.unload("watcher", Unload::Cancel { grace: SECOND }).await.unwrap();
    assert!(stopped_by_host(&task.wait().await, "its plugin watcher was unloaded"));
}

#[tokio::test]
async fn r6_what_a_daemon_does_not_burn_it_does_not_save_up() {
    let mut bench = Bench::new(script(|link| async move {
        link.gauges.set_fuel_used(30);
        wait_for(&link, "end", None).await;
        success(None)
    }));
    bench.inner_mut().limits = Limits::default().fuel_per_hour(100);
    load(&bench).await;
    let task = daemon(&bench).unwrap();
    for _ in 0..10 {
        bench.advance(HOUR).await;
    }
    assert_eq!(task.state().fuel_budget, 130, "a hundred is left, as at the beginning");
    bench.inner.unload("watcher", FORCE).await.unwrap();
    let events = log(&task).await;
    assert_eq!(count(&events, |body| matches!(body, EventBody::FuelRenewed { .. })), 1, "and its log stays short");
    assert!(bench.clock.steady() >= HOUR * 10);
}

#[tokio::test]
async fn t46_daemons_that_come_and_go_with_their_plugin_leave_nothing() {
    let bench = Bench::new(watching());
    for _ in 0..300 {
        load(&bench).await;
        assert!(daemon(&bench).is_some());
        bench.inner.unload("watcher", Unload::Cancel { grace: SECOND }).await.unwrap();
    }
    settle().await;
    assert!(bench.inner.registry.version("watcher").is_none());
    let mut actors = bench.inner.actors.lock().unwrap();
    while actors.try_join_next().is_some() {}
    assert_eq!(actors.len(), 0, "neither a task nor whoever kept one");
}

#[tokio::test]
async fn r6_a_daemon_for_which_there_is_no_room_is_started_when_there_is() {
    let mut bench = Bench::with(watching(), 0, Arc::new(MemoryStore::new()));
    bench.inner_mut().queue = Queue::new(0);
    load(&bench).await;
    for _ in 0..20 {
        bench.advance(HOUR).await;
        assert_eq!(phase(&bench), DaemonPhase::Waiting);
    }
    bench.places.add_permits(1);
    bench.advance(HOUR).await;
    assert!(matches!(phase(&bench), DaemonPhase::Running { .. }), "{:?}", phase(&bench));
}
