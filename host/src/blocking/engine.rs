//! Where the futures of blocking calls run.

use std::fmt;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads of a runtime that is made for a host: guests have their own, and actors do little.
const THREADS: usize = 2;

/// A blocking call was made on a thread of a tokio runtime, and did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this thread belongs to a tokio runtime, which a blocking call would hold up: use the async method here")]
pub struct InsideRuntime;

/// Why a blocking call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error<E: std::error::Error + 'static> {
    /// It was made inside a tokio runtime, and did nothing.
    #[error(transparent)]
    InsideRuntime(#[from] InsideRuntime),
    /// As the async method says.
    #[error(transparent)]
    Failed(E),
}

/// Why a host for blocking calls could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is a tokio runtime here already.
    #[error(transparent)]
    InsideRuntime(#[from] InsideRuntime),
    /// The system did not give a runtime its threads.
    #[error("failed to make a runtime: {0}")]
    Runtime(#[from] std::io::Error),
    /// As [`HostBuilder::build`](crate::HostBuilder::build) says.
    #[error(transparent)]
    Host(#[from] crate::BuildError),
}

/// A runtime, its own or somebody else's. It lives as long as whatever waits on it.
pub(super) struct Engine {
    handle: Handle,
    own: Option<Runtime>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("own", &self.own.is_some()).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new() -> Result<Self, BuildError> {
        outside()?;
        let own = Builder::new_multi_thread().worker_threads(THREADS).thread_name("taskcell").enable_all().build()?;
        Ok(Self { handle: own.handle().clone(), own: Some(own) })
    }

    pub(super) fn of(handle: Handle) -> Self {
        Self { handle, own: None }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits for what cannot fail.
    pub(super) fn run<F: Future>(&self, future: F) -> Result<F::Output, InsideRuntime> {
        outside()?;
        Ok(self.handle.block_on(future))
    }

    /// Waits for what can.
    pub(super) fn attempt<T, E: std::error::Error>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error<E>> {
        self.run(future)?.map_err(Error::Failed)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            // Wherever it is dropped: a runtime that waits for its threads would panic inside another one.
            own.shutdown_background();
        }
    }
}

fn outside() -> Result<(), InsideRuntime> {
    if Handle::try_current().is_ok() { Err(InsideRuntime) } else { Ok(()) }
}
