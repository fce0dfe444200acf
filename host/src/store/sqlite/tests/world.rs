//! A disk that forgets what was not synced, and fails when it is told to. SQLite works on it as on any other.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs};

use crate::store::sqlite::open::Manner;

/// What a disk writes at once, or not.
const SECTOR: usize = 512;
/// The parts of the log's index.
const REGION: usize = 32768;

/// The disk.
#[derive(Debug, Clone)]
pub(crate) struct World {
    name: &'static str,
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    files: BTreeMap<String, File>,
    handles: u64,
    dice: u64,
    /// Operations until the power goes.
    left: Option<u64>,
    fate: Fate,
    syncs: u64,
    /// Writes for which there was no room.
    refused: u64,
    /// How often somebody waited for a lock.
    sleeps: u64,
}

/// How it goes with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Works,
    /// Files cannot grow.
    Full,
    /// What is written does not become safe, and the system says so once: it is read as it was written, some of it is on the
    /// disk, and the rest never will be.
    SyncFails,
    /// The power is gone, and nothing answers.
    Dark,
}

#[derive(Debug, Default)]
struct File {
    /// As it is read.
    live: Vec<u8>,
    /// As it was when it was last synced; `None` when its name may be lost too.
    safe: Option<Vec<u8>>,
    /// What was done since then.
    pending: Vec<Change>,
    locks: BTreeMap<u64, LockKind>,
    index: Vec<Vec<u8>>,
    index_locks: BTreeMap<(u8, u64), WalIndexLock>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl World {
    /// A disk that works, and whose chances come from a seed.
    pub(super) fn new(seed: u64) -> Self {
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let name: &str = format!("world-{}", WORLDS.fetch_add(1, Ordering::Relaxed)).leak();
        let (files, fate) = (BTreeMap::new(), Fate::Works);
        let disk = Disk {
            files,
            handles: 0,
            dice: seed.wrapping_mul(2).wrapping_add(1),
            left: None,
            fate,
            syncs: 0,
            refused: 0,
            sleeps: 0,
        };
        let world = Self { name, disk: Arc::new(Mutex::new(disk)) };
        sqlite_vfs::register(name, world.clone(), false).unwrap();
        world
    }

    pub(super) fn manner(&self) -> Manner {
        Manner { disk: Some(self.name), ..Manner::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }

    pub(crate) fn dice(&self, sides: u64) -> u64 {
        self.lock().dice(sides)
    }

    /// Nothing is read or written as long as this is held.
    pub(super) fn hold(&self) -> impl Sized {
        self.lock()
    }

    /// From now on.
    pub(super) fn set(&self, fate: Fate) {
        self.lock().fate = fate;
    }

    /// The power goes after this many operations.
    pub(crate) fn darkens_after(&self, operations: u64) {
        self.lock().left = Some(operations);
    }

    pub(super) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    pub(super) fn refused(&self) -> u64 {
        self.lock().refused
    }

    pub(super) fn sleeps(&self) -> u64 {
        self.lock().sleeps
    }

    /// The power is lost, and comes back: what was not synced is there, or not, or in parts.
    pub(crate) fn lose_power(&self) {
        let mut disk = self.lock();
        (disk.left, disk.fate) = (None, Fate::Works);
        let mut files = std::mem::take(&mut disk.files);
        files.retain(|_, file| file.safe.is_some() || disk.dice(2) == 0);
        for file in files.values_mut() {
            let mut bytes = file.safe.take().unwrap_or_default();
            for change in std::mem::take(&mut file.pending) {
                disk.perhaps(&change, &mut bytes);
            }
            *file = File { live: bytes.clone(), safe: Some(bytes), ..File::default() };
        }
        disk.files = files;
    }

    /// The process is killed: what it has written is there.
    pub(super) fn kill(&self) {
        let mut disk = self.lock();
        (disk.left, disk.fate) = (None, Fate::Works);
        for file in disk.files.values_mut() {
            file.locks.clear();
            file.index_locks.clear();
            file.index.clear();
        }
    }
}

impl Disk {
    fn dice(&mut self, sides: u64) -> u64 {
        // Xorshift.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 16) % sides
    }

    /// Applies a change that nobody has waited for.
    fn perhaps(&mut self, change: &Change, bytes: &mut Vec<u8>) {
        match (self.dice(3), change) {
            (0, _) => {}
            (1, Change::Write(at, data)) => {
                for (number, sector) in data.chunks(SECTOR).enumerate() {
                    if self.dice(2) == 0 {
                        Change::Write(at + number * SECTOR, sector.to_vec()).apply(bytes);
                    }
                }
            }
            _ => change.apply(bytes),
        }
    }

    /// One operation that changes something.
    fn operate(&mut self) -> Result<()> {
        match &mut self.left {
            Some(0) => (self.left, self.fate) = (None, Fate::Dark),
            Some(left) => *left -= 1,
            None => {}
        }
        self.look()
    }

    fn look(&self) -> Result<()> {
        if self.fate == Fate::Dark { Err(Error::other("the power is gone")) } else { Ok(()) }
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    world: World,
    path: String,
    id: u64,
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut File) -> T) -> T {
        act(self.world.lock().files.entry(self.path.clone()).or_default())
    }

    fn change(&self, change: Change) -> Result<()> {
        let mut disk = self.world.lock();
        disk.look()?;
        let is_full = disk.fate == Fate::Full;
        let operated = disk.operate();
        let file = disk.files.entry(self.path.clone()).or_default();
        if let Change::Write(at, data) = &change
            && is_full
            && at + data.len() > file.live.len()
        {
            disk.refused += 1;
            return Err(ErrorKind::WriteZero.into());
        }
        if let Change::Length(length) = &change
            && is_full
            && *length > file.live.len()
        {
            // SQLite only says how much it will need.
            return operated;
        }
        // One in which the power goes may have been begun.
        change.apply(&mut file.live);
        file.pending.push(change);
        operated
    }
}

impl Vfs for World {
    type Handle = Handle;

    fn open(&self, path: &str, options: OpenOptions) -> Result<Handle> {
        let mut disk = self.lock();
        disk.look()?;
        let makes = matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew);
        // The database itself is made before SQLite opens it.
        if !makes && !disk.files.contains_key(path) && path.ends_with("-wal") {
            return Err(ErrorKind::NotFound.into());
        }
        disk.files.entry(path.to_owned()).or_default();
        disk.handles += 1;
        Ok(Handle { world: self.clone(), path: path.to_owned(), id: disk.handles })
    }

    fn delete(&self, path: &str) -> Result<()> {
        let mut disk = self.lock();
        disk.operate()?;
        disk.files.remove(path);
        Ok(())
    }

    fn exists(&self, path: &str) -> Result<bool> {
        let disk = self.lock();
        disk.look()?;
        Ok(disk.files.contains_key(path))
    }

    fn temporary_name(&self) -> String {
        format!("temporary-{}", self.dice(u64::MAX))
    }

    fn random(&self, buffer: &mut [i8]) {
        buffer.fill_with(|| i8::try_from(self.dice(128)).unwrap());
    }

    fn sleep(&self, duration: Duration) -> Duration {
        self.lock().sleeps += 1;
        std::thread::yield_now();
        duration
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> Result<u64> {
        self.world.lock().look()?;
        Ok(self.with(|file| u64::try_from(file.live.len()).unwrap()))
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], at: u64) -> Result<()> {
        self.world.lock().look()?;
        self.with(|file| {
            let at = usize::try_from(at).unwrap().min(file.live.len());
            let there = (file.live.len() - at).min(buffer.len());
            buffer[..there].copy_from_slice(&file.live[at..at + there]);
            buffer[there..].fill(0);
            if there < buffer.len() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
        })
    }

    fn write_all_at(&mut self, data: &[u8], at: u64) -> Result<()> {
        self.change(Change::Write(usize::try_from(at).unwrap(), data.to_vec()))
    }

    fn sync(&mut self, _: bool) -> Result<()> {
        let mut disk = self.world.lock();
        disk.operate()?;
        if disk.fate == Fate::SyncFails {
            let file = disk.files.entry(self.path.clone()).or_default();
            let mut safe = file.safe.take().unwrap_or_default();
            for change in std::mem::take(&mut file.pending) {
                disk.perhaps(&change, &mut safe);
            }
            disk.files.entry(self.path.clone()).or_default().safe = Some(safe);
            return Err(Error::other("the disk does not answer"));
        }
        disk.syncs += 1;
        let file = disk.files.entry(self.path.clone()).or_default();
        let mut safe = file.safe.take().unwrap_or_default();
        file.pending.drain(..).for_each(|change| change.apply(&mut safe));
        file.safe = Some(safe);
        Ok(())
    }

    fn set_len(&mut self, length: u64) -> Result<()> {
        self.change(Change::Length(usize::try_from(length).unwrap()))
    }

    fn lock(&mut self, wanted: LockKind) -> Result<bool> {
        let id = self.id;
        Ok(self.with(|file| {
            let of_others = file.locks.iter().filter(|(holder, _)| **holder != id).map(|(_, lock)| *lock);
            let others = of_others.fold(LockKind::None, |most, lock| if lock > most { lock } else { most });
            let (given, is_all) = match wanted {
                LockKind::None => (LockKind::None, true),
                LockKind::Shared => (LockKind::Shared, others < LockKind::Pending),
                LockKind::Reserved | LockKind::Pending => (wanted, others < LockKind::Reserved),
                LockKind::Exclusive => (LockKind::Exclusive, others == LockKind::None),
            };
            if is_all {
                file.locks.insert(id, given);
            }
            is_all
        }))
    }

    fn reserved(&mut self) -> Result<bool> {
        Ok(self.with(|file| file.locks.values().any(|lock| *lock >= LockKind::Reserved)))
    }

    fn current_lock(&self) -> Result<LockKind> {
        Ok(self.with(|file| file.locks.get(&self.id).copied().unwrap_or(LockKind::None)))
    }

    fn wal_index(&self, _: bool) -> Result<Index> {
        let file = Handle { world: self.world.clone(), path: self.path.clone(), id: self.id };
        Ok(Index { file, seen: BTreeMap::new() })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(file) = self.world.lock().files.get_mut(&self.path) {
            file.locks.remove(&self.id);
        }
    }
}

/// The log's index, which is in memory and shared. Each connection has a copy, and hands back the words that it has changed:
/// a copy as a whole would take back what another connection has written meanwhile.
#[derive(Debug)]
pub(crate) struct Index {
    file: Handle,
    /// The regions as they were when they were last looked at or handed back.
    seen: BTreeMap<u32, Vec<u8>>,
}

/// SQLite writes whole words.
const WORD: usize = 4;

impl Index {
    fn region<T>(&self, region: u32, act: impl FnOnce(&mut [u8]) -> T) -> T {
        let region = usize::try_from(region).unwrap();
        self.file.with(|file| {
            if file.index.len() <= region {
                file.index.resize(region + 1, vec![0; REGION]);
            }
            act(&mut file.index[region])
        })
    }
}

impl WalIndex for Index {
    fn map(&mut self, region: u32) -> Result<[u8; REGION]> {
        let data: [u8; REGION] = self.region(region, |bytes| (&*bytes).try_into().unwrap());
        self.seen.insert(region, data.to_vec());
        Ok(data)
    }

    fn lock(&mut self, slots: Range<u8>, wanted: WalIndexLock) -> Result<bool> {
        let id = self.file.id;
        Ok(self.file.with(|file| {
            let others = |slot: u8| {
                file.index_locks
                    .iter()
                    .filter(move |((of, holder), _)| *of == slot && *holder != id)
                    .map(|(_, lock)| *lock)
            };
            let is_given = slots.clone().all(|slot| match wanted {
                WalIndexLock::None => true,
                WalIndexLock::Shared => others(slot).all(|lock| lock == WalIndexLock::Shared),
                WalIndexLock::Exclusive => others(slot).next().is_none(),
            });
            for slot in slots.filter(|_| is_given) {
                match wanted {
                    WalIndexLock::None => file.index_locks.remove(&(slot, id)),
                    WalIndexLock::Shared | WalIndexLock::Exclusive => file.index_locks.insert((slot, id), wanted),
                };
            }
            is_given
        }))
    }

    fn delete(self) -> Result<()> {
        self.file.with(|file| file.index.clear());
        Ok(())
    }

    fn pull(&mut self, region: u32, data: &mut [u8; REGION]) -> Result<()> {
        self.region(region, |bytes| data.copy_from_slice(bytes));
        self.seen.insert(region, data.to_vec());
        Ok(())
    }

    fn push(&mut self, region: u32, data: &[u8; REGION]) -> Result<()> {
        let seen = self.seen.insert(region, data.to_vec()).unwrap_or_else(|| vec![0; REGION]);
        self.region(region, |bytes| {
            let words = bytes.chunks_mut(WORD).zip(data.chunks(WORD)).zip(seen.chunks(WORD));
            for ((shared, mine), _) in words.filter(|((_, mine), seen)| mine != seen) {
                shared.copy_from_slice(mine);
            }
        });
        Ok(())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let id = self.file.id;
        if let Some(file) = self.file.world.lock().files.get_mut(&self.file.path) {
            file.index_locks.retain(|(_, holder), _| *holder != id);
        }
    }
}
