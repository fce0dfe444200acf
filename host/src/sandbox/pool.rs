//! Admission: a task gets its cell, its memories and its tables before it starts, so that a full pool queues.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::Component;

use super::engine::Stock;

/// What is left of the engine's stock.
#[derive(Debug)]
pub(super) struct Pool {
    cells: Semaphore,
    memories: Semaphore,
    tables: Semaphore,
}

/// What one cell of a component takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    memories: u32,
    tables: u32,
    /// Pages of its largest memory at the beginning.
    pages: u64,
}

impl Needs {
    /// What the component declares. `None` when it cannot be told, because it imports modules.
    pub(super) fn of(component: &Component) -> Option<Self> {
        let required = component.resources_required()?;
        let pages = required.max_initial_memory_size.unwrap_or_default();
        Some(Self { memories: required.num_memories, tables: required.num_tables, pages })
    }

    /// How many pages its largest memory has to begin with.
    pub(super) fn pages(self) -> u64 {
        self.pages
    }

    /// How many bytes all its memories have to begin with, if each is as large as the largest.
    pub(super) fn bytes_at_most(self) -> u64 {
        self.pages.saturating_mul(64 << 10).saturating_mul(self.memories.into())
    }

    /// Whether such a cell can ever get a place.
    pub(super) fn fit(self, stock: Stock) -> Result<(), String> {
        let over = |what: &str, needed: u32, max: u32| {
            if needed > max { Err(format!("it has {needed} {what}, and at most {max} are allowed")) } else { Ok(()) }
        };
        over("memories", self.memories, stock.component.memories.min(stock.memories))?;
        over("tables", self.tables, stock.component.tables.min(stock.tables))
    }
}

/// A place in the pool. It is given back when this is dropped, which must be after the cell is gone.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    /// What was taken of cells, memories and tables.
    taken: [u32; 3],
}

impl Drop for Place {
    fn drop(&mut self) {
        for (kind, taken) in self.pool.kinds().into_iter().zip(self.taken) {
            kind.add_permits(taken as usize);
        }
    }
}

impl Pool {
    pub(super) fn new(stock: Stock) -> Self {
        let semaphore = |count: u32| Semaphore::new(count as usize);
        Self { cells: semaphore(stock.cells), memories: semaphore(stock.memories), tables: semaphore(stock.tables) }
    }

    /// Waits for a place, first come first served.
    ///
    /// Everybody takes the three kinds in the same order and gives all back at the end, so no two can wait for each
    /// other. Cancel safety: what was taken is given back when the future is dropped.
    pub(super) async fn admit(self: Arc<Self>, needs: Needs) -> Place {
        // Counted here and not by permits of their own, each of which would hold on to what all cells share.
        let mut place = Place { pool: Arc::clone(&self), taken: [0; 3] };
        let kinds = self.kinds().into_iter().zip([1, needs.memories, needs.tables]);
        for ((kind, needed), taken) in kinds.zip(&mut place.taken) {
            if needed > 0
                && let Ok(permits) = kind.acquire_many(needed).await
            {
                permits.forget();
                *taken = needed;
            }
        }
        place
    }

    /// What there is a stock of, in the order in which everybody takes it.
    fn kinds(&self) -> [&Semaphore; 3] {
        [&self.cells, &self.memories, &self.tables]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::load_limits::LoadLimits;

    #[tokio::test]
    async fn a_full_pool_queues_and_a_free_place_is_taken() {
        let pool =
            Arc::new(Pool::new(Stock { memories: 3, tables: 10, ..Stock::for_cells(10, LoadLimits::default()) }));
        let needs = Needs { memories: 2, tables: 1, pages: 0 };
        let first = Arc::clone(&pool).admit(needs).await;
        let mut second = std::pin::pin!(Arc::clone(&pool).admit(needs));
        assert!(futures_poll(second.as_mut()).await.is_none(), "one memory is left, two are needed");
        drop(first);
        assert!(futures_poll(second).await.is_some());
    }

    #[tokio::test]
    async fn who_gives_up_in_the_middle_gives_back_what_it_has_taken() {
        let stock = Stock { memories: 3, tables: 10, ..Stock::for_cells(10, LoadLimits::default()) };
        let pool = Arc::new(Pool::new(stock));
        let left = || pool.kinds().map(Semaphore::available_permits);
        let all = left();
        let first = Arc::clone(&pool).admit(Needs { memories: 3, tables: 2, pages: 0 }).await;
        {
            let waits = std::pin::pin!(Arc::clone(&pool).admit(Needs { memories: 1, tables: 1, pages: 0 }));
            assert!(futures_poll(waits).await.is_none(), "it has a cell, and waits for a memory");
            assert_eq!(left(), [all[0] - 2, 0, all[2] - 2]);
        }
        assert_eq!(left(), [all[0] - 1, 0, all[2] - 2]);
        drop(first);
        assert_eq!(left(), all);
    }

    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(out) => Some(out),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
