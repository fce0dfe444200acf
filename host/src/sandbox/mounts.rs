//! The granted folders as a cell uses them: each call on them is looked at by the task's mandate, and what the task writes
//! there is counted.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmtime_wasi::p2::bindings::filesystem::types::ErrorCode;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi_io::bytes::Bytes;

use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, DirGrant};
use crate::model::policy::mandate::Verdict;
use crate::ports::mandate::{Space, part_of};
use crate::ports::runner::CellLink;

/// The granted folders of a cell, and which of its descriptors lie in them.
#[derive(Debug)]
pub(super) struct Mounts {
    link: Arc<CellLink>,
    /// In the order in which the guest is given them.
    dirs: Vec<DirGrant>,
    /// By the descriptor's number.
    open: Mutex<HashMap<u32, Open>>,
}

/// A descriptor in a granted folder, and what somebody has let it do who was asked when it was opened.
#[derive(Debug, Clone, Copy)]
struct Open {
    mount: usize,
    asked: Option<Access>,
}

impl Mounts {
    pub(super) fn new(link: Arc<CellLink>, dirs: Vec<DirGrant>) -> Self {
        Self { link, dirs, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, fd: u32) -> Option<(Open, &DirGrant)> {
        let open = *self.open().get(&fd)?;
        Some((open, self.dirs.get(open.mount)?))
    }

    /// The guest was given this folder, if it is one of the granted ones.
    pub(super) fn enter(&self, fd: u32, mount: usize) {
        if mount < self.dirs.len() {
            self.open().insert(fd, Open { mount, asked: None });
        }
    }

    /// Something was opened through another descriptor, to be used so.
    pub(super) fn opened(&self, from: u32, fd: u32, access: Access) {
        let mut open = self.open();
        if let Some(Open { mount, asked }) = open.get(&from).copied() {
            open.insert(fd, Open { mount, asked: asked.max(Some(access)) });
        }
    }

    pub(super) fn forget(&self, fd: u32) {
        self.open().remove(&fd);
    }

    /// Waits until the guest may use a descriptor so; those that lie in no granted folder are its own. What was asked about
    /// when a descriptor was opened is not asked about again.
    pub(super) async fn may(&self, fd: u32, access: Access) -> FsResult<()> {
        let Some((open, dir)) = self.found(fd) else { return Ok(()) };
        // What the folder was never given for is refused as by a disk that is read only.
        if access > dir.access {
            return Ok(());
        }
        let touch = touch(dir, access);
        if open.asked >= Some(access) && self.link.has_to_ask(&touch) {
            return Ok(());
        }
        self.link.permitted(touch).await.map_err(|_| ErrorCode::Access.into())
    }

    /// Counts what the guest is about to write there.
    pub(super) async fn write(&self, fd: u32, bytes: u64) -> FsResult<()> {
        self.spend(fd, bytes, 0).await
    }

    /// Counts a file, folder or link that it is about to make.
    pub(super) async fn make(&self, fd: u32) -> FsResult<()> {
        self.spend(fd, 0, 1).await
    }

    async fn spend(&self, fd: u32, bytes: u64, inodes: u64) -> FsResult<()> {
        let Some((_, dir)) = self.found(fd) else { return Ok(()) };
        if self.link.use_room(dir, bytes, inodes).await { Ok(()) } else { Err(ErrorCode::Quota.into()) }
    }

    /// Whether what it makes there is counted.
    pub(super) fn counts_inodes(&self, fd: u32) -> bool {
        self.found(fd).is_some_and(|(_, dir)| dir.inodes.is_some())
    }

    /// The watch over a stream of this descriptor's; `None` when it lies in no granted folder.
    pub(super) fn watch(&self, fd: u32, access: Access) -> Option<Watch> {
        let (_, dir) = self.found(fd)?;
        Some(Watch { link: self.link.clone(), touch: touch(dir, access), dir: dir.clone() })
    }
}

fn touch(dir: &DirGrant, access: Access) -> Touch {
    Touch::Dir { host: dir.host.clone(), guest: dir.guest.clone(), access }
}

/// Ends a stream when what it does is taken away: it may be open for long.
#[derive(Debug)]
pub(super) struct Watch {
    link: Arc<CellLink>,
    touch: Touch,
    dir: DirGrant,
}

impl Watch {
    pub(super) fn over_input(self, inner: DynInputStream) -> WatchedInput {
        WatchedInput { inner, watch: self }
    }

    pub(super) fn over_output(self, inner: DynOutputStream) -> WatchedOutput {
        WatchedOutput { inner, room: Room { watch: self, held: 0, is_full: false }, fault: Fault::None }
    }

    fn look(&self) -> StreamResult<()> {
        match self.link.mandate.decide(&self.touch) {
            // Somebody was asked when it was opened.
            Verdict::Allowed { .. } | Verdict::Ask { .. } => Ok(()),
            Verdict::Denied { denied, .. } => {
                Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, denied.to_string())))
            }
        }
    }
}

/// The part of a folder's quota that a stream holds for what it writes next: it cannot wait while it writes.
#[derive(Debug)]
struct Room {
    watch: Watch,
    held: u64,
    /// Whether there is no more to be had.
    is_full: bool,
}

/// Bytes that a stream holds at most, as many as a guest may write at once.
const HELD_MAX: u64 = 64 << 10;

impl Room {
    fn is_counted(&self) -> bool {
        self.watch.dir.bytes.is_some()
    }

    /// How many bytes of so many may be written now.
    fn free(&self, bytes: usize) -> usize {
        // What is over the quota is written and refused, so that the guest is told.
        if self.is_counted() && !self.is_full { bytes.min(usize::try_from(self.held).unwrap_or(bytes)) } else { bytes }
    }

    /// Waits until there is some room, if there will be any.
    async fn ready(&mut self) {
        if !self.is_counted() || self.held > 0 || self.is_full {
            return;
        }
        let Watch { link, dir, .. } = &self.watch;
        let part = part_of(dir.bytes.unwrap_or(u64::MAX)).min(HELD_MAX);
        loop {
            let most = link.mandate.bytes_left(dir).min(part);
            if most > 0 && link.use_room(dir, most, 0).await {
                self.held = most;
                return;
            }
            // Else another stream was faster.
            if most == 0 || link.mandate.bytes_left(dir) >= most {
                self.is_full = true;
                return;
            }
        }
    }

    /// Uses what is held, and what need not be waited for.
    fn write(&mut self, bytes: &Bytes) -> StreamResult<()> {
        self.watch.look()?;
        if !self.is_counted() {
            return Ok(());
        }
        let more = self.lacks(bytes);
        let Watch { link, dir, .. } = &self.watch;
        if more > 0 && link.mandate.use_room(dir, more, 0) != Space::Used {
            return Err(failed(io::ErrorKind::QuotaExceeded.into()));
        }
        self.use_held(bytes, more);
        Ok(())
    }

    /// The same, and waits.
    async fn write_all(&mut self, bytes: &Bytes) -> StreamResult<()> {
        self.watch.look()?;
        if !self.is_counted() {
            return Ok(());
        }
        let more = self.lacks(bytes);
        if more > 0 && !self.watch.link.use_room(&self.watch.dir, more, 0).await {
            return Err(failed(io::ErrorKind::QuotaExceeded.into()));
        }
        self.use_held(bytes, more);
        Ok(())
    }

    fn lacks(&self, bytes: &Bytes) -> u64 {
        (bytes.len() as u64).saturating_sub(self.held)
    }

    fn use_held(&mut self, bytes: &Bytes, more: u64) {
        self.held = self.held.saturating_add(more).saturating_sub(bytes.len() as u64);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.held > 0 {
            self.watch.link.mandate.give_back(&self.watch.dir, self.held);
        }
    }
}

fn failed(error: io::Error) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

/// An input stream from a granted folder.
pub(super) struct WatchedInput {
    inner: DynInputStream,
    watch: Watch,
}

#[wasmtime_wasi::async_trait]
impl Pollable for WatchedInput {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for WatchedInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.watch.look()?;
        self.inner.read(size)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.watch.look()?;
        self.inner.blocking_read(size).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// An output stream into a granted folder.
pub(super) struct WatchedOutput {
    inner: DynOutputStream,
    room: Room,
    fault: Fault,
}

/// What has become of bytes that were not written.
#[derive(Debug)]
enum Fault {
    None,
    /// The guest has not been told.
    Untold(StreamError),
    Told,
}

impl WatchedOutput {
    /// Tells the guest what went wrong, once.
    fn fault(&mut self) -> StreamResult<()> {
        match mem::replace(&mut self.fault, Fault::Told) {
            Fault::None => {
                self.fault = Fault::None;
                Ok(())
            }
            Fault::Untold(error) => Err(error),
            Fault::Told => Err(StreamError::Closed),
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for WatchedOutput {
    async fn ready(&mut self) {
        if matches!(self.fault, Fault::None) {
            self.inner.ready().await;
            self.room.ready().await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for WatchedOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.fault()?;
        match self.room.write(&bytes) {
            Ok(()) => self.inner.write(bytes),
            // With the next look whether more may be written, as when the disk is full.
            Err(error) => {
                self.fault = Fault::Untold(error);
                Ok(())
            }
        }
    }

    async fn blocking_write_and_flush(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.fault()?;
        self.room.write_all(&bytes).await.inspect_err(|_| self.fault = Fault::Told)?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        match self.fault {
            Fault::None => self.inner.flush(),
            // What went wrong is told by the look whether more may be written: libc reads no reason from a flush.
            Fault::Untold(_) => Ok(()),
            Fault::Told => Err(StreamError::Closed),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.fault()?;
        self.room.watch.look()?;
        let free = self.inner.check_write()?;
        Ok(self.room.free(free))
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
