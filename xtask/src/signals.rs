//! Signals: sending a Ctrl-C, and outliving one.
//!
//! A Ctrl-C on a terminal reaches us and our child alike. The child decides what it means; we stay until it has ended,
//! so that nobody is left behind.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

/// Remembers whether somebody wanted us to stop. From its creation on, signals no longer end this process.
#[derive(Debug)]
pub(crate) struct Watch {
    stopped: Arc<AtomicBool>,
    /// The process that is told when we are, or 0.
    child: Arc<AtomicU32>,
}

impl Watch {
    /// `shared` says whether a terminal brings a Ctrl-C to the child as well; if not, it is passed on.
    pub(crate) fn start(shared: bool) -> Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot listen for signals")?;
        let watch = Self { stopped: Arc::default(), child: Arc::default() };
        let (stopped, child) = (Arc::clone(&watch.stopped), Arc::clone(&watch.child));
        std::thread::spawn(move || {
            for signal in signals.forever() {
                stopped.store(true, Ordering::SeqCst);
                let told = match signal {
                    SIGINT if shared => continue,
                    SIGINT => Signal::INT,
                    _ => Signal::TERM,
                };
                // It may have ended just now.
                send(child.load(Ordering::SeqCst), told).unwrap_or_default();
            }
        });
        Ok(watch)
    }

    /// Names the child that is told from now on.
    pub(crate) fn guard(&self, id: u32) {
        self.child.store(id, Ordering::SeqCst);
    }

    /// The child has ended: nobody is told any more. Fails if somebody wanted us to stop.
    pub(crate) fn release(&self) -> Result<()> {
        self.child.store(0, Ordering::SeqCst);
        if self.stopped.load(Ordering::SeqCst) {
            bail!("stopped, as asked");
        }
        Ok(())
    }
}

/// Does to a process what Ctrl-C does.
pub(crate) fn interrupt(id: u32) -> Result<()> {
    send(id, Signal::INT).context("cannot send Ctrl-C")
}

fn send(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no such process")?;
    Ok(kill_process(pid, signal)?)
}
