//! The audit log as a file: one line after the other, bounded.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt as _};

use crate::ports::audit::{AuditLine, AuditLog};

/// Bytes of a file, after which the next one is begun.
const BYTES_MAX: u64 = 64 << 20;
/// Full files that are kept, `audit.1.jsonl` the newest: a gibibyte together.
const FILES_MAX: u32 = 16;

/// An audit log in a file. When it is full it is called `NAME.1.jsonl`, and what was called so `NAME.2.jsonl`; the sixteenth is
/// removed.
#[derive(Debug)]
pub struct AuditFile {
    dir: Dir,
    name: String,
    bytes_max: u64,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
    /// Whether the last line may have been written in part: then the next one begins on a line of its own.
    torn: bool,
}

impl AuditFile {
    /// Opens the file, or makes it for its owner alone. Its folder has to be there.
    ///
    /// # Errors
    /// When the path names no file, or the system does not let it be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::with(path.as_ref(), BYTES_MAX)
    }

    fn with(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let named = || io::Error::new(io::ErrorKind::InvalidInput, "an audit log is a file with a name");
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(named)?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = Dir::open_ambient_dir(parent, ambient_authority())?;
        let open = Mutex::new(Open::at(&dir, &name)?);
        Ok(Self { dir, name, bytes_max, open })
    }

    fn rotate(&self, open: &mut Open) -> io::Result<()> {
        let stem = self.name.strip_suffix(".jsonl").unwrap_or(&self.name);
        let full = |number: u32| format!("{stem}.{number}.jsonl");
        for number in (1..FILES_MAX).rev() {
            match self.dir.rename(full(number), &self.dir, full(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.dir.rename(&self.name, &self.dir, full(1))?;
        *open = Open::at(&self.dir, &self.name)?;
        Ok(())
    }
}

impl Open {
    fn at(dir: &Dir, name: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = dir.open_with(name, &options)?;
        let bytes = file.metadata()?.len();
        // Whoever wrote before may have been stopped in the middle of a line.
        let mut last = [b'\n'];
        if bytes > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { file, bytes, torn: last != [b'\n'] })
    }
}

impl AuditLog for AuditFile {
    fn write(&self, line: &AuditLine) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.bytes > 0 && open.bytes.saturating_add(text.len() as u64) > self.bytes_max {
            self.rotate(&mut open)?;
        }
        if open.torn {
            text.insert(0, '\n');
        }
        open.torn = true;
        // At once, so that lines of two writers do not mix.
        open.file.write_all(text.as_bytes())?;
        open.torn = false;
        open.bytes = open.bytes.saturating_add(text.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use crate::ports::audit::AuditWhat;

    fn line(at: u64) -> AuditLine {
        AuditLine { scope: Some("line\nbreak \u{1b}[31m".to_owned()), ..AuditLine::new(Timestamp(at), AuditWhat::Deny) }
    }

    fn read(dir: &Path, name: &str) -> Vec<AuditLine> {
        let text = Dir::open_ambient_dir(dir, ambient_authority()).unwrap().read_to_string(name).unwrap();
        text.lines().filter_map(AuditLine::read).collect()
    }

    #[test]
    fn t09_each_line_is_one_line_and_what_is_full_is_kept_beside() {
        let dir = tempfile::tempdir().unwrap();
        let one = serde_json::to_string(&line(1)).unwrap().len() as u64 + 1;
        let log = AuditFile::with(&dir.path().join("audit.jsonl"), 2 * one).unwrap();
        for at in 1..=5 {
            log.write(&line(at)).unwrap();
        }
        assert_eq!(read(dir.path(), "audit.jsonl"), [line(5)]);
        assert_eq!(read(dir.path(), "audit.1.jsonl"), [line(3), line(4)]);
        assert_eq!(read(dir.path(), "audit.2.jsonl"), [line(1), line(2)]);
        drop(log);
        // A host that was killed in the middle of a line.
        let files = Dir::open_ambient_dir(dir.path(), ambient_authority()).unwrap();
        files.write("audit.jsonl", "{\"at\":1,\"wh").unwrap();
        AuditFile::open(dir.path().join("audit.jsonl")).unwrap().write(&line(6)).unwrap();
        assert_eq!(read(dir.path(), "audit.jsonl"), [line(6)]);
        for _ in 0..40 {
            AuditFile::with(&dir.path().join("audit.jsonl"), 1).unwrap().write(&line(7)).unwrap();
        }
        assert_eq!(files.entries().unwrap().count(), 17, "no more than so many are kept");
    }

    #[test]
    fn an_audit_log_that_cannot_be_opened_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(AuditFile::open(dir.path().join("nowhere/audit.jsonl")).is_err());
    }
}
