//! How a host is made.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskcell_artifact::{ArtifactCache, CacheError};
use tokio::task::JoinSet;

use crate::model::admission::Concurrency;
use crate::model::outbox::OutboxLimits;
use crate::model::schema::SchemaError;
#[cfg(feature = "sqlite")]
use crate::ports::audit::AuditLog;
use crate::ports::clock::SystemClock;
use crate::ports::functions::{FunctionBody, Functions, HostFunction};
use crate::ports::secrets::SecretError;
use crate::sandbox::compile::Compiler;
use crate::sandbox::compile_child::can_be_child;
use crate::sandbox::engine::Profile;
#[cfg(feature = "wit-extension")]
use crate::sandbox::extension::WitInterfaceError;
#[cfg(feature = "http")]
use crate::sandbox::http::RootError;
use crate::sandbox::room::Mappings;
use crate::sandbox::runner::{WasmRunner, WasmSettings};
#[cfg(feature = "sqlite")]
use crate::store::audit::AuditFile;
#[cfg(feature = "sqlite")]
use crate::store::sqlite::OpenError;

use crate::runtime::approvals::ApprovalDesk;
use crate::runtime::belongings::{Belongings, STORE_BYTES_DEFAULT};
use crate::runtime::daemons::Daemons;
use crate::runtime::desk::Desk;
use crate::runtime::feed::{Feed, FeedWriter};
use crate::runtime::home::Home;
use crate::runtime::hooks::HookRules;
use crate::runtime::host::{Host, Inner};
use crate::runtime::outbox::OutboxDesk;
use crate::runtime::policing::PolicyDesk;
use crate::runtime::queue::Queue;
use crate::runtime::recovery::Standby;
use crate::runtime::registry::{Keep, Registry};
use crate::runtime::schedules::Scheduling;
use crate::runtime::shared::Surroundings;
use crate::runtime::shutdown::{Shutdown, Stopping};
use crate::runtime::suspending::Suspended;
use crate::runtime::turns::Turns;

use super::HostBuilder;

/// Tasks that run at once unless somebody says otherwise; more wait for their turn.
const RUNNING_DEFAULT: u32 = 1000;
/// Tasks that wait for their turn at once.
const QUEUED_DEFAULT: usize = 10_000;
/// Ended tasks that are remembered although nobody holds a handle to them.
const ENDED_DEFAULT: usize = 100_000;
/// How long they are remembered: seven days.
const KEPT_DEFAULT: Duration = Duration::from_hours(7 * 24);
/// Bytes of their events and outputs together, about.
const ENDED_BYTES_DEFAULT: u64 = 1 << 30;

/// Messages to agents, of all tasks, that nobody has taken, and their bytes.
const OUTBOX_DEFAULT: OutboxLimits = OutboxLimits { messages: 100_000, bytes: 64 << 20 };
/// Schedules in one store.
const SCHEDULES_DEFAULT: usize = 1000;

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The engine refused its settings, or the system did not give it the memory.
    #[error("failed to make the engine: {0}; fewer tasks at once (`running_max`) need less address space")]
    Engine(String),
    /// More tasks at once than there are addresses for.
    #[error("{asked} tasks cannot run at once: the profile {profile:?} has room for {most}{}", hint(*.profile))]
    TooManyAtOnce {
        /// As many as were asked for.
        asked: u32,
        /// The most there may be.
        most: u32,
        /// What the host was to be made for.
        profile: Profile,
    },
    /// More tasks at once than the system gives this process memory mappings for. They would run out in the middle of the
    /// work, and it would be the host's own allocations that fail.
    #[error(
        "{} tasks at once need {} memory mappings, and this system allows a process {}, enough for {}: let fewer run at \
         once (`running_max`), or raise it as root with `sysctl -w vm.max_map_count={}`",
        .0.cells, .0.needed(), .0.allowed.unwrap_or_default(), .0.cells_max().unwrap_or_default(), .0.needed()
    )]
    Mappings(Mappings),
    /// The cache of compiled plugins cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Plugins should be compiled by this program in a child process, and it cannot be one.
    #[error(
        "this program cannot compile plugins in a child process: let its main begin with `taskcell::compile_child()`, or \
         choose with `HostBuilder::compiler`: `Compiler::Helper` with the path of a `taskcell` of this version, or \
         `Compiler::InProcess`, which is for plugins of people you know"
    )]
    NoCompileChild,
    /// A schema of a function for guests cannot be used.
    #[error("the schema of the function {name:?} cannot be used: {source}")]
    Function {
        /// The function's name.
        name: String,
        /// What is wrong.
        source: SchemaError,
    },
    /// A WIT interface for guests cannot be linked.
    #[cfg(feature = "wit-extension")]
    #[error("the interface {name:?} cannot be linked: {source}")]
    WitInterface {
        /// The interface's name.
        name: String,
        /// What is wrong.
        source: WitInterfaceError,
    },
    /// The audit log in the data directory cannot be opened.
    #[error("the audit log cannot be opened: {0}")]
    Audit(std::io::Error),
    /// The host's own directory cannot be made.
    #[error("failed to make a working directory: {0}")]
    WorkDir(std::io::Error),
    /// The data directory cannot be used.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    DataDir(#[from] OpenError),
    /// The files in the data directory cannot be used.
    #[cfg(feature = "sqlite")]
    #[error("failed to open the files in the data directory: {0}")]
    Files(std::io::Error),
    /// There is a data directory and another store.
    #[cfg(feature = "sqlite")]
    #[error("a data directory has a store of its own: leave out `HostBuilder::data_dir` or `HostBuilder::store`")]
    TwoStores,
    /// A secret cannot be one.
    #[error("the secret {name:?} cannot be used: {source}")]
    Secret {
        /// Its name.
        name: String,
        /// What is wrong.
        source: SecretError,
    },
    /// A certificate cannot be an authority for plugins' requests.
    #[cfg(feature = "http")]
    #[error("an authority for HTTP requests cannot be used: {0}")]
    HttpRoot(#[from] RootError),
    /// There is no tokio runtime here.
    #[error("a host lives inside a tokio runtime, and there is none here: build it in async code")]
    NoRuntime,
}

fn hint(profile: Profile) -> &'static str {
    match profile {
        Profile::Fast => "; for tasks that mostly wait choose `Profile::Dense`",
        Profile::Dense => "",
    }
}

impl HostBuilder {
    /// Makes the host, inside the current tokio runtime.
    ///
    /// # Errors
    /// When there is no runtime, when `main` does not begin with [`compile_child`](crate::compile_child()) and nobody else was
    /// named to compile plugins ([`HostBuilder::compiler`]), or when the system does not give what the host needs.
    pub fn build(self) -> Result<Host, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let cache = self.cache_dir.map(ArtifactCache::open).transpose()?;
        let cells = cells(self.running_max.unwrap_or(RUNNING_DEFAULT), self.profile)?;
        let limits = self.profile.within(&self.limits);
        let web = self.web.ready()?;
        let settings = WasmSettings {
            cells,
            profile: self.profile,
            limits,
            load: self.load_limits,
            cache,
            compiler: usable(self.compiler.unwrap_or(Compiler::ThisProgram))?,
            plain_commands: self.plain_commands,
            clock: Arc::clone(&clock),
            #[cfg(feature = "http")]
            http: web.client,
        };
        #[cfg_attr(not(feature = "wit-extension"), expect(unused_mut, reason = "only extensions change it"))]
        let mut wasm = WasmRunner::new(settings).map_err(|error| BuildError::Engine(format!("{error:#}")))?;
        #[cfg(feature = "wit-extension")]
        wasm.extend(self.interfaces).map_err(|(name, source)| BuildError::WitInterface { name, source })?;
        let wasm = Arc::new(wasm);
        #[cfg(feature = "sqlite")]
        let home = match &self.data_dir {
            Some(_) if self.store.is_some() => return Err(BuildError::TwoStores),
            Some(dir) => Home::in_data(dir)?,
            None => Home::for_now(self.store, self.work_dir.as_deref())?,
        };
        #[cfg(not(feature = "sqlite"))]
        let home = Home::for_now(self.store, self.work_dir.as_deref())?;
        #[cfg(feature = "sqlite")]
        let audit = audited(self.audit, self.data_dir)?;
        #[cfg(not(feature = "sqlite"))]
        let audit = self.audit;
        let Home { store, values, dirs, .. } = home;
        // Then it takes over first what is there.
        let outlives = dirs.is_kept();
        dirs.write_behind(Arc::clone(&clock), &runtime);
        let functions = provided(self.functions, self.load_limits.schema_depth)?;
        let mut actors = JoinSet::new();
        if let Some(abandoned) = dirs.abandoned() {
            actors.spawn_blocking_on(move || abandoned.remove(), &runtime);
        }
        let policy = PolicyDesk::new(self.policy, self.policy_writer).with(audit, &web.secrets);
        let feed = Arc::new(Feed::new(self.feed));
        let stopping = Arc::new(Stopping::default());
        let inner = Inner {
            feed: FeedWriter::new(&feed),
            functions: Arc::new(functions),
            on_terminals: self.on_terminals,
            planners: self.planners,
            routing: self.routing,
            loops: Arc::default(),
            daemons: Daemons { start: !self.no_daemons, grants: self.daemon_grants },
            turns: Turns::default(),
            plugins: Belongings::new(
                self.configs,
                self.other_config,
                self.store_bytes.unwrap_or(STORE_BYTES_DEFAULT),
                values,
            ),
            hooks: HookRules::new(self.hook_limits, self.hook_stores),
            registry: Arc::new(Registry::new(Keep {
                tasks: self.ended_max.unwrap_or(ENDED_DEFAULT),
                time: self.ended_kept.unwrap_or(KEPT_DEFAULT),
                bytes: self.ended_bytes.unwrap_or(ENDED_BYTES_DEFAULT),
            })),
            runner: Arc::clone(&wasm) as _,
            around: Arc::new(Surroundings {
                store,
                clock,
                dirs: Arc::new(dirs),
                outbox: Arc::new(OutboxDesk::new(self.outbox.unwrap_or(OUTBOX_DEFAULT))),
                approvals: Arc::new(ApprovalDesk::new(self.approval_policy)),
                feed,
                suspended: Arc::new(Suspended::new(outlives)),
                stopping: Arc::clone(&stopping),
                secrets: web.secrets,
            }),
            #[cfg(feature = "sqlite")]
            health: home.health,
            sink: self.sink,
            limits,
            policy,
            approve_in_advance: self.approve_in_advance,
            scratch_policy: self.scratch_policy,
            plugin_limits: self.plugin_limits,
            desk: Arc::new(Desk::new(self.concurrency.unwrap_or(Concurrency::of(cells)).at_most(cells))),
            queue: Queue::new(self.queued_max.unwrap_or(QUEUED_DEFAULT)),
            schedules: Scheduling::new(self.schedules_max.unwrap_or(SCHEDULES_DEFAULT)),
            standby: Standby::new(outlives).into(),
            shutdown: Shutdown::new(&stopping),
            runtime,
            actors: Mutex::new(actors),
            shutdowns: Mutex::new(JoinSet::new()),
            shutting_down: tokio::sync::Mutex::default(),
        };
        let host = Host::new(inner, wasm);
        host.inner().keep_books_short();
        Ok(host)
    }
}

/// How many tasks run at once.
fn cells(wanted: u32, profile: Profile) -> Result<u32, BuildError> {
    let (asked, most) = (wanted.max(1), profile.cells_max());
    if asked > most {
        return Err(BuildError::TooManyAtOnce { asked, most, profile });
    }
    let mappings = Mappings::here(asked);
    if mappings.suffice() { Ok(asked) } else { Err(BuildError::Mappings(mappings)) }
}

/// Who compiles plugins. In this process only when that was asked for: nothing bounds the compiler's memory there.
fn usable(wanted: Compiler) -> Result<Compiler, BuildError> {
    match wanted {
        Compiler::ThisProgram if !can_be_child() => Err(BuildError::NoCompileChild),
        Compiler::ThisProgram | Compiler::Helper(_) | Compiler::InProcess => Ok(wanted),
    }
}

/// The functions for guests, whose schemas are checked here.
fn provided(wanted: Vec<(HostFunction, FunctionBody)>, schema_depth: u32) -> Result<Functions, BuildError> {
    let mut functions = Functions::default();
    for (function, body) in wanted {
        let name = function.name().to_owned();
        let provided = functions.provide(function, body, schema_depth);
        provided.map_err(|source| BuildError::Function { name, source })?;
    }
    Ok(functions)
}

/// Where it is told what tasks may: a file in the data directory, if there is one and nobody says otherwise.
#[cfg(feature = "sqlite")]
fn audited(
    wanted: Option<Arc<dyn AuditLog>>,
    data_dir: Option<PathBuf>,
) -> Result<Option<Arc<dyn AuditLog>>, BuildError> {
    let (None, Some(dir)) = (&wanted, data_dir) else { return Ok(wanted) };
    let file = AuditFile::open(dir.join("audit.jsonl")).map_err(BuildError::Audit)?;
    Ok(Some(Arc::new(file)))
}
