//! How a guest's call gets what it needs: allowed at once, after somebody was asked, or not at all.

use crate::model::grants::DirGrant;
use crate::model::grants::touch::Touch;
use crate::model::policy::mandate::{Denied, Verdict};

use super::mandate::Space;
use super::runner::{CellLink, GuestCall};

impl CellLink {
    /// Waits until the task may do this, just before it does it: at once when its mandate allows it, else when somebody has
    /// said yes.
    ///
    /// # Errors
    /// [`Denied`] is what the guest is told. It is in the task's log by then; enough of them in a row end the task.
    ///
    /// Cancel safety: dropping the future gives the question up with the guest's call.
    pub(crate) async fn permitted(&self, touch: Touch) -> Result<(), Denied> {
        self.permit(touch, None, false).await
    }

    /// The same for a call that the actor decides about: waits for the answer when somebody has to be asked, and leaves a
    /// yes for one time to that call. What is denied anyway the actor says itself.
    pub(crate) async fn asked_about(&self, touch: &Touch) -> Result<(), Denied> {
        if self.has_to_ask(touch) { self.permit(touch.clone(), None, true).await } else { Ok(()) }
    }

    /// The same in advance, for what the guest says.
    pub(crate) async fn requested(&self, touch: Touch, why: String) -> Result<(), Denied> {
        self.permit(touch, Some(why), true).await
    }

    async fn permit(&self, touch: Touch, why: Option<String>, leave: bool) -> Result<(), Denied> {
        let nobody = match self.mandate.enter(&touch, leave) {
            Verdict::Allowed { .. } => return Ok(()),
            Verdict::Ask { .. } => Denied::of(&touch, "there is nobody to ask about it", false),
            Verdict::Denied { denied, .. } => denied,
        };
        // Nobody answers where there is no task, and when it is over.
        self.ask(|reply| GuestCall::Permit { touch, why, leave, reply }).await.unwrap_or(Err(nobody))
    }

    /// It was denied something that its mandate does not speak about, and that is counted: so many in a row.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only requests are denied so late"))]
    pub(crate) async fn denied(&self, rule: &str, denied: Denied, in_row: u32) {
        let rule = rule.to_owned();
        // Nobody hears it where there is no task, and when it is over.
        let _ = self.ask(|reply| GuestCall::Denied { rule, denied, in_row, reply }).await;
    }

    /// Uses room in a granted folder, which is in the task's log by then as taken. Says whether there was any.
    ///
    /// Cancel safety: when the future is dropped, the room may be taken and is not used.
    pub(crate) async fn use_room(&self, dir: &DirGrant, bytes: u64, inodes: u64) -> bool {
        loop {
            let (bytes, inodes) = match self.mandate.use_room(dir, bytes, inodes) {
                Space::Used => return true,
                Space::None => return false,
                Space::Take { bytes, inodes } => (bytes, inodes),
            };
            let folder = dir.guest.clone();
            // Nobody writes it down where there is no task, and when it is over.
            if self.ask(|reply| GuestCall::TakeRoom { folder, bytes, inodes, reply }).await.is_none() {
                return false;
            }
        }
    }

    /// Whether somebody would have to be asked before the task may do this.
    pub(crate) fn has_to_ask(&self, touch: &Touch) -> bool {
        match self.mandate.decide(touch) {
            Verdict::Ask { .. } => true,
            Verdict::Allowed { .. } | Verdict::Denied { .. } => false,
        }
    }
}
