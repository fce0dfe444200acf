//! Raw wasmtime: the same components with the engine settings of the host, and nothing of Taskcell around them.

use std::{
    cell::Cell,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
};

use anyhow::{Result, anyhow, bail, ensure};
use taskcell::{Limits, Profile, engine_config};
use tokio::{runtime::Handle, sync::mpsc};
use wasmtime::{
    Engine, InstanceAllocationStrategy, Store,
    component::{Component, HasSelf, Linker},
};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use contract::taskcell::plugin::{agent, log, output, signals, task, types};
use contract::{Raw as RawPlugin, RawPre, exports::taskcell::plugin::runner::Outcome};

/// Tasks at once that both engines are made for.
pub(crate) const CELLS: u32 = 1024;
/// More of them are made the way of many tasks that wait.
pub(crate) const FAST_MAX: u32 = 2000;
/// Units of fuel that nobody uses up.
const FUEL: u64 = 1 << 60;
/// Steps that the guests' threads are below the host's priority, as in the host.
const NICE: i32 = 10;

/// The contract, with the same bindings as the host's.
mod contract {
    wasmtime::component::bindgen!({
        path: "../wit",
        // The pages that the benchmarks' guests import, and no more.
        inline: "
            package taskcell:bench;
            world raw {
                import taskcell:plugin/task@0.1.2;
                import taskcell:plugin/signals@0.1.2;
                import taskcell:plugin/agent@0.1.2;
                import taskcell:plugin/output@0.1.2;
                import taskcell:plugin/log@0.1.2;
                export taskcell:plugin/plugin-info@0.1.2;
                export taskcell:plugin/runner@0.1.2;
            }
        ",
        world: "taskcell:bench/raw",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

/// What raw functions of the host do: they take what they are given, and are ready at once. Only a guest that has mail
/// waits for it.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    mail: Option<mpsc::UnboundedReceiver<()>>,
    /// Who is told that it begins to wait.
    tell: Option<mpsc::UnboundedSender<()>>,
}

type Answer<T> = wasmtime::Result<T>;

impl types::Host for Functions {}

impl log::Host for Functions {
    async fn log(&mut self, _: log::Level, _: String, _: String) -> Answer<()> {
        Ok(())
    }
}

impl output::Host for Functions {
    async fn write(&mut self, _: output::OutputStream, _: Vec<u8>) -> Answer<Result<(), types::Refusal>> {
        Ok(Ok(()))
    }

    async fn attach(&mut self, _: String, _: String, _: String) -> Answer<Result<output::Artifact, types::Refusal>> {
        Ok(Err(no()))
    }
}

impl task::Host for Functions {
    async fn info(&mut self) -> Answer<String> {
        Ok(INFO.to_owned())
    }

    async fn cancel_requested(&mut self) -> Answer<Option<task::CancelRequest>> {
        Ok(None)
    }

    async fn report_progress(&mut self, _: String, _: Option<u8>) -> Answer<Result<(), types::Refusal>> {
        Ok(Ok(()))
    }

    async fn fuel_remaining(&mut self) -> Answer<u64> {
        Ok(FUEL)
    }

    async fn restart_progress(&mut self, _: String) -> Answer<Result<(), types::Refusal>> {
        Ok(Ok(()))
    }

    async fn heartbeat(&mut self) -> Answer<()> {
        Ok(())
    }

    async fn request_fuel(&mut self, _: u64, _: String, _: Option<u64>) -> Answer<Result<u64, types::Refusal>> {
        Ok(Err(no()))
    }

    async fn record_usage(&mut self, _: String, _: u64, _: u64) -> Answer<Result<(), types::Refusal>> {
        Ok(Err(no()))
    }

    async fn set_note(&mut self, _: Option<String>) -> Answer<Result<(), types::Refusal>> {
        Ok(Err(no()))
    }

    async fn report_panic(&mut self, _: String, _: String) -> Answer<()> {
        Ok(())
    }
}

impl signals::Host for Functions {
    async fn wait(&mut self, _: String, _: Option<u64>) -> Answer<Result<signals::Signal, signals::WaitError>> {
        let Some(mail) = &mut self.mail else { return Ok(Err(signals::WaitError::Cancelled)) };
        let _ = self.tell.as_ref().map(|tell| tell.send(()));
        WAITS.set(WAITS.get() + 1);
        let signal =
            mail.recv().await.map(|()| signals::Signal { payload: None, sender: "host".to_owned(), sender_task: None });
        Ok(signal.ok_or(signals::WaitError::Cancelled))
    }

    async fn poll(&mut self, _: String) -> Answer<Result<Option<signals::Signal>, types::Refusal>> {
        Ok(Ok(None))
    }

    async fn notify(
        &mut self,
        _: types::TaskRef,
        _: String,
        _: Option<String>,
    ) -> Answer<Result<signals::NotifyResult, types::Refusal>> {
        Ok(Err(no()))
    }

    async fn wait_any(
        &mut self,
        _: Vec<String>,
        _: Vec<String>,
        _: Option<u64>,
    ) -> Answer<Result<signals::Taken, signals::WaitError>> {
        Ok(Err(signals::WaitError::Cancelled))
    }

    async fn notify_scope(
        &mut self,
        _: signals::Scope,
        _: String,
        _: Option<String>,
        _: bool,
    ) -> Answer<Result<u32, types::Refusal>> {
        Ok(Err(no()))
    }

    async fn cancel_wait(&mut self, _: types::TaskRef, _: String) -> Answer<Result<bool, types::Refusal>> {
        Ok(Err(no()))
    }

    async fn cancel_all_waits(&mut self, _: types::TaskRef) -> Answer<Result<u32, types::Refusal>> {
        Ok(Err(no()))
    }
}

impl agent::Host for Functions {
    async fn notify_agent(&mut self, _: String, _: bool) -> Answer<Result<agent::Delivery, types::Refusal>> {
        Ok(Ok(agent::Delivery::Accepted))
    }

    async fn notify_agent_once(
        &mut self,
        _: String,
        _: String,
        _: bool,
    ) -> Answer<Result<agent::Delivery, types::Refusal>> {
        Ok(Err(no()))
    }

    async fn next_message(&mut self, _: Option<u64>) -> Answer<Result<Option<agent::Instruction>, types::Refusal>> {
        Ok(Err(no()))
    }
}

fn no() -> types::Refusal {
    types::Refusal { kind: "denied".to_owned(), message: String::new() }
}

/// What a wasm store holds: the functions, and WASI for guests that import it.
pub(crate) trait Data: Send + Sized + 'static {
    /// Whether it is for a guest that was compiled with the SDK, and imports more than is measured.
    const IS_REAL: bool;

    fn new() -> Self;
    fn functions(&mut self) -> &mut Functions;
    fn link(linker: &mut Linker<Self>) -> wasmtime::Result<()>;
}

/// For guests without WASI.
#[derive(Debug, Default)]
pub(crate) struct Bare(Functions);

impl Data for Bare {
    const IS_REAL: bool = false;

    fn new() -> Self {
        Self::default()
    }

    fn functions(&mut self) -> &mut Functions {
        &mut self.0
    }

    fn link(_: &mut Linker<Self>) -> wasmtime::Result<()> {
        Ok(())
    }
}

/// For guests with WASI, which may do nothing.
pub(crate) struct WithWasi {
    functions: Functions,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for WithWasi {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Data for WithWasi {
    const IS_REAL: bool = true;

    fn new() -> Self {
        Self { functions: Functions::default(), wasi: WasiCtx::builder().build(), table: ResourceTable::new() }
    }

    fn functions(&mut self) -> &mut Functions {
        &mut self.functions
    }

    fn link(linker: &mut Linker<Self>) -> wasmtime::Result<()> {
        wasmtime_wasi::p2::add_to_linker_async(linker)
    }
}

/// An engine with the host's settings.
pub(crate) fn engine() -> Result<Engine> {
    engine_for(CELLS)
}

/// The same, for so many tasks at once.
pub(crate) fn engine_for(cells: u32) -> Result<Engine> {
    engine_of(cells, profile_for(cells))
}

/// The same, made for this.
pub(crate) fn engine_of(cells: u32, profile: Profile) -> Result<Engine> {
    Engine::new(&engine_config(cells, &Limits::default(), profile)).map_err(plain)
}

/// What so many cells are made for, on both sides.
pub(crate) fn profile_for(cells: u32) -> Profile {
    if cells > FAST_MAX { Profile::Dense } else { Profile::Fast }
}

/// One that only compiles, for the others.
pub(crate) fn compiler() -> Result<Engine> {
    let mut settings = engine_config(CELLS, &Limits::default(), Profile::Fast);
    settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&settings).map_err(plain)
}

/// The same as a host's, without fuel.
pub(crate) fn unmetered_engine() -> Result<Engine> {
    let mut settings = engine_config(CELLS, &Limits::default(), Profile::Fast);
    settings.consume_fuel(false);
    Engine::new(&settings).map_err(plain)
}

/// How a raw guest is run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// Units of fuel between two yields; `None` for no yields.
    pub(crate) slice: Option<u64>,
    /// Whether there is a call hook, which does nothing.
    pub(crate) hook: bool,
}

thread_local! {
    /// How often guests have begun to wait for mail on this thread.
    static WAITS: Cell<u64> = const { Cell::new(0) };
}

/// What tasks are given, if nothing else is said.
const INPUT: &str = "{}";
/// What a guest is told about itself.
const INFO: &str = r#"{"id":"0","plugin":"bench","task_type":"go","key":"0","fuel_budget":0,"scratch":"/scratch"}"#;

/// Errors of the engine are not of the standard's kind.
#[expect(clippy::needless_pass_by_value, reason = "it stands behind map_err")]
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// A component, linked once.
pub(crate) struct Guest<D: Data> {
    engine: Engine,
    plugin: RawPre<D>,
    task_type: String,
    input: String,
    metered: bool,
}

impl<D: Data> Guest<D> {
    pub(crate) fn new(engine: &Engine, bytes: &[u8], task_type: &'static str) -> Result<Self> {
        Self::linked(engine, bytes, task_type).map_err(plain)
    }

    fn linked(engine: &Engine, bytes: &[u8], task_type: &'static str) -> wasmtime::Result<Self> {
        let mut linker = Linker::<D>::new(engine);
        D::link(&mut linker)?;
        RawPlugin::add_to_linker::<_, HasSelf<Functions>>(&mut linker, D::functions)?;
        let component = Component::from_binary(engine, bytes)?;
        if D::IS_REAL {
            // What it never calls. A guest of ours is found by a version that it does not name itself, and would be shadowed.
            linker.define_unknown_imports_as_traps(&component)?;
        }
        let plugin = RawPre::new(linker.instantiate_pre(&component)?)?;
        // Only an engine with fuel lets a store ask for it.
        let metered = Store::new(engine, ()).get_fuel().is_ok();
        let (task_type, input) = (task_type.to_owned(), INPUT.to_owned());
        Ok(Self { engine: engine.clone(), plugin, task_type, input, metered })
    }

    /// With another input.
    pub(crate) fn given(self, input: &serde_json::Value) -> Self {
        Self { input: input.to_string(), ..self }
    }

    /// Store, instantiate, call, drop.
    pub(crate) async fn run(&self, way: Way) -> Result<()> {
        match self.called(way).await.map_err(plain)? {
            Outcome::Succeeded(_) => Ok(()),
            Outcome::Failed(_) | Outcome::Cancelled(_) => bail!("the guest did not succeed"),
        }
    }

    /// One that is about to wait for mail.
    pub(crate) fn park(self: &Arc<Self>, way: Way) -> Result<Parked> {
        let (mail, received) = mpsc::unbounded_channel();
        let mut data = D::new();
        data.functions().mail = Some(received);
        let guest = Arc::clone(self);
        let guest = Box::pin(async move { guest.called_with(data, way).await.map(drop).map_err(plain) });
        let mut parked = Parked { guest, mail };
        let before = WAITS.get();
        parked.go_on()?;
        ensure!(WAITS.get() > before, "a guest gave way before it waited");
        Ok(parked)
    }

    /// Waits for mail again and again, and tells so each time.
    pub(crate) async fn run_with_mail(
        &self,
        mail: mpsc::UnboundedReceiver<()>,
        tell: mpsc::UnboundedSender<()>,
        way: Way,
    ) -> Result<()> {
        let mut data = D::new();
        *data.functions() = Functions { mail: Some(mail), tell: Some(tell) };
        self.called_with(data, way).await.map(drop).map_err(plain)
    }

    async fn called(&self, way: Way) -> wasmtime::Result<Outcome> {
        self.called_with(D::new(), way).await
    }

    async fn called_with(&self, data: D, way: Way) -> wasmtime::Result<Outcome> {
        let mut store = Store::new(&self.engine, data);
        if self.metered {
            store.set_fuel(FUEL)?;
            store.fuel_async_yield_interval(way.slice)?;
        }
        if way.hook {
            store.call_hook(|_, _| Ok(()));
        }
        let instance = self.plugin.instantiate_async(&mut store).await?;
        instance.taskcell_plugin_runner().call_run(&mut store, &self.task_type, &self.input).await
    }
}

/// A raw guest that waits for mail.
pub(crate) struct Parked {
    guest: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
    mail: mpsc::UnboundedSender<()>,
}

impl Parked {
    /// Gives it mail, and lets it run until it waits again.
    pub(crate) fn wake(&mut self) -> Result<()> {
        self.mail.send(())?;
        self.go_on()
    }

    fn go_on(&mut self) -> Result<()> {
        match self.guest.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Ok(()),
            Poll::Ready(end) => end.and_then(|()| bail!("a guest that waits has ended")),
        }
    }
}

/// Polls a future until it is done. Raw guests wait for nothing: when they are pending, they have yielded.
fn drive<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Runs a guest so many times, on as many threads as the host has for guests and at their priority, one after the other
/// on each: nothing could be cheaper than that.
pub(crate) fn run_many<D: Data>(runtime: &Handle, guest: &Guest<D>, way: Way, count: u32) -> Result<()> {
    let left = AtomicU32::new(count);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads().min(count as usize))
            .map(|_| {
                scope.spawn(|| {
                    step_back();
                    let _context = runtime.enter();
                    while take() {
                        drive(guest.run(way))?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a raw guest panicked"))))
    })
}

/// Runs a guest here and now.
pub(crate) fn run_here<D: Data>(runtime: &Handle, guest: &Guest<D>, way: Way) -> Result<()> {
    let _context = runtime.enter();
    drive(guest.run(way))
}

/// As many threads as the host has for guests.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

/// Lets the host's threads go first, as the host's guest workers do. On Linux the priority is the thread's own.
pub(crate) fn step_back() {
    if let Ok(present) = rustix::process::getpriority_process(None) {
        // Refused only where priorities are forbidden; then all are equal.
        let _ = rustix::process::setpriority_process(None, present.saturating_add(NICE).min(19));
    }
}
