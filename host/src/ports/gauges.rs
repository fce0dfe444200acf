//! What a cell uses, published while it runs, and what it is given while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::snapshot::Usage;

/// Written by the cell, read by anybody; only [`Gauges::add_fuel`] goes the other way. Each figure is exact for itself,
/// at most one slice of fuel old.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    fuel_used: AtomicU64,
    /// Everything the task was ever given.
    fuel_budget: AtomicU64,
    /// Given, and not yet taken over by the cell.
    fuel_added: AtomicU64,
    /// Wakes a cell that stands still for want of fuel.
    fuel_came: Notify,
    /// Given on to others, and not yet taken out of the cell.
    fuel_lent: AtomicU64,
    /// Come back from them, and not yet put into the cell.
    fuel_returned: AtomicU64,
    memory_peak_bytes: AtomicU64,
    /// Calls of the contract's functions.
    host_calls: AtomicU64,
    /// Beginnings and ends of calls of the host of any kind, WASI's as well.
    activity: AtomicU64,
    /// Milliseconds since 1970, for the guest's own information; 0 for none.
    deadline_ms: AtomicU64,
}

impl Gauges {
    pub(crate) fn set_fuel_used(&self, units: u64) {
        self.fuel_used.store(units, Ordering::Relaxed);
    }

    pub(crate) fn fuel_used(&self) -> u64 {
        self.fuel_used.load(Ordering::Relaxed)
    }

    /// The budget a task begins with.
    pub(crate) fn set_fuel_budget(&self, units: u64) {
        self.fuel_budget.store(units, Ordering::Relaxed);
    }

    pub(crate) fn fuel_budget(&self) -> u64 {
        self.fuel_budget.load(Ordering::Relaxed)
    }

    /// Gives the cell more fuel. It takes it over at its next slice or call, and before it runs dry.
    pub(crate) fn add_fuel(&self, units: u64) {
        // The cell learns of the units last, so that nobody sees more used than given.
        let _ =
            self.fuel_budget.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |had| Some(had.saturating_add(units)));
        let _ =
            self.fuel_added.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |had| Some(had.saturating_add(units)));
        self.fuel_came.notify_one();
    }

    /// Takes over what was added; the cell's side of [`Gauges::add_fuel`].
    pub(crate) fn take_added_fuel(&self) -> u64 {
        // Nearly always there is nothing, and a look is cheaper than an exchange.
        if self.fuel_added.load(Ordering::Relaxed) == 0 { 0 } else { self.fuel_added.swap(0, Ordering::AcqRel) }
    }

    /// Completes when fuel was added, or has come back, since somebody last waited here. Cancel safety: nothing is lost.
    pub(crate) async fn fuel_came(&self) {
        self.fuel_came.notified().await;
    }

    /// Gives units of the cell's own on to another: they count as used from now on.
    pub(crate) fn lend_fuel(&self, units: u64) {
        self.fuel_used.fetch_add(units, Ordering::Relaxed);
        self.fuel_lent.fetch_add(units, Ordering::AcqRel);
    }

    /// What was given on and not used is the cell's own again.
    pub(crate) fn return_fuel(&self, units: u64) {
        self.fuel_returned.fetch_add(units, Ordering::AcqRel);
        self.fuel_came.notify_one();
    }

    /// Takes over what was lent and what came back; the cell's side of [`Gauges::lend_fuel`].
    pub(crate) fn take_lent_fuel(&self) -> (u64, u64) {
        let take =
            |units: &AtomicU64| if units.load(Ordering::Relaxed) == 0 { 0 } else { units.swap(0, Ordering::AcqRel) };
        (take(&self.fuel_lent), take(&self.fuel_returned))
    }

    pub(crate) fn raise_memory_peak(&self, bytes: u64) {
        self.memory_peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_host_call(&self) {
        self.host_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls of any kind the cell has begun or ended. A task in an endless loop makes none.
    pub(crate) fn activity(&self) -> u64 {
        self.activity.load(Ordering::Relaxed)
    }

    pub(crate) fn set_activity(&self, calls: u64) {
        self.activity.store(calls, Ordering::Relaxed);
    }

    /// When the task's time is over, in milliseconds since 1970.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        Some(self.deadline_ms.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    pub(crate) fn set_deadline_ms(&self, at: Option<u64>) {
        self.deadline_ms.store(at.unwrap_or_default(), Ordering::Relaxed);
    }

    /// What was used so far, with the wall time that the caller measured.
    pub(crate) fn usage(&self, wall: Duration) -> Usage {
        Usage {
            fuel: self.fuel_used(),
            memory_peak_bytes: self.memory_peak_bytes.load(Ordering::Relaxed),
            host_calls: self.host_calls.load(Ordering::Relaxed),
            wall,
            ..Usage::default()
        }
    }
}
