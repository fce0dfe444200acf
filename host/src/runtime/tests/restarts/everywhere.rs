//! A host that stops at any commit, and the next one during its recovery: what must hold then, whatever happened.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::super::bench::{Bench, Script, key, script, settle, success, wait_for};
use super::{HOUR, SECOND, World, again, fold, once, task};
use crate::model::approval::{ApprovalAsk, ApprovalDecision};
use crate::model::children::ChildOptions;
use crate::model::event::EventBody;
use crate::model::ids::TaskId;
use crate::model::outbox::MessageFilter;
use crate::model::outcome::Outcome;
use crate::model::plan::{Plan, PlanStep};
use crate::model::request::StartRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::ports::runner::GuestCall;
use crate::runtime::handle::{ApprovalAnswer, TaskHandle};

/// What somebody was told that it is so.
#[derive(Debug, Clone, Default)]
pub(super) struct Acknowledged {
    started: Vec<TaskId>,
    /// The payloads of signals, and the texts of instructions.
    sent: Vec<(TaskId, u64)>,
    told: Vec<(TaskId, String)>,
    approved: Vec<TaskId>,
    next: u64,
}

pub(super) type Acks = Arc<Mutex<Acknowledged>>;

/// Does a little of everything. The one with the signal `parent` has a child.
pub(super) fn busy() -> Script {
    script(|link| async move {
        let role = link.request(|reply| GuestCall::Poll { key: key("parent"), reply }).await;
        if matches!(role, Ok(Some(_))) {
            let running = link.ask(|reply| GuestCall::RunningChildren { reply }).await.unwrap_or_default();
            let child = if let Some((child, _)) = running.into_iter().next() {
                Some(child)
            } else {
                let (task_type, options) = ("again".to_owned(), Box::<ChildOptions>::default());
                let input = json!({});
                let start = |reply| GuestCall::StartChild { task_type, input, options, reply };
                link.request(start).await.ok().map(|(child, _)| child)
            };
            if let Some(child) = child {
                let _ = link.request(|reply| GuestCall::WaitChild { child, timeout: None, reply }).await;
            }
        }
        let message = "hello".to_owned();
        let _ =
            link.request(|reply| GuestCall::MessageAgent { message, trigger: true, once: Some(key("m")), reply }).await;
        let ask = ApprovalAsk::new("deploy", "because", "it");
        let decided = link.request(|reply| GuestCall::RequestApproval { ask, reply }).await;
        let yes = matches!(decided, Ok(ApprovalDecision::Approved { .. }));
        let said = link.request(|reply| GuestCall::NextInstruction { timeout: None, reply }).await;
        let said = said.ok().flatten().map(|said| said.text);
        let signal = wait_for(&link, "go", None).await;
        success(json!(format!("{yes} {} {signal}", said.is_some())))
    })
}

/// Starts what there is to start, and answers what is asked, until nothing is left.
pub(super) async fn drive(bench: &Bench, acks: &Acks, first: bool) {
    if first {
        let plan = Plan::new("g").step(PlanStep::new("one")).step(PlanStep::new("two"));
        let held = ApprovalAsk::new(ApprovalAsk::START, "r", "s");
        let requests: Vec<StartRequest> = vec![
            again().signal(key("parent"), None, Party::Host).once("parent"),
            once().plan(plan),
            StartRequest { approval: Some(held), ..again() },
        ];
        for request in requests {
            if let Ok(started) = bench.inner.start(request).await {
                acks.lock().unwrap().started.push(started.id());
            }
        }
    }
    loop {
        settle().await;
        let live = bench.inner.registry.live();
        if live.is_empty() {
            return;
        }
        for shared in live {
            let (handle, id) = (TaskHandle::new(Arc::clone(&shared)), shared.id);
            for open in handle.state().approvals {
                if handle.approve(open.number, None, Party::Person).await == ApprovalAnswer::Decided {
                    acks.lock().unwrap().approved.push(id);
                }
            }
            let number = {
                let mut acks = acks.lock().unwrap();
                acks.next += 1;
                acks.next
            };
            if handle.state().awaits_instruction {
                let text = number.to_string();
                if matches!(handle.instruct(text.clone(), Party::Person).await, NotifyAnswer::Delivered) {
                    acks.lock().unwrap().told.push((id, text));
                }
            }
            if handle.state().waiting.is_some() {
                let sent = handle.notify(key("go"), Some(json!(number)), Party::Person).await;
                if matches!(sent, NotifyAnswer::Delivered | NotifyAnswer::Buffered) {
                    acks.lock().unwrap().sent.push((id, number));
                }
            }
        }
    }
}

/// As far as it goes before the host stops. Says whether it came to its end.
async fn drive_until_it_stops(bench: &Bench, acks: &Acks, first: bool) -> bool {
    let quiet = async {
        for _ in 0..30 {
            settle().await;
        }
    };
    tokio::select! { () = drive(bench, acks, first) => true, () = quiet => false }
}

/// What must hold when everything has come to its end.
pub(super) async fn holds(world: &World, bench: &Bench, acks: &Acks, case: &str) {
    let acks = acks.lock().unwrap().clone();
    let known: BTreeSet<TaskId> = bench.inner.registry.known_ids().into_iter().collect();
    for id in &acks.started {
        assert!(known.contains(id), "{case}: an acknowledged start is there");
    }
    let mut signals: HashMap<(TaskId, u64), u32> = HashMap::new();
    let mut instructions: HashMap<(TaskId, String), u32> = HashMap::new();
    for id in known {
        let log = world.log(id).await;
        for (event, number) in log.iter().zip(1..) {
            assert_eq!(event.seq.0, number, "{case}: no gap");
        }
        let ends: Vec<_> = log.iter().filter(|event| matches!(event.body, EventBody::Finished { .. })).collect();
        assert_eq!(ends.len(), 1, "{case}: one outcome of {id}: {log:?}");
        assert_eq!(log.last(), Some(ends[0]), "{case}: and nothing after it");
        let mut state = fold(&log);
        let live = task(bench, id);
        for event in live.after_events().await.unwrap() {
            state.after_the_end(&event.body);
        }
        assert_eq!(*live.shared().state(), state, "{case}: the log is all there is");
        let outcome = live.wait().await;
        if live.state().details.on_terminal.is_some() {
            let told = world.told(id);
            assert!(!told.is_empty(), "{case}: its end is told");
            assert!(told.iter().all(|told| *told == outcome), "{case}: and told the same each time: {told:?}");
            let done = live.after_events().await.unwrap().into_iter();
            let done = done.filter(|event| matches!(event.body, EventBody::OnTerminalDone { .. })).count();
            assert!(done >= 1, "{case}: and that it was is written down");
        }
        if let Outcome::Succeeded { data: Some(Value::String(said)), .. } = &outcome {
            assert!(said.starts_with("true true"), "{case}: {said}");
        }
        let is_question =
            |body: &EventBody| matches!(body, EventBody::ApprovalRequested { ask, .. } if ask.kind == "deploy");
        let questions = log.iter().filter(|event| is_question(&event.body));
        assert!(questions.count() <= 1, "{case}: asked once: {log:?}");
        let approved = log.iter().any(|event| {
            matches!(&event.body, EventBody::ApprovalDecided { decision: ApprovalDecision::Approved { .. }, .. })
        });
        assert!(approved || !acks.approved.contains(&id), "{case}: a decision stands");
        for event in log {
            if let EventBody::SignalReceived { signal, .. } = &event.body
                && let Some(number) = signal.payload.as_ref().and_then(Value::as_u64)
            {
                *signals.entry((id, number)).or_default() += 1;
            }
            if let EventBody::Instructed(said) = event.body {
                *instructions.entry((id, said.text)).or_default() += 1;
            }
        }
    }
    for sent in &acks.sent {
        assert_eq!(signals.get(sent), Some(&1), "{case}: a signal that was taken is there, once");
    }
    for told in &acks.told {
        assert_eq!(instructions.get(told), Some(&1), "{case}: so is what was said");
    }
    assert_eq!(bench.inner.registry.claims().0, 0, "{case}: no key is left");
    let open = bench.inner.messages().open(&MessageFilter::default());
    let sent = bench.inner.registry.known_ids().into_iter();
    let sent: u64 = sent.map(|id| task(bench, id).shared().state().agent_messages).sum();
    assert_eq!(open as u64, sent, "{case}: each message can be claimed");
}

#[tokio::test]
async fn t40_a_host_that_stops_at_any_commit_is_followed_by_one_that_knows_everything() {
    let script = busy();
    for torn in [false, true] {
        for commits in 0.. {
            let (world, acks) = (World::new(), Acks::default());
            let first = world.mortal(&script, commits, torn);
            let done = drive_until_it_stops(&first, &acks, true).await;
            world.stop(first, HOUR).await;
            let case = format!("after {commits} commits, torn: {torn}");
            let (second, _) = world.next(&script).await;
            assert!(drive_until_it_stops(&second, &acks, false).await, "{case}: it comes to its end");
            settle().await;
            holds(&world, &second, &acks, &case).await;
            if done {
                assert!(commits > 20, "there was something to stop");
                break;
            }
        }
    }
}

#[tokio::test]
async fn t40_a_host_that_stops_while_it_recovers_is_followed_by_one_that_knows_everything() {
    let script = busy();
    for (commits, torn) in [6, 12, 17, 22].into_iter().flat_map(|commits| [(commits, false), (commits, true)]) {
        for again in 0..8 {
            let (world, acks) = (World::new(), Acks::default());
            let first = world.mortal(&script, commits, torn);
            drive_until_it_stops(&first, &acks, true).await;
            world.stop(first, SECOND).await;
            let second = world.mortal(&script, again, torn);
            {
                let recovering = async {
                    second.inner.recover().await.unwrap();
                    drive(&second, &acks, false).await;
                };
                let quiet = async {
                    for _ in 0..20 {
                        settle().await;
                    }
                };
                tokio::select! { () = recovering => {}, () = quiet => {} }
            }
            world.stop(second, SECOND).await;
            let case = format!("after {commits} commits and {again} in recovery, torn: {torn}");
            let (third, _) = world.next(&script).await;
            assert!(drive_until_it_stops(&third, &acks, false).await, "{case}: it comes to its end");
            settle().await;
            holds(&world, &third, &acks, &case).await;
        }
    }
}
