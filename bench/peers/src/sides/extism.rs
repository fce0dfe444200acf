//! Extism, by its crate: a `Plugin` is one instance, a call of it takes the thread that makes it until it returns, and
//! a `CancelHandle` lets another thread end that call.
//!
//! A cancel moves on the epoch of the plugin's engine, and each call that runs on that engine ends at its next look at
//! it. So it matters whether plugins share one: those that are made from one `CompiledPlugin` do; those that are made from
//! bytes, as in the crate's examples, have one each.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::AtomicUsize, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, UserData, Wasm};

use super::extism_crowd::Crowd;
use crate::{
    fact::{Fact, Finding},
    guests::{self, Job},
    measure::{ALLOWED, ALLOWED_STEPS, Amount, LOOK, SETTLED, each, micros, rested},
    work::work,
};

/// Whether plugins share an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engines {
    Each,
    Shared,
}

/// What the program around the plugins gives them: a place to say that they run, and one to wait.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    started: Arc<AtomicUsize>,
    gate: Arc<(Mutex<u64>, Condvar)>,
    /// Whether those that say that they run wait for the others.
    line: Arc<(Mutex<bool>, Condvar)>,
}

impl Surroundings {
    /// How many have said that they run.
    pub(super) fn started(&self) -> usize {
        self.started.load(Ordering::Acquire)
    }

    /// Has those that say that they run wait until all do: a thousand that spin would leave the last ones no time to begin.
    pub(super) fn hold(&self) {
        *self.line.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Lets them go.
    pub(super) fn go(&self) {
        let (held, bell) = &*self.line;
        *held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        bell.notify_all();
    }

    /// Says that one runs, which may be held here.
    fn ready(&self) {
        self.started.fetch_add(1, Ordering::AcqRel);
        let (held, bell) = &*self.line;
        let mut now = held.lock().unwrap_or_else(PoisonError::into_inner);
        while *now {
            now = bell.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets all that wait go on.
    pub(super) fn open(&self) {
        let (opened, bell) = &*self.gate;
        *opened.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        bell.notify_all();
    }

    /// Stands still until the next [`Surroundings::open`].
    fn wait(&self) {
        let (opened, bell) = &*self.gate;
        let mut now = opened.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *now;
        while *now == before {
            now = bell.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn builder(&self, manifest: Manifest) -> PluginBuilder<'static> {
        let (starting, waiting) = (self.clone(), self.clone());
        PluginBuilder::new(manifest)
            .with_function("ready", [], [], UserData::new(()), move |_, _, _, _| {
                starting.ready();
                Ok(())
            })
            .with_function("wait", [], [], UserData::new(()), move |_, _, _, _| {
                waiting.wait();
                Ok(())
            })
    }
}

/// Where plugins come from.
pub(super) enum Source {
    Bytes(Vec<u8>),
    Compiled(Box<CompiledPlugin>),
}

impl Source {
    fn new(bytes: &[u8], engines: Engines, around: &Surroundings) -> Result<Self> {
        Ok(match engines {
            Engines::Each => Self::Bytes(bytes.to_vec()),
            Engines::Shared => Self::Compiled(Box::new(around.builder(manifest(bytes)).compile()?)),
        })
    }

    pub(super) fn plugin(&self, around: &Surroundings) -> Result<Plugin> {
        match self {
            Self::Bytes(bytes) => around.builder(manifest(bytes)).build(),
            Self::Compiled(compiled) => Plugin::new_from_compiled(compiled),
        }
    }
}

fn manifest(bytes: &[u8]) -> Manifest {
    Manifest::new([Wasm::data(bytes.to_vec())])
}

pub(crate) fn measure(amount: Amount, engines: Engines) -> Result<Vec<Finding>> {
    let bytes = guests::extism()?;
    let around = Surroundings::default();
    // The cache of compiled code is for what is prepared, which this is not.
    let first = || one(around.builder(manifest(&bytes)).with_cache_disabled().build()?);
    let mut findings = vec![Finding::of(Fact::FirstResult, each(amount.pick(3, 10), first)?)];
    let source = Source::new(&bytes, engines, &around)?;
    let samples = rested(amount.pick(200, 1000), || one(source.plugin(&around)?))?;
    findings.push(Finding::of(Fact::Start, samples));
    let mut plugin = source.plugin(&around)?;
    let samples = rested(amount.pick(200, 1000), || called(&mut plugin))?;
    findings.push(Finding::of(Fact::Call, samples));
    drop(plugin);
    for (job, cancel, died, cancels) in [
        (Job::Spin, Fact::CancelBusy, Fact::DiedBusy, amount.pick(4, 12)),
        (Job::Answer, Fact::CancelWaiting, Fact::DiedWaiting, amount.pick(50, 200)),
    ] {
        let found = Crowd::new(&source, &around, job)?.cancels(cancels)?;
        findings.push(Finding::of(cancel, found.samples));
        findings.push(Finding::of(died, found.deaths));
        if cancel == Fact::CancelBusy {
            findings.push(Finding::text(Fact::Reason, format!("`{}`", found.reason)));
        }
    }
    findings.push(parked(&source, &around)?);
    findings.extend(limits(&bytes, &around)?);
    Ok(findings)
}

/// Cancels one that stands in a function of the host's.
fn parked(source: &Source, around: &Surroundings) -> Result<Finding> {
    let mut plugin = source.plugin(around)?;
    let (handle, before) = (plugin.cancel_handle(), around.started());
    let called =
        thread::spawn(move || plugin.call::<_, &str>(Job::Answer.name(), "").err().map(|error| format!("{error:#}")));
    while around.started() == before {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(SETTLED);
    handle.cancel()?;
    thread::sleep(LOOK);
    ensure!(!called.is_finished(), "a function of the host's was left in the middle");
    around.open();
    let said = called.join().ok().flatten().context("one that was cancelled came to a good end")?;
    let text = format!("not before the host's function returns ({} s); then `{said}`", LOOK.as_secs());
    Ok(Finding::text(Fact::CancelParked, text))
}

/// One piece of work, until the plugin is gone.
fn one(mut plugin: Plugin) -> Result<()> {
    called(&mut plugin)
}

fn called(plugin: &mut Plugin) -> Result<()> {
    let found: &str = plugin.call(Job::Work.name(), "")?;
    ensure!(found == work(), "the work came to {found:?}");
    Ok(())
}

fn limits(bytes: &[u8], around: &Surroundings) -> Result<Vec<Finding>> {
    let mut timed = around.builder(manifest(bytes).with_timeout(ALLOWED)).build()?;
    let (time, said) = refused(&mut timed)?;
    let by_time = Finding::both(Fact::RunawayTime, micros(time), format!("`{said}`"));
    let mut metered = around.builder(manifest(bytes)).with_fuel_limit(ALLOWED_STEPS).build()?;
    let (time, said) = refused(&mut metered)?;
    let by_steps = Finding::both(Fact::RunawaySteps, micros(time), format!("`{said}`"));
    let own = metered.fuel_consumed().context("a plugin with a limit of fuel has used none")?;
    let account = format!("no children; a plugin's own: {own} units of fuel");
    Ok(vec![by_time, by_steps, Finding::text(Fact::Account, account)])
}

/// How long a loop without an end took, and what its caller was told.
fn refused(plugin: &mut Plugin) -> Result<(Duration, String)> {
    let before = Instant::now();
    let said = plugin.call::<_, &str>(Job::Spin.name(), "").err().context("a loop without an end has ended")?;
    Ok((before.elapsed(), format!("{said:#}")))
}
