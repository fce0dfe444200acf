//! A log that is written while it is read, and whose full parts lie beside it: `NAME.1.jsonl` is the newest of them.
#![expect(clippy::disallowed_methods, reason = "the log lies in the directory that the person named")]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Full parts that are looked for. As many as the host keeps.
const PARTS_MAX: u32 = 16;

/// Which file it is, under whatever name.
type Identity = (u64, u64);

/// The lines of all parts, the oldest first.
#[derive(Debug)]
pub(in crate::cli) struct LogLines {
    path: PathBuf,
    /// What is to be read after the part that is read now, the oldest last.
    waiting: Vec<File>,
    reading: Option<BufReader<File>>,
    /// The beginning of a line that has no end yet.
    line: Vec<u8>,
}

impl LogLines {
    /// Opens all parts that there are. Fails when there is none.
    pub(in crate::cli) fn open(path: &Path) -> io::Result<Self> {
        let waiting = parts(path, None)?;
        if waiting.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { path: path.to_owned(), waiting, reading: None, line: Vec::new() })
    }

    /// The next line, without its end; `None` when there is none now. One that has no end yet is not there.
    pub(in crate::cli) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some(reader) = &mut self.reading else {
                let Some(oldest) = self.waiting.pop() else { return Ok(None) };
                self.reading = Some(BufReader::new(oldest));
                continue;
            };
            reader.read_until(b'\n', &mut self.line)?;
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
            if self.waiting.is_empty() {
                return Ok(None);
            }
            // The part is over, be it in the middle of a line.
            self.reading = None;
            if !self.line.is_empty() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }

    /// Looks whether the part that was the newest one is full, and others have come after it.
    pub(in crate::cli) fn look_again(&mut self) -> io::Result<()> {
        let Some(reader) = &self.reading else { return Ok(()) };
        let read = identity(reader.get_ref())?;
        if fs::metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) != read) {
            self.waiting = parts(&self.path, Some(read))?;
        }
        Ok(())
    }

    /// What stands at the end without being a whole line.
    pub(in crate::cli) fn rest(&self) -> &[u8] {
        &self.line
    }
}

fn identity(file: &File) -> io::Result<Identity> {
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// The parts that are newer than this one, the oldest last. They are opened from the newest on, in which order they change
/// their names: none is missed, and one that is met twice is left out.
fn parts(path: &Path, until: Option<Identity>) -> io::Result<Vec<File>> {
    let (mut open, mut met) = (Vec::new(), HashSet::new());
    for number in 0..=PARTS_MAX {
        let name = if number == 0 { path.to_owned() } else { path.with_extension(format!("{number}.jsonl")) };
        match File::open(name) {
            Ok(file) => {
                let is = identity(&file)?;
                if Some(is) == until {
                    break;
                }
                if met.insert(is) {
                    open.push(file);
                }
            }
            // While they change their names there are gaps.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(lines: &mut LogLines) -> Vec<String> {
        std::iter::from_fn(|| lines.next().unwrap()).map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn t09_all_parts_are_read_the_oldest_first_and_what_comes_later_too() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let path = at("audit.jsonl");
        assert!(LogLines::open(&path).is_err());
        fs::write(at("audit.2.jsonl"), "1\n2\n").unwrap();
        fs::write(at("audit.1.jsonl"), "3\ntor").unwrap();
        fs::write(&path, "4\n5").unwrap();
        let mut lines = LogLines::open(&path).unwrap();
        assert_eq!(read(&mut lines), ["1", "2", "3", "tor", "4"]);
        assert_eq!(lines.rest(), b"5");
        File::options().append(true).open(&path).unwrap().write_all(b"5\n6\n").unwrap();
        lines.look_again().unwrap();
        assert_eq!(read(&mut lines), ["55", "6"]);
        // Two parts are full meanwhile, and the one that is read has got another line.
        File::options().append(true).open(&path).unwrap().write_all(b"7\n").unwrap();
        fs::rename(&path, at("audit.2.jsonl")).unwrap();
        fs::write(at("audit.1.jsonl"), "8\n").unwrap();
        fs::write(&path, "9\n").unwrap();
        lines.look_again().unwrap();
        assert_eq!(read(&mut lines), ["7", "8", "9"]);
        lines.look_again().unwrap();
        assert_eq!(read(&mut lines), [""; 0]);
    }
}
