//! The book of a session: what is told to whom, in which order, and how often.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::book::beside::Settled;
use super::book::{Entrant, Item, ItemBody, SessionBook, TurnLook};
use super::{ContinuePolicy, DeliveryMode, LoopUpdate, UpdateBody};
use crate::model::approval::ApprovalNumber;
use crate::model::command::{Answer, Command};
use crate::model::details::{Routing, TaskDetails};
use crate::model::event::{Event, EventSeq};
use crate::model::ids::{TaskId, TaskKey, TaskRef};
use crate::model::machine::step;
use crate::model::outcome::Outcome;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Usage;
use crate::model::state::TaskState;
use crate::model::time::Timestamp;

const TO_LOOP: DeliveryMode = DeliveryMode::ToLoop;
const MANUAL: DeliveryMode = DeliveryMode::Manual;

fn id(number: u8) -> TaskId {
    TaskId::from_random(u128::from(number))
}

fn result(task: u8, answers_call: bool) -> Item {
    Item { task: id(task), body: ItemBody::Result { answers_call, asks_on: false } }
}

fn detached(task: u8) -> Item {
    Item { task: id(task), body: ItemBody::Detached }
}

fn question(task: u8, number: u64) -> Item {
    Item { task: id(task), body: ItemBody::Question(ApprovalNumber(number)) }
}

fn entrant(task: u8, turn: Option<&str>, foreground: bool) -> Entrant {
    let (delivery, continue_policy) = (TO_LOOP, ContinuePolicy::NotifyOnly);
    let turn = turn.map(str::to_owned);
    Entrant { task: id(task), turn, foreground, beside: false, delivery, continue_policy }
}

/// A book with these tasks in the foreground of turn `t`, and those in the background.
fn book(foreground: &[u8], background: &[u8]) -> SessionBook {
    let mut book = SessionBook::default();
    for (tasks, is_foreground) in [(foreground, true), (background, false)] {
        for task in tasks {
            book.enter(entrant(*task, Some("t"), is_foreground));
        }
    }
    book
}

fn numbers(numbers: &[u64]) -> Vec<ApprovalNumber> {
    numbers.iter().copied().map(ApprovalNumber).collect()
}

/// All that lies ready in turn `t`.
fn rest(book: &mut SessionBook) -> Vec<Item> {
    let next = || if let TurnLook::Next(item) = book.next_in("t") { Some(item) } else { None };
    std::iter::from_fn(next).collect()
}

#[test]
fn r50_a_turn_tells_its_updates_in_order_and_is_over_with_its_last_task() {
    let mut book = book(&[1, 2], &[3]);
    book.enter(entrant(4, Some("other"), true));
    assert_eq!(book.next_in("t"), TurnLook::Wait);
    for task in [2, 3, 4, 1] {
        book.end(id(task));
        book.check();
    }
    assert_eq!(rest(&mut book), [result(2, true), result(1, true)]);
    assert_eq!(book.next_in("t"), TurnLook::Over);
    assert_eq!(book.next_in("nobody's"), TurnLook::Over);
    assert_eq!(book.next_in("other"), TurnLook::Next(result(4, true)));
    assert_eq!(book.drain(TO_LOOP, 9), [result(3, false)], "the background's goes to the loop");
    assert!(book.is_empty() && book.is_idle());
}

#[test]
fn r50_a_question_is_an_update_of_its_turn_until_it_is_decided() {
    let mut book = book(&[1, 2], &[]);
    book.ask(id(1), &numbers(&[1]));
    book.ask(id(2), &numbers(&[1]));
    book.ask(id(2), &[]);
    book.ask(id(2), &numbers(&[2]));
    assert_eq!(rest(&mut book), [question(1, 1), question(2, 2)], "what was decided is taken back");
    book.ask(id(1), &numbers(&[1]));
    assert_eq!(book.next_in("t"), TurnLook::Wait, "each is told once");
    book.check();
}

#[test]
fn r51_an_interrupted_turn_keeps_its_background_tasks_and_nothing_else() {
    let mut book = book(&[1, 2, 3, 4], &[5]);
    book.end(id(1));
    book.detach(id(2));
    book.ask(id(3), &numbers(&[1]));
    let interrupted = book.interrupt("t");
    assert_eq!(interrupted.stopped, [id(3), id(4)]);
    assert_eq!(interrupted.cleared, [result(1, true), detached(2)]);
    assert_eq!(book.next_in("t"), TurnLook::Over);
    book.check();
    for task in [3, 4] {
        book.ask(id(task), &numbers(&[7]));
        assert!(!book.is_idle(), "they are being stopped");
        book.end(id(task));
    }
    assert_eq!((book.next_in("t"), book.ready()), (TurnLook::Over, 0), "their ends are told to who interrupted");
    // A task that is started in it later is waited for.
    book.enter(entrant(6, Some("t"), true));
    assert_eq!(book.next_in("t"), TurnLook::Wait);
    for task in [5, 2, 6] {
        book.end(id(task));
    }
    assert_eq!(rest(&mut book), [result(6, true)]);
    assert_eq!(book.drain(TO_LOOP, 9), [result(5, false), result(2, false)]);
    assert!(book.is_empty());
}

#[test]
fn r52_a_detached_task_leaves_its_turn_with_one_placeholder_and_comes_once_more() {
    let mut book = book(&[1, 2], &[3]);
    for task in [2, 1, 1, 3, 9] {
        book.detach(id(task));
        book.check();
    }
    assert_eq!(rest(&mut book), [detached(2), detached(1)]);
    assert_eq!(book.next_in("t"), TurnLook::Over, "nobody is waited for");
    for task in [1, 2, 1, 2] {
        book.end(id(task));
        book.detach(id(task));
    }
    assert_eq!(book.drain(TO_LOOP, 9), [result(1, false), result(2, false)], "in the order of their ends");
    assert_eq!(book.drain(TO_LOOP, 9), []);
}

#[test]
fn r52_a_question_that_nobody_has_taken_goes_along() {
    let mut book = book(&[1], &[]);
    book.ask(id(1), &numbers(&[1, 2]));
    assert_eq!(book.next_in("t"), TurnLook::Next(question(1, 1)));
    book.detach(id(1));
    assert_eq!(rest(&mut book), [detached(1)]);
    assert_eq!(book.drain(TO_LOOP, 9), [question(1, 2)]);
}

#[test]
fn r52_whoever_waits_beside_the_book_is_the_only_one_who_answers() {
    let mut book = SessionBook::default();
    let awaited = |task, turn| Entrant { beside: true, ..entrant(task, turn, true) };
    for task in 1..=6 {
        book.enter(awaited(task, Some("t").filter(|_| task < 5)));
    }
    for task in [2, 3] {
        book.detach(id(task));
    }
    for task in [1, 3, 4, 5, 6] {
        book.end(id(task));
        book.check();
    }
    assert_eq!((book.next_in("t"), book.ready()), (TurnLook::Wait, 0), "nobody hears of it before they answer");
    book.settle(id(1), Settled::Ended);
    book.settle(id(2), Settled::GoesOn);
    book.end(id(2));
    // It was detached and ended before whoever waited for it looked.
    book.settle(id(3), Settled::Ended);
    book.settle(id(4), Settled::GivenUp);
    book.settle(id(5), Settled::Ended);
    book.settle(id(6), Settled::GivenUp);
    book.check();
    assert_eq!(rest(&mut book), [result(4, true)], "nobody else answers it");
    assert_eq!(book.next_in("t"), TurnLook::Over);
    assert_eq!(book.drain(TO_LOOP, 9), [result(2, false), result(6, false)]);
    assert!(book.is_empty());
}

#[test]
fn r51_an_interruption_leaves_the_answer_to_whoever_waits_beside_the_book() {
    for settled in [Settled::Ended, Settled::GoesOn, Settled::GivenUp] {
        let mut book = book(&[1], &[]);
        book.enter(Entrant { beside: true, ..entrant(2, Some("t"), true) });
        let left = book.interrupt("t");
        assert_eq!((left.stopped, left.beside), (vec![id(1)], vec![id(2)]));
        assert_eq!(book.next_in("t"), TurnLook::Over);
        for task in [1, 2] {
            book.end(id(task));
            book.check();
        }
        book.settle(id(2), settled);
        book.check();
        let (by_turn, by_loop) = match settled {
            Settled::Ended => (vec![], vec![]),
            Settled::GoesOn => (vec![], vec![result(2, false)]),
            Settled::GivenUp => (vec![result(2, true)], vec![]),
        };
        assert_eq!((rest(&mut book), book.drain(TO_LOOP, 9)), (by_turn, by_loop), "{settled:?}");
        assert!(book.is_empty());
    }
}

#[test]
fn r53_what_is_manual_is_not_the_loops_and_asks_nobody_on() {
    let mut book = book(&[1], &[2, 3]);
    book.ask(id(2), &numbers(&[1]));
    book.set_delivery(id(2), MANUAL, ContinuePolicy::RequestContinue);
    book.set_delivery(id(1), MANUAL, ContinuePolicy::RequestContinue);
    book.check();
    assert_eq!((book.ready(), book.drain(MANUAL, 1)), (0, vec![question(2, 1)]), "no question is lost by it");
    for task in [1, 2] {
        book.end(id(task));
    }
    assert_eq!((book.ready(), book.tell_on()), (0, false));
    assert_eq!(book.drain(MANUAL, 9), [result(2, false)]);
    assert_eq!(rest(&mut book), [result(1, true)], "a turn is answered whatever the mode");
}

#[test]
fn r53_another_turn_is_asked_for_once_until_all_is_drained() {
    let mut book = book(&[], &[1, 2, 3, 4]);
    for task in [1, 2, 3] {
        book.set_delivery(id(task), TO_LOOP, ContinuePolicy::RequestContinue);
    }
    book.end(id(4));
    assert!(!book.tell_on());
    book.end(id(1));
    assert_eq!((book.tell_on(), book.tell_on()), (true, false));
    book.end(id(2));
    assert!(!book.tell_on(), "it was asked for already");
    assert_eq!(book.drain(TO_LOOP, 2).len(), 2);
    assert!(!book.tell_on());
    assert_eq!(book.drain(TO_LOOP, 9).len(), 1);
    book.end(id(3));
    assert!(book.tell_on());
}

#[test]
fn r53_what_is_forgotten_before_anybody_took_it_is_counted() {
    let mut book = book(&[1], &[2]);
    for task in [1, 2] {
        book.end(id(task));
        book.forget(id(task));
        book.check();
    }
    assert!(book.is_empty());
    assert_eq!((book.tell_lost(), book.tell_lost()), (2, 0));
}

#[test]
fn r54_a_session_is_idle_when_the_last_result_lies_ready() {
    let mut book = book(&[1], &[2]);
    book.end(id(2));
    assert!(!book.is_idle());
    book.interrupt("t");
    assert!(!book.is_idle());
    book.end(id(1));
    assert!(book.is_idle() && book.ready() == 1);
}

/// A task that lives, with this routing.
fn task_with(routing: Option<Routing>) -> TaskState {
    let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(id(1)) };
    let details = Arc::new(TaskDetails { routing, ..TaskDetails::default() });
    let (input, limits) = (Arc::new(serde_json::json!({})), Arc::default());
    let mut state = TaskState::default();
    decide(&mut state, Command::Create { task: Arc::new(task), input, limits, details, approval: None });
    state
}

fn decide(state: &mut TaskState, command: Command) -> Answer {
    let decision = step(state, command);
    for body in decision.events {
        state.apply(&Event::new(EventSeq(state.seq.0 + 1), Timestamp(0), body));
    }
    decision.answer
}

#[test]
fn r52_a_task_is_detached_once_and_only_while_somebody_waits_for_it() {
    let (by, soon) = (Party::Person, Routing::DetachAfter { after: Duration::from_secs(1) });
    for (routing, answer) in [
        (Some(Routing::Foreground), Answer::Done),
        (Some(soon), Answer::Done),
        (Some(Routing::DetachAfter { after: Duration::ZERO }), Answer::Unchanged),
        (Some(Routing::Background), Answer::Unchanged),
        (None, Answer::Unchanged),
    ] {
        let mut state = task_with(routing);
        assert_eq!(decide(&mut state, Command::Detach { by }), answer, "{routing:?}");
        assert!(state.background);
        assert_eq!(decide(&mut state, Command::Detach { by }), Answer::Unchanged);
        decide(&mut state, Command::Cancel { request: CancelRequest::force(by, ""), usage: Usage::default() });
        assert_eq!(decide(&mut state, Command::Detach { by }), Answer::AlreadyEnded);
    }
}

#[test]
fn r53_how_a_task_is_delivered_can_be_changed_until_it_has_its_outcome() {
    let by = Party::Person;
    let set = |delivery, continue_policy| Command::SetDelivery { delivery, continue_policy, by };
    let mut state = task_with(None);
    assert_eq!(decide(&mut state, set(Some(TO_LOOP), None)), Answer::Unchanged);
    assert_eq!(decide(&mut state, set(None, Some(ContinuePolicy::RequestContinue))), Answer::Done);
    assert_eq!(decide(&mut state, set(Some(MANUAL), None)), Answer::Done);
    let now = (state.details.delivery, state.details.continue_policy);
    assert_eq!(now, (MANUAL, ContinuePolicy::RequestContinue), "what nobody spoke of stays");
    decide(&mut state, Command::Cancel { request: CancelRequest::force(by, ""), usage: Usage::default() });
    assert_eq!(decide(&mut state, set(Some(TO_LOOP), None)), Answer::AlreadyEnded);
}

#[test]
fn r53_nobody_fills_a_log_by_changing_the_delivery() {
    let mut state = task_with(None);
    Arc::make_mut(&mut state.limits).log_events = 3;
    let modes = [MANUAL, TO_LOOP].into_iter().cycle();
    let set = |delivery| Command::SetDelivery { delivery: Some(delivery), continue_policy: None, by: Party::Person };
    let changed = modes.take(9).filter(|mode| decide(&mut state, set(*mode)) == Answer::Done).count();
    assert_eq!(changed, 3);
}

#[test]
fn r50_an_update_is_written_with_what_it_says() {
    let task = TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::from(id(1)) };
    let (turn, call_id, call_metadata) = (Some("t".to_owned()), Some("c".to_owned()), Some(serde_json::Value::Null));
    let outcome = Outcome::Succeeded { message: "done".to_owned(), data: None };
    for (body, word) in
        [(UpdateBody::Result { outcome, answers_call: true }, "result"), (UpdateBody::Detached, "detached")]
    {
        let (task, turn, call_id) = (task.clone(), turn.clone(), call_id.clone());
        let update = LoopUpdate { id: id(1), task, turn, call_id, call_metadata: call_metadata.clone(), body };
        let written = serde_json::to_value(&update).unwrap();
        assert_eq!(written["body"]["update"], word);
        assert_eq!(serde_json::from_value::<LoopUpdate>(written).unwrap(), update);
    }
}

#[derive(Debug, Clone)]
enum Op {
    Enter(u8, bool, bool, bool),
    Ask(u8, u64),
    Decide(u8),
    Detach(u8),
    Set(u8, bool, bool),
    End(u8),
    Settle(u8, Settled),
    Next(bool),
    Interrupt(bool),
    Drain(bool, usize),
    Forget(u8),
}

fn op() -> impl Strategy<Value = Op> {
    let task = || 0..6u8;
    prop_oneof![
        6 => (task(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(task, turn, foreground, beside)| Op::Enter(task, turn, foreground, beside)),
        3 => (task(), 1..4u64).prop_map(|(task, number)| Op::Ask(task, number)),
        1 => task().prop_map(Op::Decide),
        3 => task().prop_map(Op::Detach),
        2 => (task(), any::<bool>(), any::<bool>()).prop_map(|(task, manual, asks)| Op::Set(task, manual, asks)),
        5 => task().prop_map(Op::End),
        3 => (task(), settled()).prop_map(|(task, settled)| Op::Settle(task, settled)),
        5 => any::<bool>().prop_map(Op::Next),
        1 => any::<bool>().prop_map(Op::Interrupt),
        3 => (any::<bool>(), 0..4usize).prop_map(|(manual, most)| Op::Drain(manual, most)),
        1 => task().prop_map(Op::Forget),
    ]
}

fn settled() -> impl Strategy<Value = Settled> {
    prop_oneof![Just(Settled::Ended), Just(Settled::GoesOn), Just(Settled::GivenUp)]
}

/// What is known of a task beside the book.
#[derive(Debug, Default)]
struct Seen {
    /// Whether somebody waits for it beside the book.
    beside: bool,
    ended: bool,
    answers: u32,
    results: u32,
    forgotten: bool,
}

fn mode(manual: bool) -> DeliveryMode {
    if manual { MANUAL } else { TO_LOOP }
}

fn see(seen: &mut HashMap<TaskId, Seen>, item: Item) {
    let task = seen.get_mut(&item.task).unwrap();
    match item.body {
        ItemBody::Result { answers_call, .. } => {
            assert!(task.ended, "its end is told when it has one");
            task.results += 1;
            task.answers += u32::from(answers_call);
        }
        ItemBody::Detached => task.answers += 1,
        ItemBody::Question(_) => assert!(!task.ended, "the question of a task that is over was taken back"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn r52_every_call_is_answered_once_and_every_end_told_once(ops in prop::collection::vec(op(), 0..60)) {
        let (mut book, mut seen) = (SessionBook::default(), HashMap::<TaskId, Seen>::new());
        let name = |turn: bool| if turn { "t" } else { "u" };
        for op in ops {
            match op {
                Op::Enter(task, turn, foreground, beside) => {
                    if let Entry::Vacant(new) = seen.entry(id(task)) {
                        let beside = beside && foreground;
                        book.enter(Entrant { beside, ..entrant(task, Some(name(turn)), foreground) });
                        let answers = u32::from(!foreground);
                        new.insert(Seen { beside, answers, ..Seen::default() });
                    }
                }
                Op::Ask(task, number) => {
                    if seen.get(&id(task)).is_some_and(|task| !task.ended) {
                        book.ask(id(task), &numbers(&[number]));
                    }
                }
                Op::Decide(task) => book.ask(id(task), &[]),
                Op::Detach(task) => book.detach(id(task)),
                Op::Set(task, manual, asks) => {
                    let policy = if asks { ContinuePolicy::RequestContinue } else { ContinuePolicy::NotifyOnly };
                    book.set_delivery(id(task), mode(manual), policy);
                }
                Op::End(task) => {
                    if let Some(task) = seen.get_mut(&id(task)) {
                        task.ended = true;
                    }
                    book.end(id(task));
                }
                Op::Settle(task, settled) => {
                    let waits = |task: &&mut Seen| task.beside && (task.ended || settled != Settled::Ended);
                    if let Some(seen) = seen.get_mut(&id(task)).filter(waits) {
                        seen.beside = false;
                        seen.answers += u32::from(settled != Settled::GivenUp);
                        seen.results += u32::from(settled == Settled::Ended);
                        book.settle(id(task), settled);
                    }
                }
                Op::Next(turn) => {
                    if let TurnLook::Next(item) = book.next_in(name(turn)) {
                        see(&mut seen, item);
                    }
                }
                Op::Interrupt(turn) => {
                    let left = book.interrupt(name(turn));
                    for item in left.cleared {
                        see(&mut seen, item);
                    }
                    for task in left.stopped {
                        // Whoever interrupted is told how it ends.
                        let task = seen.get_mut(&task).unwrap();
                        (task.answers, task.results) = (task.answers + 1, task.results + 1);
                    }
                }
                Op::Drain(manual, most) => {
                    for item in book.drain(mode(manual), most) {
                        see(&mut seen, item);
                    }
                }
                Op::Forget(task) => {
                    if let Some(seen) = seen.get_mut(&id(task)).filter(|task| task.ended) {
                        (seen.forgotten, seen.beside) = (true, false);
                        book.forget(id(task));
                    }
                }
            }
            book.check();
        }
        for (task, seen) in &mut seen {
            if !seen.ended {
                seen.ended = true;
                book.end(*task);
            }
            book.settle(*task, Settled::GivenUp);
        }
        for turn in ["t", "u"] {
            while let TurnLook::Next(item) = book.next_in(turn) {
                see(&mut seen, item);
            }
        }
        for manual in [false, true] {
            for item in book.drain(mode(manual), usize::MAX) {
                see(&mut seen, item);
            }
        }
        book.check();
        prop_assert!(book.is_empty() && book.is_idle());
        for task in seen.values() {
            if !task.forgotten {
                prop_assert_eq!((task.answers, task.results), (1, 1), "{:?}", task);
            }
            prop_assert!(task.answers <= 1 && task.results <= 1, "{:?}", task);
        }
    }
}
