//! Finds what hosts left behind that were killed, and removes it. A host that lives holds a lock on a file in its directory;
//! the system lets go of it whatever way the host ends.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, Metadata, MetadataExt as _, OpenOptions};

use super::trash::Trash;

/// How the name of each host's directory begins.
pub(super) const PREFIX: &str = "taskcell-";
/// The file whose lock says that somebody lives there.
const OWNER: &str = "owner";
/// It is called so until it is locked, so that nobody finds it unlocked.
const OWNER_NEW: &str = "owner.new";
/// Who else has access to a directory that is ours alone: nobody.
const OTHERS: u32 = 0o077;

/// Says that this process lives in the directory, for as long as the file is open. `None` where files have no locks: then
/// nobody sweeps it.
pub(super) fn own(dir: &Dir) -> io::Result<Option<std::fs::File>> {
    let made = dir.open_with(OWNER_NEW, OpenOptions::new().write(true).create_new(true))?.into_std();
    if made.try_lock().is_err() {
        return Ok(None);
    }
    dir.rename(OWNER_NEW, dir, OWNER)?;
    Ok(Some(made))
}

/// The directories of other hosts in one place.
#[derive(Debug)]
pub(crate) struct Abandoned {
    place: PathBuf,
    own: OsString,
}

impl Abandoned {
    /// Those beside this host's own.
    pub(super) fn beside(own: &Path) -> Option<Self> {
        Some(Self { place: own.parent()?.to_owned(), own: own.file_name()?.to_owned() })
    }

    /// Removes those that nobody lives in any more. What cannot be removed stays for the next one. Works on the disk, and
    /// belongs where a thread may block.
    pub(crate) fn remove(&self) {
        let Ok(place) = Dir::open_ambient_dir(&self.place, cap_std::ambient_authority()) else { return };
        let Ok(own) = place.symlink_metadata(&self.own) else { return };
        for entry in place.entries().into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_ours = |found: &Metadata| found.is_dir() && found.uid() == own.uid() && found.mode() & OTHERS == 0;
            let is_host = name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) && name != self.own;
            // A link is no directory here.
            if is_host && place.symlink_metadata(&name).is_ok_and(|found| is_ours(&found)) {
                // The next host tries again.
                let _ = remove(&place, &name);
            }
        }
    }
}

/// Removes a host's directory if nobody lives in it.
fn remove(place: &Dir, name: &OsStr) -> io::Result<()> {
    let dir = place.open_dir(name)?;
    // Without the file it is another's, or just being made.
    let owner = dir.open(OWNER)?.into_std();
    owner.try_lock()?;
    let flat = Path::new("trash").join("sweep");
    dir.create_dir_all(&flat)?;
    let mut trash = Trash::new(&dir, &flat);
    for old in dir.read_dir("trash")?.flatten().map(|entry| entry.file_name()).filter(|old| old != "sweep") {
        trash.take(&Path::new("trash").join(old));
    }
    for tree in ["scratch", "kept", "artifacts", "attachments", "output"] {
        trash.take(Path::new(tree));
    }
    trash.empty(|_| {});
    if let Some(error) = trash.error {
        return Err(error);
    }
    dir.remove_dir(flat)?;
    dir.remove_dir("trash")?;
    dir.remove_file(OWNER)?;
    place.remove_dir(name)
}
