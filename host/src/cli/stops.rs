//! Ctrl-C and SIGTERM.

use anyhow::{Context as _, Error};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::exit::Exit;
use crate::cli::fault::Fault;

/// What asks the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// Its name, for people and for the task.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// Listens for SIGHUP, which asks a server to read its files again.
#[derive(Debug)]
pub(super) struct Hangups(Signal);

impl Hangups {
    /// Begins to listen. From now on it does not end the program.
    pub(super) fn listen() -> Result<Self, Fault> {
        let listening = signal(SignalKind::hangup()).context("failed to listen for SIGHUP");
        listening.map(Self).map_err(|error: Error| Fault::new(Exit::Host, error))
    }

    /// The next one.
    ///
    /// Cancel safety: nothing is lost.
    pub(super) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            // The runtime that delivers them is gone.
            std::future::pending::<()>().await;
        }
    }
}

/// Listens for both, from when it is made on.
#[derive(Debug)]
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    /// Begins to listen. From now on neither ends the program by itself.
    pub(super) fn listen() -> Result<Self, Fault> {
        let listen = |kind| {
            signal(kind).context("failed to listen for Ctrl-C").map_err(|error: Error| Fault::new(Exit::Host, error))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next one.
    ///
    /// Cancel safety: nothing is lost.
    pub(super) async fn next(&mut self) -> Stop {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Stop::Interrupt,
            Some(()) = self.terminate.recv() => Stop::Terminate,
            // The runtime that delivers them is gone.
            else => std::future::pending().await,
        }
    }
}
