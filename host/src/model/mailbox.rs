//! A task's mailbox: the signals that came and were not taken, in order.

use std::collections::{BTreeMap, VecDeque};

use super::event::EventSeq;
use super::ids::SignalKey;
use super::limits::Limits;
use super::signal::{Senders, Signal};
use super::state::payload_bytes;

/// What is kept for a task. Only its events change it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Mailbox {
    kept: BTreeMap<SignalKey, VecDeque<Kept>>,
    count: u32,
    bytes: u64,
}

/// A signal, and the event that brought it: so that the oldest of several keys is known, and the very one is taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kept {
    pub(crate) seq: EventSeq,
    pub(crate) signal: Signal,
}

impl Mailbox {
    /// Whether one more fits.
    pub(crate) fn fits(&self, key: &SignalKey, signal: &Signal, limits: &Limits) -> bool {
        let of_key = self.kept.get(key).map_or(0, VecDeque::len);
        of_key < limits.signals_per_key as usize
            && self.count < limits.signals_in_all
            && self.bytes + payload_bytes(signal.payload.as_ref()) <= limits.signal_bytes
    }

    /// The oldest signal of these keys from such senders.
    pub(crate) fn oldest<'a>(&self, keys: &'a [SignalKey], senders: &Senders) -> Option<(&'a SignalKey, &Kept)> {
        let of_key = |key: &'a SignalKey| {
            let kept = self.kept.get(key)?.iter().find(|kept| senders.allow(kept.signal.sender))?;
            Some((key, kept))
        };
        keys.iter().filter_map(of_key).min_by_key(|(_, kept)| kept.seq)
    }

    /// The signal that this event brought.
    pub(crate) fn get(&self, key: &SignalKey, seq: EventSeq) -> Option<&Signal> {
        self.kept.get(key)?.iter().find(|kept| kept.seq == seq).map(|kept| &kept.signal)
    }

    pub(super) fn put(&mut self, seq: EventSeq, key: SignalKey, signal: Signal) {
        self.count += 1;
        self.bytes += payload_bytes(signal.payload.as_ref());
        self.kept.entry(key).or_default().push_back(Kept { seq, signal });
    }

    /// Puts a signal where it lay before it was taken.
    pub(super) fn put_back(&mut self, key: SignalKey, taken: Kept) {
        self.count += 1;
        self.bytes += payload_bytes(taken.signal.payload.as_ref());
        let kept = self.kept.entry(key).or_default();
        let place = kept.partition_point(|kept| kept.seq < taken.seq);
        kept.insert(place, taken);
    }

    pub(super) fn take(&mut self, key: &SignalKey, seq: EventSeq) {
        let Some(kept) = self.kept.get_mut(key) else { return };
        let Some(place) = kept.iter().position(|kept| kept.seq == seq) else { return };
        if let Some(taken) = kept.remove(place) {
            self.count -= 1;
            self.bytes -= payload_bytes(taken.signal.payload.as_ref());
        }
        if kept.is_empty() {
            self.kept.remove(key);
        }
    }

    /// How many signals are kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of their payloads.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
