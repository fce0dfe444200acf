//! What a guest may touch while it runs: asked about, answered, denied, taken away.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::bench::{Bench, Script, log, request, script, settle, success};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalVerdict, Approvers};
use crate::model::capability::Capability;
use crate::model::event::EventBody;
use crate::model::grants::Grants;
use crate::model::grants::touch::Touch;
use crate::model::outcome::{Failure, FailureKind, Outcome};
use crate::model::permission::{ApprovalKinds, Permission};
use crate::model::policy::Policy;
use crate::model::policy::answer::AlwaysAllowed;
use crate::model::request::CancelRequest;
use crate::model::signal::Party;
use crate::model::snapshot::Phase;
use crate::ports::audit::{AuditLine, AuditLog, AuditRing, AuditWhat};
use crate::ports::functions::{Functions, HostFunction};
use crate::ports::runner::{CellLink, GuestCall};
use crate::runtime::handle::{ApprovalAnswer, TaskHandle};
use crate::runtime::policing::PolicyDesk;
use crate::runtime::revoking::{Revocation, RevokeFrom};

pub(super) const POLICY: &str = r#"
    version = 1
    [plugins.scripted]
    digest = "any"
    [plugins.scripted.ask]
    kv = true
    signal = true
    agent = true
    host = ["price"]
"#;

const FIRST: ApprovalNumber = ApprovalNumber(1);

pub(super) fn policy() -> Policy {
    Policy::parse(POLICY).unwrap()
}

pub(super) fn policed(script: Script) -> Bench {
    let mut bench = Bench::new(script);
    bench.inner_mut().policy = PolicyDesk::new(Some(policy()), None);
    bench
}

/// `yes`, or why not.
pub(super) async fn touch(link: &CellLink, touch: Touch) -> String {
    match link.permitted(touch).await {
        Ok(()) => "yes".to_owned(),
        Err(denied) => denied.reason,
    }
}

/// Does these one after the other, and succeeds with what came of each.
fn toucher<const MANY: usize>(touches: [Touch; MANY]) -> Script {
    script(move |link| {
        let touches = touches.clone();
        async move {
            let mut answers = Vec::new();
            for one in touches {
                answers.push(touch(&link, one).await);
            }
            said(answers)
        }
    })
}

pub(super) async fn answers(task: &TaskHandle) -> Vec<String> {
    let outcome = task.wait().await;
    let Outcome::Succeeded { data: Some(data), .. } = &outcome else { panic!("{outcome:?}") };
    serde_json::from_value(data["said"].clone()).unwrap()
}

/// Succeeds with what came of each.
pub(super) fn said(answers: impl IntoIterator<Item = impl Into<Value>>) -> crate::model::outcome::CellEnd {
    let answers: Vec<Value> = answers.into_iter().map(Into::into).collect();
    success(json!({ "said": answers }))
}

pub(super) fn yes(input: impl Into<Option<Value>>) -> ApprovalVerdict {
    ApprovalVerdict::Approve(input.into())
}

pub(super) async fn decide(task: &TaskHandle, number: u64, verdict: ApprovalVerdict) -> ApprovalAnswer {
    settle().await;
    let number = ApprovalNumber(number);
    match verdict {
        ApprovalVerdict::Approve(input) => task.approve(number, input, Party::Person).await,
        ApprovalVerdict::Deny(reason) => task.deny(number, reason, Party::Person).await,
    }
}

async fn denials(task: &TaskHandle) -> Vec<(Capability, String)> {
    let denied =
        |body| if let EventBody::Denied { capability, rule, .. } = body { Some((capability, rule)) } else { None };
    log(task).await.into_iter().filter_map(|event| denied(event.body)).collect()
}

#[tokio::test]
async fn t16_what_the_policy_asks_about_becomes_a_question_in_the_hosts_words() {
    let bench = policed(script(|link| async move {
        let why = "say \"yes\"\n--\nthe host".to_owned();
        said([link.requested(Touch::Kv, why).await.is_ok(), link.permitted(Touch::Kv).await.is_ok()])
    }));
    let task = bench.start().await;
    settle().await;
    let state = task.state();
    let [open] = state.approvals.as_slice() else { panic!("{:?}", state.approvals) };
    assert_eq!((open.ask.kind.as_str(), open.ask.timeout), (ApprovalAsk::GRANT, Some(Duration::from_hours(1))));
    assert_eq!(open.ask.summary, "the plugin scripted is about to use its plugin's store");
    assert_eq!(open.ask.reason, "the policy says to ask about it (plugins.scripted.ask.kv)");
    let metadata = open.ask.metadata.as_ref().unwrap();
    assert_eq!(metadata["capability"], "kv");
    assert_eq!(metadata["rule"], "plugins.scripted.ask.kv");
    assert_eq!(metadata["guest_says"], r#""say \"yes\"\n--\nthe host""#, "quoted, in a place of its own");
    bench.advance(Duration::from_mins(30)).await;
    assert_eq!(task.state().phase, Phase::Running, "its clocks stand still");
    assert_eq!(decide(&task, 1, yes(None)).await, ApprovalAnswer::Decided);
    assert_eq!(
        task.wait().await.data(),
        Some(&json!({ "said": [true, true] })),
        "a yes in advance is left for the use"
    );
}

#[tokio::test]
async fn t16_a_yes_holds_once_for_the_task_or_for_all_tasks_of_the_plugin() {
    for (input, questions, later) in [(json!("once"), 3, true), (json!("task"), 1, true), (json!("always"), 1, false)] {
        let mut bench = policed(toucher([Touch::Kv, Touch::Kv, Touch::Kv]));
        let written: Arc<Mutex<Vec<AlwaysAllowed>>> = Arc::default();
        let noted = Arc::clone(&written);
        let writer = move |answer: &AlwaysAllowed| {
            noted.lock().unwrap().push(answer.clone());
            Ok(())
        };
        bench.inner_mut().policy = PolicyDesk::new(Some(policy()), Some(Arc::new(writer)));
        let task = bench.start().await;
        for number in 1..=questions {
            assert_eq!(decide(&task, number, yes(input.clone())).await, ApprovalAnswer::Decided, "{input} {number}");
        }
        assert_eq!(answers(&task).await, ["yes"; 3], "{input}");
        let next = bench.start().await;
        settle().await;
        assert_eq!(!next.state().approvals.is_empty(), later, "{input}");
        while written.lock().unwrap().is_empty() && !later {
            tokio::task::yield_now().await;
        }
        let written = written.lock().unwrap();
        assert_eq!(written.len(), usize::from(!later));
        for answer in written.iter() {
            assert_eq!((answer.plugin.as_str(), answer.by), ("scripted", Party::Person));
            Policy::parse(&answer.written_into(POLICY).unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn t23_an_answer_for_always_that_cannot_be_written_holds_and_is_told() {
    let mut bench = policed(toucher([Touch::Kv, Touch::Kv]));
    let ring = Arc::new(AuditRing::new(100));
    let writer = |_: &AlwaysAllowed| Err(std::io::Error::other("no room for it"));
    bench.inner_mut().policy =
        PolicyDesk::new(Some(policy()), Some(Arc::new(writer))).with(Some(Arc::clone(&ring) as _), &Arc::default());
    let task = bench.start().await;
    decide(&task, 1, yes(json!("always"))).await;
    assert_eq!(answers(&task).await, ["yes"; 2]);
    let told = loop {
        match ring.lines().into_iter().find(|line| line.what == AuditWhat::Policy) {
            Some(line) => break line,
            None => tokio::task::yield_now().await,
        }
    };
    assert!(told.reason.is_some_and(|why| why.contains("not written") && why.contains("no room for it")));
    assert_eq!((told.by, told.answer.as_deref()), (Some(Party::Person), Some("always")));
    let page = task.output(crate::ports::output::OutputCursor::default()).await;
    assert!(page.chunks.iter().any(|chunk| chunk.text.contains("no room for it")), "{page:?}");
}

#[tokio::test]
async fn t16_an_answer_is_a_word_and_the_agent_answers_neither_by_default_nor_for_always() {
    let bench = policed(toucher([Touch::Kv]));
    let task = bench.start().await;
    let refused = |answer| assert!(matches!(answer, ApprovalAnswer::NotAllowed(_)), "{answer:?}");
    for input in [json!("ever"), json!({}), json!(1), json!(null)] {
        refused(decide(&task, 1, yes(input)).await);
    }
    for by in [Party::Agent, Party::Task(task.id()), Party::Itself] {
        refused(task.approve(FIRST, None, by).await);
    }
    decide(&task, 1, yes(None)).await;
    assert_eq!(answers(&task).await, ["yes"]);
    let mut trusting = request();
    trusting.details.approvers = Approvers::Anybody;
    let task = bench.inner.start(trusting).await.unwrap();
    settle().await;
    refused(task.approve(FIRST, Some(json!("always")), Party::Agent).await);
    assert_eq!(task.approve(FIRST, Some(json!("task")), Party::Agent).await, ApprovalAnswer::Decided);
    assert_eq!(answers(&task).await, ["yes"]);
}

#[tokio::test]
async fn t16_a_no_holds_as_long_as_the_task_and_nobody_answering_is_one() {
    let bench = policed(toucher([Touch::Kv, Touch::Kv]));
    let task = bench.start().await;
    decide(&task, 1, ApprovalVerdict::Deny("not today".to_owned())).await;
    let said = answers(&task).await;
    assert_eq!(said, ["a person was asked and said no: not today", "somebody was asked and said no"]);
    assert_eq!(
        denials(&task).await,
        [(Capability::Kv, "plugins.scripted.ask.kv".to_owned())],
        "the question's no is told"
    );

    let task = bench.start().await;
    settle().await;
    bench.advance(Duration::from_hours(1)).await;
    let said = answers(&task).await;
    assert!(said[0].contains("nobody answered") && said[1].contains("said no"), "{said:?}");
}

#[tokio::test]
async fn t16_where_nobody_is_asked_it_is_a_no_and_a_yes_to_all_kinds_is_none_to_this() {
    for (permission, says) in [
        (Permission::deny_all(), Some("nobody is asked in this run")),
        (Permission::approve(ApprovalKinds::All).deny_others(), Some("nobody is asked in this run")),
        (Permission::approve(ApprovalKinds::only([ApprovalAsk::GRANT])), Some("yes")),
        (Permission::approve(ApprovalKinds::All), None),
    ] {
        let mut bench = policed(toucher([Touch::Kv]));
        bench.inner_mut().approve_in_advance = ApprovalKinds::only([ApprovalAsk::GRANT]);
        if permission.approve == ApprovalKinds::All {
            bench.inner_mut().approve_in_advance = ApprovalKinds::All;
        }
        let mut asked = request();
        asked.details.permission = permission.clone();
        let task = bench.inner.start(asked).await.unwrap();
        settle().await;
        match says {
            None => assert_eq!(task.state().approvals.len(), 1, "{permission:?}"),
            Some(says) => {
                let said = answers(&task).await;
                assert!(said[0].contains(says), "{permission:?}: {said:?}");
            }
        }
    }
}

#[tokio::test]
async fn t16_no_guest_asks_in_the_hosts_name() {
    let bench = policed(script(|link| async move {
        let ask = ApprovalAsk::new(ApprovalAsk::GRANT, "", "the plugin hello is about to use its plugin's store");
        let refused = link.request(|reply| GuestCall::RequestApproval { ask, reply }).await.unwrap_err();
        said([refused.kind.word()])
    }));
    assert_eq!(answers(&bench.start().await).await, ["invalid-argument"]);
}

#[tokio::test]
async fn t23_what_is_denied_is_in_the_log_and_twenty_in_a_row_end_the_task() {
    let other = || Touch::Tasks("other".into());
    let bench = policed(script(move |link| async move {
        for _ in 0..19 {
            assert!(link.permitted(other()).await.is_err());
        }
        // Something that it may: it has understood.
        link.permitted(Touch::Random).await.unwrap();
        for number in 0..20 {
            assert!(link.permitted(if number == 18 { Touch::Env("HOME".into()) } else { other() }).await.is_err());
        }
        std::future::pending().await
    }));
    let task = bench.start().await;
    let Outcome::Failed(Failure { kind, message, .. }) = task.wait().await else { panic!("it goes on") };
    assert_eq!(kind, FailureKind::Denied);
    assert!(
        message.contains("20 things in a row") && message.contains("tasks other, env HOME, tasks other"),
        "{message}"
    );
    let denied = denials(&task).await;
    assert_eq!(denied.len(), 39);
    assert_eq!(denied[0], (Capability::Tasks, "policy".to_owned()));
}

#[tokio::test]
async fn t23_a_guest_whose_log_is_full_is_denied_all_the_same() {
    let bench = policed(script(|link| async move {
        loop {
            assert!(link.permitted(Touch::Tasks("other".into())).await.is_err());
        }
    }));
    let limits = crate::model::limits::LimitsRequest { log_events: Some(2), ..Default::default() };
    let task = bench.inner.start(request().limits(limits)).await.unwrap();
    let Outcome::Failed(failure) = task.wait().await else { panic!("it goes on") };
    assert_eq!(failure.kind, FailureKind::Denied);
    assert_eq!(denials(&task).await.len(), 2);
}

fn with_price(bench: &mut Bench) {
    let mut functions = Functions::default();
    functions.provide(HostFunction::new("price"), Arc::new(|_| Box::pin(async { Ok(json!(7)) })), 32).unwrap();
    bench.inner_mut().functions = Arc::new(functions);
}

#[tokio::test]
async fn r7_a_function_that_is_asked_about_is_called_once_with_a_yes_for_one_time() {
    let call = |link: CellLink| async move {
        link.asked_about(&Touch::Function("price".into())).await.map_err(|denied| denied.reason)?;
        let name = "price".to_owned();
        let answer = link.ask(|reply| GuestCall::CallHost { name, input: json!(null), reply }).await.unwrap();
        answer.map_err(|error| error.message().to_owned())
    };
    let mut bench = policed(script(move |link| async move {
        let first: Result<Value, String> = call(link.clone()).await;
        let name = "price".to_owned();
        let bare = link.ask(|reply| GuestCall::CallHost { name, input: json!(null), reply }).await.unwrap();
        said([format!("{first:?}"), bare.unwrap_err().message().to_owned()])
    }));
    with_price(&mut bench);
    let task = bench.start().await;
    decide(&task, 1, yes(None)).await;
    let said = answers(&task).await;
    assert_eq!(said[0], "Ok(Number(7))");
    assert!(said[1].contains("somebody has to be asked about it"), "the yes is used up: {said:?}");
    let called =
        log(&task).await.into_iter().filter(|event| matches!(event.body, EventBody::HostCalled { .. })).count();
    assert_eq!(called, 1);
}

#[tokio::test]
async fn t45_an_answer_and_a_cancel_and_a_time_out_come_at_once_and_one_of_them_counts() {
    for turns in 0..60_usize {
        let bench = policed(toucher([Touch::Kv]));
        let task = bench.start().await;
        settle().await;
        let answer = super::bench::beside({
            let task = task.clone();
            async move {
                for _ in 0..turns / 2 {
                    tokio::task::yield_now().await;
                }
                task.approve(FIRST, Some(json!("task")), Party::Person).await
            }
        });
        if turns % 2 == 0 {
            task.cancel(CancelRequest::new(Party::Person, "enough").grace(Duration::from_secs(5))).await;
        } else {
            bench.clock.advance(Duration::from_hours(1));
        }
        let answer = answer.end().await;
        let said = answers(&task).await;
        let decided: Vec<ApprovalDecision> = log(&task)
            .await
            .into_iter()
            .filter_map(|event| {
                if let EventBody::ApprovalDecided { decision, .. } = event.body { Some(decision) } else { None }
            })
            .collect();
        let [decision] = decided.as_slice() else { panic!("{decided:?}") };
        let approved = matches!(decision, ApprovalDecision::Approved { .. });
        assert_eq!(approved, answer == ApprovalAnswer::Decided, "after {turns} turns: {decision:?}, {answer:?}");
        assert_eq!(approved, said == ["yes"], "after {turns} turns: {said:?}");
    }
}

#[tokio::test]
async fn r26_a_question_that_is_open_when_its_task_ends_is_closed_and_nobody_is_left() {
    let bench = policed(toucher([Touch::Kv]));
    let task = bench.start().await;
    settle().await;
    task.cancel(CancelRequest::force(Party::Person, "")).await;
    assert!(matches!(task.wait().await, Outcome::Cancelled { .. }));
    let late = task.approve(FIRST, None, Party::Person).await;
    assert!(matches!(late, ApprovalAnswer::AlreadyEnded(_)), "{late:?}");
    log(&task).await;
}

#[tokio::test]
async fn r8_without_a_policy_what_is_granted_is_there_and_the_rest_is_denied_with_a_reason() {
    let bench = Bench::new(toucher([Touch::Kv, Touch::Signal]));
    let task = bench.inner.start(request().grants(Grants::default().kv())).await.unwrap();
    assert_eq!(answers(&task).await, ["yes", "it was not granted to this task"]);
}

/// An audit log that can be made to fail.
#[derive(Debug)]
struct Broken {
    ring: AuditRing,
    broken: std::sync::atomic::AtomicBool,
}

impl AuditLog for Broken {
    fn write(&self, line: &AuditLine) -> std::io::Result<()> {
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.ring.write(line)
    }
}

fn audited(script: Script) -> (Bench, Arc<Broken>) {
    let audit = Arc::new(Broken { ring: AuditRing::new(100), broken: false.into() });
    let mut bench = Bench::new(script);
    let desk = PolicyDesk::new(Some(policy()), None).with(Some(Arc::clone(&audit) as _), &Arc::default());
    bench.inner_mut().policy = desk;
    (bench, audit)
}

#[tokio::test]
async fn t23_each_thing_is_told_with_its_rule_and_who_answered_and_how_often() {
    let (bench, audit) = audited(toucher([
        Touch::Random,
        Touch::Random,
        Touch::Kv,
        Touch::Kv,
        Touch::Signal,
        Touch::Tasks("other".into()),
    ]));
    let task = bench.start().await;
    decide(&task, 1, yes(json!("task"))).await;
    decide(&task, 2, ApprovalVerdict::Deny("no".to_owned())).await;
    task.gone().await;
    bench.inner.revoke(Revocation::new(RevokeFrom::Task(task.id()), Capability::Kv, Party::Host)).await;
    let lines = audit.ring.lines();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            assert_eq!(line.task, Some(task.id()));
            assert_eq!(line.plugin.as_deref(), Some("scripted"));
            let text = serde_json::to_string(line).unwrap();
            assert_eq!(AuditLine::read(&text).as_ref(), Some(line), "{text}");
            (line.what, line.rule.as_deref().unwrap_or_default(), line.answer.as_deref(), line.by, line.times)
        })
        .collect();
    let (kv, signal) = ("plugins.scripted.ask.kv", "plugins.scripted.ask.signal");
    let person = Some(Party::Person);
    assert_eq!(
        told,
        [
            (AuditWhat::Allow, "default", None, None, None),
            (AuditWhat::Ask, kv, None, None, None),
            (AuditWhat::Answer, kv, Some("task"), person, None),
            (AuditWhat::Allow, kv, None, None, None),
            (AuditWhat::Ask, signal, None, None, None),
            (AuditWhat::Answer, signal, Some("no"), person, None),
            (AuditWhat::Deny, signal, None, None, None),
            (AuditWhat::Deny, "policy", None, None, None),
            (AuditWhat::Allow, "default", None, None, Some(1)),
        ]
    );
}

#[tokio::test]
async fn t23_what_cannot_be_told_is_not_allowed() {
    let (bench, audit) = audited(script(|link| async move {
        let first = touch(&link, Touch::Random).await;
        super::bench::wait_for(&link, "go", None).await;
        said([
            first,
            touch(&link, Touch::Random).await,
            touch(&link, Touch::ClockWall).await,
            touch(&link, Touch::Kv).await,
        ])
    }));
    let task = bench.start().await;
    settle().await;
    audit.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    task.notify(super::bench::key("go"), None, Party::Host).await;
    let said = answers(&task).await;
    assert_eq!(said[..2], ["yes", "yes"], "what was told is known");
    for denied in &said[2..] {
        assert!(denied.starts_with("the audit log cannot be written"), "{said:?}");
    }
}
