//! The runner of wasm: loads plugins, and runs their tasks on worker threads of its own.

mod hooks;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use foldhash::fast::RandomState;
use taskcell_artifact::ArtifactCache;
use taskcell_slot::{Guest, GuestEnd, Settings, Workers};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::model::ids::PluginDigest;
use crate::model::limits::Limits;
use crate::model::load_limits::LoadLimits;
use crate::model::manifest::Manifest;
use crate::model::outcome::{CellEnd, Failure, FailureKind};
use crate::model::plugin_bytes::PluginBytes;
use crate::model::policy::Policy;
use crate::model::policy::mandate::Mandate;
use crate::model::publisher::Signed;
use crate::model::requests::Requested;
use crate::model::text::{duration, panic_text};
use crate::ports::clock::{BoxFuture, Clock};
use crate::ports::hooks::HookWork;
use crate::ports::mandate::LiveMandate;
use crate::ports::news::News;
use crate::ports::output::OutputLog;
use crate::ports::runner::{CellLink, CellWork, CodeHold, Permit, Runner};

use super::cell::{self, Around, CellData, Linked};
use super::checking::{Checked, Taken, at_first_sight, before_compiling, memory_fits, unfit_error};
use super::compile::{Compiler, Compilers, Surroundings};
use super::engine::{Profile, Stock, engine};
#[cfg(feature = "wit-extension")]
use super::extension::{WitInterface, WitInterfaceError};
use super::filework::Lane;
#[cfg(feature = "http")]
use super::http::HttpClient;
use super::identify::FileKind;
use super::inspect::Border;
use super::load::{LoadError, LoadedPlugin, command_manifest};
use super::manners::{MEMORY_BYTES_MAX, Manners, Stay};
use super::pace::{Paced, Turn};
use super::pool::{Needs, Pool};

use self::hooks::HookFunctions;

/// Threads that work at once on guests' files in granted folders, and as many for their other ones. Protects the machine;
/// more wait for their turn.
const BLOCKING_MAX: usize = 64;

/// Runs wasm.
pub(crate) struct WasmRunner {
    engine: Engine,
    linker: Linker<CellData>,
    /// The embedder's own interfaces, without their versions.
    extensions: Vec<String>,
    pool: Arc<Pool>,
    /// Room for hooks.
    hook_pool: Arc<Pool>,
    stock: Stock,
    compilers: Compilers,
    plain_commands: bool,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// The code of plugins, for as long as somebody holds it.
    plugins: RwLock<HashMap<PluginDigest, Weak<Code>, RandomState>>,
    workers: Workers,
    #[cfg(feature = "http")]
    http: Arc<HttpClient>,
    /// Where timers and files of guests are served: not in the caller's runtime, whose threads for blocking calls would
    /// take the guests' low priority over from the workers that start them. `None` only while it is being dropped.
    system: Option<Runtime>,
    /// Where work on granted folders is done, which may lie on a disk that does not answer.
    folders: Option<Runtime>,
}

impl Drop for WasmRunner {
    fn drop(&mut self) {
        for runtime in [self.system.take(), self.folders.take()].into_iter().flatten() {
            // Not waited for: this may run inside the caller's async code.
            runtime.shutdown_background();
        }
    }
}

/// A plugin's code, linked and ready to be instantiated.
struct Code {
    linked: Linked,
    needs: Needs,
    hooks: HookFunctions,
    /// How its tasks' guests behave beside their actors, if they may have turns there.
    manners: Option<Arc<Manners>>,
}

impl fmt::Debug for WasmRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmRunner").field("stock", &self.stock).finish_non_exhaustive()
    }
}

/// What a runner of wasm is made with.
pub(crate) struct WasmSettings {
    /// How many tasks run at once.
    pub(crate) cells: u32,
    pub(crate) profile: Profile,
    /// The operator's limits.
    pub(crate) limits: Limits,
    pub(crate) load: LoadLimits,
    pub(crate) cache: Option<ArtifactCache>,
    pub(crate) compiler: Compiler,
    /// Whether plain programs for WASI preview 1 are plugins too.
    pub(crate) plain_commands: bool,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "http")]
    pub(crate) http: HttpClient,
}

impl WasmRunner {
    pub(crate) fn new(settings: WasmSettings) -> wasmtime::Result<Self> {
        let WasmSettings { cells, profile, limits, load, cache, compiler, plain_commands, clock, .. } = settings;
        let stock = Stock::for_cells(cells, load).made_for(profile);
        let hooks = hooks::stock(stock);
        let engine = engine(stock.and(hooks), &limits)?;
        let system = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("taskcell-wasi")
            .enable_all()
            .build()?;
        // Nobody drives it: it has threads for blocking work only.
        let folders = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("taskcell-files")
            .build()?;
        let context = system.handle().clone();
        let around = move |live: &mut dyn FnMut()| {
            let _context = context.enter();
            live();
        };
        let workers = Workers::new(Settings { around: Arc::new(around), ..Settings::default() })?;
        Ok(Self {
            linker: cell::linker(&engine)?,
            extensions: Vec::new(),
            pool: Arc::new(Pool::new(stock)),
            hook_pool: Arc::new(Pool::new(hooks)),
            stock,
            compilers: Compilers::new(compiler, profile, cache, load),
            plain_commands,
            clock,
            limits,
            plugins: RwLock::default(),
            workers,
            #[cfg(feature = "http")]
            http: Arc::new(settings.http),
            system: Some(system),
            folders: Some(folders),
            engine,
        })
    }

    /// Links the embedder's own interfaces for the plugins that are loaded from now on. Says which one cannot be.
    #[cfg(feature = "wit-extension")]
    pub(crate) fn extend(&mut self, interfaces: Vec<WitInterface>) -> Result<(), (String, WitInterfaceError)> {
        self.extensions = interfaces.iter().map(|interface| interface.unversioned().to_owned()).collect();
        super::extension::add_to_linker(&mut self.linker, interfaces)
    }

    pub(crate) fn load_limits(&self) -> &LoadLimits {
        &self.stock.component
    }

    /// Loads a plugin from its bytes. `name` is what the file was called, for commands, which have no other name. Its
    /// tasks can be run for as long as the code is held that is returned with it. The policy says by whom it has to be signed.
    pub(crate) async fn load(
        self: &Arc<Self>,
        name: String,
        bytes: PluginBytes,
        policy: Option<Arc<Policy>>,
    ) -> Result<(LoadedPlugin, CodeHold), LoadError> {
        let (this, for_file) = (Arc::clone(self), policy.clone());
        // When this future is dropped, so is `wanting`, and a child that compiles is stopped.
        let (wanting, wanted) = oneshot::channel();
        // Compiling takes seconds.
        let compiled = tokio::task::spawn_blocking(move || this.compile(&bytes, for_file.as_deref(), wanted)).await;
        drop(wanting);
        let compiled = compiled.unwrap_or_else(|error| Err(LoadError::Compile(error.to_string())))?;
        let code = Arc::new(compiled.code);
        let manifest = match &code.linked {
            Linked::Command(_) => command_manifest(&name),
            Linked::TaskPlugin(_) => self.describe(Arc::clone(&code)).await?,
        };
        // A plugin's name is what it says itself.
        let signed = compiled.signed;
        let admitted = policy.map_or(Ok(()), |policy| policy.admits_as(&manifest.name, &signed));
        admitted.map_err(|unsigned| LoadError::not_signed(unsigned, &signed))?;
        let schemas = manifest.schemas(self.load_limits().schema_depth)?;
        let hooks = code.hooks.which();
        let code = self.keep(compiled.digest, code);
        let plugin = LoadedPlugin {
            digest: compiled.digest,
            manifest,
            schemas,
            imports: compiled.border.imports,
            exports: compiled.border.exports,
            size: compiled.size,
            kind: compiled.kind,
            hooks,
            signed,
        };
        Ok((plugin, code))
    }

    /// Enters code into the books; of the same code that is held already there is only one.
    fn keep(&self, digest: PluginDigest, code: Arc<Code>) -> Arc<Code> {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = plugins.get(&digest).and_then(Weak::upgrade) {
            return known;
        }
        plugins.retain(|_, code| code.strong_count() > 0);
        plugins.insert(digest, Arc::downgrade(&code));
        code
    }

    fn compile(
        &self,
        PluginBytes { wasm: bytes, signature }: &PluginBytes,
        policy: Option<&Policy>,
        wanted: oneshot::Receiver<Infallible>,
    ) -> Result<Compiled, LoadError> {
        let taken = Taken {
            file_bytes: self.load_limits().file_bytes,
            memory_bytes: self.limits.memory_bytes,
            plain_commands: self.plain_commands,
            extensions: &self.extensions,
            policy,
        };
        let checked = at_first_sight(bytes, signature.as_deref(), &taken)?;
        let digest = PluginDigest::of(bytes);
        let compiled = match self.compilers.find(&self.engine, checked.form, digest) {
            Some(found) => found,
            None => self.make(bytes, digest, &checked, &taken, wanted)?,
        };
        let Checked { kind, signed, .. } = checked;
        let border = Border::of(&compiled, &self.engine);
        let shape = border.shape(&self.extensions).map_err(|unfit| unfit_error(unfit, &border))?;
        let needs = Needs::of(&compiled)
            .ok_or_else(|| LoadError::TooDemanding("it imports core modules, so its size cannot be told".to_owned()))?;
        memory_fits(needs.pages(), self.limits.memory_bytes)?;
        needs.fit(self.stock).map_err(LoadError::TooDemanding)?;
        let linked = self
            .linker
            .instantiate_pre(&compiled)
            .and_then(|pre| Linked::new(pre, shape))
            .map_err(|error| LoadError::TooDemanding(format!("{error:#}")))?;
        let hooks = match &linked {
            Linked::TaskPlugin(_) => HookFunctions::of(&compiled, &border).map_err(LoadError::TooDemanding)?,
            Linked::Command(_) => HookFunctions::none(),
        };
        let may_be_beside = border.is_all_known() && needs.bytes_at_most() <= MEMORY_BYTES_MAX;
        let context = self.system.as_ref().filter(|_| may_be_beside);
        let manners = context.map(|system| Arc::new(Manners::new(system.handle().clone())));
        let code = Code { linked, needs, hooks, manners };
        Ok(Compiled { code, border, digest, size: bytes.len() as u64, kind, signed })
    }

    /// Compiles what was never compiled before with these settings.
    fn make(
        &self,
        bytes: &[u8],
        digest: PluginDigest,
        checked: &Checked,
        taken: &Taken<'_>,
        wanted: oneshot::Receiver<Infallible>,
    ) -> Result<Component, LoadError> {
        before_compiling(bytes, checked, taken)?;
        let Some(system) = self.system.as_ref().map(|system| system.handle().clone()) else {
            return Err(LoadError::ShuttingDown);
        };
        let around = Surroundings { engine: &self.engine, system, clock: &*self.clock, wanted };
        self.compilers.make(checked.form, bytes, digest, around)
    }

    async fn describe(&self, code: Arc<Code>) -> Result<Manifest, LoadError> {
        let load = *self.load_limits();
        let limits = Limits { fuel: load.describe_fuel, output_bytes: 64 << 10, ..self.limits };
        // The clock starts when there is room: a full host is not the plugin's fault.
        let place = Arc::clone(&self.pool).admit(code.needs).await;
        let described = self.paced(dead_link(), None, async move |around| {
            let _place = place;
            match &code.linked {
                Linked::TaskPlugin(plugin) => cell::describe(around, plugin, &limits).await,
                Linked::Command(_) => Err(Failure::new(FailureKind::Host, "a command does not describe itself")),
            }
        });
        let clock = Arc::clone(&self.clock);
        let late = clock.sleep_until(clock.steady().saturating_add(load.describe_timeout));
        let text = tokio::select! {
            described = described => described.map_err(|error| LoadError::Describe(guest_end(error)))?,
            () = late => return Err(LoadError::Describe(format!("no answer within {}", duration(load.describe_timeout)))),
        };
        let text =
            text.map_err(|failure| LoadError::Describe(format!("{}: {}", failure.kind.word(), failure.message)))?;
        if text.len() as u64 > load.manifest_bytes {
            let message = format!("the manifest has {} bytes, and the limit is {}", text.len(), load.manifest_bytes);
            return Err(LoadError::Describe(message));
        }
        let manifest = Manifest::parse(&text)?;
        if manifest.tasks.len() > load.task_types as usize {
            let message = format!("it has {} task types, and the limit is {}", manifest.tasks.len(), load.task_types);
            return Err(LoadError::Describe(message));
        }
        Ok(manifest)
    }

    /// Runs a cell in a slot, at its own pace; with `stay`, beside its owner while its turns are short.
    fn paced<T, F>(&self, link: CellLink, stay: Option<Stay>, cell: impl FnOnce(Around) -> F) -> Guest<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let owner = stay.is_some().then(|| Arc::clone(&link.owner));
        let (gate, news) = (Arc::clone(&link.gate), Arc::clone(&link.news));
        let turn = Arc::new(Turn::new(stay));
        let around = Around {
            engine: self.engine.clone(),
            clock: Arc::clone(&self.clock),
            link: Arc::new(link),
            turn: Arc::clone(&turn),
            folders: self.folders.as_ref().map(|folders| Lane::new(folders.handle())).unwrap_or_default(),
            #[cfg(feature = "http")]
            http: Arc::clone(&self.http),
        };
        let guest = Paced { guest: Box::pin(cell(around)), gate, news, turn: Arc::clone(&turn) };
        match owner {
            Some(owner) => self.workers.spawn_beside(guest, owner, turn),
            None => self.workers.spawn(guest),
        }
    }
}

impl Runner for WasmRunner {
    fn admit(&self, plugin: PluginDigest) -> BoxFuture<'static, Permit> {
        let pool = Arc::clone(&self.pool);
        let needs = self.code(plugin).map(|code| code.needs).unwrap_or_default();
        Box::pin(async move { Box::new(pool.admit(needs).await) as Permit })
    }

    fn run(&self, work: CellWork, link: CellLink, permit: Permit) -> BoxFuture<'static, CellEnd> {
        let host =
            |message: &str| Box::pin(std::future::ready(CellEnd::Failed(Failure::new(FailureKind::Host, message))));
        let Some(code) = self.code(work.plugin) else {
            return host("the plugin's code is not loaded");
        };
        let work = Arc::new(work);
        // Once: what a policy grants later is nothing to a guest that is there.
        let dirs = link.mandate.dirs();
        let is_bare = work.attachments.is_none() && dirs.is_empty();
        let manners = code.manners.clone().filter(|_| is_bare);
        let stay = manners.map(|manners| Stay::new(manners, Arc::clone(&link.news), Some(Arc::clone(&work.scratch))));
        let running = self.paced(link, stay, async move |around| {
            let end = cell::run(around, &code.linked, &work, dirs).await;
            drop((permit, work));
            end
        });
        Box::pin(async move {
            running.await.unwrap_or_else(|end| CellEnd::Failed(Failure::new(FailureKind::Host, guest_end(end))))
        })
    }

    fn hook(&self, work: HookWork) -> BoxFuture<'static, Result<(), Failure>> {
        self.run_hook(work)
    }
}

impl WasmRunner {
    fn code(&self, plugin: PluginDigest) -> Option<Arc<Code>> {
        self.plugins.read().unwrap_or_else(PoisonError::into_inner).get(&plugin)?.upgrade()
    }
}

struct Compiled {
    code: Code,
    border: Border,
    digest: PluginDigest,
    size: u64,
    kind: FileKind,
    signed: Signed,
}

/// A line with nobody at its other end: every request is answered with `ended`.
pub(super) fn dead_link() -> CellLink {
    CellLink {
        cancel: Arc::default(),
        gauges: Arc::default(),
        news: Arc::new(News::of_nobody()),
        gate: Arc::default(),
        output: Arc::new(OutputLog::new(64 << 10)),
        config: Arc::default(),
        kv: None,
        mandate: Arc::new(LiveMandate::new(Mandate::new(Requested::default(), None, None))),
        secrets: Arc::default(),
        owner: Arc::default(),
    }
}

/// Why a cell has no end of its own.
fn guest_end(end: GuestEnd) -> String {
    match end {
        GuestEnd::Stopped => "the host is shutting down".to_owned(),
        GuestEnd::Panicked(payload) => format!("a host function panicked: {}", panic_text(&*payload)),
    }
}
