//! Copies the files that a task gets along, before it starts, and removes the copies after it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt as _};

use crate::model::attachment::{AttachedFile, Attachment, AttachmentError, AttachmentSource, check, compare};
use crate::model::limits::Limits;
use crate::model::request::StartRequest;

use super::dirs::{CopyError, HostDirs, Stored, copy_hashed};
use super::start_error::StartError;

/// A task's attachments on the host's disk. They go when this is dropped, unless they are entrusted to their task: then they
/// go with [`Attached::remove`]. That blocks for as long as it takes: where the task was started that is a few files at most.
#[derive(Debug)]
pub(crate) struct Attached {
    dirs: Arc<HostDirs>,
    /// The number of their place.
    place: u64,
    /// Whether they stay when this is dropped: their task may be stored, and what drops it may be the end of the host.
    entrusted: bool,
}

impl Attached {
    /// Those that a host before this one made, for a task that goes on.
    ///
    /// # Errors
    /// When they are not there any more.
    pub(crate) fn reopen(dirs: &Arc<HostDirs>, place: u64) -> std::io::Result<Self> {
        if dirs.has_attachments(place) {
            return Ok(Self { dirs: Arc::clone(dirs), place, entrusted: true });
        }
        let message = format!("the files that the task got along are not there any more: {place}");
        Err(std::io::Error::new(std::io::ErrorKind::NotFound, message))
    }

    /// The number of their place, for the task's papers.
    pub(crate) fn place(&self) -> u64 {
        self.place
    }

    /// They belong to a task that is about to be stored.
    pub(crate) fn entrust(&mut self) {
        self.entrusted = true;
    }

    /// Removes them. Blocks.
    pub(crate) fn remove(mut self) {
        self.entrusted = false;
    }

    /// Where they are.
    pub(crate) fn path(&self) -> PathBuf {
        self.dirs.attachments_path(self.place)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if !self.entrusted {
            self.dirs.remove_attachments(self.place);
        }
    }
}

/// Copies the files that a task gets along, and writes down in its details what they are.
pub(super) async fn attach_all(
    dirs: &Arc<HostDirs>,
    request: &mut StartRequest,
    limits: &Limits,
) -> Result<Option<Attached>, StartError> {
    let wanted = std::mem::take(&mut request.attachments);
    request.details.attachments = Vec::new();
    if wanted.is_empty() {
        return Ok(None);
    }
    let (dirs, limits) = (Arc::clone(dirs), *limits);
    let copied = tokio::task::spawn_blocking(move || attach(&dirs, &wanted, &limits)).await;
    let Some((attached, files)) = copied.map_err(|_| StartError::ShuttingDown)?? else { return Ok(None) };
    request.details.attachments = files;
    Ok(Some(attached))
}

/// Copies them, and sees that they are what was said of them. Blocks.
///
/// The copy is what counts: it is hashed while it is made, and nobody but the host can write to it.
fn attach(
    dirs: &Arc<HostDirs>,
    wanted: &[Attachment],
    limits: &Limits,
) -> Result<Option<(Attached, Vec<AttachedFile>)>, AttachmentError> {
    check(wanted, limits)?;
    let Some(first) = wanted.first() else { return Ok(None) };
    let failed = |file: &Attachment, source| AttachmentError::Copy { name: file.name.clone(), source };
    let (place, dir) = dirs.new_attachments().map_err(|error| failed(first, error))?;
    // Made first, so that what there is goes when one of them is refused.
    let attached = Attached { dirs: Arc::clone(dirs), place, entrusted: false };
    let mut files = Vec::new();
    let mut left = limits.attachment_bytes;
    for file in wanted {
        let stored = match &file.source {
            AttachmentSource::Bytes(bytes) => copy(dirs, &dir, &file.name, &mut bytes.as_slice(), left),
            AttachmentSource::Path(path) => copy(dirs, &dir, &file.name, &mut open(file, path)?, left),
        };
        let stored = stored.map_err(|error| match error {
            CopyError::TooLarge => AttachmentError::TooLarge { max: limits.attachment_bytes },
            CopyError::Failed(source) => failed(file, source),
        })?;
        compare(file, stored.size, &stored.sha256)?;
        left = left.saturating_sub(stored.size);
        files.push(AttachedFile::new(file, stored.size, stored.sha256));
    }
    // Before anybody writes down that they are there.
    dirs.attachments_outlive(place).map_err(|error| failed(first, error))?;
    Ok(Some((attached, files)))
}

/// Makes a file of this name, which was checked, that nobody may write to.
fn copy(dirs: &HostDirs, dir: &Dir, name: &str, source: &mut dyn Read, bytes_max: u64) -> Result<Stored, CopyError> {
    let mut how = OpenOptions::new();
    how.write(true).create_new(true).mode(0o400);
    let mut copy = dir.open_with(name, &how).map_err(CopyError::Failed)?;
    let stored = copy_hashed(source, &mut copy, bytes_max)?;
    dirs.outlives(&copy, []).map_err(CopyError::Failed)?;
    Ok(stored)
}

/// Opens a file without waiting on it, so that a pipe cannot hold the start up, and only if it is a plain one.
fn open(file: &Attachment, path: &Path) -> Result<File, AttachmentError> {
    let failed = |source| AttachmentError::Copy { name: file.name.clone(), source };
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut how = OpenOptions::new();
    how.read(true).custom_flags(flags);
    let opened = File::open_ambient_with(path, &how, cap_std::ambient_authority()).map_err(failed)?;
    if !opened.metadata().map_err(failed)?.is_file() {
        return Err(AttachmentError::NotAFile(file.name.clone()));
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> Arc<HostDirs> {
        Arc::new(HostDirs::new(None).unwrap())
    }

    fn tried(dirs: &Arc<HostDirs>, wanted: &[Attachment]) -> Result<Vec<AttachedFile>, AttachmentError> {
        let limits = Limits::default().attachment_bytes(100);
        attach(dirs, wanted, &limits).map(|attached| attached.unwrap().1)
    }

    #[test]
    fn r47_a_copy_is_made_and_hashed_and_goes_when_it_is_dropped() {
        let (dirs, here) = (dirs(), tempfile::tempdir().unwrap());
        let place = Dir::open_ambient_dir(here.path(), cap_std::ambient_authority()).unwrap();
        place.write("source", b"hello").unwrap();
        place.symlink("source", "link").unwrap();
        let wanted = [Attachment::file("a.txt", here.path().join("link")).size(5), Attachment::bytes("b", *b"")];
        let (attached, files) = attach(&dirs, &wanted, &Limits::default()).unwrap().unwrap();
        assert_eq!(files[0].path, "/attachments/a.txt");
        assert_eq!(files[0].sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        // What becomes of the source does not matter any more.
        place.write("source", b"other").unwrap();
        let copies = Dir::open_ambient_dir(attached.path(), cap_std::ambient_authority()).unwrap();
        assert_eq!(copies.read("a.txt").unwrap(), b"hello");
        let path = attached.path();
        drop(attached);
        assert!(!path.exists());
        assert!(attach(&dirs, &[], &Limits::default()).unwrap().is_none());
    }

    #[test]
    fn r47_what_is_not_as_was_said_is_refused_and_nothing_stays() {
        let (dirs, here) = (dirs(), tempfile::tempdir().unwrap());
        let path = here.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let good = Attachment::bytes("good", *b"x");
        let tried = |bad: Attachment| tried(&dirs, &[good.clone(), bad]).unwrap_err();
        let bytes = || Attachment::bytes("b", *b"hello");
        assert!(matches!(tried(Attachment::file("b", &path)), AttachmentError::NotAFile(_)));
        assert!(matches!(tried(Attachment::file("b", here.path())), AttachmentError::NotAFile(_)));
        assert!(matches!(tried(Attachment::file("b", here.path().join("none"))), AttachmentError::Copy { .. }));
        assert!(matches!(tried(bytes().size(4)), AttachmentError::Size { .. }));
        assert!(matches!(tried(bytes().sha256("00".repeat(32))), AttachmentError::Digest { .. }));
        // A file may be larger than anybody said.
        let large = here.path().join("large");
        let place = Dir::open_ambient_dir(here.path(), cap_std::ambient_authority()).unwrap();
        place.write("large", vec![0; 101]).unwrap();
        assert!(matches!(tried(Attachment::file("b", &large)), AttachmentError::TooLarge { max: 100 }));
        assert!((0..9).all(|place| !dirs.attachments_path(place).exists()));
    }
}
