//! Schedules, with scripted tasks and a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, request, script, settle, success, wait_for};
use crate::model::event::{EventBody, EventSeq};
use crate::model::ids::{ScheduleId, TaskKey};
use crate::model::outcome::Outcome;
use crate::model::request::{CancelRequest, StartRequest};
use crate::model::schedule::{Schedule, ScheduleEvent, ScheduleFault, ScheduleRequest};
use crate::model::signal::Party;
use crate::model::time::Timestamp;
use crate::ports::clock::{BoxFuture, Clock, SimulatedClock};
use crate::ports::store::{StreamId, TaskStore};
use crate::runtime::registry::{Keep, Registry};
use crate::runtime::schedules::{ScheduleError, Schedules};
use crate::runtime::start_error::StartError;
use crate::store::faulty::FaultyStore;
use crate::store::memory::MemoryStore;

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);

pub(super) fn bench_on(store: Arc<dyn TaskStore>) -> Bench {
    Bench::with(script(|_| async { success(json!("ran")) }), 16, store)
}

/// A host with tasks that wait for the signal `go`.
pub(super) fn waiting_on(store: Arc<dyn TaskStore>) -> Bench {
    let waiting = script(|link| async move { success(json!(wait_for(&link, "go", None).await)) });
    Bench::with(waiting, 16, store)
}

fn bench() -> Bench {
    bench_on(Arc::new(MemoryStore::new()))
}

/// Another host on the same store, at the same time.
pub(super) fn beside(bench: &Bench, store: Arc<dyn TaskStore>) -> Bench {
    let other = bench_on(store);
    other.clock.advance(bench.clock.steady());
    other
}

pub(super) fn schedules(bench: &Bench) -> Schedules {
    bench.inner.schedules.handle(&bench.inner)
}

pub(super) fn hourly() -> ScheduleRequest {
    ScheduleRequest::every("hourly", "0 * * * *", "UTC", request())
}

/// How many tasks have begun to run.
pub(super) fn ran(bench: &Bench) -> usize {
    bench.inputs.lock().unwrap().len()
}

/// What is kept of a schedule's history.
async fn history(store: &dyn TaskStore, id: ScheduleId) -> Vec<ScheduleEvent> {
    let events = store.read(StreamId::Schedule(id), EventSeq::default(), 10_000).await.unwrap();
    let change = |body| if let EventBody::Schedule { change } = body { Some(change) } else { None };
    events.into_iter().filter_map(|event| change(event.body)).collect()
}

pub(super) async fn get(bench: &Bench, id: ScheduleId) -> Schedule {
    schedules(bench).get(id).await.unwrap()
}

#[tokio::test]
async fn r19_at_after_and_every_fire_at_their_times() {
    let bench = bench();
    let to = schedules(&bench);
    let at = Timestamp(bench.clock.date().0 + 90 * 60_000);
    to.add(ScheduleRequest::at("at", at, request().input(json!({"at": 1})))).await.unwrap();
    to.add(ScheduleRequest::after("after", MINUTE * 30, request().input(json!({"after": 1})))).await.unwrap();
    to.add(hourly()).await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..8 {
        bench.advance(MINUTE * 15).await;
        counts.push(ran(&bench));
    }
    assert_eq!(counts, [0, 1, 1, 2, 2, 3, 3, 4]);
    assert_eq!(bench.inputs.lock().unwrap()[..3], [json!({"after": 1}), json!({}), json!({"at": 1})]);
    let over: Vec<_> =
        to.list().await.unwrap().iter().map(|schedule| (schedule.name.clone(), schedule.is_over())).collect();
    assert_eq!(over, [("after".into(), true), ("at".into(), true), ("hourly".into(), false)]);
}

#[tokio::test]
async fn r19_a_host_sleeps_until_the_next_moment_and_not_at_all_without_one() {
    let bench = bench();
    let to = schedules(&bench);
    settle().await;
    assert_eq!(bench.clock.sleepers(), 0);
    let id = to.add(hourly()).await.unwrap();
    settle().await;
    assert_eq!(bench.clock.sleepers(), 1);
    to.pause(id, Party::Person).await.unwrap();
    settle().await;
    assert_eq!(bench.clock.sleepers(), 0);
    to.resume(id, Party::Person).await.unwrap();
    settle().await;
    assert_eq!(bench.clock.sleepers(), 1);
    to.remove(id, Party::Person).await.unwrap();
    settle().await;
    assert_eq!(bench.clock.sleepers(), 0);
}

#[tokio::test]
async fn r19_what_was_missed_while_no_host_ran_fires_once() {
    let store: Arc<MemoryStore> = Arc::default();
    let first = bench_on(store.clone());
    let id = schedules(&first).add(hourly()).await.unwrap();
    let once = Timestamp(2 * 3_600_000);
    schedules(&first).add(ScheduleRequest::at("once", once, request())).await.unwrap();
    first.inner.shut_down().await;
    let second = beside(&first, store.clone());
    second.advance(HOUR * 70 + MINUTE).await;
    assert_eq!(ran(&second), 0, "a host that nobody asks for its schedules leaves them alone");
    schedules(&second);
    settle().await;
    assert_eq!(ran(&second), 2);
    let schedule = get(&second, id).await;
    assert_eq!(schedule.last.unwrap().firing.moment, Some(Timestamp(3_600_000)));
    assert_eq!(schedule.next, Some(Timestamp(71 * 3_600_000)));
    second.advance(HOUR).await;
    assert_eq!(ran(&second), 3);
}

#[tokio::test]
async fn r19_a_time_goes_on_to_pass_while_no_host_runs() {
    let store: Arc<MemoryStore> = Arc::default();
    let first = bench_on(store.clone());
    schedules(&first).add(ScheduleRequest::after("soon", HOUR, request())).await.unwrap();
    first.advance(MINUTE * 30).await;
    first.inner.shut_down().await;
    let second = beside(&first, store);
    second.advance(MINUTE * 10).await;
    schedules(&second);
    second.advance(MINUTE * 19).await;
    assert_eq!(ran(&second), 0);
    second.advance(MINUTE).await;
    assert_eq!(ran(&second), 1);
    second.advance(HOUR * 5).await;
    assert_eq!(ran(&second), 1);
}

#[tokio::test]
async fn r19_a_paused_schedule_fires_nothing_and_a_removed_one_is_gone() {
    let bench = bench();
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    to.pause(id, Party::Person).await.unwrap();
    bench.advance(HOUR * 5).await;
    assert_eq!((ran(&bench), get(&bench, id).await.paused), (0, Some(Party::Person)));
    to.resume(id, Party::Agent).await.unwrap();
    settle().await;
    assert_eq!(ran(&bench), 0, "what was missed is not made up for");
    bench.advance(HOUR).await;
    assert_eq!(ran(&bench), 1);
    to.remove(id, Party::Person).await.unwrap();
    bench.advance(HOUR * 5).await;
    assert_eq!(ran(&bench), 1);
    assert!(to.list().await.unwrap().is_empty());
    for error in [to.get(id).await.err(), to.pause(id, Party::Host).await.err(), to.remove(id, Party::Host).await.err()]
    {
        assert!(matches!(error, Some(ScheduleError::Unknown)), "{error:?}");
    }
    assert!(matches!(to.fire_now(id, Party::Person).await, Err(ScheduleError::Unknown)));
}

#[tokio::test]
async fn r19_a_task_says_which_schedule_started_it_and_nobody_else_may_say_so() {
    let bench = bench();
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    bench.advance(HOUR).await;
    let firing = get(&bench, id).await.last.unwrap().firing;
    let task = bench.inner.registry.by_id(firing.task).unwrap();
    let by = task.state().details.schedule.clone().unwrap();
    assert_eq!((by.id, by.name.as_str(), by.firing, by.moment), (id, "hourly", 1, Some(Timestamp(3_600_000))));
    let mut forged = request();
    forged.details.schedule = Some(by);
    assert!(matches!(bench.inner.start(forged).await, Err(StartError::Schedule)));
    let task = to.fire_now(id, Party::Person).await.unwrap();
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
    assert_eq!(task.state().details.schedule.map(|by| (by.firing, by.moment)), Some((2, None)));
    let schedule = get(&bench, id).await;
    assert_eq!((schedule.next, schedule.fired), (Some(Timestamp(7_200_000)), 2), "its own moment stays");
}

#[tokio::test]
async fn r19_a_start_that_is_refused_is_an_event_and_the_schedule_goes_on() {
    let store: Arc<MemoryStore> = Arc::default();
    let bench = waiting_on(store.clone());
    let to = schedules(&bench);
    let keyed = || request().key(TaskKey::new("k").unwrap());
    let id = to.add(ScheduleRequest::every("keyed", "30 * * * *", "UTC", keyed())).await.unwrap();
    let holder = bench.inner.start(keyed()).await.unwrap();
    bench.advance(MINUTE * 30).await;
    let last = get(&bench, id).await.last.unwrap();
    assert!(
        last.failure.as_ref().is_some_and(|reason| reason.contains("running already")),
        "the key is taken: {last:?}"
    );
    assert!(matches!(to.fire_now(id, Party::Person).await, Err(ScheduleError::Start(StartError::KeyInUse { .. }))));
    holder.notify(key("go"), None, Party::Host).await;
    holder.wait().await;
    bench.advance(HOUR).await;
    let last = get(&bench, id).await.last.unwrap();
    assert_eq!((last.firing.number, last.failure), (3, None));
    assert!(matches!(
        history(&*store, id).await[..],
        [
            ScheduleEvent::Created { .. },
            ScheduleEvent::Firing { .. },
            ScheduleEvent::Failed { number: 1, .. },
            ScheduleEvent::Firing { .. },
            ScheduleEvent::Failed { number: 2, .. },
            ScheduleEvent::Firing { .. },
            ScheduleEvent::Started { number: 3 },
        ]
    ));
    bench.inner.shut_down().await;
    // A host that has not loaded the plugin.
    let mut bare = beside(&bench, store.clone());
    bare.inner_mut().registry = Arc::new(Registry::new(Keep { tasks: 9, time: HOUR, bytes: 1 << 20 }));
    schedules(&bare);
    bare.advance(HOUR).await;
    let last = get(&bare, id).await.last.unwrap();
    assert!(last.failure.is_some_and(|reason| reason.contains("no plugin is called")));
    let unknown = ScheduleRequest::at("other", Timestamp(1), request());
    assert!(matches!(schedules(&bare).add(unknown).await, Err(ScheduleError::Start(StartError::UnknownPlugin { .. }))));
}

#[tokio::test]
async fn r19_a_task_that_still_lives_is_not_joined_by_another() {
    let store: Arc<MemoryStore> = Arc::default();
    let bench = waiting_on(store.clone());
    let id = schedules(&bench).add(ScheduleRequest::every("often", "*/30 * * * *", "UTC", request())).await.unwrap();
    bench.advance(MINUTE * 30).await;
    bench.advance(MINUTE * 30).await;
    assert_eq!(ran(&bench), 1);
    assert!(matches!(history(&*store, id).await.last(), Some(ScheduleEvent::Skipped { .. })));
    let task = get(&bench, id).await.last.unwrap().firing.task;
    let task = crate::runtime::handle::TaskHandle::new(bench.inner.registry.by_id(task).unwrap());
    task.cancel(CancelRequest::force(Party::Person, "")).await;
    bench.advance(MINUTE * 30).await;
    assert_eq!(ran(&bench), 2);
    bench.inner.shut_down().await;
}

#[tokio::test]
async fn r19_a_task_fired_by_hand_does_not_hide_one_that_still_lives() {
    let store: Arc<MemoryStore> = Arc::default();
    let bench = waiting_on(store.clone());
    let to = schedules(&bench);
    let id = to.add(ScheduleRequest::every("often", "*/30 * * * *", "UTC", request())).await.unwrap();
    bench.advance(MINUTE * 30).await;
    let of_moment = get(&bench, id).await.last.unwrap().firing.task;
    let by_hand = to.fire_now(id, Party::Person).await.unwrap();
    by_hand.cancel(CancelRequest::force(Party::Person, "")).await;
    bench.advance(MINUTE * 30).await;
    assert_eq!(ran(&bench), 2);
    let skipped = |event: Option<&ScheduleEvent>| match event {
        Some(ScheduleEvent::Skipped { running, .. }) => *running,
        other => panic!("{other:?}"),
    };
    assert_eq!(skipped(history(&*store, id).await.last()), of_moment);
    // The other way round.
    let by_hand = to.fire_now(id, Party::Person).await.unwrap();
    let of_moment = crate::runtime::handle::TaskHandle::new(bench.inner.registry.by_id(of_moment).unwrap());
    of_moment.cancel(CancelRequest::force(Party::Person, "")).await;
    bench.advance(MINUTE * 30).await;
    assert_eq!((ran(&bench), skipped(history(&*store, id).await.last())), (3, by_hand.id()));
    by_hand.cancel(CancelRequest::force(Party::Person, "")).await;
    bench.advance(MINUTE * 30).await;
    assert_eq!(ran(&bench), 4);
    bench.inner.shut_down().await;
}

#[tokio::test]
async fn r19_a_name_belongs_to_one_schedule_and_the_same_again_is_the_same_if_asked() {
    let bench = bench();
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    let taken = to.add(hourly()).await.unwrap_err();
    assert!(matches!(taken, ScheduleError::NameInUse { id: other, .. } if other == id), "{taken}");
    assert_eq!(to.add(hourly().keep_same()).await.unwrap(), id);
    let other = ScheduleRequest::every("hourly", "30 * * * *", "UTC", request()).keep_same();
    assert!(matches!(to.add(other).await, Err(ScheduleError::NameInUse { .. })));
    let never = to.add(ScheduleRequest::every("never", "0 0 30 2 *", "UTC", request())).await.unwrap_err();
    assert!(matches!(never, ScheduleError::Fault(ScheduleFault::Cron(_))), "{never}");
    let unfit = ScheduleRequest::at("unfit", Timestamp(1), request().input(json!(7)));
    assert!(matches!(to.add(unfit).await, Err(ScheduleError::Start(StartError::InvalidInput { .. }))));
    let missing = ScheduleRequest::at("missing", Timestamp(1), StartRequest::new("scripted", "nothing"));
    assert!(matches!(to.add(missing).await, Err(ScheduleError::Start(StartError::UnknownTaskType { .. }))));
    assert_eq!(to.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn r19_schedules_are_bounded_and_those_that_are_over_make_room() {
    let bench = bench();
    let to = schedules(&bench);
    let once = |name: &str, hours: u64| ScheduleRequest::at(name, Timestamp(hours * 3_600_000), request());
    for name in ["a", "b", "c"] {
        to.add(once(name, 10)).await.unwrap();
    }
    to.add(once("d", 0)).await.unwrap();
    settle().await;
    let e = to.add(once("e", 10)).await.unwrap();
    let names: Vec<_> = to.list().await.unwrap().into_iter().map(|schedule| schedule.name).collect();
    assert_eq!((names.concat().as_str(), ran(&bench)), ("abce", 1));
    assert!(matches!(to.add(once("f", 10)).await, Err(ScheduleError::TooMany { max: 4 })));
    to.remove(e, Party::Person).await.unwrap();
    to.add(once("f", 10)).await.unwrap();
}

#[tokio::test]
async fn r19_a_history_is_bounded_and_tells_everything_all_the_same() {
    let store: Arc<MemoryStore> = Arc::default();
    let bench = bench_on(store.clone());
    let id = schedules(&bench).add(hourly()).await.unwrap();
    for _ in 0..200 {
        bench.advance(HOUR).await;
    }
    let kept = history(&*store, id).await;
    assert!((100..300).contains(&kept.len()), "{}", kept.len());
    assert!(matches!(kept[0], ScheduleEvent::Summary { .. }));
    let known = get(&bench, id).await;
    assert_eq!(known.fired, 200);
    bench.inner.shut_down().await;
    let second = beside(&bench, store.clone());
    assert_eq!(get(&second, id).await, known);
    let listed = store.read(StreamId::Schedules, EventSeq::default(), 10).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn r19_a_schedules_events_are_followed_until_it_is_removed() {
    let bench = bench();
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    let mut events = to.events(id, EventSeq::default());
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let event = tokio::select! {
            event = events.next() => event.unwrap().unwrap(),
            () = async { bench.advance(HOUR).await; std::future::pending().await } => unreachable!(),
        };
        numbers.push(event.seq.0);
    }
    assert_eq!(numbers, [1, 2, 3], "created, firing, started");
    to.remove(id, Party::Person).await.unwrap();
    assert_eq!(events.next().await.unwrap(), None);
    bench.inner.shut_down().await;
    assert!(matches!(to.list().await, Err(ScheduleError::ShuttingDown)));
}

#[tokio::test]
async fn r19_a_store_that_fails_at_the_moment_makes_it_late() {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    let bench = bench_on(Arc::clone(&store) as _);
    let to = schedules(&bench);
    let id = to.add(hourly()).await.unwrap();
    store.fail(true);
    bench.advance(HOUR).await;
    assert_eq!(ran(&bench), 0);
    assert!(matches!(to.list().await, Err(ScheduleError::Store)));
    assert!(matches!(to.add(ScheduleRequest::after("b", HOUR, request())).await, Err(ScheduleError::Store)));
    assert!(matches!(to.fire_now(id, Party::Person).await, Err(ScheduleError::Store)));
    for _ in 0..10 {
        bench.advance(MINUTE).await;
    }
    store.fail(false);
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 1);
    bench.advance(MINUTE * 48).await;
    assert_eq!((ran(&bench), get(&bench, id).await.fired), (1, 1));
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 2);
}

/// A clock whose date somebody has set.
#[derive(Debug)]
pub(super) struct Skewed {
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) millis: AtomicI64,
}

impl Clock for Skewed {
    fn date(&self) -> Timestamp {
        Timestamp(self.clock.date().0.saturating_add_signed(self.millis.load(Ordering::SeqCst)))
    }

    fn steady(&self) -> Duration {
        self.clock.steady()
    }

    fn sleep_until(&self, until: Duration) -> BoxFuture<'static, ()> {
        self.clock.sleep_until(until)
    }
}

#[tokio::test]
async fn r19_a_date_that_jumps_is_noticed_and_fires_once() {
    let year = 365 * 24 * 3_600_000;
    let mut bench = bench();
    let clock = Arc::new(Skewed { clock: Arc::clone(&bench.clock), millis: AtomicI64::new(2 * year) });
    bench.around_mut().clock = Arc::clone(&clock) as _;
    let to = schedules(&bench);
    let soon = to.add(ScheduleRequest::after("soon", HOUR * 2, request().input(json!({"soon": 1})))).await.unwrap();
    let id = to.add(hourly()).await.unwrap();
    clock.millis.store(3 * year, Ordering::SeqCst);
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 1, "within a minute");
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 1);
    clock.millis.store(year, Ordering::SeqCst);
    bench.advance(MINUTE).await;
    assert_eq!(ran(&bench), 1);
    bench.advance(MINUTE * 56).await;
    assert_eq!(ran(&bench), 1);
    for _ in 0..2 {
        bench.advance(MINUTE).await;
    }
    assert_eq!((ran(&bench), get(&bench, id).await.fired), (2, 2), "at the next hour, and not in two years");
    assert_eq!(get(&bench, soon).await.fired, 0, "two hours have not passed, whatever the date");
    bench.advance(HOUR).await;
    assert_eq!(get(&bench, soon).await.fired, 1);
}
