//! One cell: a wasm store of its own for one task, thrown away afterwards.

pub(super) mod hook;

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::{HasSelf, InstancePre, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi::cli::WasiCliCtxView;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
#[cfg(feature = "http")]
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use crate::model::grants::touch::Touch;
use crate::model::grants::{DirGrant, SCRATCH};
use crate::model::json::{self, JsonError};
use crate::model::limits::Limits;
use crate::model::manifest::TaskKind;
use crate::model::outcome::{CellEnd, Failure, FailureKind, GuestOutcome};
use crate::ports::clock::Clock;
use crate::ports::output::OutputCursor;
use crate::ports::runner::{CellLink, CellWork};
use crate::ports::scratch::Scratch;

use super::bindings::exports::taskcell::plugin::runner::Outcome as WitOutcome;
use super::bindings::{TaskPlugin, TaskPluginPre};
use super::environment::{self, Environment};
use super::files::{self, FileRules, Files};
use super::filework::Lane;
#[cfg(feature = "http")]
use super::http::{self, CellHttp, HttpClient, Placeholders};
use super::inspect::Shape;
use super::meter::MemoryMeter;
use super::opening;
use super::pace::{Account, Pace, Turn, keep_pace, publish};
use super::random::{self, Foretold, Random};
use super::trap::{Departure, Scene, departure, is_outside_the_code, is_too_large_result};
use super::wasi::{self, CommandLine};

/// What a call may carry beside its one large value: names, messages.
const CALL_BYTES_SLACK: u64 = 128 << 10;

/// What host functions find in the wasm store.
pub(super) struct CellData {
    /// `None` until it is called: most guests that have no folders never do.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
    files: FileRules,
    #[cfg(feature = "http")]
    http_client: Arc<HttpClient>,
    /// `None` until it is called.
    #[cfg(feature = "http")]
    http: Option<Box<CellHttp>>,
    memory: MemoryMeter,
    pub(super) link: Arc<CellLink>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) info: Info,
    pace: Pace,
    foretold: Foretold,
}

impl CellData {
    /// Its files, for one call.
    pub(super) fn files(&mut self) -> Files<'_> {
        self.link.gauges.set_activity(self.pace.count_wasi());
        let ctx = made(&mut self.wasi, &self.info, &self.link).filesystem();
        let wasi = WasiFilesystemCtxView { ctx, table: &mut self.table };
        Files { wasi, rules: &self.files }
    }

    /// Its random numbers, for one call.
    pub(super) fn random(&mut self) -> Random<'_> {
        self.link.gauges.set_activity(self.pace.count_wasi());
        let foretold = (!self.link.mandate.allows(&Touch::Random)).then_some(&mut self.foretold);
        let wasi = made(&mut self.wasi, &self.info, &self.link).random();
        Random { wasi, limit: self.info.limits.random_bytes, foretold }
    }

    /// Its environment, for one call.
    pub(super) fn environment(&mut self) -> Environment<'_> {
        self.link.gauges.set_activity(self.pace.count_wasi());
        let ctx = made(&mut self.wasi, &self.info, &self.link).cli();
        let wasi = WasiCliCtxView { ctx, table: &mut self.table };
        #[cfg(feature = "http")]
        let secrets = self.info.placeholders.env(&self.link.mandate);
        #[cfg(not(feature = "http"))]
        let secrets = Vec::new();
        Environment { wasi, mandate: &self.link.mandate, secrets }
    }

    /// Counts a call of the embedder's, which does not tell what it moves.
    #[cfg(feature = "wit-extension")]
    pub(super) fn called_for_long(&mut self) {
        self.link.gauges.count_host_call();
        self.link.gauges.set_activity(self.pace.count_wasi());
    }

    /// Counts a call of the contract, which moved this many bytes.
    pub(super) fn called(&mut self, bytes: usize) {
        self.link.gauges.count_host_call();
        self.link.gauges.set_activity(self.pace.count(bytes));
    }
}

/// WASI's own part, which is made with the first call.
fn made<'a>(wasi: &'a mut Option<WasiCtx>, info: &Info, link: &CellLink) -> &'a mut WasiCtx {
    wasi.get_or_insert_with(|| wasi::without_folders(&info.limits, link))
}

impl Account for CellData {
    fn pace(&mut self) -> &mut Pace {
        &mut self.pace
    }

    fn link(&self) -> &CellLink {
        &self.link
    }

    fn begin_call(&mut self) -> usize {
        self.memory.begin_call();
        size(call_bytes(&self.info.limits))
    }

    fn result_bytes(&self) -> usize {
        size(self.info.returned_max.saturating_add(CALL_BYTES_SLACK))
    }

    fn memory_bytes(&self) -> u64 {
        self.memory.memory_bytes()
    }
}

/// What the cell knows of its task.
pub(super) struct Info {
    pub(super) of: Of,
    pub(super) scratch: Option<Arc<Scratch>>,
    /// The granted folders that it sees.
    pub(super) dirs: Vec<DirGrant>,
    pub(super) limits: Arc<Limits>,
    /// Bytes that may cross when the guest returns.
    pub(super) returned_max: u64,
    /// Units of fuel that were used before.
    pub(super) fuel_used: u64,
    /// What stands for the secrets that it may use.
    #[cfg(feature = "http")]
    pub(super) placeholders: Arc<Placeholders>,
}

/// What a cell runs.
pub(super) enum Of {
    Task(Arc<CellWork>),
    /// A hook's name.
    Hook(&'static str),
    Describe,
}

impl Info {
    /// What `task.info` answers, but for what changes.
    pub(super) fn document(&self) -> Value {
        match &self.of {
            Of::Task(work) => info_document(work),
            Of::Hook(name) => serde_json::json!({ "info": 1, "hook": name }),
            Of::Describe => Value::Null,
        }
    }

    /// The task that it runs, if it is one.
    pub(super) fn task(&self) -> Option<&CellWork> {
        match &self.of {
            Of::Task(work) => Some(work),
            Of::Hook(_) | Of::Describe => None,
        }
    }

    /// For a cell that has none.
    pub(super) fn without_task(limits: &Limits) -> Self {
        let returned_max = limits.result_bytes;
        Self {
            of: Of::Describe,
            scratch: None,
            dirs: Vec::new(),
            limits: Arc::new(*limits),
            returned_max,
            fuel_used: 0,
            #[cfg(feature = "http")]
            placeholders: Arc::default(),
        }
    }
}

#[cfg(feature = "http")]
impl WasiHttpView for CellData {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.link.gauges.set_activity(self.pace.count_wasi());
        let Self { http_client, http, link, clock, info, table, .. } = self;
        let made = || CellHttp::new(http_client, link, clock, &info.limits, Arc::clone(&info.placeholders));
        http.get_or_insert_with(|| Box::new(made())).view(table)
    }
}

impl WasiView for CellData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        // Every function of WASI comes by here once.
        self.link.gauges.set_activity(self.pace.count_wasi());
        WasiCtxView { ctx: made(&mut self.wasi, &self.info, &self.link), table: &mut self.table }
    }
}

/// A plugin, linked once: each cell starts from here.
pub(super) enum Linked {
    TaskPlugin(TaskPluginPre<CellData>),
    Command(CommandPre<CellData>),
}

/// Everything a guest can import, linked. What it may do with it is decided at each call.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<CellData>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    random::add_to_linker(&mut linker)?;
    environment::add_to_linker(&mut linker)?;
    #[cfg(feature = "http")]
    http::add_to_linker(&mut linker)?;
    TaskPlugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |data| data)?;
    Ok(linker)
}

impl Linked {
    pub(super) fn new(pre: InstancePre<CellData>, shape: Shape) -> wasmtime::Result<Self> {
        Ok(match shape {
            Shape::TaskPlugin => Self::TaskPlugin(TaskPluginPre::new(pre)?),
            Shape::Command => Self::Command(CommandPre::new(pre)?),
        })
    }
}

/// What a cell needs of its host.
pub(super) struct Around {
    pub(super) engine: Engine,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) link: Arc<CellLink>,
    pub(super) turn: Arc<Turn>,
    /// Where work on granted folders is done.
    pub(super) folders: Lane,
    #[cfg(feature = "http")]
    pub(super) http: Arc<HttpClient>,
}

/// Makes the wasm store of a cell, with everything that bounds it.
fn store(around: Around, wasi: Option<WasiCtx>, info: Info) -> wasmtime::Result<Store<CellData>> {
    let limits = Arc::clone(&info.limits);
    #[cfg(feature = "http")]
    let http_client = around.http;
    let Around { engine, clock, link, turn, folders, .. } = around;
    let mut table = ResourceTable::new();
    table.set_max_capacity(size(limits.resources.into()));
    let memory = MemoryMeter::new(&limits, Arc::clone(&link.gauges));
    let files = FileRules::new(&limits, &link, info.dirs.clone(), info.scratch.clone(), folders);
    let pace = Pace::new(limits.fuel, info.fuel_used, turn);
    let mut store = Store::new(
        &engine,
        CellData {
            wasi,
            table,
            files,
            #[cfg(feature = "http")]
            http_client,
            #[cfg(feature = "http")]
            http: None,
            memory,
            link,
            clock,
            info,
            pace,
            foretold: Foretold::default(),
        },
    );
    store.limiter(|data| &mut data.memory);
    store.set_hostcall_fuel(size(call_bytes(&limits)));
    store.set_max_component_handles(size(limits.handles.into()));
    keep_pace(&mut store)?;
    Ok(store)
}

fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What may cross in one call of the host.
fn call_bytes(limits: &Limits) -> u64 {
    limits.call_bytes.saturating_add(CALL_BYTES_SLACK)
}

/// Calls `describe` in a cell that may do nothing.
pub(super) async fn describe(
    around: Around,
    plugin: &TaskPluginPre<CellData>,
    limits: &Limits,
) -> Result<String, Failure> {
    let wasi = wasi::nothing(limits, &around.link.output);
    around.link.gauges.set_fuel_budget(limits.fuel);
    let info = Info::without_task(limits);
    let mut store = store(around, Some(wasi), info).map_err(|error| host_failure(&error))?;
    let instance = plugin.instantiate_async(&mut store).await;
    let called = match instance {
        Err(error) if is_too_large(&error, &store) => return Err(too_large(&store)),
        Err(error) => Err(error),
        Ok(instance) => instance.taskcell_plugin_plugin_info().call_describe(&mut store).await,
    };
    called.map_err(|error| match departed(&error, &store) {
        Departure::Exit(code) => exited(code),
        Departure::Failed(failure) => failure,
    })
}

fn departed(error: &wasmtime::Error, store: &Store<CellData>) -> Departure {
    let data = store.data();
    let fuel_budget = data.link.gauges.fuel_budget();
    departure(error, &Scene { fuel_budget, limits: &data.info.limits, refused: data.memory.refused() })
}

/// Runs one task from a fresh instance to its end.
///
/// `dirs`: the folders that it sees.
pub(super) async fn run(around: Around, plugin: &Linked, work: &Arc<CellWork>, dirs: Vec<DirGrant>) -> CellEnd {
    opening::look_at_folders(dirs.clone(), &around.folders).await;
    let mut store = match prepare(around, plugin, work, dirs) {
        Ok(store) => store,
        Err(failure) => return CellEnd::Failed(failure),
    };
    let returned = match plugin {
        Linked::TaskPlugin(pre) => run_task(&mut store, pre, work).await,
        Linked::Command(pre) => run_command(&mut store, pre).await,
    };
    publish(&mut store);
    match returned {
        Ok(end) => end,
        Err(error) => match departed(&error, &store) {
            Departure::Failed(failure) => CellEnd::Failed(failure),
            Departure::Exit(code) => match plugin {
                Linked::Command(_) => command_end(code, &store),
                Linked::TaskPlugin(_) => CellEnd::Failed(exited(code)),
            },
        },
    }
}

fn prepare(
    around: Around,
    plugin: &Linked,
    work: &Arc<CellWork>,
    dirs: Vec<DirGrant>,
) -> Result<Store<CellData>, Failure> {
    let command = match plugin {
        Linked::TaskPlugin(_) => None,
        Linked::Command(_) => Some(command_line(work).map_err(|message| Failure::new(FailureKind::Guest, message))?),
    };
    #[cfg(feature = "http")]
    let placeholders = Arc::new(around.http.placeholders());
    // What was granted is opened before anything runs. Without that there is nothing that could fail.
    let is_plain = command.is_none() && dirs.is_empty() && work.attachments.is_none();
    let granted = || wasi::granted(work, command.unwrap_or_default(), &dirs, &around.link);
    let wasi = (!is_plain).then(granted).transpose().map_err(|error| {
        Failure::new(FailureKind::Host, format!("failed to open what was granted: {error:#}{}", granted_dirs(&dirs)))
    })?;
    let scratch = Some(Arc::clone(&work.scratch));
    let info = Info {
        of: Of::Task(Arc::clone(work)),
        scratch,
        dirs,
        limits: Arc::clone(&work.limits),
        returned_max: returned_max(work),
        fuel_used: work.fuel_used,
        #[cfg(feature = "http")]
        placeholders,
    };
    let mut store = store(around, wasi, info).map_err(|error| host_failure(&error))?;
    match work.details.kind {
        TaskKind::Task => {}
        TaskKind::Daemon => store.data_mut().pace.wait_for_fuel(),
    }
    Ok(store)
}

/// Bytes of a result that may cross: more than are handed over, when what does not fit is dealt with.
fn returned_max(work: &CellWork) -> u64 {
    work.details.oversize.returned_max(&work.limits)
}

/// The limit that says so.
fn returned_limit(work: &CellWork) -> &'static str {
    if returned_max(work) > work.limits.result_bytes { "call_bytes" } else { "result_bytes" }
}

fn granted_dirs(dirs: &[DirGrant]) -> String {
    let dirs: Vec<String> = dirs.iter().map(|dir| dir.host.display().to_string()).collect();
    if dirs.is_empty() { String::new() } else { format!(" (granted: {})", dirs.join(", ")) }
}

fn info_document(work: &CellWork) -> Value {
    serde_json::json!({
        "info": 1,
        "id": work.id.to_string(),
        "plugin": work.task.plugin,
        "task_type": work.task.task_type,
        "key": work.task.key.as_str(),
        "session": work.details.session,
        "attempt": work.attempt,
        "parent": work.details.parent,
        "labels": work.details.labels,
        "scratch": SCRATCH,
        "attachments": work.details.attachments,
    })
}

async fn run_task(
    store: &mut Store<CellData>,
    plugin: &TaskPluginPre<CellData>,
    work: &CellWork,
) -> wasmtime::Result<CellEnd> {
    let instance = match plugin.instantiate_async(&mut *store).await {
        Err(error) if is_too_large(&error, store) => return Ok(CellEnd::Failed(too_large(store))),
        instance => instance?,
    };
    let input = work.input.to_string();
    match instance.taskcell_plugin_runner().call_run(&mut *store, &work.task.task_type, &input).await {
        Ok(outcome) => Ok(returned(outcome, returned_max(work), returned_limit(work))),
        Err(error) if is_too_large_result(&error) => {
            let message = format!("its result is larger than its limit of {} bytes", returned_max(work));
            Ok(CellEnd::Failed(Failure::at_limit(FailureKind::OutputLimit, returned_limit(work), message)))
        }
        Err(error) => Err(error),
    }
}

/// Whether there was no instance because its memories or tables begin larger than they may be. A guest that runs, and
/// then fails, leaves a call stack or a code.
fn is_too_large(error: &wasmtime::Error, store: &Store<CellData>) -> bool {
    store.data().memory.refused().is_some() && is_outside_the_code(error)
}

fn too_large(store: &Store<CellData>) -> Failure {
    let data = store.data();
    let limits = &data.info.limits;
    let message = format!(
        "its memories or tables are larger from the beginning than its limits of {} bytes and {} elements",
        limits.memory_bytes, limits.table_elements
    );
    Failure::at_limit(FailureKind::Memory, data.memory.refused().unwrap_or("memory_bytes"), message)
}

async fn run_command(store: &mut Store<CellData>, plugin: &CommandPre<CellData>) -> wasmtime::Result<CellEnd> {
    let instance = match plugin.instantiate_async(&mut *store).await {
        Err(error) if is_too_large(&error, store) => return Ok(CellEnd::Failed(too_large(store))),
        instance => instance?,
    };
    let code = match instance.wasi_cli_run().call_run(&mut *store).await? {
        Ok(()) => 0,
        Err(()) => 1,
    };
    Ok(command_end(code, store))
}

/// Turns what the guest returned into values, within the limit on their size.
fn returned(outcome: WitOutcome, bytes_max: u64, limit: &'static str) -> CellEnd {
    let read = |what: &str, text: Option<String>| match text {
        None => Ok(None),
        Some(text) if text.len() as u64 > bytes_max => Err(Failure::at_limit(
            FailureKind::OutputLimit,
            limit,
            format!("its {what} has {} bytes, and the limit is {bytes_max}", text.len()),
        )),
        Some(text) => json::parse(&text).map(Some).map_err(|error| {
            let kind = match error {
                JsonError::Invalid(_) => FailureKind::Guest,
                JsonError::TooManyValues => FailureKind::OutputLimit,
            };
            Failure::new(kind, format!("its {what} {error}"))
        }),
    };
    let outcome = match outcome {
        WitOutcome::Succeeded(success) => {
            read("result", success.data).map(|data| GuestOutcome::Succeeded { message: success.message, data })
        }
        WitOutcome::Failed(failure) => read("error's details", failure.error).map(|error| GuestOutcome::Failed {
            message: failure.message,
            error,
            retryable: failure.retryable,
        }),
        WitOutcome::Cancelled(end) => {
            read("result so far", end.data).map(|data| GuestOutcome::Cancelled { message: end.message, data })
        }
    };
    outcome.map_or_else(CellEnd::Failed, CellEnd::Returned)
}

fn command_line(work: &CellWork) -> Result<CommandLine, String> {
    /// The input of the task type `command`.
    #[derive(serde::Deserialize)]
    struct Input {
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        stdin: String,
    }
    let input =
        <Input as serde::Deserialize>::deserialize(&*work.input).map_err(|error| format!("bad input: {error}"))?;
    // A program finds its own name first; what it is called is up to us.
    let args = std::iter::once(work.task.plugin.clone()).chain(input.args).collect();
    Ok(CommandLine { args, stdin: input.stdin.into_bytes() })
}

fn command_end(code: i32, store: &Store<CellData>) -> CellEnd {
    use crate::ports::output::OutputSource;
    if code != 0 {
        return CellEnd::Failed(exited(code));
    }
    // Nothing follows what may have been the beginning of a secret.
    store.data().link.output.let_go();
    let page = store.data().link.output.newest(OutputCursor::default());
    let is_stdout = |source: &OutputSource| match source {
        OutputSource::Stdout => true,
        OutputSource::Stderr | OutputSource::Log { .. } => false,
    };
    let stdout: String =
        page.chunks.iter().filter(|chunk| is_stdout(&chunk.source)).map(|chunk| chunk.text.as_str()).collect();
    CellEnd::Returned(GuestOutcome::Succeeded {
        message: "exited with code 0".to_owned(),
        data: Some(serde_json::json!({ "exit_code": 0, "stdout": stdout, "truncated": page.lost > 0 })),
    })
}

fn exited(code: i32) -> Failure {
    let message = match code {
        0 => "exited with code 0 without an outcome".to_owned(),
        code => format!("exited with code {code}"),
    };
    Failure { exit_code: Some(code), ..Failure::new(FailureKind::Exited, message) }
}

fn host_failure(error: &wasmtime::Error) -> Failure {
    Failure::new(FailureKind::Host, format!("failed to make a cell: {error:#}"))
}
