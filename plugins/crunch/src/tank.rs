//! Knows from the last segment what a segment takes, and whether the fuel will do.

use taskcell_guest::TaskCtl;

/// Segments for which there must be fuel: later ones take a little more, and a question takes some too.
const RESERVE: u64 = 3;

pub(crate) struct Tank {
    /// Units that were left at the last look.
    left: u64,
}

impl Tank {
    pub(crate) fn new(ctl: &TaskCtl) -> Self {
        Self { left: ctl.fuel_remaining() }
    }

    /// To be called after each segment: how many units to ask for, if it is time to ask.
    pub(crate) fn lacks(&mut self, ctl: &TaskCtl, segments: u64) -> Option<u64> {
        let left = ctl.fuel_remaining();
        let segment = self.left.saturating_sub(left);
        self.left = left;
        let is_low = left < segment.saturating_mul(segments.min(RESERVE));
        // A quarter more than it seems to be, rather than to ask again.
        is_low.then(|| segment.saturating_mul(segments).saturating_mul(5) / 4)
    }
}
