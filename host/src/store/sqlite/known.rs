//! Where the streams are that are being written to, so that the writer need not look for each of them again and again.
//!
//! Nobody else writes to the file; so what it knows is true as long as it forgets it whenever a transaction fails.

use std::collections::HashMap;

use crate::ports::store::StreamId;

/// Streams that are remembered. When there are more all are forgotten, which costs each of them one look.
const KNOWN_MAX: usize = 4096;

/// The number that a stream has in the file, and that of its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) stream: i64,
    pub(super) head: u64,
}

/// Where streams are.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<StreamId, Place>);

impl Known {
    pub(super) fn place(&self, stream: StreamId) -> Option<Place> {
        self.0.get(&stream).copied()
    }

    pub(super) fn note(&mut self, stream: StreamId, place: Place) {
        if self.0.len() >= KNOWN_MAX {
            self.0.clear();
        }
        self.0.insert(stream, place);
    }

    pub(super) fn forget(&mut self, stream: StreamId) {
        self.0.remove(&stream);
    }

    pub(super) fn forget_all(&mut self) {
        self.0.clear();
    }
}
