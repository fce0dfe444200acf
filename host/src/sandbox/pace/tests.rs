//! Guests without a loop: nothing in their own code looks at the fuel, so only the hook can make them give way.

use std::task::Waker;

use wasmtime::component::Component;

use super::super::manners::Manners;
use super::*;
use crate::model::ids::SignalKey;
use crate::model::limits::Limits;
use crate::model::load_limits::LoadLimits;
use crate::model::outcome::Failure;
use crate::model::policy::mandate::Mandate;
use crate::model::requests::Requested;
use crate::ports::gauges::Gauges;
use crate::ports::mandate::LiveMandate;
use crate::ports::output::OutputLog;
use crate::ports::runner::GuestCall;
use crate::sandbox::bindings::TaskPluginPre;
use crate::sandbox::cell::{self, Around};
use crate::sandbox::engine::{Stock, engine};
use crate::sandbox::filework::Lane;

/// So many that they take far longer than a turn, on the fastest machine.
const MANY: usize = 100_000;

/// A plugin whose `describe` does this, and then returns an empty text.
fn plugin(body: &str) -> String {
    format!(
        r#"(component
  (import "taskcell:plugin/types@0.1.0" (instance $types
    (type $a (record (field "message" string) (field "data" (option string))))
    (export "success" (type $success (eq $a)))
    (type $b (record (field "message" string) (field "error" (option string)) (field "retryable" bool)))
    (export "failure" (type $failure (eq $b)))
    (type $c (record (field "message" string) (field "data" (option string))))
    (export "cancellation" (type $cancellation (eq $c)))
    (type $d (variant (case "succeeded" $success) (case "failed" $failure) (case "cancelled" $cancellation)))
    (export "outcome" (type (eq $d)))
    (type $e (record (field "kind" string) (field "message" string)))
    (export "refusal" (type (eq $e)))
    (type $f (record (field "plugin" string) (field "task-type" string) (field "key" string)))
    (export "task-ref" (type (eq $f)))))
  (alias export $types "outcome" (type $outcome))
  (alias export $types "refusal" (type $refusal))
  (alias export $types "task-ref" (type $task-ref))
  (import "taskcell:plugin/signals@0.1.0" (instance $signals
    (alias outer 1 $refusal (type $refused))
    (alias outer 1 $task-ref (type $target))
    (type $n (enum "delivered" "buffered" "no-task" "full"))
    (export "notify-result" (type $answer (eq $n)))
    (export "notify" (func (param "target" $target) (param "key" string) (param "payload" (option string))
      (result (result $answer (error $refused)))))))
  (import "wasi:clocks/wall-clock@0.2.0" (instance $wall
    (type $t (record (field "seconds" u64) (field "nanoseconds" u32)))
    (export "datetime" (type $datetime (eq $t)))
    (export "resolution" (func (result $datetime)))))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "now" (func (result u64)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $shelf
    (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536)))
  (core instance $shelf (instantiate $shelf))
  (core func $resolution (canon lower (func $wall "resolution") (memory $shelf "memory")))
  (core func $now (canon lower (func $clock "now")))
  (core func $sleep (canon lower (func $clock "subscribe-duration")))
  (core func $drop (canon resource.drop $pollable))
  (core func $number (canon lower (func $random "get-random-u64")))
  (core func $bytes (canon lower (func $random "get-random-bytes")
    (memory $shelf "memory") (realloc (func $shelf "realloc"))))
  (core func $notify (canon lower (func $signals "notify")
    (memory $shelf "memory") (realloc (func $shelf "realloc"))))
  (core module $main
    (import "shelf" "memory" (memory 2))
    (import "host" "resolution" (func $resolution (param i32)))
    (import "host" "now" (func $now (result i64)))
    (import "host" "sleep" (func $sleep (param i64) (result i32)))
    (import "host" "drop" (func $drop (param i32)))
    (import "host" "number" (func $number (result i64)))
    (import "host" "bytes" (func $bytes (param i64 i32)))
    (import "host" "notify" (func $notify (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (func (export "describe") (result i32) {body} (i32.const 1024))
    (func (export "run") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $main (instantiate $main (with "shelf" (instance $shelf)) (with "host" (instance
    (export "resolution" (func $resolution)) (export "now" (func $now)) (export "sleep" (func $sleep))
    (export "drop" (func $drop)) (export "number" (func $number)) (export "bytes" (func $bytes))
    (export "notify" (func $notify))))))
  (func $describe (result string) (canon lift (core func $main "describe") (memory $shelf "memory")))
  (func $run (param "task-type" string) (param "input" string) (result $outcome)
    (canon lift (core func $main "run") (memory $shelf "memory") (realloc (func $shelf "realloc"))))
  (instance $info (export "describe" (func $describe)))
  (instance $runner (export "run" (func $run)))
  (export "taskcell:plugin/plugin-info@0.1.0" (instance $info))
  (export "taskcell:plugin/runner@0.1.0" (instance $runner)))"#
    )
}

fn link() -> CellLink {
    let output = Arc::new(OutputLog::new(64 << 10));
    CellLink {
        cancel: Arc::default(),
        gauges: Arc::default(),
        news: Arc::new(News::of_nobody()),
        gate: Arc::default(),
        output,
        config: Arc::default(),
        kv: None,
        mandate: Arc::new(LiveMandate::new(Mandate::new(Requested::default(), None, None))),
        secrets: Arc::default(),
        owner: Arc::default(),
    }
}

/// A guest that does this, to be polled by hand.
fn guest(body: &str, link: CellLink) -> Paced<impl Future<Output = Result<String, Failure>> + use<>> {
    guest_with(body, link, None)
}

/// The same, which may perhaps have turns beside its actor.
fn guest_with(
    body: &str,
    link: CellLink,
    manners: Option<Arc<Manners>>,
) -> Paced<impl Future<Output = Result<String, Failure>> + use<>> {
    let limits = Limits::default();
    let engine = engine(Stock::for_cells(1, LoadLimits::default()), &limits).unwrap();
    let component = Component::new(&engine, wat::parse_str(plugin(body)).unwrap()).unwrap();
    let pre = cell::linker(&engine).unwrap().instantiate_pre(&component).unwrap();
    let pre = TaskPluginPre::new(pre).unwrap();
    let (gate, news) = (Arc::clone(&link.gate), Arc::clone(&link.news));
    let turn = Arc::new(Turn::new(manners.map(|manners| Stay::new(manners, Arc::clone(&news), None))));
    let around = Around {
        engine,
        clock: Arc::new(SystemClock::new()),
        link: Arc::new(link),
        turn: Arc::clone(&turn),
        folders: Lane::default(),
        #[cfg(feature = "http")]
        http: Arc::new(crate::sandbox::http::HttpClient::to_nobody()),
    };
    let guest = Box::pin(async move { cell::describe(around, &pre, &limits).await });
    Paced { guest, gate, news, turn }
}

/// Polls it to its end and returns how often it gave way.
fn times_it_gave_way(body: &str) -> u32 {
    let mut guest = guest(body, link());
    let mut cx = Context::from_waker(Waker::noop());
    let mut times = 0;
    loop {
        match Pin::new(&mut guest).poll(&mut cx) {
            Poll::Ready(end) => {
                end.unwrap();
                return times;
            }
            Poll::Pending => times += 1,
        }
    }
}

#[test]
fn wasis_ready_functions_give_way_without_a_loop() {
    for call in [
        "(drop (call $now))",
        "(call $resolution (i32.const 2048))",
        "(drop (call $number))",
        "(call $bytes (i64.const 16) (i32.const 2048))",
        "(call $drop (call $sleep (i64.const 0)))",
    ] {
        assert!(times_it_gave_way(&call.repeat(MANY / 5)) > 1, "{call}");
    }
}

#[test]
fn a_few_large_requests_for_random_bytes_give_way_as_many_small_ones_do() {
    // A quarter of a millisecond each, or more: all in all fewer calls than are made between two looks at the time.
    let body = "(call $bytes (i64.const 65536) (i32.const 2048))".repeat(15);
    assert!(times_it_gave_way(&body) > 1);
}

#[test]
fn each_call_with_a_large_payload_gives_way_whatever_the_payload_is() {
    /// Fewer than are made between two looks at the time.
    const CALLS: usize = 5;
    // 4 MB of blanks, which turn out to be no JSON at their end. The key at 512 is the task's and the signal's.
    let mut body = "(drop (memory.grow (i32.const 64)))
        (i32.store8 (i32.const 512) (i32.const 107))
        (memory.fill (i32.const 131072) (i32.const 32) (i32.const 4000000))"
        .to_owned();
    let key = "(i32.const 512) (i32.const 1)";
    let payload = "(i32.const 1) (i32.const 131072) (i32.const 4000000)";
    let call = format!("(call $notify {key} {key} {key} {key} {payload} (i32.const 2048))");
    body.push_str(&call.repeat(CALLS));
    let times = times_it_gave_way(&body);
    assert!(times as usize >= CALLS, "{times}");
}

#[test]
fn instructions_that_the_host_does_give_way_without_a_loop_and_burn_their_fuel() {
    let gauges = Arc::<Gauges>::default();
    let grow = "(drop (memory.grow (i32.const 0)))";
    let link = CellLink { gauges: Arc::clone(&gauges), ..link() };
    // The call at the end publishes the balance.
    let mut guest = guest(&format!("{}(drop (call $now))", grow.repeat(MANY)), link);
    let mut cx = Context::from_waker(Waker::noop());
    let mut times = 0;
    while Pin::new(&mut guest).poll(&mut cx).is_pending() {
        times += 1;
    }
    assert!(times > 1, "{times}");
    // A constant, a growth and a drop that costs nothing, each; and a few around them.
    let burnt = gauges.fuel_used();
    assert!((2 * MANY as u64..2 * MANY as u64 + 100).contains(&burnt), "{burnt}");
}

#[tokio::test]
async fn a_guest_that_outgrows_its_place_beside_its_actor_goes_before_it_uses_its_memory() {
    // Two pages are there at the beginning: with 30 more it has 2 MiB, and with one more than that it has to go.
    for (pages, goes) in [(30, false), (31, true)] {
        let manners = Arc::new(Manners::new(tokio::runtime::Handle::current()));
        let body = format!("(drop (memory.grow (i32.const {pages}))) (drop (call $number))");
        let link = link();
        let gauges = Arc::clone(&link.gauges);
        let mut guest = guest_with(&body, link, Some(manners));
        let turn = Arc::clone(&guest.turn);
        let stay = turn.stay.as_ref().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let mut poll = || {
            let mut polled = Poll::Pending;
            turn.around(false, &mut || polled = Pin::new(&mut guest).poll(&mut cx));
            polled.is_ready()
        };
        // It may give way for another reason, on a slow machine.
        while !stay.has_outgrown() && !poll() {}
        assert_eq!(stay.has_outgrown(), goes, "{pages} pages");
        assert_eq!(gauges.activity() == 0, goes, "the call comes after the growth");
        if goes {
            assert!(!turn.may_stay(), "and it does not come back");
            while Pin::new(&mut guest).poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
            assert!(gauges.activity() > 0, "elsewhere it goes on");
        }
    }
}

#[test]
fn a_guest_without_a_loop_is_held_while_its_task_is_paused() {
    let link = link();
    let (gate, gauges) = (Arc::clone(&link.gate), Arc::clone(&link.gauges));
    let mut guest = guest(&"(drop (call $now))".repeat(MANY), link);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut guest).poll(&mut cx).is_pending());
    gate.shut();
    let mut polls = guest.turn.polls.load(Ordering::Relaxed);
    // What is under way when the gate is shut goes on to the next call's end.
    for _ in 0..3 {
        assert!(Pin::new(&mut guest).poll(&mut cx).is_pending());
    }
    let burnt = gauges.fuel_used();
    for _ in 0..10 {
        assert!(Pin::new(&mut guest).poll(&mut cx).is_pending());
        assert_eq!(gauges.fuel_used(), burnt, "a paused task burns nothing");
    }
    assert!(guest.turn.polls.load(Ordering::Relaxed) <= polls + 1, "it is not even polled");
    gate.open();
    polls = guest.turn.polls.load(Ordering::Relaxed);
    while Pin::new(&mut guest).poll(&mut cx).is_pending() {}
    assert!(guest.turn.polls.load(Ordering::Relaxed) > polls);
    assert!(gauges.fuel_used() >= burnt);
}

#[tokio::test]
async fn what_was_reported_is_told_when_the_turn_is_over_and_before_a_call() {
    let is_told = async |news: &News| tokio::select! { biased; () = news.changed() => true, () = ready(()) => false };
    let link = link();
    let (gate, news) = (Arc::clone(&link.gate), Arc::clone(&link.news));
    let reports = Arc::clone(&news);
    let guest = Box::pin(std::future::poll_fn(move |_| {
        reports.put_up("half".to_owned(), Some(50), false);
        Poll::<()>::Pending
    }));
    let turn = Arc::new(Turn::new(None));
    let mut paced = Paced { guest, gate, news: Arc::clone(&news), turn };
    assert!(Pin::new(&mut paced).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(is_told(&news).await, "it burns on, and the report is not lost");
    assert!(news.take_report().is_some());
    news.put_up("more".to_owned(), None, false);
    assert!(link.ask(|reply| GuestCall::Poll { key: SignalKey::new("key").unwrap(), reply }).await.is_none());
    assert!(is_told(&news).await, "whoever hears the call has heard of the report");
}
