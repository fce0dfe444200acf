//! A guest's pace: when it gives way, what it has burnt, and where it waits while its task is paused.
//!
//! wasmtime yields by fuel alone, so a guest that spends its time in host calls would never yield: a call that is ready
//! at once does not, and fuel says nothing about it. Therefore the call hook also looks at the time, and on the way back
//! to the guest's code it waits until the others had their turn. It is all the same to it whose call that was: the
//! contract's, WASI's, or an instruction that wasmtime does itself.
//!
//! The hook fires for such instructions too, `memory.grow` for one. During those the guest keeps its fuel in a register
//! and writes it over whatever is set meanwhile. So fuel is touched only on the way back from a call of the host, which
//! has been counted, and from a yield, at which the guest was polled anew. Waiting touches none.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use taskcell_slot::Conduct;
use wasmtime::{CallHook, CallHookHandler, Store, StoreContextMut};

use crate::ports::clock::{Clock, SystemClock};
use crate::ports::gate::Gate;
use crate::ports::news::News;
use crate::ports::runner::CellLink;

use super::manners::{SHORT, Stay};

/// Units of fuel a guest burns before it lets others run: about 0.1 ms. Smaller slices cost throughput (at 10 000 units
/// nearly half of it), larger ones make everybody wait.
pub(super) const FUEL_SLICE: u64 = 1_000_000;
/// How long a guest may go on with host calls before it lets others run: about as long as with fuel.
const TURN: Duration = Duration::from_micros(200);
/// Calls between two looks at the time: a look costs a quarter of the cheapest call.
const CALLS_PER_LOOK: u32 = 16;
/// Bytes that cost as much as a call.
const BYTES_PER_CALL: usize = 4096;

/// What the polls of a guest and its call hook tell each other.
#[derive(Debug)]
pub(super) struct Turn {
    /// The machine's own: fairness is about real time, which nobody simulates.
    clock: SystemClock,
    /// When the present poll began, in microseconds of that clock.
    began: AtomicU64,
    /// Polls so far.
    polls: AtomicU64,
    /// Whether the guest stands where it gives way, or before its first instruction. Only there it can be held.
    at_yield: AtomicBool,
    /// Whether it may have turns beside its actor, if that is possible at all.
    stay: Option<Stay>,
}

impl Turn {
    /// With `stay`, if the guest may have turns beside its actor.
    pub(super) fn new(stay: Option<Stay>) -> Self {
        Self {
            clock: SystemClock::new(),
            began: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            at_yield: AtomicBool::new(true),
            stay,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.steady().as_micros()).unwrap_or(u64::MAX)
    }

    fn is_over(&self) -> bool {
        let turn = if self.stay.as_ref().is_some_and(Stay::is_beside) { SHORT } else { TURN };
        u128::from(self.now().saturating_sub(self.began.load(Ordering::Relaxed))) >= turn.as_micros()
    }
}

impl Conduct for Turn {
    fn may_stay(&self) -> bool {
        self.stay.as_ref().is_some_and(Stay::may_stay)
    }

    fn around(&self, is_last: bool, turn: &mut dyn FnMut()) {
        match &self.stay {
            Some(stay) => stay.around(is_last, turn),
            None => turn(),
        }
    }
}

/// A guest's future, held at the gate while its task is paused. A call of the host that is under way goes on to its
/// end.
pub(super) struct Paced<F> {
    pub(super) guest: Pin<Box<F>>,
    pub(super) gate: Arc<Gate>,
    pub(super) news: Arc<News>,
    pub(super) turn: Arc<Turn>,
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(stay) = &self.turn.stay {
            stay.begins_poll();
        }
        if self.turn.at_yield.load(Ordering::Relaxed) && self.gate.poll_open(cx).is_pending() {
            return Poll::Pending;
        }
        self.turn.began.store(self.turn.now(), Ordering::Relaxed);
        self.turn.polls.fetch_add(1, Ordering::Relaxed);
        let polled = self.guest.as_mut().poll(cx);
        // Of one that is over the end tells, and what was reported is looked for then.
        if polled.is_pending() {
            self.news.tell();
        }
        polled
    }
}

/// A cell's account.
#[derive(Debug)]
pub(super) struct Pace {
    turn: Arc<Turn>,
    /// Everything given so far.
    budget: u64,
    /// What is left of it at the beginning.
    left: u64,
    /// Whether the guest waits for more when nothing is left, and does not fail.
    waits_for_fuel: bool,
    /// How much may be used before somebody is warned.
    warn_at: u64,
    /// What is left when the present slice is used up.
    floor: u64,
    /// What the calls since the last look at the time have cost.
    cost: u32,
    /// Beginnings and ends of calls of the host, WASI's as well.
    calls: u64,
    /// What the guest left its code for, from the outermost on: an allocator of its own may run in a call of the host.
    departures: Vec<Moment>,
}

/// When the guest left its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    calls: u64,
    polls: u64,
}

impl Pace {
    /// An account with a budget, some of which is used already.
    pub(super) fn new(budget: u64, used: u64, turn: Arc<Turn>) -> Self {
        let left = budget.saturating_sub(used);
        let floor = left.saturating_sub(FUEL_SLICE);
        let (warn_at, departures) = (warn_at(budget), Vec::new());
        Self { turn, budget, left, waits_for_fuel: false, warn_at, floor, cost: 0, calls: 0, departures }
    }

    /// From now on the guest stands still when its fuel is burnt, until more comes.
    pub(super) fn wait_for_fuel(&mut self) {
        self.waits_for_fuel = true;
    }

    /// Counts a call of WASI. What it moves or takes is not told, so the time is looked at after each.
    pub(super) fn count_wasi(&mut self) -> u64 {
        self.count(CALLS_PER_LOOK as usize * BYTES_PER_CALL)
    }

    /// Counts a call of the host that moved this many bytes, and returns how many beginnings and ends there have been.
    pub(super) fn count(&mut self, bytes: usize) -> u64 {
        let bytes = u32::try_from(bytes / BYTES_PER_CALL).unwrap_or(u32::MAX);
        self.cost = self.cost.saturating_add(1).saturating_add(bytes);
        self.calls += 1;
        // A call is polled to its end, wherever it was made.
        self.turn.at_yield.store(false, Ordering::Relaxed);
        self.calls
    }

    fn moment(&self) -> Moment {
        Moment { calls: self.calls, polls: self.turn.polls.load(Ordering::Relaxed) }
    }

    /// Whether the guest had its share of calls.
    fn is_due(&mut self) -> bool {
        if self.cost < CALLS_PER_LOOK {
            return false;
        }
        self.cost = 0;
        self.turn.is_over()
    }
}

/// 80 % of a budget.
fn warn_at(budget: u64) -> u64 {
    budget / 5 * 4
}

/// What a wasm store's data must have for its guest to be paced.
pub(super) trait Account: 'static {
    fn pace(&mut self) -> &mut Pace;
    fn link(&self) -> &CellLink;
    /// The guest leaves its code for a call of the host. Returns how many bytes may cross in it.
    fn begin_call(&mut self) -> usize;
    /// How many bytes may cross when the guest returns to whoever called it.
    fn result_bytes(&self) -> usize;
    /// How many bytes its memories have.
    fn memory_bytes(&self) -> u64;
}

/// Fills the tank, and from then on meters, warns, tops up and gives way.
pub(super) fn keep_pace<T: Account + Send>(store: &mut Store<T>) -> wasmtime::Result<()> {
    let left = store.data_mut().pace().left;
    store.set_fuel(left)?;
    store.fuel_async_yield_interval(Some(FUEL_SLICE))?;
    store.call_hook_async(Hook);
    Ok(())
}

/// The call hook.
struct Hook;

impl<T: Account + Send> CallHookHandler<T> for Hook {
    fn handle_call_event<'hook, 'store, 'event>(
        &'hook self,
        store: StoreContextMut<'store, T>,
        event: CallHook,
    ) -> Pin<Box<dyn Future<Output = wasmtime::Result<()>> + Send + 'event>>
    where
        'hook: 'event,
        'store: 'event,
        Self: 'event,
    {
        let next = match event {
            // At a call of the host, and at the end of a slice: wasmtime looks whether there is fuel after this.
            CallHook::CallingHost => leaving(store),
            CallHook::ReturningFromHost => returning(store),
            CallHook::ReturningFromWasm => {
                let mut store = store;
                let bytes = store.data().result_bytes();
                store.set_hostcall_fuel(bytes);
                Ok(Next::GoOn)
            }
            CallHook::CallingWasm => Ok(Next::GoOn),
        };
        match next {
            Ok(Next::GoOn) => Box::pin(AtOnce),
            Ok(Next::WaitForFuel(store)) => Box::pin(refilled(store)),
            Ok(Next::GiveWay(turn)) => Box::pin(GiveWay { turn, gave: false }),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

/// What a guest does after the hook.
enum Next<'a, T: 'static> {
    GoOn,
    /// When there is fuel again.
    WaitForFuel(StoreContextMut<'a, T>),
    /// When the others had their turn.
    GiveWay(Arc<Turn>),
}

/// Nothing to wait for. Without a size, so that its box costs no allocation: this is on the way of every call.
struct AtOnce;

impl Future for AtOnce {
    type Output = wasmtime::Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

/// Lets others go first. Meanwhile the guest can be held.
struct GiveWay {
    turn: Arc<Turn>,
    gave: bool,
}

impl Future for GiveWay {
    type Output = wasmtime::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let gave = std::mem::replace(&mut self.gave, true);
        self.turn.at_yield.store(!gave, Ordering::Relaxed);
        if gave {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Says what is burnt. The end of a run may lie between two calls.
pub(super) fn publish<T: Account>(store: &mut Store<T>) {
    if let Ok(left) = store.get_fuel() {
        let budget = store.data_mut().pace().budget;
        store.data().link().gauges.set_fuel_used(budget.saturating_sub(left));
    }
}

/// The guest leaves its code.
fn leaving<T: Account>(mut store: StoreContextMut<'_, T>) -> wasmtime::Result<Next<'_, T>> {
    let bytes = store.data_mut().begin_call();
    store.set_hostcall_fuel(bytes);
    let left = store.get_fuel()?;
    let pace = store.data_mut().pace();
    pace.departures.push(pace.moment());
    // In a call of the host in the last instructions of a slice as well, which takes it back when it is counted.
    pace.turn.at_yield.store(left <= pace.floor, Ordering::Relaxed);
    // Nothing is left to come back with.
    let left = if left == 0 { top_up(&mut store, left)? } else { left };
    let pace = store.data_mut().pace();
    let (budget, warn_at) = (pace.budget, pace.warn_at);
    let used = budget.saturating_sub(left);
    let link = store.data().link();
    link.gauges.set_fuel_used(used);
    // What was added and is not taken over yet is no reason for a warning.
    if used >= warn_at && link.gauges.fuel_budget() <= budget {
        link.news.warn_of_fuel();
        store.data_mut().pace().warn_at = u64::MAX;
    }
    let waits = left == 0 && store.data_mut().pace().waits_for_fuel;
    Ok(if waits { Next::WaitForFuel(store) } else { Next::GoOn })
}

/// Waits until there is fuel again. The cell can be paused and stopped meanwhile like any other that was not polled.
async fn refilled<T: Account>(mut store: StoreContextMut<'_, T>) -> wasmtime::Result<()> {
    let gauges = Arc::clone(&store.data().link().gauges);
    store.data().link().news.is_out_of_fuel();
    while top_up(&mut store, 0)? == 0 {
        gauges.fuel_came().await;
    }
    Ok(())
}

/// Takes over what was added, and returns what is left with it.
fn top_up<T: Account>(store: &mut StoreContextMut<'_, T>, left: u64) -> wasmtime::Result<u64> {
    let added = store.data().link().gauges.take_added_fuel();
    // More than can be counted is not given.
    let added = added.min(u64::MAX - store.data_mut().pace().budget);
    let (passed_on, unused) = store.data().link().gauges.lent_fuel();
    if (added, passed_on, unused) == (0, 0, 0) {
        return Ok(left);
    }
    let left = left.saturating_add(added).saturating_add(unused).saturating_sub(passed_on);
    let pace = store.data_mut().pace();
    pace.budget = pace.budget.saturating_add(added);
    pace.warn_at = warn_at(pace.budget);
    pace.floor = left.saturating_sub(FUEL_SLICE);
    let used = pace.budget.saturating_sub(left);
    store.set_fuel(left)?;
    store.data().link().gauges.settle_fuel(used, (passed_on, unused));
    Ok(left)
}

/// The guest goes back to its code, now or after the others.
fn returning<T: Account>(mut store: StoreContextMut<'_, T>) -> wasmtime::Result<Next<'_, T>> {
    let shut = store.data().link().gate.is_shut();
    let memory_bytes = store.data().memory_bytes();
    let pace = store.data_mut().pace();
    pace.turn.at_yield.store(false, Ordering::Relaxed);
    pace.cost = pace.cost.saturating_add(1);
    let now = pace.moment();
    let then = pace.departures.pop().unwrap_or(now);
    if then.calls != now.calls {
        // A call that took long was activity to its end.
        pace.calls += 1;
        let calls = pace.calls;
        store.data().link().gauges.set_activity(calls);
        let left = store.get_fuel()?;
        top_up(&mut store, left)?;
    } else if then.polls != now.polls {
        // A yield. What is neither is an instruction: its fuel is not ours to touch.
        pace.cost = 0;
        let left = store.get_fuel()?;
        let left = top_up(&mut store, left)?;
        store.data_mut().pace().floor = left.saturating_sub(FUEL_SLICE);
    }
    let pace = store.data_mut().pace();
    Ok(if shut || pace.turn.stay.as_ref().is_some_and(|stay| stay.outgrows(memory_bytes)) || pace.is_due() {
        Next::GiveWay(Arc::clone(&pace.turn))
    } else {
        Next::GoOn
    })
}

#[cfg(test)]
mod tests;
