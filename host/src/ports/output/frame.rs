//! How batches of pieces lie in the file, so that a host that was started again finds them.
//!
//! ```text
//! file    taskcell-output1  mark (16)  frame  frame  …
//! frame   mark (16)  first  end  never  length  sum of the body  sum of all before  body
//! ```
//!
//! `first` and `end` are the numbers of its pieces, `never` how many numbers below were never given, all three of 64 bits, the
//! rest of 32, little end first; the sums are CRC-32. A frame is as long as its `length` says; where there is none, because it
//! was cut or partly written over, the next one begins at the next mark. The mark is random, made once for a file, and told to
//! nobody: no text that a guest prints looks like a frame.

use std::ops::Range;

use super::spill::SpillFile;

/// What every file begins with, of this version.
const MAGIC: &[u8; 16] = b"taskcell-output1";
/// Bytes before the first frame.
pub(super) const HEAD_BYTES: u64 = 32;
/// Bytes of a frame before its body.
pub(super) const FRAME_BYTES: usize = 52;
/// Bytes that are looked at together. Most frames are smaller, or several times as large.
const WINDOW_BYTES: u64 = 64 << 10;

/// What marks a file's frames.
pub(crate) type Mark = [u8; 16];

/// What a frame says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) numbers: Range<u64>,
    /// Numbers below that were never given.
    pub(super) never: u64,
    length: u32,
    sum: u32,
}

/// How a file begins.
pub(super) fn head(mark: Mark) -> Vec<u8> {
    [*MAGIC, mark].concat()
}

/// Fills in the first bytes of a frame, which were left free before its body.
pub(super) fn seal(frame: &mut [u8], mark: Mark, numbers: &Range<u64>, never: u64) {
    let Some((free, body)) = frame.split_at_mut_checked(FRAME_BYTES) else { return };
    let mut header = Vec::with_capacity(FRAME_BYTES);
    header.extend_from_slice(&mark);
    for number in [numbers.start, numbers.end, never] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&u32::try_from(body.len()).unwrap_or_default().to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    let sum = crc32fast::hash(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    free.copy_from_slice(&header);
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

impl Frame {
    /// Reads what a frame at the beginning of these bytes says of itself.
    fn read(mark: Mark, bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let found = take(&mut rest)? == mark;
        let [first, end, never] = [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?].map(u64::from_le_bytes);
        let [length, sum, of_all] = [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?].map(u32::from_le_bytes);
        let is_whole = bytes.get(..FRAME_BYTES - 4).is_some_and(|header| crc32fast::hash(header) == of_all);
        let makes_sense = first < end && never <= first;
        (found && is_whole && makes_sense).then_some(Self { numbers: first..end, never, length, sum })
    }

    fn bytes(&self) -> u64 {
        FRAME_BYTES as u64 + u64::from(self.length)
    }
}

/// The bodies of the frames that these bytes are; of one that is damaged nothing.
pub(super) fn bodies(mark: Mark, mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let frame = Frame::read(mark, bytes)?;
            let (_, after) = bytes.split_at_checked(FRAME_BYTES)?;
            let (body, rest) = after.split_at_checked(frame.length as usize)?;
            bytes = rest;
            if crc32fast::hash(body) == frame.sum {
                return Some(body);
            }
        }
    })
}

/// What is in a file.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) mark: Mark,
    /// Frames and where they lie, in the order of their numbers. Their bodies were not looked at.
    pub(super) frames: Vec<(Frame, Range<u64>)>,
    /// The number after all that were given, as far as the file says.
    pub(super) next: u64,
}

/// Looks a file through, of which so many bytes count. `None` when it is not a file of ours, or cannot be read.
pub(super) fn scan(file: &dyn SpillFile, bytes_max: u64) -> Option<Scan> {
    let size = file.length().ok()?.min(bytes_max);
    let mut window = Window { file, size, begin: 0, bytes: Vec::new() };
    let mut head = window.get(0, HEAD_BYTES)?;
    if &take::<16>(&mut head)? != MAGIC {
        return None;
    }
    let mark: Mark = take(&mut head)?;
    let (mut frames, mut next, mut at) = (Vec::new(), 0, HEAD_BYTES);
    while let Some(bytes) = window.get(at, FRAME_BYTES as u64) {
        let found = Frame::read(mark, bytes);
        next = next.max(found.as_ref().map_or(0, |frame| frame.numbers.end));
        match found {
            Some(frame) if frame.bytes() <= size - at => {
                let end = at + frame.bytes();
                frames.push((frame, at..end));
                at = end;
            }
            // Cut, or what is left of one that was partly written over.
            Some(_) | None => match window.find(mark, at + 1) {
                Some(found) => at = found,
                None => break,
            },
        }
    }
    frames.sort_by_key(|(frame, _)| frame.numbers.start);
    Some(Scan { mark, frames: newest_lap(frames), next })
}

/// Without those that were left over from laps before: the file is written round and round, and a lap may end before the one
/// before it did.
fn newest_lap(mut frames: Vec<(Frame, Range<u64>)>) -> Vec<(Frame, Range<u64>)> {
    let Some(end) = frames.last().map(|(_, bytes)| bytes.end) else { return frames };
    let (mut above, mut has_wrapped, mut stays) = (u64::MAX, false, frames.len());
    for (_, bytes) in frames.iter().rev() {
        let below = bytes.end <= above && (!has_wrapped || bytes.start >= end);
        if !below && (has_wrapped || bytes.start < end) {
            break;
        }
        has_wrapped |= !below;
        above = bytes.start;
        stays -= 1;
    }
    frames.split_off(stays)
}

/// A part of a file.
struct Window<'a> {
    file: &'a dyn SpillFile,
    size: u64,
    begin: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// So many bytes from this place on; `None` beyond the end, and where it cannot be read.
    fn get(&mut self, at: u64, count: u64) -> Option<&[u8]> {
        let end = at.checked_add(count).filter(|end| *end <= self.size)?;
        if at < self.begin || end > self.begin + self.bytes.len() as u64 {
            self.load(at)?;
        }
        let from = usize::try_from(at - self.begin).ok()?;
        self.bytes.get(from..)?.get(..usize::try_from(count).ok()?)
    }

    fn load(&mut self, at: u64) -> Option<()> {
        let count = WINDOW_BYTES.min(self.size - at);
        self.bytes.resize(usize::try_from(count).ok()?, 0);
        self.begin = at;
        if self.file.read_at(at, &mut self.bytes).is_err() {
            self.bytes.clear();
            return None;
        }
        Some(())
    }

    /// Where the next mark is.
    fn find(&mut self, mark: Mark, mut at: u64) -> Option<u64> {
        loop {
            self.get(at, mark.len() as u64)?;
            let from = usize::try_from(at - self.begin).ok()?;
            let bytes = self.bytes.get(from..)?;
            if let Some(found) = bytes.windows(mark.len()).position(|bytes| *bytes == mark) {
                return Some(at + found as u64);
            }
            // A mark may begin in the last bytes of the window.
            at = self.begin + self.bytes.len() as u64 - (mark.len() as u64 - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = *b"0123456789abcdef";

    fn frame(numbers: Range<u64>, never: u64, body: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; FRAME_BYTES], body].concat();
        seal(&mut frame, MARK, &numbers, never);
        frame
    }

    #[test]
    fn a_frame_says_what_it_is_and_one_that_is_damaged_says_nothing() {
        let whole = frame(3..5, 2, b"hello");
        let read = Frame::read(MARK, &whole).unwrap();
        assert_eq!((read.numbers.clone(), read.never, read.bytes()), (3..5, 2, whole.len() as u64));
        for bit in 0..FRAME_BYTES * 8 {
            let mut torn = whole.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::read(MARK, &torn), None, "{bit}");
        }
        let mut torn = whole.clone();
        torn[FRAME_BYTES] ^= 1;
        let all = [torn, frame(5..6, 2, b"more")].concat();
        assert_eq!(bodies(MARK, &all).collect::<Vec<_>>(), [b"more"]);
    }

    #[test]
    fn what_is_left_of_laps_before_does_not_count() {
        let lap = |numbers: u64, bytes| (Frame { numbers: numbers..numbers + 1, never: 0, length: 0, sum: 0 }, bytes);
        let numbers = |frames: Vec<(Frame, Range<u64>)>| -> Vec<_> {
            newest_lap(frames).into_iter().map(|(frame, _)| frame.numbers.start).collect()
        };
        assert_eq!(numbers(vec![lap(1, 0..10), lap(2, 10..20)]), [1, 2]);
        // The first lap had one at 30, the second ended at 30, the third is at 10.
        let laps = vec![lap(4, 30..40), lap(6, 10..20), lap(7, 20..30), lap(8, 0..10)];
        assert_eq!(numbers(laps), [6, 7, 8]);
        assert_eq!(numbers(vec![lap(4, 30..40), lap(8, 0..10)]), [4, 8]);
        // Never two that lie on each other.
        assert_eq!(numbers(vec![lap(4, 5..15), lap(8, 0..10)]), [8]);
    }
}
