//! For what tells nobody that it has changed: it is looked at again and again, and between two looks a task or a
//! process comes and goes. Its end is what is waited for, and everything else has had its turn by then.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use taskcell::{Host, SimulatedClock};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use super::task::result;

/// Lets a task of this host, which has the fixture guest, come and go.
pub(crate) async fn turn(host: &Host) {
    assert_eq!(result(host, "echo", json!("turn")).await, json!("turn"));
}

/// Lets a process come and go, which leaves this one as it is: a task would start threads and open files, and so would
/// waiting for it on a thread.
pub(crate) async fn elsewhere() {
    let mut process = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = Receiver::from_owned_fd(process.stdout.take().unwrap().into()).unwrap();
    // It ends when the process does.
    assert_eq!(said.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(process.wait().unwrap().success());
}

/// Like [`turn`], of a host of its own, where the other one is not to be disturbed.
#[derive(Default)]
pub(crate) struct Turns(Option<Host>);

impl Turns {
    pub(crate) async fn next(&mut self) {
        if self.0.is_none() {
            self.0 = Some(super::fixture().await.0);
        }
        if let Some(host) = &self.0 {
            turn(host).await;
        }
    }
}

/// Lets the time of a host pass until something is done.
pub(crate) async fn passing<T>(clock: &SimulatedClock, what: impl Future<Output = T>) -> T {
    let mut turns = Turns::default();
    let pass = async {
        loop {
            turns.next().await;
            clock.advance(Duration::from_millis(100));
        }
    };
    super::within(async {
        tokio::select! {
            done = what => done,
            () = pass => unreachable!(),
        }
    })
    .await
}
