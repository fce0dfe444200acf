//! What a guest has, counted and capped: memories and tables.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::model::limits::Limits;
use crate::ports::gauges::Gauges;

/// The names of the limits.
const MEMORY: &str = "memory_bytes";
const TABLES: &str = "table_elements";

/// One cap over all memories and one over all tables of a cell; wasmtime's own caps are for each one alone.
#[derive(Debug)]
pub(super) struct MemoryMeter {
    memory_bytes: u64,
    memory_bytes_max: u64,
    table_elements: u64,
    table_elements_max: u64,
    /// The limit for which a growth was refused: a guest that traps soon after did so for lack of memory.
    refused: Option<&'static str>,
    /// What the call of the host that is under way was permitted to grow by.
    permitted: Permitted,
    gauges: Arc<Gauges>,
}

/// The system did not give what the limits permit: not the guest's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no more memory for the guest, although its limit permits it")]
pub(super) struct SystemRefused;

/// A growth that was permitted and may still fail.
#[derive(Debug, Clone, Copy, Default)]
struct Permitted {
    memory_bytes: Option<u64>,
    table_elements: Option<u64>,
}

impl MemoryMeter {
    pub(super) fn new(limits: &Limits, gauges: Arc<Gauges>) -> Self {
        Self {
            memory_bytes: 0,
            memory_bytes_max: limits.memory_bytes,
            table_elements: 0,
            table_elements_max: limits.table_elements,
            refused: None,
            permitted: Permitted::default(),
            gauges,
        }
    }

    /// What all memories have together.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The name of the limit for which the last growth was refused.
    pub(super) fn refused(&self) -> Option<&'static str> {
        self.refused
    }

    /// The guest leaves its code, perhaps to grow: what was permitted before has succeeded.
    pub(super) fn begin_call(&mut self) {
        self.permitted = Permitted::default();
    }
}

/// What lies between `current` and `desired`, and `total` with it, unless that is over `max`.
fn grown(total: u64, current: usize, desired: usize, max: u64) -> Option<(u64, u64)> {
    let more = u64::try_from(desired.checked_sub(current)?).ok()?;
    let sum = total.checked_add(more).filter(|sum| *sum <= max)?;
    Some((more, sum))
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The pool reports its own limit, which is ours, as a maximum too.
        if maximum.is_some_and(|max| desired > max && (max as u64) < self.memory_bytes_max) {
            // The memory's own declared maximum: the guest's affair, not a limit of ours.
            return Ok(false);
        }
        let Some((more, total)) = grown(self.memory_bytes, current, desired, self.memory_bytes_max) else {
            self.refused = Some(MEMORY);
            return Ok(false);
        };
        self.permitted.memory_bytes = Some(more);
        // It coped with less than it had wanted.
        self.refused = None;
        self.memory_bytes = total;
        self.gauges.raise_memory_peak(total);
        Ok(true)
    }

    /// The limits are the only reason for a failing growth; any other would differ from machine to machine, and traps.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        let Some(more) = self.permitted.memory_bytes.take() else {
            // Nobody was asked, because it is more than any memory can have.
            self.refused = Some(MEMORY);
            return Ok(());
        };
        self.memory_bytes = self.memory_bytes.saturating_sub(more);
        Err(error.context(SystemRefused))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|max| desired > max && (max as u64) < self.table_elements_max) {
            return Ok(false);
        }
        let Some((more, total)) = grown(self.table_elements, current, desired, self.table_elements_max) else {
            self.refused = Some(TABLES);
            return Ok(false);
        };
        self.permitted.table_elements = Some(more);
        self.table_elements = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        let Some(more) = self.permitted.table_elements.take() else {
            self.refused = Some(TABLES);
            return Ok(());
        };
        self.table_elements = self.table_elements.saturating_sub(more);
        Err(error.context(SystemRefused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_added_up() {
        let limits = Limits { memory_bytes: 100, table_elements: 10, ..Limits::default() };
        let gauges = Arc::new(Gauges::default());
        let mut meter = MemoryMeter::new(&limits, Arc::clone(&gauges));
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 50, None).unwrap(), "a second memory does not start a second cap");
        assert_eq!(meter.refused(), Some(MEMORY));
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert_eq!(gauges.usage(std::time::Duration::ZERO).memory_peak_bytes, 100);
        assert!(meter.table_growing(0, 10, None).unwrap());
        assert!(!meter.table_growing(10, 11, None).unwrap());
    }

    #[test]
    fn only_a_growth_that_was_permitted_can_fail_for_another_reason() {
        let mut meter = MemoryMeter::new(&Limits::default(), Arc::default());
        let failed = || wasmtime::format_err!("the system has no memory");
        assert!(meter.memory_growing(0, 60, None).unwrap());
        meter.begin_call();
        assert!(meter.memory_grow_failed(failed()).is_ok(), "more than a memory can have: the guest is told");
        assert_eq!(meter.refused(), Some(MEMORY));
        assert!(meter.memory_growing(60, 100, None).unwrap());
        let error = meter.memory_grow_failed(failed()).unwrap_err();
        assert!(error.is::<SystemRefused>(), "not the guest's fault, because another machine would have had it");
        assert_eq!(meter.memory_bytes, 60, "what failed is not counted");
        assert!(meter.table_growing(0, 5, None).unwrap());
        assert!(meter.table_grow_failed(failed()).is_err());
        assert_eq!(meter.table_elements, 0);
    }

    #[test]
    fn a_memory_that_reaches_its_own_maximum_is_no_refusal() {
        let mut meter = MemoryMeter::new(&Limits::default(), Arc::default());
        assert!(!meter.memory_growing(0, 60, Some(50)).unwrap());
        assert_eq!(meter.refused(), None);
    }
}
