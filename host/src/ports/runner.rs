//! What runs a task's code, and the line between the code and the task's actor.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use taskcell_slot::Owner;
use tokio::sync::oneshot;

use crate::model::approval::{ApprovalAsk, ApprovalDecision};
use crate::model::children::ChildOptions;
use crate::model::command::PlanCommand;
use crate::model::details::TaskDetails;
use crate::model::event::WaitEnd;
use crate::model::grants::touch::Touch;
use crate::model::ids::{PluginDigest, SignalKey, TaskId, TaskRef};
use crate::model::limits::Limits;
use crate::model::machine::{Refusal, RefusalKind};
use crate::model::outbox::Delivery;
use crate::model::outcome::{CellEnd, Failure, Outcome};
use crate::model::plan::Plan;
use crate::model::policy::mandate::Denied;
use crate::model::request::CancelRequest;
use crate::model::signal::{Instruction, NotifyAnswer, Senders, Signal};
use crate::model::snapshot::Artifact;

use super::clock::BoxFuture;
use super::functions::HostCallError;
#[cfg(feature = "wit-extension")]
use super::functions::TypedCall;
use super::gate::Gate;
use super::gauges::Gauges;
use super::hooks::HookWork;
use super::kv::PluginStore;
use super::mandate::LiveMandate;
use super::news::News;
use super::output::OutputLog;
use super::scratch::Scratch;
use super::secrets::Secrets;
use super::watched::Watched;

/// Runs tasks. Wasm in production; a script in tests of what stands above.
pub(crate) trait Runner: Send + Sync + fmt::Debug {
    /// Waits until there is room for one more task of this plugin. The permit is dropped after the task's end.
    ///
    /// Cancel safety: dropping the future gives its place in the queue up.
    fn admit(&self, plugin: PluginDigest) -> BoxFuture<'static, Permit>;

    /// Runs one task to its end.
    ///
    /// Cancel safety: dropping the future ends the task where it is and frees what it held. That is how a task is
    /// stopped by force.
    fn run(&self, work: CellWork, link: CellLink, permit: Permit) -> BoxFuture<'static, CellEnd>;

    /// Runs one hook to its end, in a cell of its own, once there is room for it among other hooks, and says so then. A
    /// plugin that has no such hook has nothing to do.
    ///
    /// # Errors
    /// What ended it, [`FailureKind::Guest`](crate::model::outcome::FailureKind::Guest) when it returned an error. Time is
    /// the caller's affair.
    ///
    /// Cancel safety: like [`Runner::run`].
    fn hook(&self, work: HookWork) -> BoxFuture<'static, Result<(), Failure>>;
}

/// Room for one task, given back when it is dropped, which the runner does when the cell is gone.
pub(crate) type Permit = Box<dyn std::any::Any + Send + Sync>;

/// A plugin's code, which can be run for as long as somebody holds this.
pub(crate) type CodeHold = Arc<dyn std::any::Any + Send + Sync>;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct CellWork {
    pub(crate) plugin: PluginDigest,
    pub(crate) id: TaskId,
    pub(crate) task: Arc<TaskRef>,
    pub(crate) input: Arc<Value>,
    pub(crate) limits: Arc<Limits>,
    /// Which attempt this is, counted from 1.
    pub(crate) attempt: u32,
    /// Units of fuel that the attempts before have used.
    pub(crate) fuel_used: u64,
    /// Whose it is.
    pub(crate) details: Arc<TaskDetails>,
    /// The task's own directory on the host, not made yet.
    pub(crate) scratch: Arc<Scratch>,
    /// Where the files are that it gets along, if there are any.
    pub(crate) attachments: Option<PathBuf>,
    /// Dropped when the cell is gone, with everything it held: only then may its directory be removed.
    #[expect(dead_code, reason = "its drop is what it is for")]
    pub(crate) alive: oneshot::Sender<()>,
}

/// The guest's side of the line to its task's actor.
#[derive(Debug, Clone)]
pub(crate) struct CellLink {
    pub(crate) cancel: Arc<Watched<Option<CancelNotice>>>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) news: Arc<News>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) output: Arc<OutputLog>,
    /// The plugin's configuration.
    pub(crate) config: Arc<Value>,
    /// The plugin's store, which its permit lets it use or not; a plugin that is only described has none.
    pub(crate) kv: Option<Arc<PluginStore>>,
    /// What the task may touch at this moment.
    pub(crate) mandate: Arc<LiveMandate>,
    /// What is hidden in whatever its guest says.
    pub(crate) secrets: Arc<Secrets>,
    /// The actor, beside which it may have turns.
    pub(crate) owner: Arc<Owner>,
}

/// A cancel request as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CancelNotice {
    pub(crate) request: CancelRequest,
    /// When the grace is over, on the host's steady clock.
    pub(crate) grace_ends: Duration,
}

/// What a guest asks of its task. Each carries the way back for its answer.
#[derive(Debug)]
pub(crate) enum GuestCall {
    Wait {
        keys: Vec<SignalKey>,
        senders: Senders,
        timeout: Option<Duration>,
        reply: Reply<Result<(SignalKey, Signal), NoSignal>>,
    },
    Poll {
        key: SignalKey,
        reply: Reply<Result<Option<Signal>, Refusal>>,
    },
    Notify {
        target: TaskRef,
        key: SignalKey,
        payload: Option<Value>,
        reply: Reply<Result<NotifyAnswer, Refusal>>,
    },
    MessageAgent {
        message: String,
        trigger: bool,
        once: Option<SignalKey>,
        reply: Reply<Result<Delivery, Refusal>>,
    },
    Attach {
        name: String,
        media_type: String,
        source: cap_std::fs::File,
        reply: Reply<Result<Artifact, Refusal>>,
    },
    /// Answered with the units that were added.
    RequestFuel {
        units: u64,
        reason: String,
        timeout: Option<Duration>,
        reply: Reply<Result<u64, Refusal>>,
    },
    /// To the tasks of a tree or a session. Answered with how many took or kept it.
    NotifyScope {
        session: bool,
        key: SignalKey,
        payload: Option<Value>,
        all: bool,
        reply: Reply<Result<u32, Refusal>>,
    },
    /// Ends another task's wait for this key, or whatever wait there is. Answered with how many there were.
    CancelWait {
        target: TaskRef,
        key: Option<SignalKey>,
        reply: Reply<Result<u32, Refusal>>,
    },
    NextInstruction {
        timeout: Option<Duration>,
        reply: Reply<Result<Option<Instruction>, Refusal>>,
    },
    RequestApproval {
        ask: ApprovalAsk,
        reply: Reply<Result<ApprovalDecision, Refusal>>,
    },
    RecordUsage {
        tool: String,
        tokens: u64,
        actions: u64,
        reply: Reply<Result<(), Refusal>>,
    },
    SetNote {
        note: Option<String>,
        reply: Reply<Result<(), Refusal>>,
    },
    StartChild {
        task_type: String,
        input: Value,
        options: Box<ChildOptions>,
        reply: Reply<Result<(TaskId, TaskRef), Refusal>>,
    },
    /// Answered with the outcome, or nothing when the time was over.
    WaitChild {
        child: TaskId,
        timeout: Option<Duration>,
        reply: Reply<Result<Option<Outcome>, Refusal>>,
    },
    /// Answered with whether it was running.
    CancelChild {
        child: TaskId,
        reason: String,
        grace: Duration,
        reply: Reply<Result<bool, Refusal>>,
    },
    /// Answered with the contract's document.
    ChildState {
        child: TaskId,
        reply: Reply<Result<Value, Refusal>>,
    },
    RunningChildren {
        reply: Reply<Vec<(TaskId, TaskRef)>>,
    },
    ReadPlan {
        reply: Reply<Option<Plan>>,
    },
    /// Answered with the plan as it is then.
    ChangePlan {
        change: PlanCommand,
        reply: Reply<Result<Plan, Refusal>>,
    },
    /// Asks the task's planner for another plan. Answered with the plan as it is then.
    Replan {
        reason: String,
        timeout: Option<Duration>,
        reply: Reply<Result<Plan, Refusal>>,
    },
    /// Something that its mandate does not allow as it is: somebody is asked, or it is denied.
    Permit {
        touch: Touch,
        /// What the guest says it is for.
        why: Option<String>,
        /// Whether a yes for one time is left for the call that it is needed for.
        leave: bool,
        reply: Reply<Result<(), Denied>>,
    },
    /// It was denied something for a reason that its mandate does not know, and that is counted already.
    Denied {
        rule: String,
        denied: Denied,
        in_row: u32,
        reply: Reply<()>,
    },
    /// It is about to use room in a granted folder, so much in all its life. Answered when that is in the log.
    TakeRoom {
        folder: String,
        bytes: u64,
        inodes: u64,
        reply: Reply<()>,
    },
    CallHost {
        name: String,
        input: Value,
        reply: Reply<Result<Value, HostCallError>>,
    },
    /// Of a WIT interface of the embedder's. Answered when the result lies ready where the call says.
    #[cfg(feature = "wit-extension")]
    CallTyped {
        call: TypedCall,
        reply: Reply<Result<(), HostCallError>>,
    },
    Panic {
        message: String,
        place: String,
        reply: Reply<()>,
    },
}

/// Why a wait has no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoSignal {
    /// It is over.
    Over(WaitEnd),
    /// It never began.
    Refused(Refusal),
}

/// The way back for one answer.
pub(crate) type Reply<T> = oneshot::Sender<T>;

impl CellLink {
    /// Asks the actor and waits for its answer; `None` when the task is over and nobody answers.
    pub(crate) async fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> GuestCall) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let mut call = Box::new(call(reply));
        call.hide(&self.secrets);
        // What it reported before comes before.
        self.news.tell();
        // There is room, unless a guest makes calls while it waits for one.
        if !self.news.call(call).await {
            return None;
        }
        answer.await.ok()
    }

    /// Like [`CellLink::ask`] for calls that can be refused: the end of the task is a refusal as well.
    pub(crate) async fn request<T>(
        &self,
        call: impl FnOnce(Reply<Result<T, Refusal>>) -> GuestCall,
    ) -> Result<T, Refusal> {
        let ended = || Refusal::new(RefusalKind::Ended, "the task has its outcome already");
        self.ask(call).await.unwrap_or_else(|| Err(ended()))
    }
}
