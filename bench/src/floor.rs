//! The floor under rows 1 and 6: raw wasmtime's guests, each in a task of an async runtime that others ask, as the host's are
//! while their turns are short. Nothing is measured, counted, written down or kept: whoever lets many tasks be told from
//! anywhere pays this, whatever else it does or leaves out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::raw::{Bare, Data, Guest, Way};

/// Messages on their way to a waiting guest's task, as in the host.
const CONTROL_QUEUE: usize = 64;

/// The host's runtime, with nothing of the host.
pub(crate) struct Floor {
    runtime: Runtime,
}

/// A raw guest that waits for mail, and the task that has it.
pub(crate) struct Waiting {
    control: mpsc::Sender<oneshot::Sender<()>>,
    waits: Arc<AtomicBool>,
}

impl Floor {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { runtime: Runtime::new()? })
    }

    /// Runs a guest so many times, of which `at_once` are in flight.
    pub(crate) fn run_many<D: Data>(&self, guest: &Arc<Guest<D>>, way: Way, count: u32, at_once: u32) -> Result<()> {
        let left = Arc::new(AtomicU32::new(count));
        self.runtime.block_on(async {
            let mut drivers = JoinSet::new();
            for _ in 0..at_once {
                let (left, guest) = (Arc::clone(&left), Arc::clone(guest));
                drivers.spawn(async move {
                    let take =
                        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                    while take() {
                        let guest = Arc::clone(&guest);
                        tokio::spawn(async move { guest.run(way).await }).await??;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(driver) = drivers.join_next().await {
                driver??;
            }
            Ok(())
        })
    }

    /// So many guests that have begun to wait.
    pub(crate) fn park(&self, guest: &Arc<Guest<Bare>>, way: Way, count: u32) -> Result<Arc<Vec<Waiting>>> {
        let parked = (0..count).map(|_| {
            let (mail, received) = mpsc::unbounded_channel();
            let (tell, mut told) = mpsc::unbounded_channel();
            let guest = Arc::clone(guest);
            let running = async move { guest.run_with_mail(received, tell, way).await };
            let (control, mut asked) = mpsc::channel::<oneshot::Sender<()>>(CONTROL_QUEUE);
            let waits = Arc::new(AtomicBool::new(false));
            let shown = Arc::clone(&waits);
            let answers = async move {
                while told.recv().await.is_some() {
                    shown.store(true, Ordering::Release);
                    let Some(reply) = asked.recv().await else { return };
                    shown.store(false, Ordering::Release);
                    let _ = mail.send(());
                    let _ = reply.send(());
                }
            };
            self.runtime.spawn(async move {
                tokio::select! {
                    _ = running => {}
                    () = answers => {}
                }
            });
            Waiting { control, waits }
        });
        let parked: Vec<_> = parked.collect();
        self.runtime.block_on(all_wait(&parked))?;
        Ok(Arc::new(parked))
    }

    /// Tells each of them, as many at once as `at_once`, and waits until all wait again.
    pub(crate) fn wake(&self, parked: &Arc<Vec<Waiting>>, at_once: usize) -> Result<()> {
        self.runtime.block_on(async {
            let mut senders = JoinSet::new();
            for first in 0..at_once {
                let parked = Arc::clone(parked);
                senders.spawn(async move {
                    for guest in parked.iter().skip(first).step_by(at_once) {
                        let (reply, answer) = oneshot::channel();
                        ensure!(guest.control.send(reply).await.is_ok(), "a raw guest that waits has ended");
                        answer.await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(sender) = senders.join_next().await {
                sender??;
            }
            all_wait(parked).await
        })
    }
}

/// Waits until all of them wait.
async fn all_wait(parked: &[Waiting]) -> Result<()> {
    for guest in parked {
        while !guest.waits.load(Ordering::Acquire) {
            ensure!(!guest.control.is_closed(), "a raw guest that was to wait has ended");
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    Ok(())
}
