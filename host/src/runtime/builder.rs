//! What a host is made of.

mod build;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::admission::Concurrency;
use crate::model::details::Routing;
use crate::model::grants::Grants;
use crate::model::hook::HookLimits;
use crate::model::limits::{Limits, LimitsRequest};
use crate::model::load_limits::LoadLimits;
use crate::model::manifest::TaskType;
use crate::model::outbox::OutboxLimits;
use crate::model::permission::ApprovalKinds;
use crate::model::plan::Plan;
use crate::model::policy::Policy;
use crate::model::request::StartRequest;
use crate::model::routing::{RoutingRule, first_of};
use crate::model::scratch::ScratchPolicy;
use crate::ports::agent::AgentSink;
use crate::ports::approvals::ApprovalPolicy;
use crate::ports::audit::AuditLog;
use crate::ports::clock::Clock;
use crate::ports::functions::{FunctionBody, HostCall, HostCallError, HostFunction};
use crate::ports::store::TaskStore;
use crate::sandbox::compile::Compiler;
use crate::sandbox::engine::Profile;
#[cfg(feature = "wit-extension")]
use crate::sandbox::extension::WitInterface;

use super::feed::FeedLimits;
use super::planners::{PlanAsk, Planner, PlannerError, Planners};
use super::policing::PolicyWriter;
use super::routing::RoutingPolicy;
use super::terminal::{OnTerminalError, OnTerminals, TaskEnd};
use super::web::WebSettings;

pub use build::BuildError;

/// Makes a [`Host`](crate::Host). The defaults suit one machine and untrusted plugins.
#[derive(Default)]
pub struct HostBuilder {
    running_max: Option<u32>,
    profile: Profile,
    concurrency: Option<Concurrency>,
    queued_max: Option<usize>,
    ended_max: Option<usize>,
    ended_kept: Option<Duration>,
    ended_bytes: Option<u64>,
    limits: Limits,
    load_limits: LoadLimits,
    plugin_limits: HashMap<String, LimitsRequest>,
    compiler: Option<Compiler>,
    plain_commands: bool,
    cache_dir: Option<PathBuf>,
    work_dir: Option<PathBuf>,
    clock: Option<Arc<dyn Clock>>,
    store: Option<Arc<dyn TaskStore>>,
    #[cfg(feature = "sqlite")]
    pub(super) data_dir: Option<PathBuf>,
    sink: Option<Arc<dyn AgentSink>>,
    outbox: Option<OutboxLimits>,
    feed: FeedLimits,
    approval_policy: Option<Arc<dyn ApprovalPolicy>>,
    approve_in_advance: ApprovalKinds,
    scratch_policy: ScratchPolicy,
    functions: Vec<(HostFunction, FunctionBody)>,
    #[cfg(feature = "wit-extension")]
    interfaces: Vec<WitInterface>,
    on_terminals: OnTerminals,
    planners: Planners,
    routing: RoutingPolicy,
    configs: HashMap<String, Value>,
    other_config: Option<Value>,
    no_daemons: bool,
    daemon_grants: HashMap<String, Grants>,
    pub(super) policy: Option<Policy>,
    pub(super) policy_writer: Option<PolicyWriter>,
    pub(super) web: WebSettings,
    pub(super) audit: Option<Arc<dyn AuditLog>>,
    store_bytes: Option<u64>,
    hook_limits: HookLimits,
    hook_stores: HashSet<String>,
    schedules_max: Option<usize>,
}

impl fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBuilder")
            .field("running_max", &self.running_max)
            .field("queued_max", &self.queued_max)
            .field("ended_max", &self.ended_max)
            .field("ended_kept", &self.ended_kept)
            .field("profile", &self.profile)
            .field("ended_bytes", &self.ended_bytes)
            .field("limits", &self.limits)
            .field("plugin_limits", &self.plugin_limits)
            .field("load_limits", &self.load_limits)
            .field("compiler", &self.compiler)
            .field("cache_dir", &self.cache_dir)
            .field("work_dir", &self.work_dir)
            .finish_non_exhaustive()
    }
}

impl HostBuilder {
    /// How many tasks run at once, those that wait in their cells included; more wait for their turn. Default 1000, at
    /// most 8000 and with [`Profile::Dense`] 100 000, and never more than the system has memory mappings for.
    #[must_use]
    pub fn running_max(mut self, tasks: u32) -> Self {
        self.running_max = Some(tasks);
        self
    }

    /// What the cells are made for: [`Profile::Fast`], which is the default, or [`Profile::Dense`] for tens of thousands of
    /// tasks that mostly wait.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # assert!(taskcell::compile_child().is_none());
    /// use taskcell::{Host, Profile};
    ///
    /// let host = Host::builder().profile(Profile::Dense).running_max(9_000).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// How many tasks of one plugin, of one session, and children of one task run at once; more wait for their turn. Those
    /// that wait are served in turn by plugin, session and parent, the more important first. Default: as many as
    /// [`HostBuilder::running_max`], which holds in any case.
    #[must_use]
    pub fn concurrency(mut self, most: Concurrency) -> Self {
        self.concurrency = Some(most);
        self
    }

    /// The operator's limits: what no plugin and no request gets more of.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How many tasks wait for their turn at once; a start beyond that is refused with
    /// [`StartError::QueueFull`](crate::StartError::QueueFull). Default 10 000. Zero lets no task wait.
    #[must_use]
    pub fn queued_max(mut self, tasks: usize) -> Self {
        self.queued_max = Some(tasks);
        self
    }

    /// How many ended tasks are remembered although nobody holds a handle to them; the oldest are forgotten first, with
    /// their events and artifacts. Default 100 000.
    #[must_use]
    pub fn ended_max(mut self, tasks: usize) -> Self {
        self.ended_max = Some(tasks);
        self
    }

    /// How long an ended task is remembered although nobody holds a handle to it. Those that are older are forgotten
    /// when a task starts or ends. Default seven days.
    #[must_use]
    pub fn ended_kept(mut self, time: Duration) -> Self {
        self.ended_kept = Some(time);
        self
    }

    /// About how many bytes of events, output, artifacts and kept scratch directories of ended tasks are remembered in all
    /// although nobody holds a handle to them; the oldest are forgotten first. Default 1 GiB.
    #[must_use]
    pub fn ended_bytes(mut self, bytes: u64) -> Self {
        self.ended_bytes = Some(bytes);
        self
    }

    /// The operator's limits for the plugin of this name, below those of [`HostBuilder::limits`]. Said again for the
    /// same plugin, what is new counts, and what it leaves open stays.
    #[must_use]
    pub fn plugin_limits(mut self, plugin: impl Into<String>, limits: LimitsRequest) -> Self {
        let of_plugin = self.plugin_limits.entry(plugin.into()).or_default();
        *of_plugin = limits.or(*of_plugin);
        self
    }

    /// What a plugin may take to be loaded.
    #[must_use]
    pub fn load_limits(mut self, limits: LoadLimits) -> Self {
        self.load_limits = limits;
        self
    }

    /// Where plugins are compiled. Default: [`Compiler::ThisProgram`], for which `main` has to begin with
    /// [`compile_child`](crate::compile_child()); where it does not, [`build`](Self::build) says so
    /// ([`BuildError::NoCompileChild`]). Nothing is compiled in this process unless that is chosen here: the compiler's
    /// memory and time are not bounded there.
    ///
    /// Nothing is compiled, and no child is started, for a plugin that is in the cache.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = Some(compiler);
        self
    }

    /// Whether plain programs for `wasm32-wasip1`, which know nothing of Taskcell, are plugins with the one task type
    /// `command`. Default: no, and such a file is a [`LoadError::PlainProgram`](crate::LoadError::PlainProgram). Components
    /// that export `wasi:cli/run` are plugins in any case.
    #[must_use]
    pub fn plain_commands(mut self, allowed: bool) -> Self {
        self.plain_commands = allowed;
        self
    }

    /// Where compiled plugins are kept, so that loading one again takes milliseconds. The directory is made with mode
    /// 0700, and one that others can enter is refused. Without this, plugins are compiled each time.
    #[must_use]
    pub fn cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(dir.into());
        self
    }

    /// In which directory the host makes its own, for scratch files and artifacts. Default: the system's place for
    /// temporary files. It is removed with the host; what a host left there that was killed is removed by the next.
    #[must_use]
    pub fn work_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.work_dir = Some(dir.into());
        self
    }

    /// Where time comes from. Default: the machine's clocks.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where events are kept. Default: in memory.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn TaskStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Where messages to the agent go at once. Default: nowhere, and they wait in the outbox
    /// ([`Host::messages`](crate::Host::messages)).
    #[must_use]
    pub fn agent_sink(mut self, sink: impl AgentSink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// How many messages to agents, of all tasks, wait in the outbox for somebody to take them, and how many bytes they
    /// have together. A task that sends one more is refused. Default 100 000 messages and 64 MiB. Each task has limits of
    /// its own, [`Limits::agent_messages`] and [`Limits::agent_message_bytes`].
    #[must_use]
    pub fn outbox(mut self, messages: u64, bytes: u64) -> Self {
        self.outbox = Some(OutboxLimits { messages, bytes });
        self
    }

    /// How many of its tasks' newest events the host keeps for subscribers that are slow or come back
    /// ([`Host::subscribe`](crate::Host::subscribe)), and how many bytes of them. Default 16 384 events and 16 MiB. Nothing is
    /// kept before the first subscription.
    #[must_use]
    pub fn event_backlog(mut self, events: usize, bytes: u64) -> Self {
        self.feed = FeedLimits { events, bytes };
        self
    }

    /// Who may decide about tasks' questions, for all of them: more than the tasks' own
    /// [`Approvers`](crate::Approvers) say, or fewer. Default: as those say.
    #[must_use]
    pub fn approval_policy(mut self, policy: impl ApprovalPolicy + 'static) -> Self {
        self.approval_policy = Some(Arc::new(policy));
        self
    }

    /// Of which kinds of questions a request may approve in advance ([`TaskDetails::permission`](crate::TaskDetails)); one
    /// that names others is refused with [`StartError::Permission`](crate::StartError::Permission). Default: none.
    /// Whoever may start tasks may say yes to these for a person.
    #[must_use]
    pub fn approve_in_advance(mut self, kinds: ApprovalKinds) -> Self {
        self.approve_in_advance = kinds;
        self
    }

    /// What becomes of the scratch directories of tasks whose requests do not say. Default: they are removed. Kept ones
    /// ([`TaskHandle::scratch_dir`](crate::TaskHandle::scratch_dir)) count against [`HostBuilder::ended_bytes`].
    #[must_use]
    pub fn scratch_policy(mut self, policy: ScratchPolicy) -> Self {
        self.scratch_policy = policy;
        self
    }

    /// Provides a function to guests, which call it by its name. Each task that may call it is granted it by name
    /// ([`Grants::functions`](crate::Grants)). One of the same name replaces the one before.
    ///
    /// The function runs in the caller's runtime. It is dropped when its time is over, when the task is asked to stop,
    /// and when the task ends. When it panics, the task that called it fails with kind `host`, and nothing else does.
    ///
    /// ```
    /// use serde_json::json;
    /// use taskcell::{Host, HostFunction};
    ///
    /// let function = HostFunction::new("double").input(json!({"type": "integer"}));
    /// let builder = Host::builder().provide(function, |call| async move {
    ///     Ok(json!(call.input.as_i64().unwrap_or_default() * 2))
    /// });
    /// ```
    #[must_use]
    pub fn provide<F, Fut>(mut self, function: HostFunction, body: F) -> Self
    where
        F: Fn(HostCall) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, HostCallError>> + Send + 'static,
    {
        self.functions.push((function, Arc::new(move |call| Box::pin(body(call)))));
        self
    }

    /// Provides a whole WIT interface to guests, which import it with the types of their language. See
    /// [`WitInterface`](crate::wit_extension::WitInterface).
    #[cfg(feature = "wit-extension")]
    #[must_use]
    pub fn wit_interface(mut self, interface: WitInterface) -> Self {
        self.interfaces.push(interface);
        self
    }

    /// Registers a function that is called when a task has its outcome whose request names it
    /// ([`TaskDetails::on_terminal`](crate::TaskDetails)). One of the same name replaces the one before. See
    /// [`Host::start_with`](crate::Host::start_with) for how it is called, and for one that needs no name.
    ///
    /// ```
    /// use taskcell::Host;
    ///
    /// let builder = Host::builder().on_terminal("note", |end| async move {
    ///     println!("{}: {}", end.task.task_ref(), end.outcome);
    ///     Ok(())
    /// });
    /// ```
    #[must_use]
    pub fn on_terminal<F, Fut>(mut self, name: impl Into<String>, function: F) -> Self
    where
        F: Fn(TaskEnd) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), OnTerminalError>> + Send + 'static,
    {
        self.on_terminals.register(name.into(), Arc::new(move |end| Box::pin(function(end))));
        self
    }

    /// Registers a planner: a function that makes the plans of tasks whose requests name it
    /// ([`StartRequest::planner`](crate::StartRequest::planner)). It makes the first plan before the task runs, and another one
    /// whenever the task or whoever holds its handle asks for it. One of the same name replaces the one before.
    ///
    /// It runs in the caller's runtime, and is dropped when its time is over and when the task shall stop. That it fails,
    /// panics, takes too long or makes what cannot be a plan is an event, and an error for whoever asked; for a task that has
    /// no plan yet it is the end.
    ///
    /// ```
    /// use taskcell::{Host, Plan, PlanStep};
    ///
    /// let builder = Host::builder().planner("two steps", |ask| async move {
    ///     Ok(Plan::new(ask.input.to_string()).step(PlanStep::new("look")).step(PlanStep::new("write")))
    /// });
    /// ```
    #[must_use]
    pub fn planner<F, Fut>(mut self, name: impl Into<String>, planner: F) -> Self
    where
        F: Fn(PlanAsk) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Plan, PlannerError>> + Send + 'static,
    {
        self.planners.register(name.into(), Planner::Function(Arc::new(move |ask| Box::pin(planner(ask)))));
        self
    }

    /// Registers a task type of a plugin as a planner, like [`HostBuilder::planner`]. Each plan is made by a task of its own,
    /// with limits and fuel of its own and without grants. Its input is an object with `version` (1), `task` (`plugin`,
    /// `task_type` and `key`), `id`, `input`, `plan` (or null) and `reason`, and its result a plan
    /// ([`Plan::from_json`](crate::Plan::from_json)). The whole object is held against `input_bytes` of the planning task.
    ///
    /// For a first plan the planning task waits for its turn however long that takes, as the task itself does, and its time
    /// counts from then on. For another plan it needs a turn and has to be done within the time.
    #[must_use]
    pub fn planner_task(
        mut self,
        name: impl Into<String>,
        plugin: impl Into<String>,
        task_type: impl Into<String>,
    ) -> Self {
        let (plugin, task_type) = (plugin.into(), task_type.into());
        self.planners.register(name.into(), Planner::Task { plugin, task_type });
        self
    }

    /// How long a planner may take for one plan. Default one minute.
    #[must_use]
    pub fn planner_timeout(mut self, timeout: Duration) -> Self {
        self.planners.set_timeout(timeout);
        self
    }

    /// How long a function may take that is called when a task has its outcome; then it is dropped. Default 30 s.
    #[must_use]
    pub fn on_terminal_timeout(mut self, timeout: Duration) -> Self {
        self.on_terminals.set_timeout(timeout);
        self
    }

    /// Decides for whom the caller of [`Host::run`](crate::Host::run) waits, by the request and the task type that it names.
    /// `None` leaves it to the plugin's hint. A request that says it itself is not asked about. The function is called in the
    /// caller's `run`, so it should not take long.
    ///
    /// ```
    /// use taskcell::{Host, Routing};
    ///
    /// let builder = Host::builder().routing(|request, _| (request.plugin == "search").then_some(Routing::Foreground));
    /// ```
    #[must_use]
    pub fn routing(
        mut self,
        decides: impl Fn(&StartRequest, &TaskType) -> Option<Routing> + Send + Sync + 'static,
    ) -> Self {
        self.routing = RoutingPolicy::new(decides);
        self
    }

    /// The same by rules, which can come from a file: the first that holds for a task says where its caller waits; for a task
    /// that none holds for, the plugin's hint does. It takes the place of [`HostBuilder::routing`], and the other way round.
    #[must_use]
    pub fn routing_rules(self, rules: impl IntoIterator<Item = RoutingRule>) -> Self {
        let rules: Vec<RoutingRule> = rules.into_iter().collect();
        self.routing(move |request, _| first_of(&rules, request))
    }

    /// The configuration of the plugin of this name: what its tasks and hooks read, and cannot change. Without this it is
    /// an empty object. A daemon that the host starts gets what stands under `daemons` and its type's name as its input,
    /// else `{}`.
    #[must_use]
    pub fn plugin_config(mut self, plugin: impl Into<String>, config: Value) -> Self {
        self.configs.insert(plugin.into(), config);
        self
    }

    /// The configuration of each plugin that has none of its own, instead of an empty object.
    #[must_use]
    pub fn default_plugin_config(mut self, config: Value) -> Self {
        self.other_config = Some(config);
        self
    }

    /// Whether the daemons of a plugin are started with it. Default yes. Without, a daemon runs only when somebody starts
    /// it like any other task.
    #[must_use]
    pub fn daemons(mut self, start: bool) -> Self {
        self.no_daemons = !start;
        self
    }

    /// What the daemons of the plugin of this name may touch, when the host starts them. Default nothing.
    #[must_use]
    pub fn daemon_grants(mut self, plugin: impl Into<String>, grants: Grants) -> Self {
        self.daemon_grants.insert(plugin.into(), grants);
        self
    }

    /// Bytes of keys and values that each plugin's own store holds. Default 1 MiB.
    #[must_use]
    pub fn plugin_store_bytes(mut self, bytes: u64) -> Self {
        self.store_bytes = Some(bytes);
        self
    }

    /// What one call of a plugin's hook may use.
    #[must_use]
    pub fn hook_limits(mut self, limits: HookLimits) -> Self {
        self.hook_limits = limits;
        self
    }

    /// Lets the hooks around the life of the plugin of this name (`init` and its like) use the plugin's own store. Its
    /// tasks, and the hooks about them, use it when the task was granted `kv`.
    #[must_use]
    pub fn plugin_hook_store(mut self, plugin: impl Into<String>) -> Self {
        self.hook_stores.insert(plugin.into());
        self
    }

    /// How many schedules there may be in the store; one more is refused with
    /// [`ScheduleError::TooMany`](crate::ScheduleError::TooMany), unless one that is over makes room. Default 1000.
    #[must_use]
    pub fn schedules_max(mut self, schedules: usize) -> Self {
        self.schedules_max = Some(schedules);
        self
    }
}
