//! The newest events, as they were committed: most are read within a moment, by those who wait for them. Reading them here
//! costs no way to another thread, no look at a log that has just grown, and no parsing.
//!
//! The writer puts in what is in the file, before it answers for it. So nobody who was answered finds less here than there.
//! Only what a text rounds is finer here than there: times of less than a millisecond, and the last digits of a number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::event::{Event, EventSeq};
use crate::model::state::event_bytes;
use crate::ports::store::StreamId;

/// Bytes of all of them together. Some hundred tasks that are being followed; what is older is read from the file.
const BYTES_MAX: usize = 4 << 20;
/// Bytes of one stream's, so that one that talks much leaves room for the others, and a page is read in a millisecond.
const STREAM_BYTES_MAX: usize = 256 << 10;
/// The newest events of some streams: whichever came in first makes room first.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Tails>);

#[derive(Debug, Default)]
struct Tails {
    streams: HashMap<StreamId, Tail>,
    /// In the order in which they came in, with their numbers: one that is not there any more, or again, has another.
    order: VecDeque<(StreamId, u64)>,
    numbers: u64,
    bytes: usize,
}

/// Events without a gap, up to the stream's last.
#[derive(Debug, Default)]
struct Tail {
    number: u64,
    events: VecDeque<Weighed>,
    bytes: usize,
}

/// An event, and how many bytes of memory it takes, about: values can take a hundred times the room of their text.
#[derive(Debug)]
pub(super) struct Weighed {
    event: Arc<Event>,
    pub(super) bytes: usize,
}

impl Weighed {
    pub(super) fn new(event: Event) -> Self {
        let own = usize::try_from(event_bytes(&event.body)).unwrap_or(usize::MAX);
        Self { bytes: own.saturating_add(size_of::<Event>()), event: Arc::new(event) }
    }

    fn seq(&self) -> u64 {
        self.event.seq.0
    }
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Tails> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These were written behind all others of the stream, and those up to `forget` were removed, but the last.
    pub(super) fn wrote(&self, stream: StreamId, events: Vec<Weighed>, forget: u64) {
        self.lock().wrote(stream, events, forget);
    }

    /// Nothing is known of the stream any more.
    pub(super) fn forget(&self, stream: StreamId) {
        self.lock().forget(stream);
    }

    /// Nothing is known any more.
    pub(super) fn forget_all(&self) {
        *self.lock() = Tails::default();
    }

    /// The number of the stream's last event, if it is known here.
    pub(super) fn head(&self, stream: StreamId) -> Option<EventSeq> {
        let tails = self.lock();
        tails.streams.get(&stream)?.events.back().map(|last| last.event.seq)
    }

    /// The events after a number, if all of them are known here.
    pub(super) fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> Option<Vec<Event>> {
        let found = self.lock().read(stream, after, limit)?;
        // Copied where nobody waits for the lock.
        Some(found.iter().map(|event| Event::clone(event)).collect())
    }
}

impl Tails {
    fn wrote(&mut self, stream: StreamId, events: Vec<Weighed>, forget: u64) {
        if events.is_empty() && !self.streams.contains_key(&stream) {
            return;
        }
        let (numbers, order) = (&mut self.numbers, &mut self.order);
        let tail = self.streams.entry(stream).or_insert_with(|| {
            *numbers += 1;
            order.push_back((stream, *numbers));
            Tail { number: *numbers, ..Tail::default() }
        });
        let before = tail.bytes;
        tail.push(events);
        tail.shorten(|tail, first| tail.bytes > STREAM_BYTES_MAX || first.seq() <= forget);
        self.bytes = self.bytes.saturating_add(tail.bytes).saturating_sub(before);
        while self.bytes > BYTES_MAX {
            let Some((oldest, number)) = self.order.pop_front() else { break };
            if self.streams.get(&oldest).is_some_and(|tail| tail.number == number) {
                self.forget(oldest);
            }
        }
    }

    fn forget(&mut self, stream: StreamId) {
        if let Some(tail) = self.streams.remove(&stream) {
            self.bytes = self.bytes.saturating_sub(tail.bytes);
        }
        // Names that point nowhere are few.
        if self.order.len() > 2 * self.streams.len() + 16 {
            let streams = &self.streams;
            self.order.retain(|(stream, number)| streams.get(stream).is_some_and(|tail| tail.number == *number));
        }
    }

    fn read(&self, stream: StreamId, after: EventSeq, limit: usize) -> Option<Vec<Arc<Event>>> {
        let tail = self.streams.get(&stream)?;
        let first = tail.events.front()?.seq();
        if after.0.saturating_add(1) < first {
            return None;
        }
        let skipped = usize::try_from(after.0.saturating_add(1) - first).unwrap_or(usize::MAX);
        Some(tail.events.iter().skip(skipped).take(limit).map(|weighed| Arc::clone(&weighed.event)).collect())
    }
}

impl Tail {
    fn push(&mut self, events: Vec<Weighed>) {
        for weighed in events {
            self.bytes = self.bytes.saturating_add(weighed.bytes);
            self.events.push_back(weighed);
        }
    }

    /// Leaves out the oldest for as long as they are to go. The last one always stays.
    fn shorten(&mut self, goes: impl Fn(&Self, &Weighed) -> bool) {
        while self.events.len() > 1 && self.events.front().is_some_and(|first| goes(self, first)) {
            let oldest = self.events.pop_front();
            self.bytes = self.bytes.saturating_sub(oldest.map_or(0, |oldest| oldest.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventBody;
    use crate::model::ids::TaskId;
    use crate::model::outcome::Outcome;
    use crate::model::snapshot::Usage;
    use crate::model::time::Timestamp;

    fn task(number: u128) -> StreamId {
        StreamId::Task(TaskId::from_random(number))
    }

    fn row(seq: u64, bytes: usize) -> Weighed {
        let (message, percent) = ("x".repeat(bytes), None);
        let body = EventBody::Progress { message, percent, restarted: false, merged: 0 };
        Weighed::new(Event::new(EventSeq(seq), Timestamp(1), body))
    }

    fn numbers(recent: &Recent, stream: StreamId, after: u64, limit: usize) -> Option<Vec<u64>> {
        let read = recent.read(stream, EventSeq(after), limit)?;
        Some(read.into_iter().map(|event| event.seq.0).collect())
    }

    #[test]
    fn all_that_is_asked_for_is_there_or_nothing() {
        let recent = Recent::default();
        assert_eq!(numbers(&recent, task(1), 0, 10), None);
        recent.wrote(task(1), vec![row(5, 1), row(6, 1)], 0);
        recent.wrote(task(1), vec![row(7, 1)], 0);
        assert_eq!(numbers(&recent, task(1), 3, 10), None);
        assert_eq!(numbers(&recent, task(1), 4, 10), Some(vec![5, 6, 7]));
        assert_eq!(numbers(&recent, task(1), 4, 2), Some(vec![5, 6]));
        assert_eq!(numbers(&recent, task(1), 6, 10), Some(vec![7]));
        assert_eq!(numbers(&recent, task(1), 7, 10), Some(vec![]));
        assert_eq!(numbers(&recent, task(1), u64::MAX, 10), Some(vec![]));
        assert_eq!(recent.head(task(1)), Some(EventSeq(7)));
        recent.forget(task(1));
        assert_eq!((numbers(&recent, task(1), 6, 10), recent.head(task(1))), (None, None));
    }

    #[test]
    fn what_is_removed_from_the_file_is_not_here_either() {
        let recent = Recent::default();
        recent.wrote(task(1), vec![], 0);
        assert_eq!(recent.head(task(1)), None);
        recent.wrote(task(1), (1..=5).map(|seq| row(seq, 1)).collect(), 2);
        assert_eq!(numbers(&recent, task(1), 1, 10), None);
        assert_eq!(numbers(&recent, task(1), 2, 10), Some(vec![3, 4, 5]));
        recent.wrote(task(1), vec![], 5);
        assert_eq!(numbers(&recent, task(1), 3, 10), None);
        assert_eq!(numbers(&recent, task(1), 4, 10), Some(vec![5]));
    }

    #[test]
    fn a_stream_that_talks_much_keeps_its_newest() {
        let recent = Recent::default();
        recent.wrote(task(1), (1..=1000).map(|seq| row(seq, 1000)).collect(), 0);
        assert_eq!(numbers(&recent, task(1), 0, 10), None);
        assert_eq!(numbers(&recent, task(1), 999, 10), Some(vec![1000]));
        recent.wrote(task(1), vec![row(1001, STREAM_BYTES_MAX)], 0);
        assert_eq!(numbers(&recent, task(1), 999, 10), None);
        assert_eq!(numbers(&recent, task(1), 1000, 10), Some(vec![1001]));
    }

    #[test]
    fn t43_values_count_with_the_room_that_they_take() {
        let recent = Recent::default();
        let many = |seq| {
            let data = Some(vec![0; STREAM_BYTES_MAX / 8].into());
            let outcome = Outcome::Succeeded { message: String::new(), data };
            let body = EventBody::Finished { outcome: outcome.into(), usage: Usage::default(), set_by: None };
            assert!(serde_json::to_string(&body).unwrap().len() < STREAM_BYTES_MAX / 3);
            Weighed::new(Event::new(EventSeq(seq), Timestamp(1), body))
        };
        recent.wrote(task(1), vec![row(1, 1), many(2), many(3)], 0);
        assert_eq!((numbers(&recent, task(1), 1, 10), numbers(&recent, task(1), 2, 10)), (None, Some(vec![3])));
    }

    #[test]
    fn streams_that_came_first_make_room_first() {
        let recent = Recent::default();
        for round in 1..=3 {
            for number in 0..1000 {
                recent.wrote(task(number), vec![row(round, 10_000)], 0);
            }
        }
        assert_eq!((recent.head(task(0)), recent.head(task(999))), (None, Some(EventSeq(3))));
        let tails = recent.lock();
        assert!(tails.bytes <= BYTES_MAX, "{}", tails.bytes);
        assert_eq!(tails.bytes, tails.streams.values().map(|tail| tail.bytes).sum::<usize>());
        assert!(tails.order.len() <= 2 * tails.streams.len() + 16, "{}", tails.order.len());
    }

    #[test]
    fn streams_that_come_and_go_leave_nothing() {
        let recent = Recent::default();
        for number in 0..10_000 {
            recent.wrote(task(number), vec![row(1, 10)], 0);
            recent.forget(task(number));
        }
        let tails = recent.lock();
        assert!(tails.streams.is_empty() && tails.bytes == 0 && tails.order.len() <= 17, "{}", tails.order.len());
    }
}
