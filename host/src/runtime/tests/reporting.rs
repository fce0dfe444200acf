//! Progress under flood, its ETA, and the pace of everything else that a guest makes happen.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, key, log, request, script, settle, success, wait_for};
use crate::model::event::{Event, EventBody};
use crate::model::ids::SignalKey;
use crate::model::limits::LimitsRequest;
use crate::model::outcome::{FailureKind, Outcome};
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party, Senders, Signal};
use crate::ports::runner::{GuestCall, NoSignal};
use crate::runtime::handle::TaskHandle;
use crate::store::memory::MemoryStore;

/// A progress event: message, percent, restarted, merged; and when.
type Told = (String, Option<u8>, bool, u64, u64);

fn told(log: &[Event]) -> Vec<Told> {
    let told = |event: &Event| {
        let EventBody::Progress { message, percent, restarted, merged } = &event.body else { return None };
        Some((message.clone(), *percent, *restarted, *merged, event.at.0))
    };
    log.iter().filter_map(told).collect()
}

#[tokio::test]
async fn t10_a_flood_of_reports_becomes_a_few_events_and_the_newest_is_among_them() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..10_000_u32 {
            link.news.report(format!("report {number}"), None, false);
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        wait_for(&link, "go", None).await;
        success(None)
    }));
    let task = bench.start().await;
    settle().await;
    task.notify(key("go"), None, Party::Host).await;
    task.wait().await;
    let told = told(&log(&task).await);
    assert_eq!(told.len(), 2, "one at once, one before the wait; no time has passed: {told:?}");
    assert_eq!(told.last().unwrap().0, "report 9999");
    let all: u64 = told.iter().map(|(.., merged, _)| merged + 1).sum();
    assert_eq!(all, 10_000, "each report is counted");
}

#[tokio::test]
async fn t10_a_report_that_was_held_back_is_written_down_when_its_time_comes() {
    let bench = Bench::new(script(|link| async move {
        for percent in 0..100 {
            link.news.report(format!("at {percent}"), Some(percent), false);
            tokio::task::yield_now().await;
        }
        std::future::pending().await
    }));
    let limits = LimitsRequest { progress_per_second: Some(4), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    assert_eq!(task.state().progress.unwrap().percent, Some(0));
    bench.advance(Duration::from_millis(249)).await;
    assert_eq!(task.state().progress.unwrap().percent, Some(0));
    bench.advance(Duration::from_millis(1)).await;
    assert_eq!(task.state().progress.unwrap().percent, Some(99));
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    let told = told(&log(&task).await);
    assert_eq!(told.iter().map(|report| report.4).collect::<Vec<_>>(), [0, 250]);
}

/// A wait that only looks: a report that was made before it is written down first.
async fn look(link: &crate::ports::runner::CellLink) -> Option<Result<(SignalKey, Signal), NoSignal>> {
    link.ask(|reply| GuestCall::Wait {
        keys: vec![key("none")],
        senders: Senders::default(),
        timeout: Some(Duration::ZERO),
        reply,
    })
    .await
}

#[tokio::test]
async fn t10_a_poll_after_each_report_does_not_hurry_the_reports() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..1000_u32 {
            link.news.report(number.to_string(), None, false);
            let _ = link.request(|reply| GuestCall::Poll { key: key("none"), reply }).await;
        }
        success(None)
    }));
    let task = bench.start().await;
    task.wait().await;
    // Time stands still: one report has its turn, and the last comes with the end.
    assert!(told(&log(&task).await).len() <= 2);
}

#[tokio::test]
async fn t10_reports_with_calls_between_them_are_held_up_with_the_calls() {
    let bench = Bench::new(script(|link| async move {
        for number in 0..100_000_u32 {
            link.news.report(number.to_string(), None, false);
            let _ = look(&link).await;
        }
        success(None)
    }));
    let limits = LimitsRequest { events_per_second: Some(50), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    settle().await;
    bench.advance(Duration::from_secs(1)).await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    let count = told(&log(&task).await).len();
    assert!((50..=125).contains(&count), "{count}");
}

#[tokio::test]
async fn r3_progress_does_not_go_back_unless_it_begins_anew() {
    let bench = Bench::new(script(|link| async move {
        for (message, percent, restarted) in [
            ("a", Some(30), false),
            ("b", Some(10), false),
            ("c", None, false),
            ("d", Some(0), true),
            ("e", Some(5), false),
        ] {
            link.news.report(message.to_owned(), percent, restarted);
            let _ = look(&link).await;
        }
        success(None)
    }));
    let task = bench.start().await;
    task.wait().await;
    let told: Vec<_> = told(&log(&task).await).into_iter().map(|(m, percent, again, ..)| (m, percent, again)).collect();
    let expected = [
        ("a", Some(30), false),
        ("b", Some(30), false),
        ("c", Some(30), false),
        ("d", Some(0), true),
        ("e", Some(5), false),
    ];
    assert_eq!(told, expected.map(|(message, percent, again)| (message.to_owned(), percent, again)));
}

#[tokio::test]
async fn r3_what_was_reported_last_comes_before_the_end_whatever_ends_it() {
    let report = |link: &crate::ports::runner::CellLink| {
        link.news.report("first".to_owned(), Some(1), false);
        link.news.report("last".to_owned(), Some(2), false);
    };
    let returns = Bench::new(script(move |link| async move {
        link.news.report("zero".to_owned(), Some(0), false);
        tokio::task::yield_now().await;
        report(&link);
        success(None)
    }));
    let task = returns.start().await;
    task.wait().await;
    assert_eq!(task.state().progress.unwrap().message, "last");
    let hangs = Bench::new(script(move |link| async move {
        link.news.report("zero".to_owned(), Some(0), false);
        tokio::task::yield_now().await;
        report(&link);
        std::future::pending().await
    }));
    let task = hangs.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Host, "")).await;
    assert_eq!(task.state().progress.unwrap().message, "last");
    log(&task).await;
}

#[tokio::test]
async fn r3_the_time_left_is_told_from_two_rising_reports() {
    let bench = Bench::new(script(|link| async move {
        for percent in [10, 30] {
            wait_for(&link, "go", None).await;
            link.news.report("on it".to_owned(), Some(percent), false);
        }
        wait_for(&link, "go", None).await;
        success(None)
    }));
    let task = bench.start().await;
    let eta = |task: &TaskHandle| task.state().progress.and_then(|progress| progress.eta);
    for _ in 0..2 {
        assert_eq!(eta(&task), None);
        bench.advance(Duration::from_secs(10)).await;
        task.notify(key("go"), None, Party::Host).await;
        settle().await;
    }
    assert_eq!(eta(&task), Some(Duration::from_secs(35)), "20 % in 10 s, and 70 % are left");
    bench.advance(Duration::from_secs(5)).await;
    assert_eq!(eta(&task), Some(Duration::from_secs(30)));
    assert!(
        task.state().summary().ends_with("last report: 30 %: on it, about 30 s left"),
        "{}",
        task.state().summary()
    );
    task.pause(Party::Person, "").await;
    assert_eq!(eta(&task), None);
    bench.advance(Duration::from_secs(100)).await;
    task.resume(Party::Person).await;
    assert_eq!(eta(&task), Some(Duration::from_secs(30)), "a pause does not make it slower");
}

#[tokio::test]
async fn t02_a_guest_that_makes_too_much_happen_waits_and_nobody_else_does() {
    let flood = script(|link| async move {
        for _ in 0..1500 {
            let tell = |reply| GuestCall::MessageAgent { message: "m".into(), trigger: false, once: None, reply };
            link.request(tell).await.unwrap();
        }
        wait_for(&link, "go", None).await;
        success(None)
    });
    let mut bench = Bench::with(flood, 4, Arc::new(MemoryStore::new()));
    bench.inner_mut().limits.agent_messages = 2000;
    let task = bench.start().await;
    for _ in 0..50 {
        settle().await;
    }
    let before = task.state().seq.0;
    assert_eq!(before, 2 + 1000, "a second's worth at once");
    // Who sends to it is not held up, and neither is who pauses it.
    assert_eq!(task.notify(key("go"), None, Party::Host).await, NotifyAnswer::Buffered);
    bench.advance(Duration::from_millis(100)).await;
    for _ in 0..10 {
        bench.advance(Duration::ZERO).await;
    }
    assert_eq!(task.state().seq.0, before + 1 + 100);
    for _ in 0..40 {
        bench.advance(Duration::from_millis(100)).await;
    }
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn t10_the_last_report_before_a_budget_ends_is_told_although_the_log_is_full_of_reports() {
    let bench = Bench::new(script(|link| async move {
        let record = async |tokens| {
            let tool = "model".to_owned();
            link.request(|reply| GuestCall::RecordUsage { tool, tokens, actions: 0, reply }).await
        };
        for number in 0..5_u32 {
            link.news.report(number.to_string(), None, false);
            let _ = look(&link).await;
        }
        record(1).await.unwrap();
        link.news.report("the last".to_owned(), None, false);
        record(9).await.unwrap();
        success(None)
    }));
    let mut limits = LimitsRequest { log_events: Some(3), ..LimitsRequest::default() };
    limits.tokens = Some(9);
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    let outcome = task.wait().await;
    assert!(matches!(&outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Budget), "{outcome}");
    let messages: Vec<String> = told(&log(&task).await).into_iter().map(|report| report.0).collect();
    assert_eq!(messages, ["0", "1", "2", "the last"]);
}

#[tokio::test]
async fn t02_a_rate_of_none_is_one() {
    let bench = Bench::new(script(|link| async move {
        for _ in 0..3 {
            let tell = |reply| GuestCall::MessageAgent { message: "m".into(), trigger: false, once: None, reply };
            link.request(tell).await.unwrap();
        }
        success(json!("told"))
    }));
    let limits = LimitsRequest { events_per_second: Some(0), progress_per_second: Some(0), ..LimitsRequest::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    for _ in 0..3 {
        bench.advance(Duration::from_secs(1)).await;
    }
    assert!(matches!(task.wait().await, Outcome::Succeeded { .. }));
}
