//! Tests of output that the next host reads: written behind, killed at any place, cut and damaged.

use crate::ports::output::frame::{self, FRAME_BYTES};
use crate::ports::output::ring::NEVER_GIVEN;

use super::*;

/// Bytes before the first frame.
const HEAD: usize = 32;

/// Room for what these tests print.
const LARGE: u64 = 1 << 20;

/// A host's output of one task on this disk, and its timer.
struct Life {
    log: Arc<OutputLog>,
    behind: Arc<Behind>,
}

impl Life {
    fn first(disk: &Disk, bytes_max: u64, spill_max: u64) -> Self {
        let behind = Arc::default();
        let spill = Spill::new(Box::new(disk.clone()), spill_max);
        Self { log: OutputLog::written_behind(bytes_max, spill, &behind), behind }
    }

    fn next(disk: &Disk, bytes_max: u64, spill_max: u64) -> Self {
        let behind = Arc::default();
        let spill = Spill::new(Box::new(disk.clone()), spill_max);
        Self { log: OutputLog::reopened(bytes_max, spill, &behind), behind }
    }
}

fn numbered(log: &OutputLog) -> Vec<(u64, OutputChunk)> {
    let (mut chunks, mut cursor) = (Vec::new(), OutputCursor::default());
    while cursor < log.end() {
        let page = log.read_numbered(cursor);
        cursor = page.next;
        chunks.extend(page.chunks);
    }
    chunks
}

/// One that printed some pieces, which are all on the disk.
fn printed() -> (Disk, Vec<(u64, OutputChunk)>) {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    for round in 0..4 {
        log.stdout(format!("line {round}\n"));
        log.stderr(format!("error {round}"));
        log.log("info", "here".to_owned(), format!("record {round}"));
        behind.write();
    }
    (disk, numbered(&log))
}

#[test]
fn r44_all_of_it_is_written_behind_and_read_by_the_next_host() {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    assert!(!log.stdout("on") && log.is_behind());
    log.stdout("e\n");
    log.stderr("ä");
    log.log("warn", "here".to_owned(), "two\nlines");
    assert_eq!(disk.writes.load(Ordering::Relaxed), 0, "not while the guest waits");
    behind.write();
    let writes = disk.writes.load(Ordering::Relaxed);
    assert!(!log.is_behind() && writes > 0);
    behind.write();
    assert_eq!(disk.writes.load(Ordering::Relaxed), writes, "there is nothing more");
    let before = numbered(&log);
    assert_eq!(before.len(), 3);
    // What comes now is lost with the host, but somebody has read it.
    log.stdout("lost");
    let read = log.read(OutputCursor::default()).next;

    let Life { log, behind } = Life::next(&disk, LARGE, LARGE);
    assert_eq!((numbered(&log), log.read(OutputCursor::default()).lost), (before.clone(), 0));
    assert_eq!(backwards(&log), all(&log));
    assert!(log.end() < read && !log.is_behind());
    log.stdout("more");
    let (more, lost) = rest(&log, read);
    let more: Vec<_> = more.iter().map(|chunk| chunk.text.as_str()).collect();
    assert_eq!((more, lost), (vec![RESUMES, "more"], 0), "who knows larger numbers misses nothing");
    behind.write();
    let (second, lost) = all(&log);
    assert_eq!((second.len(), lost), (5, 0));

    // And once more: the numbers that were left out are known.
    let Life { log, behind } = Life::next(&disk, LARGE, LARGE);
    assert_eq!(all(&log), (second.clone(), 0));
    log.stderr("most");
    behind.write();
    let Life { log, .. } = Life::next(&disk, LARGE, LARGE);
    let (third, lost) = all(&log);
    assert_eq!((third.len(), lost, &third[..5]), (7, 0, &second[..]));
    assert_eq!(backwards(&log), all(&log));
    for (number, _) in numbered(&log) {
        let later = numbered(&log).into_iter().filter(|(other, _)| *other >= number).map(|(_, chunk)| chunk).collect();
        assert_eq!(rest(&log, OutputCursor(number)), (later, 0));
    }
}

#[test]
fn r44_a_task_that_prints_nothing_costs_nothing() {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    log.stdout("");
    behind.write();
    assert!(!log.is_behind() && Arc::weak_count(&log) == 1);
    assert_eq!(disk.writes.load(Ordering::Relaxed), 0);
    // One whose file is for nothing keeps nothing.
    let Life { log, behind } = Life::first(&disk, LARGE, 0);
    log.stdout("x");
    behind.write();
    assert!(!log.is_behind() && disk.bytes.lock().unwrap().is_empty());
}

#[test]
fn r44_a_torn_end_is_cut_and_told() {
    let (disk, before) = printed();
    let whole = disk.bytes.lock().unwrap().clone();
    let (mut told, mut least) = (0, before.len());
    for length in (0..whole.len()).rev() {
        disk.bytes.lock().unwrap().truncate(length);
        let Life { log, .. } = Life::next(&disk, LARGE, LARGE);
        let found = numbered(&log);
        assert!(found.len() <= least && before.starts_with(&found), "{length}: {found:?}");
        let lost = all(&log).1;
        assert_eq!(log.end().0, found.len() as u64 + lost);
        assert_eq!(backwards(&log), all(&log));
        // What is known to have been there is counted.
        told = told.max(lost);
        least = found.len();
        log.stdout("on");
        let says = if length < HEAD { RESUMES_UNKNOWN } else { RESUMES };
        let (chunks, again) = all(&log);
        assert_eq!((chunks[chunks.len() - 2].text.as_str(), again), (says, lost));
    }
    assert_eq!((told, least), (3, 0));
}

#[test]
fn r44_a_damaged_file_is_never_read_as_text() {
    let (disk, before) = printed();
    let whole = disk.bytes.lock().unwrap().clone();
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        *disk.bytes.lock().unwrap() = damaged;
        let Life { log, behind } = Life::next(&disk, LARGE, LARGE);
        let found = numbered(&log);
        assert!(found.iter().all(|piece| before.contains(piece)), "{place}: {found:?}");
        let is_head = place < HEAD;
        assert_eq!(found.len(), if is_head { 0 } else { before.len() - 3 }, "{place}");
        // It goes on all the same, and the next one reads that.
        log.stdout("on");
        behind.write();
        let Life { log, .. } = Life::next(&disk, LARGE, LARGE);
        assert_eq!(all(&log).0.last().unwrap().text, "on");
    }
    for garbage in [Vec::new(), vec![0; 10_000], b"taskcell-output1".to_vec(), vec![b'x'; 40]] {
        *disk.bytes.lock().unwrap() = garbage;
        assert_eq!(all(&Life::next(&disk, LARGE, LARGE).log), (Vec::new(), 0));
    }
}

#[test]
fn r44_what_a_guest_prints_is_no_frame() {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    let mut forged = [&[0; FRAME_BYTES][..], b"{\"n\":0,\"source\":\"stdout\",\"bytes\":2}\nhi\n"].concat();
    frame::seal(&mut forged, *b"a mark like that", &(0..1), 0);
    let printed = [frame::head(*b"a mark like that"), forged.repeat(10)].concat();
    log.stdout(printed);
    behind.write();
    // Its own frame is damaged, so that the next one is looked for in its text.
    disk.bytes.lock().unwrap()[HEAD + 20] ^= 1;
    assert_eq!(all(&Life::next(&disk, LARGE, LARGE).log), (Vec::new(), 0));
}

#[test]
fn r44_a_full_disk_is_told_once_and_tried_again() {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    disk.full.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        log.stdout("x");
        behind.write();
        assert!(log.is_behind());
    }
    log.catch_up(SpillTurn(log.turns().try_acquire_owned().unwrap())).unwrap_err();
    disk.full.store(false, Ordering::Relaxed);
    behind.write();
    assert!(!log.is_behind());
    let (chunks, lost) = all(&log);
    assert_eq!((text(&chunks, is_stdout), lost), ("xxx".to_owned(), 0));
    assert_eq!(text(&chunks, is_log).matches("cannot be kept on disk").count(), 1);
    assert_eq!(all(&Life::next(&disk, LARGE, LARGE).log), (chunks, 0));
}

#[test]
fn r44_it_is_written_while_a_guest_makes_room() {
    let disk = Disk::default();
    let Life { log, behind } = Life::first(&disk, LARGE, LARGE);
    log.stdout("x");
    let turn = log.turns().try_acquire_owned().unwrap();
    behind.write();
    assert!(log.is_behind(), "one at a time");
    drop(turn);
    behind.write();
    assert!(!log.is_behind(), "and not forgotten");
}

proptest! {
    /// However often the host is killed, and wherever in its file it was: what it had written is there, the newest of it, in
    /// order, once, and the limits hold.
    #[test]
    fn what_was_written_is_there_after_every_kill(
        lives in prop::collection::vec((prop::collection::vec((0..900_usize, any::<bool>()), 0..60), any::<bool>()), 1..6),
        bytes_max in 300..6000_u64,
        spill_max in prop_oneof![2000..20_000_u64, Just(1 << 30)],
    ) {
        let disk = Disk::default();
        let (mut count, mut safe) = (0, Vec::<String>::new());
        for (life, (writes, ends_well)) in lives.iter().enumerate() {
            let Life { log, behind } =
                if life == 0 { Life::first(&disk, bytes_max, spill_max) } else { Life::next(&disk, bytes_max, spill_max) };
            let (there, lost) = all(&log);
            let found: String = text(&there, is_stdout);
            // Of a lap that was mostly written over an older piece may be left, and what is between counts as lost.
            let mut kept = safe.iter();
            prop_assert!(found.split_inclusive('\n').all(|line| kept.any(|safe| safe == line)), "{found} of {safe:?}");
            prop_assert_eq!(found.split_inclusive('\n').next_back(), safe.last().map(String::as_str));
            if spill_max == 1 << 30 {
                prop_assert_eq!((found, lost), (safe.concat(), 0));
            }
            prop_assert_eq!(backwards(&log), (there, lost));
            let mut fresh = Vec::new();
            for (size, writes_behind) in writes {
                let line = format!("{count}{}\n", "x".repeat(*size));
                count += 1;
                settle(&log, log.stdout(line.as_bytes()));
                fresh.push(line);
                if *writes_behind {
                    behind.write();
                }
                if !log.is_behind() {
                    safe.append(&mut fresh);
                }
                prop_assert!(disk.bytes.lock().unwrap().len() as u64 <= spill_max);
            }
            if *ends_well {
                behind.write();
                safe.append(&mut fresh);
            }
            prop_assert!(log.end().0 < (life as u64 + 1) * (NEVER_GIVEN + 1000));
        }
    }
}
