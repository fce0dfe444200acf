//! For what tells nobody that it has changed: it is looked at again and again, and between two looks a task comes and goes. Its
//! end is what is waited for, and everything in the process has had its turn by then.

use serde_json::json;
use taskcell::Host;

use super::task::result;

/// Lets a task of this host, which has the fixture guest, come and go.
pub(crate) async fn turn(host: &Host) {
    assert_eq!(result(host, "echo", json!("turn")).await, json!("turn"));
}

/// The same of a host of its own, where the other one is not to be disturbed.
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
