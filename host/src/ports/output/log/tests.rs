//! Tests of what is read back, through a disk that the test holds in its hand.

use std::io;
use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use crate::ports::output::ring::CHUNK_OVERHEAD;
use crate::ports::output::{Mark, OutputChunk, OutputSource, SpillFile};

use super::*;

mod again;

/// A disk in memory that can be full.
#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    full: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
}

impl SpillFile for Disk {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        let begin = usize::try_from(offset).unwrap();
        let mut file = self.bytes.lock().unwrap();
        let length = file.len().max(begin + bytes.len());
        file.resize(length, 0);
        file[begin..begin + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let begin = usize::try_from(offset).unwrap();
        bytes.copy_from_slice(&self.bytes.lock().unwrap()[begin..begin + bytes.len()]);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn random(&self) -> Mark {
        *b"mark of the disk"
    }
}

fn spilling(bytes_max: u64, spill_max: u64) -> (OutputLog, Disk) {
    let disk = Disk::default();
    (OutputLog::with_spill(bytes_max, Spill::new(Box::new(disk.clone()), spill_max)), disk)
}

/// Makes room as a guest does that waits for it.
fn settle(log: &OutputLog, is_over: bool) {
    assert_eq!(is_over, log.is_over());
    if is_over {
        log.make_room(SpillTurn(log.turns().try_acquire_owned().unwrap()));
        assert!(!log.is_over());
    }
}

/// Reads to the end from a cursor on.
fn rest(log: &OutputLog, mut cursor: OutputCursor) -> (Vec<OutputChunk>, u64) {
    let (mut chunks, mut lost) = (Vec::new(), 0);
    loop {
        let page = log.read(cursor);
        if page.is_empty() {
            assert_eq!(page.next, cursor);
            return (chunks, lost);
        }
        assert!(page.next > cursor);
        chunks.extend(page.chunks);
        lost += page.lost;
        cursor = page.next;
    }
}

fn all(log: &OutputLog) -> (Vec<OutputChunk>, u64) {
    rest(log, OutputCursor::default())
}

fn text(chunks: &[OutputChunk], of: impl Fn(&OutputSource) -> bool) -> String {
    chunks.iter().filter(|chunk| of(&chunk.source)).map(|chunk| chunk.text.as_str()).collect()
}

fn is_stdout(source: &OutputSource) -> bool {
    *source == OutputSource::Stdout
}

fn is_log(source: &OutputSource) -> bool {
    matches!(source, OutputSource::Log { .. })
}

#[test]
fn r44_the_newest_is_kept_and_the_loss_is_told() {
    let log = OutputLog::new(10 * (1000 + CHUNK_OVERHEAD as u64));
    assert!(!log.log("info", String::new(), "stays"));
    for line in 0..50 {
        assert!(!log.stdout(format!("{line:01000}").as_bytes()), "without a spill nobody waits");
    }
    let page = log.read(OutputCursor::default());
    assert_eq!((page.chunks.len(), page.lost), (11, 40));
    assert_eq!(page.chunks[0].text, "stays");
    assert!(page.chunks[10].text.ends_with("49"));
    assert_eq!(log.read(page.next), OutputPage { next: page.next, ..OutputPage::default() });
}

#[test]
fn f31_long_writes_are_cut_at_characters() {
    // One that is shared by its pieces, and one that is larger than the ring, of which the end is kept.
    for (bytes_max, lost) in [(1 << 20, false), (128 << 10, true)] {
        let log = OutputLog::new(bytes_max);
        let euros = "€".repeat(64 << 10);
        log.stdout(euros.as_bytes());
        let page = log.read(OutputCursor::default());
        assert!(page.chunks.len() > 2);
        let kept = text(&page.chunks, is_stdout);
        assert!(euros.ends_with(&kept) && (kept != euros) == lost && (page.lost > 0) == lost);
        assert!(log.bytes() <= bytes_max);
    }
}

/// Reads back from the end to the beginning.
fn backwards(log: &OutputLog) -> (Vec<OutputChunk>, u64) {
    let (mut pages, mut lost, mut before) = (Vec::new(), 0, log.end());
    while before > OutputCursor::default() {
        let page = log.read_back(before);
        assert!(page.next < before);
        before = page.next;
        lost += page.lost;
        pages.push(page.chunks.into_iter().map(|(_, chunk)| chunk).collect::<Vec<_>>());
    }
    (pages.into_iter().rev().flatten().collect(), lost)
}

#[test]
fn r44_small_writes_are_one_piece_until_somebody_reads_them() {
    let log = OutputLog::new(1 << 20);
    let words = |cursor| -> Vec<String> { log.read(cursor).chunks.into_iter().map(|chunk| chunk.text).collect() };
    for word in ["a", "b", "c"] {
        log.stdout(word.as_bytes());
    }
    assert_eq!(words(OutputCursor::default()), ["abc"]);
    let read = log.read(OutputCursor::default()).next;
    log.stdout(b"d");
    log.stdout(b"e");
    assert_eq!(words(read), ["de"], "what has been read does not change");
    log.stderr(b"f");
    log.stdout(b"g");
    log.log("info", String::new(), "h");
    log.log("info", String::new(), "i");
    assert_eq!(words(OutputCursor::default()), ["abc", "de", "f", "g", "h", "i"]);
}

#[test]
fn r44_a_write_that_is_not_small_is_a_piece_of_its_own() {
    let log = OutputLog::new(1 << 20);
    for length in [3, 511, 512, 3, 511] {
        log.stdout(vec![b'x'; length]);
    }
    let lengths: Vec<_> = all(&log).0.iter().map(|chunk| chunk.text.len()).collect();
    assert_eq!(lengths, [514, 1026], "only what is shorter than 512 bytes is added to what is there");
}

#[test]
fn f31_invalid_bytes_do_not_stop_the_cutting() {
    let log = OutputLog::new(1 << 20);
    log.stdout(vec![0x80; 300_000]);
    let page = log.read(OutputCursor::default());
    assert_eq!((text(&page.chunks, is_stdout).chars().count(), page.lost), (300_000, 0));
}

#[test]
fn an_empty_write_leaves_no_trace() {
    let log = OutputLog::new(1 << 20);
    let follow = log.follow();
    log.stdout(b"");
    log.log("info", String::new(), "");
    assert!(log.read(OutputCursor::default()).is_empty() && log.bytes() == 0);
    log.stdout(b"x");
    assert!(follow.has_changed().unwrap());
}

#[test]
fn r44_what_memory_has_no_room_for_is_read_from_the_spill() {
    let (log, disk) = spilling(8 << 10, 1 << 20);
    log.log("warn", "here".to_owned(), "first\nof all");
    assert_eq!(disk.writes.load(Ordering::Relaxed), 0, "nothing is made for a quiet task");
    let mut expected = String::new();
    for line in 0..500 {
        let line = format!("{line} ä€\n{}", "x".repeat(line % 100));
        settle(&log, log.stdout(line.as_bytes()));
        expected += &line;
    }
    settle(&log, log.log("info", String::new(), "last"));
    let (chunks, lost) = all(&log);
    assert_eq!((text(&chunks, is_stdout), lost), (expected, 0));
    let lines: Vec<_> = [chunks.first(), chunks.last()].into_iter().flatten().collect();
    assert_eq!((lines[0].text.as_str(), lines[1].text.as_str()), ("first\nof all", "last"));
    assert_eq!(lines[0].source, OutputSource::Log { level: "warn".to_owned(), target: "here".to_owned() });
    // From every cursor on, across the border as well.
    for begin in 0..chunks.len() {
        assert_eq!(rest(&log, OutputCursor(begin as u64)), (chunks[begin..].to_vec(), 0));
    }
    assert!(log.newest(OutputCursor::default()).lost > 0);
}

#[test]
fn t06_the_spill_is_bounded_and_drops_the_oldest() {
    let spill_max = 40_000;
    let (log, disk) = spilling(4 << 10, spill_max);
    settle(&log, log.log("info", String::new(), "kept in memory for ever"));
    let mut expected = String::new();
    let mut number = 0;
    while disk.writes.load(Ordering::Relaxed) < 200 {
        let line = format!("{number},");
        settle(&log, log.stdout(line.as_bytes()));
        expected += &line;
        number += 1;
        assert!(disk.bytes.lock().unwrap().len() as u64 <= spill_max);
    }
    let (chunks, lost) = all(&log);
    let kept = text(&chunks, is_stdout);
    assert!(expected.ends_with(&kept), "the newest, without a gap");
    assert!((30_000..45_000).contains(&kept.len()), "{}", kept.len());
    assert!(lost > 0);
    assert_eq!(chunks[0].text, "kept in memory for ever");
}

#[test]
fn a_disk_that_is_full_is_told_once_and_what_it_did_not_take_is_lost() {
    let (log, disk) = spilling(4 << 10, 1 << 20);
    disk.full.store(true, Ordering::Relaxed);
    for line in 0..1000 {
        settle(&log, log.stdout(format!("{line:0100}").as_bytes()));
    }
    let (chunks, lost) = all(&log);
    assert!(lost > 10);
    let told = text(&chunks, is_log);
    assert_eq!(told.matches("cannot be kept on disk").count(), 1, "{told}");
    assert!(text(&chunks, is_stdout).ends_with("999"));
    // When there is room again, it goes on.
    disk.full.store(false, Ordering::Relaxed);
    for line in 0..1000 {
        settle(&log, log.stdout(format!("{line:0100}").as_bytes()));
    }
    let (chunks, more_lost) = all(&log);
    let kept = text(&chunks, is_stdout);
    assert!(kept.len() > 100_000, "{}", kept.len());
    assert!(more_lost <= lost + 10, "{more_lost} {lost}");
}

#[test]
fn t06_who_does_not_wait_for_the_disk_loses_the_oldest() {
    let (log, disk) = spilling(16 << 10, 1 << 20);
    for _ in 0..1000 {
        log.stdout([b'x'; 2048]);
        assert!(log.bytes() < (16 << 10) + 2 * 2048);
    }
    assert_eq!(disk.writes.load(Ordering::Relaxed), 0);
    let page = log.read(OutputCursor::default());
    assert!(page.lost > 900 / 4, "{}", page.lost);
    settle(&log, log.is_over());
}

#[test]
fn nobody_writes_to_a_closed_spill() {
    let (log, disk) = spilling(4 << 10, 1 << 20);
    log.close();
    for _ in 0..100 {
        settle(&log, log.stdout([b'x'; 1000]));
    }
    assert_eq!(disk.writes.load(Ordering::Relaxed), 0);
    assert!(log.read(OutputCursor::default()).lost > 0);
}

#[test]
fn r44_a_reader_beside_a_writer_sees_everything_once() {
    let (log, _) = spilling(4 << 10, 64 << 20);
    let last = "the end";
    let write = || {
        for line in 0..20_000 {
            let is_over = log.stdout(format!("{line}\n").as_bytes());
            if is_over {
                settle(&log, is_over);
            }
        }
        settle(&log, log.log("info", String::new(), last));
    };
    let read = || {
        let (mut chunks, mut cursor) = (Vec::new(), OutputCursor::default());
        while chunks.last().is_none_or(|chunk: &OutputChunk| chunk.text != last) {
            let page = log.read(cursor);
            assert_eq!(page.lost, 0);
            cursor = page.next;
            chunks.extend(page.chunks);
        }
        chunks
    };
    let chunks = std::thread::scope(|scope| {
        let reader = scope.spawn(read);
        write();
        reader.join().unwrap()
    });
    let seen = text(&chunks, is_stdout);
    assert!(seen.lines().eq((0..20_000).map(|line| line.to_string())));
}

#[derive(Debug, Clone)]
enum Step {
    Out(bool, usize),
    Log(usize),
    Read,
    /// Two writes without waiting between them.
    Hasty(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0..3000_usize).prop_map(|(stdout, size)| Step::Out(stdout, size)),
        2 => (0..2000_usize).prop_map(Step::Log),
        2 => Just(Step::Read),
        1 => (0..3000_usize).prop_map(Step::Hasty),
    ]
}

proptest! {
    /// Whatever is written and read: each piece is seen once, in order, or counted as lost; and nothing is lost as long
    /// as the spill is large and its writer waits.
    #[test]
    fn each_piece_is_read_once_or_counted(
        steps in prop::collection::vec(step(), 1..200),
        bytes_max in 200..8000_u64,
        spill_max in prop_oneof![Just(0), 1000..50_000_u64, Just(1 << 30)],
    ) {
        let (log, disk) = spilling(bytes_max, spill_max);
        let (mut cursor, mut seen, mut lost, mut hasty) = (OutputCursor::default(), Vec::new(), 0, false);
        for step in &steps {
            match *step {
                Step::Out(true, size) => settle(&log, log.stdout(vec![b'o'; size])),
                Step::Out(false, size) => settle(&log, log.stderr(vec![b'e'; size])),
                Step::Log(size) => settle(&log, log.log("info", String::new(), "l".repeat(size))),
                Step::Hasty(size) => {
                    hasty = true;
                    log.stdout(vec![b'o'; size]);
                    settle(&log, log.stdout(vec![b'o'; size]));
                }
                Step::Read => {
                    let page = log.read(cursor);
                    let written = page.next.0 - cursor.0;
                    prop_assert_eq!(page.chunks.len() as u64 + page.lost, written);
                    lost += page.lost;
                    seen.extend(page.chunks);
                    cursor = page.next;
                }
            }
            prop_assert!(disk.bytes.lock().unwrap().len() as u64 <= spill_max);
        }
        prop_assert_eq!(backwards(&log), all(&log));
        let (tail, tail_lost) = rest(&log, cursor);
        seen.extend(tail);
        lost += tail_lost;
        if spill_max == 1 << 30 && !hasty {
            prop_assert_eq!(lost, 0);
            let written = |of: &dyn Fn(&Step) -> Option<usize>| steps.iter().filter_map(of).sum::<usize>();
            let out = written(&|step| if let Step::Out(true, size) = step { Some(*size) } else { None });
            prop_assert_eq!(text(&seen, is_stdout).len(), out);
            let logged = written(&|step| if let Step::Log(size) = step { Some(*size) } else { None });
            prop_assert_eq!(text(&seen, is_log).len(), logged);
            // What nobody had read in between is the same when it is read again.
            let (again, _) = all(&log);
            prop_assert_eq!(again, seen);
        }
    }
}

#[test]
fn r44_a_page_backwards_is_small_in_memory_as_well() {
    let log = OutputLog::new(8 << 20);
    for line in 0..200 {
        log.stdout(format!("{line:010000}"));
    }
    let page = log.read_back(log.end());
    assert!(page.chunks.len() < 30, "{}", page.chunks.len());
    assert_eq!(backwards(&log), all(&log));
    for _ in 0..5000 {
        log.log("info", String::new(), "x");
    }
    assert!(log.read_back(log.end()).chunks.len() <= 4096);
    assert_eq!(backwards(&log), all(&log));
}
