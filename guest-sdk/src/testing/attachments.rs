//! The files that the fake host's task gets along.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::fake_host::FakeHost;
use super::pages::hex;
use crate::values::Attachment;

/// The fake host's part in it.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    dir: Option<TempDir>,
    pub(super) files: Vec<Attachment>,
}

impl FakeHost {
    /// Gives the task a file along, which it finds in [`TaskInfo::attachments`](crate::TaskInfo::attachments). It lies in a
    /// directory of the test's own, so read it at the path that is said there.
    ///
    /// # Panics
    /// When the name is a path, or the file cannot be made.
    #[expect(clippy::panic, reason = "a test on a machine without a place for temporary files cannot go on")]
    pub fn attach(&self, name: &str, media_type: &str, content: impl AsRef<[u8]>) {
        let attachments = &mut self.state.borrow_mut().attachments;
        assert!(Path::new(name).file_name().is_some_and(|file| file == name), "{name:?} is no file's name");
        let failed = |error: std::io::Error| -> ! { panic!("failed to attach {name}: {error}") };
        let dir = attachments.dir.get_or_insert_with(|| tempfile::tempdir().unwrap_or_else(|error| failed(error)));
        let (path, content) = (dir.path().join(name), content.as_ref());
        write(&path, content).unwrap_or_else(|error| failed(error));
        attachments.files.push(Attachment {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            size: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
            path,
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "the host's own file, for the task to read")]
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, content)
}
