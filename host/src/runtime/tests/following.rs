//! Following what happens to all tasks.

use std::sync::Arc;
use std::time::Duration;

use super::bench::{Bench, beside, key, log, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::filter::TaskFilter;
use crate::model::ids::TaskId;
use crate::model::patch::TaskPatch;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::runtime::feed::{EventLane, EventPosition, Feed, FeedLimits, Lagged, Subscription, TaskEvent};
use crate::runtime::handle::TaskHandle;
use crate::store::memory::MemoryStore;

/// A host whose tasks report and end.
fn reporting(reports: u8) -> Bench {
    Bench::new(script(move |link| async move {
        for number in 0..reports {
            link.news.report(format!("report {number}"), Some(number), false);
            wait_for(&link, "none", Some(Duration::ZERO)).await;
        }
        success(None)
    }))
}

async fn next(events: &mut Subscription) -> Arc<TaskEvent> {
    events.next().await.unwrap().unwrap()
}

/// The events up to the given task's end.
async fn up_to_end(events: &mut Subscription, task: TaskId) -> Vec<Arc<TaskEvent>> {
    let mut seen = Vec::new();
    loop {
        let event = next(events).await;
        let ends = event.of.id == task && matches!(event.event.body, EventBody::Finished { .. });
        seen.push(event);
        if ends {
            return seen;
        }
    }
}

fn of(seen: &[Arc<TaskEvent>], task: &TaskHandle) -> Vec<Event> {
    seen.iter().filter(|event| event.of.id == task.id()).map(|event| event.event.clone()).collect()
}

#[tokio::test]
async fn r42_each_subscriber_sees_its_filter_whole_and_in_order() {
    let bench = reporting(3);
    let mut all = bench.inner.subscribe(TaskFilter::default());
    let mut session = bench.inner.subscribe(TaskFilter::session("s"));
    let mut ends = bench.inner.subscribe(TaskFilter::default().ended());
    let first = bench.inner.start(request().session("s")).await.unwrap();
    let second = bench.start().await;
    let third = bench.inner.start(request().session("s")).await.unwrap();
    for task in [&first, &second, &third] {
        task.wait().await;
    }
    let seen = up_to_end(&mut all, third.id()).await;
    for task in [&first, &second, &third] {
        assert_eq!(of(&seen, task), log(task).await, "its log, without gaps, from `created` on");
    }
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position));
    let of_session: Vec<_> = seen.iter().filter(|event| event.of.id != second.id()).cloned().collect();
    assert_eq!(up_to_end(&mut session, third.id()).await, of_session, "the same order for all");
    let of_ends = up_to_end(&mut ends, third.id()).await;
    assert_eq!(of_ends.len(), 3);
    assert!(of_ends.iter().all(|event| event.phase == Phase::Ended && event.lane == EventLane::Task));
}

#[tokio::test]
async fn r42_a_subscriber_that_comes_back_goes_on_where_it_was() {
    let bench = reporting(3);
    let mut all = bench.inner.subscribe(TaskFilter::default());
    let mut first = bench.inner.subscribe(TaskFilter::default());
    let task = bench.start().await;
    next(&mut first).await;
    next(&mut first).await;
    let place = first.position();
    drop(first);
    task.wait().await;
    // A place is text in between.
    let place: EventPosition = place.to_string().parse().unwrap();
    let mut again = bench.inner.subscribe_after(TaskFilter::default(), place).unwrap();
    let rest = up_to_end(&mut again, task.id()).await;
    assert_eq!(up_to_end(&mut all, task.id()).await[2..], rest);
    // What was not there yet is no place, and neither is what nobody gave out.
    let host = place.to_string().split_once('-').unwrap().0.to_owned();
    let ahead: EventPosition = format!("{host}-1000000").parse().unwrap();
    assert!(bench.inner.subscribe_after(TaskFilter::default(), ahead).is_err());
    let other = reporting(3);
    let of_other = other.inner.subscribe(TaskFilter::default()).position();
    assert!(bench.inner.subscribe_after(TaskFilter::default(), of_other).is_err(), "another host's");
    for bad in ["", "e", "7", "e-1", "e1", "e1-", "e1-+1", "e01-1", "e1-01", "eA-1", "e1-99999999999999999999"] {
        assert!(bad.parse::<EventPosition>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn r42_whoever_is_too_slow_is_told_how_much_it_missed_and_goes_on() {
    let bench = reporting(0);
    let mut slow = bench.inner.subscribe(TaskFilter::default());
    let first = slow.position();
    // Each task has three events, and 256 are kept.
    let mut last = bench.start().await;
    for _ in 0..199 {
        last.wait().await;
        last = bench.start().await;
    }
    last.wait().await;
    let lagged = slow.next().await.unwrap_err();
    assert_eq!(lagged, Lagged { missed: 600 - 256 });
    let seen = up_to_end(&mut slow, last.id()).await;
    assert_eq!(seen.len(), 256);
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position));
    // From a place that is gone by now, too.
    let mut old = bench.inner.subscribe_after(TaskFilter::default(), first).unwrap();
    assert_eq!(old.next().await, Err(Lagged { missed: 600 - 256 }));
}

#[tokio::test]
async fn r42_what_comes_after_the_end_is_told_as_well() {
    let bench = reporting(0);
    let mut events = bench.inner.subscribe(TaskFilter::default());
    let task = bench.start().await;
    up_to_end(&mut events, task.id()).await;
    task.gone().await;
    settle().await;
    task.notify(key("late"), None, Party::Person).await;
    let late = next(&mut events).await;
    assert_eq!((late.lane, late.event.seq), (EventLane::After, EventSeq(1)));
    assert!(matches!(late.event.body, EventBody::LateSignal { .. }));
}

#[tokio::test]
async fn f22_whoever_follows_a_host_that_goes_learns_every_end_and_that_nothing_more_comes() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let mut events = bench.inner.subscribe(TaskFilter::default());
    let waiting = beside(async move {
        let mut ends = 0;
        while let Some(event) = events.next().await.unwrap() {
            ends += usize::from(matches!(event.event.body, EventBody::Finished { .. }));
        }
        ends
    });
    for _ in 0..3 {
        drop(bench.start().await);
    }
    settle().await;
    assert!(!waiting.is_finished());
    bench.inner.shut_down().await;
    assert_eq!(waiting.end().await, 3);
    let mut late = bench.inner.subscribe(TaskFilter::default());
    assert_eq!(late.next().await, Ok(None));
}

/// Whoever has read to the end and is overrun then finds what is kept, and the end of a host that is gone.
#[tokio::test]
async fn r42_whoever_was_at_the_end_and_is_told_what_it_missed_goes_on_at_once() {
    for closes in [false, true] {
        let bench = reporting(0);
        let mut events = bench.inner.subscribe(TaskFilter::default());
        bench.start().await.gone().await;
        next(&mut events).await;
        while events.try_next().unwrap().is_some() {}
        for _ in 0..100 {
            bench.start().await.gone().await;
        }
        if closes {
            bench.inner.shut_down().await;
        }
        assert!(matches!(events.next().await, Err(Lagged { .. })));
        for _ in 0..256 {
            next(&mut events).await;
        }
        assert!(!closes || events.next().await == Ok(None));
    }
}

/// Whatever the runtime does first, a task's beginning is told before anything that was stored after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r42_beginnings_are_told_in_the_order_in_which_they_were_stored() {
    let bench = Bench::with(script(|_| async { success(None) }), 512, Arc::new(MemoryStore::new()));
    let mut events = bench.inner.subscribe(TaskFilter::default());
    let mut started = Vec::new();
    for _ in 0..64 {
        started.push(bench.start().await.id());
    }
    let mut begun = Vec::new();
    while begun.len() < started.len() {
        let event = next(&mut events).await;
        if matches!(event.event.body, EventBody::Created { .. }) {
            begun.push(event.of.id);
        }
    }
    assert_eq!(begun, started);
}

#[tokio::test]
async fn r42_an_event_has_the_phase_and_the_labels_of_its_moment() {
    let bench = Bench::new(script(|_| std::future::pending()));
    let mut live = bench.inner.subscribe(TaskFilter::default().live());
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    task.gone().await;
    let mut seen = Vec::new();
    while let Ok(Some(event)) = live.try_next() {
        seen.push(event);
    }
    let last = &seen.last().unwrap().event.body;
    assert!(matches!(last, EventBody::CancelRequested(_)), "of the same commit as the end: {last:?}");
    // After the end a change is told with what it changed.
    let mut all = bench.inner.subscribe(TaskFilter::default().label("seen", "yes"));
    task.update(TaskPatch::default().label("seen", "yes"), None, Party::Person).await.unwrap();
    assert!(matches!(all.try_next().unwrap().unwrap().event.body, EventBody::Updated { revision: 1, .. }));
}

/// A caller that has begun to change an ended task and is not polled any more holds up nobody.
#[tokio::test]
async fn r4a_a_change_that_nobody_polls_does_not_hold_up_a_shutdown() {
    let bench = reporting(0);
    let task = bench.start().await;
    task.gone().await;
    let turn = task.shared().after.lock().await;
    let mut update = Box::pin(task.update(TaskPatch::default().note("n"), None, Party::Person));
    let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(update.as_mut().poll(cx).is_pending()));
    assert!(polled.await);
    drop(turn);
    // The turn is the unpolled one's now, and what the task itself has to write down does not wait for it.
    assert!(task.shared().note_after(EventBody::Due).await);
    bench.inner.shut_down().await;
    assert_eq!(update.await, Ok(1));
}

#[tokio::test]
async fn f14_what_a_start_says_is_weighed_too() {
    let feed = Arc::new(Feed::new(FeedLimits { events: 1_000, bytes: 256 << 10 }));
    let bench = reporting(0);
    let mut request = request();
    request.details.call_metadata = Some(serde_json::Value::String("x".repeat(50 << 10)));
    let task = bench.inner.start(request).await.unwrap();
    let created = task.events(EventSeq::default()).next().await.unwrap().unwrap();
    let mut subscription = feed.follow(TaskFilter::default(), None);
    for _ in 0..10 {
        feed.tell(&task.shared().identity(), Phase::Queued, EventLane::Task, std::slice::from_ref(&created));
    }
    assert!(matches!(subscription.next().await, Err(Lagged { missed: 5.. })));
}

#[tokio::test]
async fn f21_two_subscribers_do_not_share_one_stream_and_a_dropped_future_loses_nothing() {
    let bench = reporting(1);
    let mut first = bench.inner.subscribe(TaskFilter::default());
    let mut second = bench.inner.subscribe(TaskFilter::default());
    {
        // Asked before there is anything, and given up.
        let mut asked = std::pin::pin!(first.next());
        let once = std::future::poll_fn(|cx| std::task::Poll::Ready(asked.as_mut().poll(cx).is_pending()));
        assert!(once.await);
    }
    let task = bench.start().await;
    let seen = up_to_end(&mut first, task.id()).await;
    assert_eq!(up_to_end(&mut second, task.id()).await, seen);
    assert_eq!(of(&seen, &task), log(&task).await);
}

#[tokio::test]
async fn f14_the_events_that_are_kept_are_bounded_in_number_and_in_bytes() {
    let feed = Arc::new(Feed::new(FeedLimits { events: 10, bytes: 64 << 10 }));
    assert!(!feed.is_on());
    let bench = reporting(0);
    let task = bench.start().await;
    let shared = task.shared();
    let mut subscription = feed.follow(TaskFilter::default(), None);
    let message =
        |size: usize| EventBody::Progress { message: "x".repeat(size), percent: None, restarted: false, merged: 0 };
    let tell = |size: usize| {
        let event = Event::new(EventSeq(1), shared.around.clock.date(), message(size));
        feed.tell(&shared.identity(), Phase::Running, EventLane::Task, &[event]);
    };
    for _ in 0..25 {
        tell(1);
    }
    assert_eq!(subscription.next().await, Err(Lagged { missed: 15 }));
    for _ in 0..4 {
        tell(30 << 10);
    }
    // Two of them fit; the ones before went.
    assert_eq!(subscription.next().await, Err(Lagged { missed: 12 }));
    tell(65 << 10);
    assert_eq!(subscription.next().await, Err(Lagged { missed: 3 }), "one that alone is too large is told as missed");
    task.cancel(CancelRequest::force(Party::Host, "")).await;
}

/// A thousand subscribers of all speeds over many events: each sees all of its filter in order, or is told how many it
/// missed, and the tasks never wait for any of them.
#[tokio::test]
async fn r42_a_thousand_subscribers_of_all_speeds_over_many_events() {
    const EVENTS: u64 = 100_000;
    const SESSIONS: u64 = 50;
    let feed = Arc::new(Feed::new(FeedLimits::default()));
    let bench = reporting(0);
    let mut of = Vec::new();
    for session in 0..SESSIONS {
        let task = bench.inner.start(request().session(format!("s{session}"))).await.unwrap();
        task.wait().await;
        of.push(task.shared().identity());
    }
    // Each follows one session; the last three, one of each speed, follow all.
    let mut subscribers: Vec<Subscription> = (0..1_000)
        .map(|number: u64| {
            let filter = match number {
                997.. => TaskFilter::default(),
                number => TaskFilter::session(format!("s{}", number % SESSIONS)),
            };
            feed.follow(filter, None)
        })
        .collect();
    let mut books = vec![(0_u64, 0_u64, EventPosition::default()); subscribers.len()];
    let mut told = 0;
    while told < EVENTS {
        for _ in 0..500 {
            let place = usize::try_from(told % SESSIONS).unwrap();
            let body = EventBody::Due;
            let event = Event::new(EventSeq(told + 1), crate::model::time::Timestamp(told), body);
            feed.tell(&of[place], Phase::Running, EventLane::Task, &[event]);
            told += 1;
        }
        for (number, (subscriber, book)) in subscribers.iter_mut().zip(&mut books).enumerate() {
            // A third reads along, a third now and then, a third at the end.
            let turn = told / 500;
            let reads = match number % 3 {
                0 => true,
                1 => turn.is_multiple_of(60),
                _ => told >= EVENTS,
            };
            if reads {
                drain(subscriber, book);
            }
        }
    }
    for (number, (subscriber, book)) in subscribers.iter_mut().zip(&mut books).enumerate() {
        drain(subscriber, book);
        let (seen, missed, _) = *book;
        let wanted = if number >= 997 { EVENTS } else { EVENTS / SESSIONS };
        match number % 3 {
            0 => assert_eq!((seen, missed), (wanted, 0), "{number}"),
            // Whoever is slower is told: what it did not see is not more than what went by.
            _ => assert!(seen < wanted && missed > 0 && wanted - seen <= missed, "{number}: {seen} {missed}"),
        }
    }
    for (seen, missed, _) in &books[997..] {
        assert_eq!(seen + missed, EVENTS, "of all of them every one was seen or counted");
    }
}

/// Reads what there is.
fn drain(subscriber: &mut Subscription, (seen, missed, last): &mut (u64, u64, EventPosition)) {
    loop {
        match subscriber.try_next() {
            Ok(Some(event)) => {
                assert!(event.position > *last, "in order");
                *last = event.position;
                *seen += 1;
            }
            Ok(None) => return,
            Err(lagged) => *missed += lagged.missed,
        }
    }
}
