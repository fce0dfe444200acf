//! What many people, tasks, clocks and one guest want of a task, at random.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::granting::ABOUT;
use super::{Made, Parked, View, is_call};
use crate::model::approval::{ApprovalAsk, ApprovalDecision, ApprovalNumber, ApprovalRuling, Approvers};
use crate::model::capability::Capability;
use crate::model::children::ChildOutcome;
use crate::model::command::{Command, GrantCommand, HostFit, PlanCommand};
use crate::model::delivery::{ContinuePolicy, DeliveryMode};
use crate::model::grants::touch::Touch;
use crate::model::ids::{PluginDigest, SignalKey, TaskId, TaskKey, TaskRef};
use crate::model::limits::Limits;
use crate::model::machine::granting::{Asker, question};
use crate::model::outbox::Settlement;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome, Outcome};
use crate::model::patch::{Change, TaskPatch};
use crate::model::permission::{ApprovalKinds, Permission};
use crate::model::plan::{Plan, PlanError, PlanStep, StepStatus};
use crate::model::policy::mandate::Denied;
use crate::model::request::CancelRequest;
use crate::model::retry::RetryPolicy;
use crate::model::signal::{Instruction, Party, SenderClass, Senders, Signal};
use crate::model::snapshot::{Artifact, Phase, Usage};
use crate::model::time::Timestamp;

/// Keys that anybody uses.
const KEYS: u8 = 3;

/// How a task is made, in few words, so that a case that fails can be read.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is one way to make a task")]
pub(super) struct Setting {
    held: bool,
    later: bool,
    foreground: bool,
    /// Whether the case begins when it runs.
    begun: bool,
    attempts: u32,
    crashes: bool,
    approvers: Approvers,
    on_request: u64,
    tokens: u64,
    actions: u64,
    log_events: u64,
    permission: Permission,
    enforced: bool,
    daemon: bool,
    planner: bool,
    restartable: bool,
}

impl Setting {
    pub(super) fn made(&self) -> Made {
        let policy = RetryPolicy::attempts(self.attempts);
        Made {
            input: json!({ "first": true }),
            limits: Limits {
                fuel: 100,
                fuel_on_request: self.on_request,
                signals_per_key: 2,
                signals_in_all: 4,
                signal_bytes: 300,
                tokens: self.tokens,
                actions: self.actions,
                children: 2,
                children_in_all: 2,
                log_events: self.log_events,
                agent_messages: 2,
                fuel_on_approval: 25,
                ..Limits::default()
            },
            held: self.held,
            later: self.later,
            foreground: self.foreground,
            retry: if self.crashes { policy.with_crashes() } else { policy },
            approvers: self.approvers,
            permission: self.permission.clone(),
            enforced: self.enforced,
            daemon: self.daemon,
            planner: self.planner,
            restartable: self.restartable,
        }
    }
}

impl Setting {
    /// What brings it so far.
    pub(super) fn first(&self) -> Vec<Command> {
        let decision = ApprovalDecision::Approved { by: Party::Person, input: None };
        let approve =
            Command::DecideApproval { number: ApprovalNumber(1), decision, ruling: ApprovalRuling::AsTheTaskSays };
        if self.begun { vec![approve, Command::Due, Command::Start] } else { Vec::new() }
    }
}

pub(super) fn setting() -> impl Strategy<Value = Setting> {
    let approvers = prop_oneof![Just(Approvers::PersonOrHost), Just(Approvers::Person), Just(Approvers::Anybody)];
    let budget = || prop_oneof![Just(u64::MAX), Just(0), Just(7), Just(40)];
    let log_events = prop_oneof![2 => Just(100_000), 1 => 1..8u64, 1 => 8..20u64];
    let held = prop::bool::weighted(0.2);
    let later = prop::bool::weighted(0.2);
    let on_request = prop_oneof![Just(0), Just(10)];
    let permission = prop_oneof![
        5 => Just(Permission::default()),
        1 => Just(Permission::deny_all()),
        1 => Just(Permission::approve(ApprovalKinds::All)),
        1 => Just(Permission::approve(ApprovalKinds::only(["fuel"])).deny_others()),
    ];
    let begun = (prop::bool::weighted(0.7), any::<bool>(), prop::bool::weighted(0.8));
    let kinds = (prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let budgets = (on_request, budget(), budget());
    (held, (later, begun, any::<bool>(), kinds), 1..4u32, any::<bool>(), approvers, budgets, log_events, permission)
        .prop_map(
            |(
                held,
                (later, (begun, enforced, restartable), foreground, (daemon, planner)),
                attempts,
                crashes,
                approvers,
                (on_request, tokens, actions),
                log_events,
                permission,
            )| Setting {
                held,
                later,
                foreground,
                begun,
                attempts,
                crashes,
                approvers,
                on_request,
                tokens,
                actions,
                log_events,
                permission,
                enforced,
                daemon,
                planner,
                restartable,
            },
        )
}

pub(super) fn task(name: &str) -> TaskRef {
    TaskRef { plugin: "p".into(), task_type: "t".into(), key: TaskKey::new(name).unwrap() }
}

pub(super) fn key(number: u8) -> SignalKey {
    SignalKey::new(format!("key{number}")).unwrap()
}

/// Every key that anybody uses.
pub(super) fn keys() -> Vec<SignalKey> {
    (0..KEYS).map(key).collect()
}

fn child(number: u8) -> TaskId {
    TaskId::from_random(u128::from(number) + 1)
}

/// Everybody who is not the task itself.
fn others() -> impl Strategy<Value = Party> {
    prop_oneof![Just(Party::Person), Just(Party::Agent), Just(Party::Host), Just(Party::Task(child(9)))]
}

/// None, or nothing, or a second.
fn timeout() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![2 => Just(None), 1 => Just(Some(Duration::ZERO)), 2 => Just(Some(Duration::from_secs(1)))]
}

fn payload() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!(false))),
        (0..9u8).prop_map(|number| Some(json!(number))),
        Just(Some(json!({ "many": [1, 2] }))),
    ]
}

fn signal(sender: impl Strategy<Value = Party>) -> impl Strategy<Value = Command> {
    (0..KEYS, payload(), sender).prop_map(|(number, payload, sender)| Command::Notify {
        key: key(number),
        signal: Signal::new(payload, sender),
    })
}

fn usage() -> Usage {
    Usage { fuel: 5, ..Usage::default() }
}

/// What the guest waits for.
fn waits() -> impl Strategy<Value = Command> {
    let senders = prop_oneof![
        3 => Just(Senders::default()),
        1 => Just(Senders::only([SenderClass::Person])),
        1 => Just(Senders::only([SenderClass::Task, SenderClass::Itself])),
    ];
    let kind = prop_oneof![4 => Just("deploy"), 1 => Just("start"), 1 => Just("fuel"), 1 => Just("grant"), 1 => Just(""), 1 => Just("a\nb")];
    prop_oneof![
        4 => (prop::sample::subsequence(keys(), 0..=3), senders, timeout())
            .prop_map(|(keys, senders, timeout)| Command::Wait { keys, senders, timeout }),
        2 => timeout().prop_map(|timeout| Command::NextInstruction { timeout }),
        2 => (kind, timeout())
            .prop_map(|(kind, timeout)| Command::RequestApproval(ApprovalAsk { timeout, ..ApprovalAsk::new(kind, "r", "s") })),
        2 => (0..3u8, timeout()).prop_map(|(number, timeout)| Command::WaitChild { child: child(number), timeout }),
        2 => (0..12u64, timeout())
            .prop_map(|(units, timeout)| Command::RequestFuel { units, reason: "r".into(), timeout }),
        2 => Just(()).prop_map(|()| Command::Grant(GrantCommand::Ask(Box::new(grant_question())))),
    ]
}

/// Whether it may use its plugin's store.
fn grant_question() -> ApprovalAsk {
    let digest = PluginDigest::of(b"");
    question(Asker { plugin: "p", digest: &digest }, &Touch::Kv, "plugins.p.ask.kv", None)
}

/// It is denied something, the first time in a row or one time too many.
fn denied() -> impl Strategy<Value = Command> {
    prop_oneof![12 => 1..20u32, 1 => Just(20)].prop_map(|in_row| {
        let denied = Denied::of(&Touch::Kv, "r", false);
        Command::Grant(GrantCommand::Denied { denied, rule: "policy".into(), in_row, usage: usage() })
    })
}

/// It takes room in its folder.
fn takes_room() -> impl Strategy<Value = Command> {
    (0..4u64, 0..4u64)
        .prop_map(|(bytes, inodes)| Command::Grant(GrantCommand::TakeRoom { folder: "/data".into(), bytes, inodes }))
}

/// What it does otherwise.
fn acts() -> impl Strategy<Value = Command> {
    let artifact =
        Artifact { number: 1, name: "n".into(), media_type: "text/plain".into(), sha256: String::new(), size: 1 };
    prop_oneof![
        2 => (0..KEYS).prop_map(|number| Command::Poll { key: key(number) }),
        2 => (any::<u8>(), prop::option::weighted(0.8, 0..=110u8), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(
            |(text, percent, restarted, last)| Command::Progress { message: text.to_string(), percent, restarted, merged: 0, last }
        ),
        1 => (prop::option::of(0..2u8), prop::bool::weighted(0.9)).prop_map(|(once, room)| Command::MessageAgent {
            message: "m".into(),
            trigger: true,
            once: once.map(key),
            room
        }),
        2 => (0..3u8, any::<bool>()).prop_map(|(number, detached)| Command::StartChild {
            child: child(number),
            task: task("child"),
            fuel: 5,
            detached
        }),
        2 => (prop_oneof![4 => Just("search"), 1 => Just(""), 1 => Just("a\tb")], 0..9u64, 0..4u64).prop_map(
            |(tool, tokens, actions)| Command::RecordUsage { tool: tool.into(), tokens, actions, usage: usage() }
        ),
        1 => Just(Command::Attach(artifact)),
        1 => Just(Command::CallHost { name: "f".into() }),
        1 => (0..KEYS).prop_map(|number| Command::SendSignal { target: task("other"), key: key(number) }),
        1 => signal(Just(Party::Itself)),
        1 => denied(),
        1 => takes_room(),
    ]
}

/// What a person, the agent, the host and other tasks do.
fn outside() -> impl Strategy<Value = Command> {
    let number = || (1..4u64).prop_map(ApprovalNumber);
    let input = prop_oneof![
        3 => Just(None),
        2 => Just(Some(json!({ "first": false }))),
        1 => (0..30u64).prop_map(|units| Some(json!(units))),
        1 => (0..30u64).prop_map(|units| Some(json!({ "units": units }))),
        1 => prop_oneof![Just("once"), Just("task"), Just("always")].prop_map(|word| Some(json!(word))),
    ];
    let yes = (others(), input).prop_map(|(by, input)| ApprovalDecision::Approved { by, input });
    let ruling = prop_oneof![
        4 => Just(ApprovalRuling::AsTheTaskSays),
        1 => Just(ApprovalRuling::Allowed),
        1 => Just(ApprovalRuling::Forbidden("r".into())),
    ];
    let no = others().prop_map(|by| ApprovalDecision::Denied { by, reason: "r".into() });
    let decision = prop_oneof![4 => yes, 2 => no, 1 => Just(ApprovalDecision::TimedOut)];
    let delivery = prop_oneof![Just(DeliveryMode::ToLoop), Just(DeliveryMode::Manual)];
    let policy = prop_oneof![Just(ContinuePolicy::NotifyOnly), Just(ContinuePolicy::RequestContinue)];
    let outcomes = prop_oneof![
        Just(ChildOutcome::Succeeded),
        Just(ChildOutcome::Failed),
        Just(ChildOutcome::Cancelled),
        Just(ChildOutcome::NotStarted)
    ];
    prop_oneof![
        6 => signal(others()),
        2 => others().prop_map(|by| Command::Instruct(Instruction { text: by.word().into(), by })),
        4 => (number(), decision, ruling)
            .prop_map(|(number, decision, ruling)| Command::DecideApproval { number, decision, ruling }),
        1 => prop::option::of(0..KEYS).prop_map(|number| Command::CancelWait { key: number.map(key) }),
        2 => others().prop_map(|by| Command::Pause { by, reason: "r".into() }),
        2 => others().prop_map(|by| Command::Resume { by }),
        1 => (any::<bool>(), others()).prop_map(|(about, by)| {
            let capability = if about { ABOUT } else { Capability::Signal };
            Command::Grant(GrantCommand::Revoke { capability, by })
        }),
        1 => others().prop_map(|by| Command::Detach { by }),
        2 => (prop::option::of(delivery), prop::option::of(policy), others())
            .prop_map(|(delivery, continue_policy, by)| Command::SetDelivery { delivery, continue_policy, by }),
        2 => (0..20u64, others()).prop_map(|(units, by)| Command::AddFuel { units, by }),
        3 => updates(),
        1 => others().prop_map(|by| Command::RefuseFuel { by, reason: String::new() }),
        4 => (0..3u8, outcomes, 0..9u64)
            .prop_map(|(number, outcome, fuel)| Command::ChildEnded { child: child(number), outcome, fuel }),
    ]
}

/// Changes of what people see of it.
fn updates() -> impl Strategy<Value = Command> {
    let change = |long: usize| {
        prop_oneof![
            3 => Just(Change::Nothing),
            2 => Just(Change::Clear),
            3 => (0..3u8).prop_map(|text| Change::Set(text.to_string())),
            1 => Just(Change::Set("x".repeat(long))),
        ]
    };
    let labels = prop::collection::btree_map("[ab]", prop::option::of("[cd]"), 0..2);
    let by = prop_oneof![1 => Just(Party::Itself), 3 => others()];
    (prop::option::weighted(0.3, 0..4u64), change(256), change(9), labels, by).prop_map(
        |(expected, note, title, labels, by)| {
            let patch = Box::new(TaskPatch { note, title, labels });
            Command::Update { expected, patch, by }
        },
    )
}

/// What the clock and the gauges say.
fn clocks() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => Just(Command::Start),
        4 => Just(Command::Due),
        2 => (1..5u64).prop_map(|wait| Command::WaitTimedOut { wait }),
        1 => Just(Command::InstructionTimedOut),
        1 => Just(Command::ChildTimedOut),
        1 => Just(Command::FuelRequestTimedOut),
        1 => (1..4u64).prop_map(|number| Command::ApprovalTimedOut { number: ApprovalNumber(number), usage: usage() }),
        1 => (1..5u64).prop_map(|number| Command::SettleMessage { number, how: Settlement::Acknowledged }),
        2 => (0..200u64).prop_map(|used| Command::FuelLow { used }),
        3 => (80..300u64).prop_map(|used| Command::FuelOut { used }),
        3 => (0..300u64).prop_map(|used| Command::NewHour { used }),
        1 => Just(Command::Stalled { fuel: 1, quiet: Duration::from_secs(1) }),
    ]
}

/// What ends a task, or an attempt, or begins its end.
fn ends() -> impl Strategy<Value = Command> {
    let grace = prop_oneof![1 => Just(0), 3 => 1..4u64].prop_map(Duration::from_secs);
    let kind = prop_oneof![
        Just(FailureKind::Trap),
        Just(FailureKind::Memory),
        Just(FailureKind::Host),
        Just(FailureKind::OutOfFuel)
    ];
    let returned = prop_oneof![
        payload().prop_map(|data| GuestOutcome::Succeeded { message: "done".into(), data }),
        payload().prop_map(|data| GuestOutcome::Cancelled { message: "tidy".into(), data }),
        (payload(), any::<bool>()).prop_map(|(error, retryable)| GuestOutcome::Failed {
            message: "no".into(),
            error,
            retryable
        }),
    ];
    let end = prop_oneof![
        2 => returned.prop_map(CellEnd::Returned),
        1 => kind.prop_map(|kind| CellEnd::Failed(Failure::new(kind, String::new()))),
    ];
    let said = prop_oneof![
        Just(Outcome::Succeeded { message: "elsewhere".into(), data: None }),
        Just(Outcome::Failed(Failure::new(FailureKind::Host, String::new()))),
    ];
    prop_oneof![
        6 => (grace, others(), 0..9u8).prop_map(|(grace, by, why)| Command::Cancel {
            request: CancelRequest::new(by, why.to_string()).grace(grace),
            usage: usage()
        }),
        2 => Just(Command::GraceOver { usage: usage() }),
        1 => Just(Command::DeadlineReached { usage: usage() }),
        1 => Just(Command::Idle { usage: usage() }),
        1 => (said, others()).prop_map(|(outcome, by)| Command::SetOutcome { outcome, by, usage: usage() }),
        6 => end.prop_map(|end| Command::CellEnded { end, usage: usage(), chance: 0.5 }),
        3 => any::<u8>().prop_map(|text| Command::Panic { message: text.to_string(), place: "p".into() }),
    ]
}

/// What anybody does about its plan.
fn plans() -> impl Strategy<Value = Command> {
    let status = || {
        prop_oneof![
            4 => Just(StepStatus::Pending),
            1 => Just(StepStatus::Current),
            1 => Just(StepStatus::Completed),
            1 => Just(StepStatus::Failed),
            1 => Just(StepStatus::Skipped),
            1 => Just(StepStatus::Cancelled),
        ]
    };
    let by = || prop_oneof![3 => Just(Party::Itself), 2 => others()];
    let step = (0..4u8, status()).prop_map(|(name, status)| PlanStep { status, ..PlanStep::new(name.to_string()) });
    let steps = prop_oneof![
        4 => prop::sample::subsequence(vec![0, 1, 2, 3], 1..=3)
            .prop_map(|names| names.iter().map(|name| PlanStep::new(name.to_string())).collect()),
        2 => prop::collection::vec(step, 0..4),
    ];
    let plan = steps.prop_map(|steps| steps.into_iter().fold(Plan::new("g"), Plan::step)).boxed();
    let made = prop_oneof![
        4 => plan.clone().prop_map(|plan| Ok(Box::new(plan))),
        1 => Just(Err(PlanError::PlannerTimedOut)),
    ];
    // The host itself asks for the first.
    let asks = || {
        (by(), prop::bool::weighted(0.4)).prop_map(|(by, first)| if first { (Party::Host, true) } else { (by, false) })
    };
    let set = (plan, prop::option::weighted(0.2, 0..6u64), by());
    prop_oneof![
        4 => set.prop_map(|(plan, expected, by)| PlanCommand::Set { plan: Ok(Box::new(plan)), expected, by }),
        4 => by().prop_map(|by| PlanCommand::Advance { note: None, by, usage: usage() }),
        3 => (status(), by()).prop_map(|(status, by)| PlanCommand::FinishStep { status, note: None, by }),
        2 => (asks(), prop::bool::weighted(0.1)).prop_map(|((by, first), long)| {
            PlanCommand::AskPlanner { reason: "r".repeat(if long { 4097 } else { 1 }), by, first }
        }),
        3 => (made, 0..5u64, asks())
            .prop_map(|(plan, since, (by, first))| PlanCommand::Planned { plan, since, by, first }),
    ]
    .prop_map(Command::Plan)
}

/// The host stops, and another one goes on.
fn restarts() -> impl Strategy<Value = Command> {
    let fit = prop_oneof![
        8 => Just(HostFit::Whole),
        1 => Just(HostFit::NoPlugin),
        1 => Just(HostFit::Unfit("its code is gone".to_owned())),
    ];
    fit.prop_map(|fit| Command::HostRestarted { fit, now: Timestamp(0) })
}

pub(super) fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        20 => waits(), 16 => acts(), 12 => plans(), 24 => outside(), 14 => clocks(), 4 => ends(), 3 => restarts()
    ]
}

/// Whether this can come in now: a guest calls while it runs and is not parked, and a clock that stands does not ring.
pub(super) fn can_come(view: &View, command: &Command) -> bool {
    let over = view.phase == Phase::Ended;
    let runs = view.phase == Phase::Running;
    let parks = matches!(
        command,
        Command::Wait { .. }
            | Command::NextInstruction { .. }
            | Command::RequestApproval(_)
            | Command::WaitChild { .. }
            | Command::Grant(GrantCommand::Ask(_))
            | Command::RequestFuel { .. }
    );
    match command {
        Command::StartChild { child, .. } if view.children.iter().any(|(known, ..)| known == child) => false,
        _ if over => true,
        // A guest that calls while it is parked is refused; nothing in the protocol lets it.
        _ if parks => runs,
        Command::Notify { signal, .. } if signal.sender == Party::Itself => runs && view.parked.is_none(),
        Command::CellEnded { end: CellEnd::Failed(failure), .. } if failure.kind == FailureKind::Host => runs,
        Command::FuelLow { .. } | Command::FuelOut { .. } => runs,
        Command::Start => view.phase == Phase::Queued,
        Command::DeadlineReached { .. } => {
            runs && view.paused.is_none() && !matches!(view.parked, Some(Parked::Fuel(_) | Parked::Approval(_)))
        }
        Command::Panic { .. }
        | Command::CellEnded { .. }
        | Command::Grant(GrantCommand::Denied { .. } | GrantCommand::TakeRoom { .. })
        | Command::Plan(
            PlanCommand::Set { by: Party::Itself, .. }
            | PlanCommand::Advance { by: Party::Itself, .. }
            | PlanCommand::FinishStep { by: Party::Itself, .. }
            | PlanCommand::AskPlanner { by: Party::Itself, .. },
        )
        | Command::Update { by: Party::Itself, .. } => runs && view.parked.is_none(),
        command if is_call(command) => runs && view.parked.is_none(),
        _ => true,
    }
}

/// Who wants it.
pub(super) fn who(command: &Command) -> &'static str {
    match command {
        command if is_call(command) => "guest",
        Command::Panic { .. }
        | Command::CellEnded { .. }
        | Command::Grant(GrantCommand::Denied { .. } | GrantCommand::TakeRoom { .. }) => "guest",
        Command::Notify { signal: Signal { sender: by, .. }, .. }
        | Command::Instruct(Instruction { by, .. })
        | Command::Pause { by, .. }
        | Command::Resume { by }
        | Command::Detach { by }
        | Command::SetDelivery { by, .. }
        | Command::AddFuel { by, .. }
        | Command::RefuseFuel { by, .. }
        | Command::SetOutcome { by, .. }
        | Command::Plan(
            PlanCommand::Set { by, .. }
            | PlanCommand::Advance { by, .. }
            | PlanCommand::FinishStep { by, .. }
            | PlanCommand::AskPlanner { by, .. }
            | PlanCommand::Planned { by, .. },
        )
        | Command::Update { by, .. }
        | Command::Grant(GrantCommand::Revoke { by, .. })
        | Command::Cancel { request: CancelRequest { by, .. }, .. }
        | Command::DecideApproval {
            decision: ApprovalDecision::Approved { by, .. } | ApprovalDecision::Denied { by, .. },
            ..
        } => by.word(),
        Command::ChildEnded { .. } => "child",
        _ => "host",
    }
}
