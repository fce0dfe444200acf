//! `wasi:filesystem`: wasmtime's own, with the scratch directory's quota before everything that can grow it, and with files
//! opened and streamed by functions of our own, which wait for no pipe and take no thread of other tasks.
//!
//! All functions are listed here, the ones that are only passed on as well. So a function that a later release adds is a
//! compile error and not a hole. Paths are resolved by wasmtime's functions and by cap-std, and never here.

mod linking;
mod rules;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::fs::Dir;
use wasmtime::component::{Resource, ResourceTableError};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::preopens;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, Filesize, Host, HostDescriptor,
    HostDirectoryEntryStream, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, ReaddirIterator};

use crate::model::grants::{Access, SCRATCH};

use super::filestream::{Place, Target, WriteStream};
use super::filework::{Lane, ReadStream};
use super::measure::Amount;
use super::opening::{OpenAt, Opening, behind};
use super::quota::{self, Quota, Turn};

pub(super) use linking::add_to_linker;
pub(super) use rules::{FileRules, NoScratch};

/// The files of a cell, while one of its calls is served.
pub(super) struct Files<'a> {
    pub(super) wasi: WasiFilesystemCtxView<'a>,
    pub(super) rules: &'a FileRules,
}

type Fd = Resource<Descriptor>;
/// The quota, and what is open behind a descriptor.
type InScratch = (Arc<Quota>, Arc<File>);

/// An error of the disk or of the quota, as the guest is told.
fn failed(error: io::Error) -> FsError {
    if error.kind() == io::ErrorKind::QuotaExceeded { ErrorCode::Quota.into() } else { error.into() }
}

fn again<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

impl Files<'_> {
    /// A result as it crosses to the guest.
    fn told<T>(&mut self, result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(error) => self.convert_error_code(error).map(Err),
        }
    }

    /// The quota that a descriptor is under and what is open behind it, if it lies in the scratch directory.
    fn scratch(&self, fd: &Fd) -> Result<Option<InScratch>, ResourceTableError> {
        let open = behind(self.wasi.table.get(fd)?);
        let quota = self.rules.opened.get().map(|opened| &opened.quota).filter(|quota| quota.has(open));
        Ok(quota.map(|quota| (Arc::clone(quota), Arc::clone(open))))
    }

    /// Where its blocking work is done.
    fn lane(&self, fd: &Fd) -> Result<Lane, ResourceTableError> {
        Ok(if self.scratch(fd)?.is_some() { Lane::default() } else { self.rules.folders.clone() })
    }

    /// Waits until the guest may use a descriptor so. Returns where its blocking work is done.
    async fn may(&mut self, fd: &Fd, access: Access) -> FsResult<Lane> {
        let lane = self.lane(fd)?;
        self.rules.mounts.may(fd.rep(), access).await?;
        Ok(lane)
    }

    /// The quota and the open file of a descriptor of a file; wasmtime says what is wrong with others.
    fn scratch_file(&self, fd: &Fd) -> FsResult<Option<InScratch>> {
        match self.wasi.table.get(fd)? {
            Descriptor::File(_) => Ok(self.scratch(fd)?),
            Descriptor::Dir(_) => Ok(None),
        }
    }

    /// The same for a pair of descriptors, between which something is linked or moved. The scratch directory is a device
    /// of its own: what comes in or goes out is copied, else it would get past the quota.
    #[expect(clippy::type_complexity, reason = "used twice, and taken apart at once")]
    fn scratch_pair(&self, from: &Fd, to: &Fd) -> FsResult<Option<(Arc<Quota>, Arc<File>, Arc<File>)>> {
        match (self.scratch(from)?, self.scratch(to)?) {
            (Some((quota, from)), Some((_, to))) => Ok(Some((quota, from, to))),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(ErrorCode::CrossDevice.into()),
        }
    }

    /// Opens a file that is made if it is not there.
    async fn create_at(&mut self, quota: &Quota, fd: Fd, how: OpenAt) -> FsResult<Fd> {
        let mut turn = quota.turn().await;
        if !quota::admit_now(&mut turn, Amount::FILE) {
            // Opening what is there needs no room, and is no reason to measure.
            if let Some(existing) = how.if_there() {
                let opened = self.opened(&fd, existing).await;
                let missing = |error: &FsError| matches!(error.downcast_ref(), Some(ErrorCode::NoEntry));
                if !opened.as_ref().is_err_and(missing) {
                    return opened;
                }
            }
            turn = quota::admit(turn, Amount::FILE).await.map_err(failed)?;
        }
        let opened = self.opened(&fd, how).await;
        drop(turn);
        opened
    }

    /// Opens a file of a granted folder.
    async fn open_granted(&mut self, fd: Fd, how: OpenAt) -> FsResult<Fd> {
        let (from, access) = (fd.rep(), how.access());
        self.rules.mounts.may(from, access).await?;
        let existing = how.if_there().filter(|_| how.open.contains(OpenFlags::CREATE));
        let opened = match existing.filter(|_| self.rules.mounts.counts_inodes(from)) {
            // What is there is not made.
            Some(existing) => match self.opened(&fd, existing).await {
                Err(error) if matches!(error.downcast_ref(), Some(ErrorCode::NoEntry)) => None,
                opened => Some(opened?),
            },
            None => None,
        };
        let opened = if let Some(opened) = opened {
            opened
        } else {
            if how.open.contains(OpenFlags::CREATE) {
                self.rules.mounts.make(from).await?;
            }
            self.opened(&fd, how).await?
        };
        self.rules.mounts.opened(from, opened.rep(), access);
        Ok(opened)
    }

    /// Opens a regular file or a directory.
    async fn opened(&mut self, fd: &Fd, how: OpenAt) -> FsResult<Fd> {
        let Descriptor::Dir(dir) = self.wasi.table.get(fd)? else { return Err(ErrorCode::NotDirectory.into()) };
        let (opening, dir) = (Opening::new(how, dir.perms)?, Arc::clone(&dir.dir));
        let opened = self.lane(fd)?.blocking(move || opening.open(&dir)).await?;
        Ok(self.wasi.table.push(opened)?)
    }
}

/// Lets a check of depth look at the disk, if anything can be too deep at all.
async fn check_depth(
    turn: Turn,
    check: impl FnOnce(&mut quota::Books) -> io::Result<()> + Send + 'static,
) -> FsResult<Turn> {
    if turn.may_be_deep() { quota::check(turn, check).await.map_err(failed) } else { Ok(turn) }
}

impl Files<'_> {
    /// `get-directories`: the scratch directory, made now if it is not there yet, and what was granted.
    async fn directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let mut dirs = Vec::new();
        if let Some(scratch) = self.rules.scratch().await? {
            dirs.push((self.wasi.table.push(Descriptor::Dir(scratch.dir.clone()))?, SCRATCH.to_owned()));
        }
        for (place, (fd, path)) in preopens::Host::get_directories(&mut self.wasi)?.into_iter().enumerate() {
            self.rules.mounts.enter(fd.rep(), place);
            dirs.push((fd, path));
        }
        Ok(dirs)
    }
}

impl Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.wasi.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        let over = |error: &io::Error| error.kind() == io::ErrorKind::QuotaExceeded;
        if self.wasi.table.get(&error)?.downcast_ref().is_some_and(over) {
            return Ok(Some(ErrorCode::Quota));
        }
        self.wasi.filesystem_error_code(error)
    }
}

impl HostDescriptor for Files<'_> {
    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let creates = open.contains(OpenFlags::CREATE);
        let how = OpenAt { path_flags, path, open, flags };
        let Some((quota, _)) = self.scratch(&fd)? else { return self.open_granted(fd, how).await };
        self.rules.use_scratch();
        let opened = if creates { self.create_at(&quota, fd, how).await? } else { self.opened(&fd, how).await? };
        quota.add(behind(self.wasi.table.get(&opened)?));
        Ok(opened)
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, place: Filesize) -> FsResult<Filesize> {
        let Some((quota, file)) = self.scratch_file(&fd)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            self.rules.mounts.write(fd.rep(), bytes.len() as u64).await?;
            return lane.run(self.wasi.write(fd, bytes, place)).await;
        };
        let written = quota.change(move |books| books.write_at(&file, &bytes, place)).await;
        written.map(|bytes| bytes as Filesize).map_err(failed)
    }

    fn write_via_stream(&mut self, fd: Fd, place: Filesize) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&fd, Place::At(place))
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        self.write_stream(&fd, Place::End)
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        let Some((quota, file)) = self.scratch_file(&fd)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            let had = lane.run(self.wasi.stat(again(&fd))).await?.size;
            self.rules.mounts.write(fd.rep(), size.saturating_sub(had)).await?;
            return lane.run(self.wasi.set_size(fd, size)).await;
        };
        quota.change(move |books| books.set_size(&file, size)).await.map_err(failed)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let Some((quota, dir)) = self.scratch(&fd)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            self.rules.mounts.make(fd.rep()).await?;
            return lane.run(self.wasi.create_directory_at(fd, path)).await;
        };
        let turn = quota.admit(Amount::DIR).await.map_err(failed)?;
        let new = path.clone();
        let turn = check_depth(turn, move |books| books.check_new_dir(&dir, Path::new(&new))).await?;
        let made = self.wasi.create_directory_at(fd, path).await;
        drop(turn);
        made
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        let Some((quota, _)) = self.scratch(&fd)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            self.rules.mounts.make(fd.rep()).await?;
            return lane.run(self.wasi.symlink_at(fd, target, path)).await;
        };
        let link = Amount { bytes: target.len() as u64, ..Amount::FILE };
        let turn = quota.admit(link).await.map_err(failed)?;
        let made = self.wasi.symlink_at(fd, target, path).await;
        drop(turn);
        made
    }

    async fn link_at(&mut self, fd: Fd, flags: PathFlags, old: String, to: Fd, new: String) -> FsResult<()> {
        let Some((quota, ..)) = self.scratch_pair(&fd, &to)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            self.may(&to, Access::ReadWrite).await?;
            self.rules.mounts.make(to.rep()).await?;
            return lane.run(self.wasi.link_at(fd, flags, old, to, new)).await;
        };
        let turn = quota.admit(Amount::FILE).await.map_err(failed)?;
        let made = self.wasi.link_at(fd, flags, old, to, new).await;
        drop(turn);
        made
    }

    async fn rename_at(&mut self, fd: Fd, old: String, to: Fd, new: String) -> FsResult<()> {
        let Some((quota, from_dir, to_dir)) = self.scratch_pair(&fd, &to)? else {
            let lane = self.may(&fd, Access::ReadWrite).await?;
            self.may(&to, Access::ReadWrite).await?;
            return lane.run(self.wasi.rename_at(fd, old, to, new)).await;
        };
        // Nothing grows, but a measurement must not miss what moves.
        let (from, into) = (old.clone(), new.clone());
        let check =
            move |books: &mut quota::Books| books.check_move(&from_dir, Path::new(&from), &to_dir, Path::new(&into));
        let turn = check_depth(quota.turn().await, check).await?;
        let moved = self.wasi.rename_at(fd, old, to, new).await;
        drop(turn);
        moved
    }

    // What follows makes no directory larger.

    async fn advise(&mut self, fd: Fd, offset: Filesize, length: Filesize, advice: Advice) -> FsResult<()> {
        self.lane(&fd)?.run(self.wasi.advise(fd, offset, length, advice)).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.lane(&fd)?.run(self.wasi.sync_data(fd)).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.lane(&fd)?.run(self.wasi.get_flags(fd)).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.lane(&fd)?.run(self.wasi.get_type(fd)).await
    }

    async fn set_times(&mut self, fd: Fd, read: NewTimestamp, written: NewTimestamp) -> FsResult<()> {
        self.may(&fd, Access::ReadWrite).await?.run(self.wasi.set_times(fd, read, written)).await
    }

    async fn read(&mut self, fd: Fd, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        self.may(&fd, Access::Read).await?.run(self.wasi.read(fd, length, offset)).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<ReaddirIterator>> {
        let lane = self.may(&fd, Access::Read).await?;
        let Descriptor::Dir(dir) = self.wasi.table.get(&fd)? else { return self.wasi.read_directory(fd).await };
        let dir = Arc::clone(&dir.dir);
        // A look ahead, because afterwards all names are in memory.
        let count = move || Ok(Dir::from_std_file(dir.try_clone()?).entries()?.count() as u64);
        let names = lane.blocking(count).await;
        let names = names.map_err(failed)?;
        if !self.rules.listings().has_room_for(names) {
            return Err(ErrorCode::InsufficientMemory.into());
        }
        let listing = lane.run(self.wasi.read_directory(fd)).await?;
        self.rules.listings().names.insert(listing.rep(), names);
        Ok(listing)
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.lane(&fd)?.run(self.wasi.sync(fd)).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.may(&fd, Access::Read).await?.run(self.wasi.stat(fd)).await
    }

    async fn stat_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.may(&fd, Access::Read).await?.run(self.wasi.stat_at(fd, flags, path)).await
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        flags: PathFlags,
        path: String,
        read: NewTimestamp,
        written: NewTimestamp,
    ) -> FsResult<()> {
        let lane = self.may(&fd, Access::ReadWrite).await?;
        if !flags.contains(PathFlags::SYMLINK_FOLLOW) {
            return lane.run(self.wasi.set_times_at(fd, flags, path, read, written)).await;
        }
        // wasmtime opens whatever is there for that.
        let (open, flags) = (OpenFlags::empty(), DescriptorFlags::READ);
        let target = self.opened(&fd, OpenAt { path_flags: PathFlags::SYMLINK_FOLLOW, path, open, flags }).await?;
        let set = lane.run(self.wasi.set_times(again(&target), read, written)).await;
        self.wasi.table.delete(target)?;
        set
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.rules.mounts.forget(fd.rep());
        HostDescriptor::drop(&mut self.wasi, fd)
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.may(&fd, Access::Read).await?.run(self.wasi.readlink_at(fd, path)).await
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.may(&fd, Access::ReadWrite).await?.run(self.wasi.remove_directory_at(fd, path)).await
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.may(&fd, Access::ReadWrite).await?.run(self.wasi.unlink_file_at(fd, path)).await
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        let Descriptor::File(file) = self.wasi.table.get(&fd)? else { return Err(ErrorCode::IsDirectory.into()) };
        let stream = ReadStream::new(self.rules.work.on(self.lane(&fd)?), Arc::clone(&file.file), offset);
        let stream: DynInputStream = match self.rules.mounts.watch(fd.rep(), Access::Read) {
            Some(watch) => Box::new(watch.over_input(Box::new(stream))),
            None => Box::new(stream),
        };
        Ok(self.wasi.table.push(stream)?)
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        self.lane(&one)?.run(self.wasi.is_same_object(one, other)).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.may(&fd, Access::Read).await?.run(self.wasi.metadata_hash(fd)).await
    }

    async fn metadata_hash_at(&mut self, fd: Fd, flags: PathFlags, path: String) -> FsResult<MetadataHashValue> {
        self.may(&fd, Access::Read).await?.run(self.wasi.metadata_hash_at(fd, flags, path)).await
    }
}

impl HostDirectoryEntryStream for Files<'_> {
    async fn read_directory_entry(&mut self, stream: Resource<ReaddirIterator>) -> FsResult<Option<DirectoryEntry>> {
        self.wasi.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<ReaddirIterator>) -> wasmtime::Result<()> {
        self.rules.listings().names.remove(&stream.rep());
        HostDirectoryEntryStream::drop(&mut self.wasi, stream)
    }
}

impl Files<'_> {
    /// A stream into a file, under the quota if it lies in the scratch directory.
    fn write_stream(&mut self, fd: &Fd, place: Place) -> FsResult<Resource<DynOutputStream>> {
        let Descriptor::File(file) = self.wasi.table.get(fd)? else { return Err(ErrorCode::BadDescriptor.into()) };
        if file.perms.write_not_permitted() {
            return Err(ErrorCode::NotPermitted.into());
        }
        let granted = Arc::clone(&file.file);
        let stream = match self.scratch(fd)? {
            Some((quota, file)) => WriteStream::new(Target::Scratch(quota), file, place),
            None => WriteStream::new(Target::Granted(self.rules.work.on(self.lane(fd)?)), granted, place),
        };
        let stream: DynOutputStream = match self.rules.mounts.watch(fd.rep(), Access::ReadWrite) {
            Some(watch) => Box::new(watch.over_output(Box::new(stream))),
            None => Box::new(stream),
        };
        Ok(self.wasi.table.push(stream)?)
    }
}
