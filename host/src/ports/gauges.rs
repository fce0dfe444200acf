//! What a cell uses, published while it runs, and what it is given while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::snapshot::Usage;

/// Written by the cell, read by anybody; only [`Gauges::add_fuel`] goes the other way. Each figure is exact for itself,
/// at most one slice of fuel old.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// By the cell itself, and what it has settled.
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

    /// What is used, with what was lent and did not come back.
    pub(crate) fn fuel_used(&self) -> u64 {
        // Against the order of `settle_fuel`: whoever looks meanwhile may see more, and never less.
        let lent = self.fuel_lent.load(Ordering::Acquire);
        let used = self.fuel_used.load(Ordering::Acquire);
        used.saturating_add(lent).saturating_sub(self.fuel_returned.load(Ordering::Acquire))
    }

    /// What a task begins with: its budget, and what it has used of that and of everything else in a host before this one.
    pub(crate) fn begin(&self, fuel_budget: u64, used: &Usage) {
        self.set_fuel_budget(fuel_budget);
        self.set_fuel_used(used.fuel);
        self.raise_memory_peak(used.memory_peak_bytes);
        self.host_calls.store(used.host_calls, Ordering::Relaxed);
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

    /// Gives units of the cell's own on to another: they count as used from now on. The cell may be running; it burns a
    /// slice at most before it takes them out of its account.
    pub(crate) fn lend_fuel(&self, units: u64) {
        self.fuel_lent.fetch_add(units, Ordering::AcqRel);
    }

    /// What was given on and not used is the cell's own again.
    pub(crate) fn return_fuel(&self, units: u64) {
        self.fuel_returned.fetch_add(units, Ordering::AcqRel);
        self.fuel_came.notify_one();
    }

    /// What was lent and what came back since the cell looked last; its side of [`Gauges::lend_fuel`]. It puts both into
    /// its own account, and then says so with [`Gauges::settle_fuel`].
    pub(crate) fn lent_fuel(&self) -> (u64, u64) {
        (self.fuel_lent.load(Ordering::Acquire), self.fuel_returned.load(Ordering::Acquire))
    }

    /// So much is used now, with this much in it that was lent and came back.
    pub(crate) fn settle_fuel(&self, used: u64, (lent, returned): (u64, u64)) {
        self.fuel_returned.fetch_sub(returned, Ordering::AcqRel);
        self.fuel_used.store(used, Ordering::Release);
        self.fuel_lent.fetch_sub(lent, Ordering::AcqRel);
    }

    /// Settles everything while no cell runs, and says what is used.
    pub(crate) fn take_stock(&self) -> u64 {
        let used = self.fuel_used();
        self.settle_fuel(used, self.lent_fuel());
        used
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r18_what_is_lent_counts_as_used_whatever_the_cell_says_meanwhile() {
        let gauges = Gauges::default();
        gauges.set_fuel_budget(1000);
        gauges.set_fuel_used(100);
        gauges.lend_fuel(300);
        assert_eq!(gauges.fuel_used(), 400);
        // The cell runs, and has not looked yet.
        gauges.set_fuel_used(150);
        assert_eq!(gauges.fuel_used(), 450);
        gauges.return_fuel(200);
        assert_eq!(gauges.fuel_used(), 250);
        let lent = gauges.lent_fuel();
        assert_eq!(lent, (300, 200));
        gauges.lend_fuel(5);
        gauges.settle_fuel(260, lent);
        assert_eq!((gauges.fuel_used(), gauges.lent_fuel()), (265, (5, 0)), "what came meanwhile is not lost");
        assert_eq!((gauges.take_stock(), gauges.fuel_used(), gauges.lent_fuel()), (265, 265, (0, 0)));
    }
}
