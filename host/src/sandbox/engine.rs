//! The engine: how guests are compiled, where their memory comes from, what they may not use.

use wasmtime::{Collector, Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::model::limits::Limits;
use crate::model::load_limits::LoadLimits;

/// Bytes of stack of a guest's fiber: the guest's own, and room for the host functions it calls.
const FIBER_STACK_BYTES: usize = 2 << 20;
/// The most tables of one core module.
const TABLES_PER_MODULE_MAX: u32 = 4;

/// How many cells, memories and tables there are in all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock {
    pub(super) cells: u32,
    pub(super) memories: u32,
    pub(super) tables: u32,
    /// What one component may take of it.
    pub(super) component: LoadLimits,
}

impl Stock {
    /// Enough for this many ordinary components (one memory, two tables), and always for the largest one allowed.
    pub(super) fn for_cells(cells: u32, component: LoadLimits) -> Self {
        Self {
            cells,
            memories: cells.saturating_mul(2).max(component.memories),
            tables: cells.saturating_mul(4).max(component.tables),
            component,
        }
    }

    /// This and another one together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cells: self.cells.saturating_add(other.cells),
            memories: self.memories.saturating_add(other.memories),
            tables: self.tables.saturating_add(other.tables),
            component: self.component,
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
pub fn engine_config(cells: u32, limits: &Limits) -> Config {
    config(Stock::for_cells(cells, LoadLimits::default()), limits)
}

/// An engine that compiles for every host's engine and runs nothing: without their pools, which do not matter to code.
pub(super) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&rules())
}

fn config(stock: Stock, limits: &Limits) -> Config {
    let mut config = rules();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(stock, limits)));
    // The host functions that the guest calls need the rest.
    let stack_bytes =
        usize::try_from(stock.component.stack_bytes).unwrap_or(usize::MAX).clamp(16 << 10, FIBER_STACK_BYTES / 2);
    config.max_wasm_stack(stack_bytes);
    config.async_stack_size(FIBER_STACK_BYTES);
    config
}

/// What code is compiled by: the same for every host, whatever its limits.
fn rules() -> Config {
    let mut config = Config::new();
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
        let compiling = hash(&compiling().unwrap());
        let small = LoadLimits { stack_bytes: 64 << 10, memories: 1, ..LoadLimits::default() };
        let memory = Limits { memory_bytes: 1 << 30, ..Limits::default() };
        for (load, limits) in [(LoadLimits::default(), Limits::default()), (small, memory)] {
            assert_eq!(hash(&engine(Stock::for_cells(2, load), &limits).unwrap()), compiling);
        }
    }
}
