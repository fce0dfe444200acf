//! The engine: how guests are compiled, where their memory comes from, what they may not use.

use wasmtime::{Collector, Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::model::limits::Limits;
use crate::model::load_limits::LoadLimits;

/// Bytes of stack of a guest's fiber: the guest's own, and room for the host functions it calls.
const FIBER_STACK_BYTES: usize = 2 << 20;
/// The same for many tasks that wait: two of them share a page of the page tables.
const DENSE_STACK_BYTES: usize = 1 << 20;
/// And what the guest has of it at most.
const DENSE_WASM_STACK_BYTES: usize = 128 << 10;
/// Addresses of one memory. It is the same for all hosts, because code depends on it.
const DENSE_MEMORY_BYTES: u64 = 128 << 20;
/// Addresses behind a memory that nobody has, for many tasks that wait. Accesses are checked there anyway.
const DENSE_GUARD_BYTES: u64 = 64 << 10;
/// The most tables of one core module.
const TABLES_PER_MODULE_MAX: u32 = 4;

/// What a host's cells are made for. See [`HostBuilder::profile`](crate::HostBuilder::profile).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Profile {
    /// For speed, up to 8 000 tasks at once. Each memory has 4 GiB of addresses, so that no access has to be checked.
    #[default]
    Fast,
    /// For tens of thousands of tasks that mostly wait. A memory has 128 MiB of addresses and cannot grow beyond them,
    /// whatever the limits say; guests check their accesses, which costs up to a fifth of their speed; their stack is at
    /// most 128 KiB.
    Dense,
}

impl Profile {
    /// The most tasks at once that the addresses of a process have room for, with the default limits.
    pub(crate) const fn cells_max(self) -> u32 {
        match self {
            Self::Fast => 8000,
            Self::Dense => 100_000,
        }
    }

    /// The limits as far as its cells have room for them.
    pub(crate) fn within(self, limits: &Limits) -> Limits {
        match self {
            Self::Fast => *limits,
            Self::Dense => limits.memory_bytes(limits.memory_bytes.min(DENSE_MEMORY_BYTES)),
        }
    }
}

/// How many cells, memories and tables there are in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock {
    pub(super) cells: u32,
    pub(super) memories: u32,
    pub(super) tables: u32,
    /// What one component may take of it.
    pub(super) component: LoadLimits,
    /// What they are made for.
    pub(super) profile: Profile,
}

impl Stock {
    /// Enough for this many ordinary components (one memory, two tables), and always for the largest one allowed.
    pub(super) fn for_cells(cells: u32, component: LoadLimits) -> Self {
        Self {
            cells,
            memories: cells.saturating_mul(2).max(component.memories),
            tables: cells.saturating_mul(4).max(component.tables),
            component,
            profile: Profile::Fast,
        }
    }

    pub(super) fn made_for(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// This and another one together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cells: self.cells.saturating_add(other.cells),
            memories: self.memories.saturating_add(other.memories),
            tables: self.tables.saturating_add(other.tables),
            ..self
        }
    }
}

/// Makes the engine.
pub(super) fn engine(stock: Stock, limits: &Limits) -> wasmtime::Result<Engine> {
    Engine::new(&config(stock, limits))
}

/// The settings of a host's engine for so many tasks at once. Only for `cargo xtask bench`, which measures raw wasmtime
/// with the same settings in the same run.
#[doc(hidden)]
pub fn engine_config(cells: u32, limits: &Limits, profile: Profile) -> Config {
    config(Stock::for_cells(cells, LoadLimits::default()).made_for(profile), limits)
}

/// An engine that compiles for every host's engine of a profile and runs nothing: without their pools, which do not matter
/// to code.
pub(super) fn compiling(profile: Profile) -> wasmtime::Result<Engine> {
    Engine::new(&rules(profile))
}

fn config(stock: Stock, limits: &Limits) -> Config {
    let mut config = rules(stock.profile);
    let (fiber, most) = match stock.profile {
        Profile::Fast => (FIBER_STACK_BYTES, FIBER_STACK_BYTES / 2),
        Profile::Dense => (DENSE_STACK_BYTES, DENSE_WASM_STACK_BYTES),
    };
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(stock, limits)));
    // The host functions that the guest calls need the rest.
    let stack_bytes = usize::try_from(stock.component.stack_bytes).unwrap_or(usize::MAX).clamp(16 << 10, most);
    config.max_wasm_stack(stack_bytes);
    config.async_stack_size(fiber);
    config
}

/// What code is compiled by: the same for every host of a profile, whatever its limits.
fn rules(profile: Profile) -> Config {
    let mut config = Config::new();
    match profile {
        Profile::Fast => {}
        Profile::Dense => {
            config.memory_reservation(DENSE_MEMORY_BYTES);
            config.memory_guard_size(DENSE_GUARD_BYTES);
        }
    }
    config.consume_fuel(true);
    config.memory_init_cow(true);
    // Fuel metering costs a third of a call-heavy guest's time without it, and nothing with it.
    config.compiler_inlining(Inlining::Yes);
    // Function names are enough for people; line tables would triple the load time.
    config.wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);

    // The same input gives the same steps, on every machine.
    config.cranelift_nan_canonicalization(true);
    config.wasm_relaxed_simd(false);

    // What no guest of ours needs, no guest gets. The cargo features `gc` and `threads` stay compiled in, because two
    // advisories concern builds without them.
    config.collector(Collector::Null);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_exceptions(false);
    config.wasm_stack_switching(false);
    config.wasm_threads(false);
    config.wasm_memory64(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_wide_arithmetic(false);
    config.shared_memory(false);
    config.wasm_component_model(true);
    config.concurrency_support(false);
    config
}

fn pool(stock: Stock, limits: &Limits) -> PoolingAllocationConfig {
    let limits = stock.profile.within(limits);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(stock.cells);
    pool.total_stacks(stock.cells);
    pool.total_core_instances(stock.cells.saturating_mul(stock.component.instances));
    pool.total_memories(stock.memories);
    pool.total_tables(stock.tables);
    pool.max_core_instances_per_component(stock.component.instances);
    pool.max_memories_per_component(stock.component.memories);
    pool.max_tables_per_component(stock.component.tables);
    // Some languages' modules have a table beside the one for calls.
    pool.max_tables_per_module(TABLES_PER_MODULE_MAX);
    pool.max_memory_size(
        usize::try_from(limits.memory_bytes.min(4 << 30)).unwrap_or(4 << 30).next_multiple_of(64 << 10),
    );
    pool.table_elements(usize::try_from(limits.table_elements).unwrap_or(usize::MAX));
    // A memory that was used little is cleaned in place instead of being given back to the system; with the page map
    // scan only the pages that were touched are cleaned.
    pool.linear_memory_keep_resident(2 << 20);
    pool.table_keep_resident(64 << 10);
    pool.pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use super::*;

    #[test]
    fn what_the_child_compiles_fits_every_hosts_engine() {
        let hash = |engine: &Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let compiling = |profile| hash(&compiling(profile).unwrap());
        assert_ne!(compiling(Profile::Fast), compiling(Profile::Dense));
        let small = LoadLimits { stack_bytes: 64 << 10, memories: 1, ..LoadLimits::default() };
        let memory = Limits { memory_bytes: 1 << 30, ..Limits::default() };
        for (load, limits) in [(LoadLimits::default(), Limits::default()), (small, memory)] {
            for profile in [Profile::Fast, Profile::Dense] {
                let stock = Stock::for_cells(2, load).made_for(profile);
                assert_eq!(hash(&engine(stock, &limits).unwrap()), compiling(profile));
            }
        }
    }
}
