//! The guest's standard streams: output goes to the task's log, input is what the request gave.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi_io::bytes::Bytes;

use crate::ports::output::OutputLog;

/// Bytes a guest may write at once; more comes in several writes. WASI's usual size.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Waits until the output's older part is on the disk, as far as memory has no room for it. The writing runs where
/// guests' files are served, and goes on when nobody waits for it any more.
///
/// Cancel safety: dropping the future loses nothing.
pub(super) async fn make_room(log: &Arc<OutputLog>) {
    while log.is_over() {
        let Some(turn) = log.turn().await else { return };
        let log = Arc::clone(log);
        let made = tokio::task::spawn_blocking(move || log.make_room(turn)).await;
        if made.is_err() {
            // The host is shutting down.
            return;
        }
    }
}

/// One of the two output streams. It never fails, and is ready when there is room.
#[derive(Debug, Clone)]
pub(super) struct GuestOutput {
    log: Arc<OutputLog>,
    stdout: bool,
}

impl GuestOutput {
    pub(super) fn new(log: Arc<OutputLog>, stdout: bool) -> Self {
        Self { log, stdout }
    }

    fn take(&self, bytes: impl Into<Vec<u8>>) {
        // Whoever writes without asking for leave before loses the oldest.
        let _is_over = if self.stdout { self.log.stdout(bytes) } else { self.log.stderr(bytes) };
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {
        make_room(&self.log).await;
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(if self.log.is_over() { 0 } else { WRITE_BYTES_MAX })
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
