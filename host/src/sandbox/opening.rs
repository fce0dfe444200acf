//! Opens what lies in a folder: regular files and directories, at once, and nothing else.
//!
//! wasmtime's own function opens whatever is there: with a pipe it waits for the other end, and a device does what devices
//! do when they are opened. So this looks before it opens, opens without waiting, and looks at what it has opened, which
//! may be something else by then: what was opened is what is judged. Paths are resolved by cap-std, as wasmtime's are.

use std::fs::File;
use std::io;
use std::sync::Arc;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::OFlags;
use wasmtime_wasi::filesystem::{self, Descriptor};
use wasmtime_wasi::p2::FsResult;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasmtime_wasi::{FsPerms, OpenMode};

use crate::model::grants::{Access, DirGrant};
use crate::ports::failpoint::failpoint;

use super::filework::Lane;

/// What a guest wants to open and how.
#[derive(Clone)]
pub(super) struct OpenAt {
    pub(super) path_flags: PathFlags,
    pub(super) path: String,
    pub(super) open: OpenFlags,
    pub(super) flags: DescriptorFlags,
}

impl OpenAt {
    /// What is to be done with it.
    pub(super) fn access(&self) -> Access {
        let makes = OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let writes = self.flags.contains(DescriptorFlags::WRITE) || self.open.intersects(makes);
        if writes { Access::ReadWrite } else { Access::Read }
    }

    /// The same for a file that must be there already; `None` if it must not.
    pub(super) fn if_there(&self) -> Option<Self> {
        let mut how = self.clone();
        // Making a file opens it for writing, and for reading too unless writing was asked for.
        if !how.flags.contains(DescriptorFlags::WRITE) {
            how.flags |= DescriptorFlags::READ | DescriptorFlags::WRITE;
        }
        how.open &= !OpenFlags::CREATE;
        (!self.open.contains(OpenFlags::EXCLUSIVE)).then_some(how)
    }
}

/// Whether a file is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    /// It must be there.
    Never,
    IfMissing,
    /// It must not be there.
    Always,
}

/// Something to open that its folder is granted for.
pub(super) struct Opening {
    path: String,
    options: OpenOptions,
    make: Make,
    follows: bool,
    /// It must be a directory.
    directory: bool,
    perms: FsPerms,
    mode: OpenMode,
}

impl Opening {
    /// Checks what is wanted against itself and against what the folder is granted for, as wasmtime does.
    pub(super) fn new(how: OpenAt, perms: FsPerms) -> FsResult<Self> {
        let OpenAt { path_flags, path, open, flags } = how;
        let synced = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(synced) {
            return Err(ErrorCode::Unsupported.into());
        }
        let directory = open.contains(OpenFlags::DIRECTORY);
        if directory && open.intersects(OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE) {
            return Err(ErrorCode::Invalid.into());
        }
        let make = match (open.contains(OpenFlags::CREATE), open.contains(OpenFlags::EXCLUSIVE)) {
            (false, _) => Make::Never,
            (true, false) => Make::IfMissing,
            (true, true) => Make::Always,
        };
        let truncates = open.contains(OpenFlags::TRUNCATE);
        let writes = flags.contains(DescriptorFlags::WRITE);
        // What is not to be written is opened for reading, so that the system lets it be opened at all.
        let reads = flags.contains(DescriptorFlags::READ) || !writes;
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::READ, reads);
        mode.set(OpenMode::WRITE, writes || truncates || make != Make::Never);
        if perms.write_not_permitted() && mode.contains(OpenMode::WRITE) {
            return Err(ErrorCode::NotPermitted.into());
        }
        let follows = path_flags.contains(PathFlags::SYMLINK_FOLLOW);
        let mut options = OpenOptions::new();
        options.read(reads).write(mode.contains(OpenMode::WRITE)).truncate(truncates);
        options.create(make == Make::IfMissing).create_new(make == Make::Always);
        options.follow(if follows { FollowSymlinks::Yes } else { FollowSymlinks::No });
        options.nonblock(true);
        // A terminal, should one come in between, does not become the host's.
        options.custom_flags(OFlags::NOCTTY.bits().cast_signed());
        Ok(Self { path, options, make, follows, directory, perms, mode })
    }

    /// Opens it. Touches the disk, and belongs where a thread may block.
    pub(super) fn open(&self, dir: &File) -> FsResult<Descriptor> {
        failpoint!("guest.file");
        let dir = Dir::from_std_file(dir.try_clone()?);
        if self.make != Make::Always {
            self.look(&dir)?;
        }
        self.open_looked_at(&dir)
    }

    /// Opens what may be something else than it was when it was looked at.
    fn open_looked_at(&self, dir: &Dir) -> FsResult<Descriptor> {
        let file = dir.open_with(&self.path, &self.options)?.into_std();
        let kind = file.metadata()?.file_type();
        match (kind.is_dir(), self.directory) {
            (true, _) => Ok(Descriptor::Dir(filesystem::Dir::new(file, self.perms, self.mode, false))),
            (false, true) => Err(ErrorCode::NotDirectory.into()),
            (false, false) if kind.is_file() => {
                // From here on it is like any other file: some file systems look at this.
                rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(io::Error::from)?;
                Ok(Descriptor::File(filesystem::File::new(file, self.perms, self.mode, false)))
            }
            (false, false) => Err(ErrorCode::NotPermitted.into()),
        }
    }

    /// Refuses what is neither a regular file nor a directory without opening it.
    fn look(&self, dir: &Dir) -> FsResult<()> {
        let found = if self.follows { dir.metadata(&self.path) } else { dir.symlink_metadata(&self.path) };
        let kind = match found {
            Ok(data) => data.file_type(),
            Err(error) if self.make == Make::IfMissing && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Opening says what is wrong with a link.
        if kind.is_file() || kind.is_dir() || kind.is_symlink() { Ok(()) } else { Err(ErrorCode::NotPermitted.into()) }
    }
}

/// Looks at the granted folders where a thread may block, before they are opened on a worker: when their disk does not
/// answer, the task waits here. What is wrong with one is said by whoever opens it.
pub(super) async fn look_at_folders(dirs: Vec<DirGrant>, folders: &Lane) {
    if dirs.is_empty() {
        return;
    }
    let look = move || {
        for dir in dirs {
            let _ = rustix::fs::stat(&dir.host);
        }
    };
    folders.blocking(look).await;
}

/// What is open behind a descriptor.
pub(super) fn behind(descriptor: &Descriptor) -> &Arc<File> {
    match descriptor {
        Descriptor::File(file) => &file.file,
        Descriptor::Dir(dir) => &dir.dir,
    }
}

#[cfg(test)]
mod tests;
