//! Output streams over files: one that keeps to the quota of the scratch directory, and one for all other files.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::Arc;

use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{AbortOnDropJoinHandle, spawn};
use wasmtime_wasi_io::bytes::Bytes;

use super::quota::Quota;

/// Bytes a guest may write at once; more comes in several writes. WASI's usual size.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Where the next bytes go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    At(u64),
    End,
}

/// How the stream stands.
#[derive(Debug)]
enum State {
    /// Nothing is under way.
    Ready,
    /// Bytes are on their way to the disk.
    Writing(AbortOnDropJoinHandle<io::Result<()>>),
    /// They did not get there, and the guest has not been told.
    Failed(io::Error),
    /// The guest has been told.
    Closed,
}

/// An output stream into a file of the scratch directory.
#[derive(Debug)]
pub(super) struct ScratchStream {
    quota: Arc<Quota>,
    file: Arc<File>,
    place: Place,
    state: State,
}

impl ScratchStream {
    pub(super) fn new(quota: Arc<Quota>, file: Arc<File>, place: Place) -> Self {
        Self { quota, file, place, state: State::Ready }
    }

    /// The work of writing these bytes, and the place behind them.
    fn job(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (quota, file, place) = (Arc::clone(&self.quota), Arc::clone(&self.file), self.place);
        if let Place::At(at) = &mut self.place {
            *at = at.saturating_add(bytes.len() as u64);
        }
        async move {
            let write = quota.change(move |books| match place {
                Place::At(at) => books.write_all_at(&file, &bytes, at),
                Place::End => books.append(&file, &bytes),
            });
            write.await
        }
    }

    /// Tells the guest what went wrong, once.
    fn fault(&mut self) -> StreamResult<()> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Err(StreamError::LastOperationFailed(error.into())),
            State::Closed => Err(StreamError::Closed),
            going @ (State::Ready | State::Writing(_)) => {
                self.state = going;
                Ok(())
            }
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ScratchStream {
    async fn ready(&mut self) {
        if let State::Writing(job) = &mut self.state {
            self.state = match job.await {
                Ok(()) => State::Ready,
                Err(error) => State::Failed(error),
            };
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for ScratchStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.fault()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > WRITE_BYTES_MAX || !matches!(self.state, State::Ready) {
            return Err(StreamError::trap("more was written than check-write allowed"));
        }
        self.state = State::Writing(spawn(self.job(bytes)));
        Ok(())
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.ready().await;
        self.fault()?;
        if bytes.is_empty() {
            return Ok(());
        }
        // Without a task of its own, which saves a turn of the scheduler for the way most guests write.
        self.job(bytes).await.map_err(|error| {
            self.state = State::Closed;
            StreamError::LastOperationFailed(error.into())
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.fault()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.fault()?;
        Ok(if matches!(self.state, State::Ready) { WRITE_BYTES_MAX } else { 0 })
    }

    /// Bytes that were taken are written before the stream is gone.
    async fn cancel(&mut self) {
        self.ready().await;
        self.state = State::Closed;
    }
}

/// A stream that drops empty writes, so that they cannot pile up in the host.
pub(super) struct NoEmptyWrites(pub(super) DynOutputStream);

#[wasmtime_wasi::async_trait]
impl Pollable for NoEmptyWrites {
    async fn ready(&mut self) {
        self.0.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for NoEmptyWrites {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() { Ok(()) } else { self.0.write(bytes) }
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() {
            self.0.flush()?;
            return self.0.write_ready().await.map(drop);
        }
        self.0.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }

    async fn cancel(&mut self) {
        self.0.cancel().await;
    }
}
