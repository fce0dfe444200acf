//! The functions as a guest may call them, which is in more ways than its libc does.

use wasmtime_wasi::p2::{StreamError, bindings::filesystem::types::Host as _};
use wasmtime_wasi::{FsPerms, ResourceTable, WasiCtx};

use crate::model::grants::{DirGrant, Grants};
use crate::model::ids::TaskId;
use crate::model::limits::Limits;
use crate::model::policy::mandate::Mandate;
use crate::model::requests::{CapabilityRequest, Requested};
use crate::ports::mandate::LiveMandate;
use crate::ports::runner::CellLink;
use crate::ports::scratch::Scratch;
use crate::sandbox::mounts::Mounts;
use crate::sandbox::runner::dead_link;

use super::rules::Listings;
use super::*;

/// A cell's files: a scratch directory of 10 bytes, 3 names and 2 levels, and a granted folder.
struct Cell {
    wasi: WasiCtx,
    table: ResourceTable,
    rules: FileRules,
    dirs: [tempfile::TempDir; 2],
}

impl Cell {
    fn new() -> Self {
        let limits = Limits { scratch_bytes: 10, scratch_inodes: 3, scratch_depth: 2, ..Limits::default() };
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut wasi = WasiCtx::builder();
        wasi.preopened_dir(dirs[1].path(), "/data", FsPerms::ReadWrite).unwrap();
        let place = Dir::open_ambient_dir(dirs[0].path(), cap_std::ambient_authority()).unwrap();
        let scratch = Arc::new(Scratch::new(Arc::new(place), TaskId::from_random(7)));
        let rules =
            FileRules::new(&Arc::new(limits), &Arc::new(dead_link()), Vec::new(), Some(scratch), Lane::default());
        Self { wasi: wasi.build(), table: ResourceTable::new(), rules, dirs }
    }

    /// One whose granted folder is under a quota of its own, of 10 bytes and 2 names.
    fn with_quota() -> Self {
        let mut cell = Self::new();
        let mut dir = DirGrant::new(cell.dirs[1].path(), "/data", Access::ReadWrite);
        (dir.bytes, dir.inodes) = (Some(10), Some(2));
        let asked = Requested::new(&[CapabilityRequest::new("fs")], [""; 0]);
        let given = Grants { dirs: vec![dir.clone()], ..Grants::default() };
        let mandate = Arc::new(LiveMandate::new(Mandate::new(asked, None, Some(given))));
        // All of it is taken: there is no log here.
        mandate.has_room("/data", 10, 2);
        cell.rules.mounts = Mounts::new(Arc::new(CellLink { mandate, ..dead_link() }), vec![dir]);
        cell
    }

    fn files(&mut self) -> Files<'_> {
        let wasi = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        Files { wasi, rules: &self.rules }
    }

    /// The descriptors of the scratch directory and of the granted folder.
    async fn opened(&mut self) -> (Fd, Fd) {
        let mut dirs = self.files().directories().await.unwrap().into_iter();
        (dirs.next().unwrap().0, dirs.next().unwrap().0)
    }

    async fn create(&mut self, dir: &Fd, path: &str) -> FsResult<Fd> {
        let (create, write) = (OpenFlags::CREATE, DescriptorFlags::WRITE);
        self.files().open_at(again(dir), PathFlags::empty(), path.to_owned(), create, write).await
    }

    async fn open_dir(&mut self, dir: &Fd, path: &str) -> Fd {
        let (open, read) = (OpenFlags::DIRECTORY, DescriptorFlags::READ);
        self.files().open_at(again(dir), PathFlags::empty(), path.to_owned(), open, read).await.unwrap()
    }

    async fn make_dir(&mut self, dir: &Fd, path: &str) -> FsResult<()> {
        self.files().create_directory_at(again(dir), path.to_owned()).await
    }

    async fn rename(&mut self, from: &Fd, old: &str, to: &Fd, new: &str) -> FsResult<()> {
        self.files().rename_at(again(from), old.to_owned(), again(to), new.to_owned()).await
    }

    async fn link(&mut self, from: &Fd, old: &str, to: &Fd, new: &str) -> FsResult<()> {
        let (old, new) = (old.to_owned(), new.to_owned());
        self.files().link_at(again(from), PathFlags::empty(), old, again(to), new).await
    }
}

#[track_caller]
fn refused<T>(result: FsResult<T>, code: ErrorCode) {
    let Err(error) = result else { panic!("not refused") };
    assert_eq!(error.downcast_ref(), Some(&code));
}

#[tokio::test]
async fn t12_a_directorys_own_descriptor_is_no_way_around_the_quota() {
    let mut cell = Cell::new();
    let (scratch, data) = cell.opened().await;
    cell.make_dir(&scratch, "a").await.unwrap();
    let a = cell.open_dir(&scratch, "a").await;
    cell.make_dir(&a, "b").await.unwrap();
    let b = cell.open_dir(&a, "b").await;
    refused(cell.make_dir(&b, "c").await, ErrorCode::Quota);
    let file = cell.create(&b, "file").await.unwrap();
    refused(cell.create(&b, "other").await, ErrorCode::Quota);
    refused(cell.files().write(again(&file), vec![0; 11], 0).await, ErrorCode::Quota);
    assert_eq!(cell.files().write(file, vec![0; 10], 0).await.unwrap(), 10);
    refused(cell.link(&b, "file", &data, "x").await, ErrorCode::CrossDevice);
    refused(cell.rename(&b, "file", &data, "x").await, ErrorCode::CrossDevice);
    refused(cell.rename(&data, "x", &b, "file").await, ErrorCode::CrossDevice);
}

#[tokio::test]
async fn t12_a_handle_number_that_is_used_again_tells_nothing() {
    let mut cell = Cell::new();
    let (scratch, data) = cell.opened().await;
    let mut numbers = Vec::new();
    for round in 0..3 {
        let counted = cell.create(&scratch, "file").await.unwrap();
        numbers.push(counted.rep());
        refused(cell.files().write(again(&counted), vec![0; 11], 0).await, ErrorCode::Quota);
        HostDescriptor::drop(&mut cell.files(), counted).unwrap();

        let free = cell.create(&data, "file").await.unwrap();
        numbers.push(free.rep());
        assert_eq!(cell.files().write(again(&free), vec![0; 11], 0).await.unwrap(), 11, "{round}");
        HostDescriptor::drop(&mut cell.files(), free).unwrap();
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 1, "the table does use numbers again");
}

#[tokio::test]
async fn t12_a_stream_that_outlives_its_descriptor_is_under_the_quota() {
    let mut cell = Cell::new();
    let (scratch, _) = cell.opened().await;
    let file = cell.create(&scratch, "file").await.unwrap();
    let stream = cell.files().append_via_stream(again(&file)).unwrap();
    HostDescriptor::drop(&mut cell.files(), file).unwrap();
    cell.files().unlink_file_at(again(&scratch), "file".to_owned()).await.unwrap();
    let write = |cell: &mut Cell| cell.table.get_mut(&stream).unwrap().write(vec![0; 10].into());
    write(&mut cell).unwrap();
    cell.table.get_mut(&stream).unwrap().ready().await;
    // It has no name and no descriptor, and is still there.
    let other = cell.create(&scratch, "other").await.unwrap();
    refused(cell.files().write(other, vec![0; 1], 0).await, ErrorCode::Quota);

    write(&mut cell).unwrap();
    cell.table.get_mut(&stream).unwrap().ready().await;
    let failed = cell.table.get_mut(&stream).unwrap().check_write();
    let Err(StreamError::LastOperationFailed(error)) = failed else { panic!("not refused") };
    let error = cell.table.push(error).unwrap();
    assert_eq!(cell.files().filesystem_error_code(error).unwrap(), Some(ErrorCode::Quota));
}

#[tokio::test]
async fn t12_streams_into_a_granted_folder_end_at_its_quota_and_say_so() {
    let mut cell = Cell::with_quota();
    let (_, data) = cell.opened().await;
    let file = cell.create(&data, "file").await.unwrap();
    let streams = [cell.files().write_via_stream(again(&file), 0), cell.files().append_via_stream(again(&file))];
    let [first, second] = streams.map(Result::unwrap);
    cell.table.get_mut(&first).unwrap().blocking_write_and_flush(vec![0; 10].into()).await.unwrap();
    // As on a full disk, the reason comes with the next look whether more may be written, and not before.
    cell.table.get_mut(&first).unwrap().write(vec![0; 1].into()).unwrap();
    cell.table.get_mut(&first).unwrap().flush().unwrap();
    cell.table.get_mut(&first).unwrap().ready().await;
    let told = [
        (cell.table.get_mut(&first).unwrap().check_write().map(drop), first),
        (cell.table.get_mut(&second).unwrap().blocking_write_and_flush(vec![0; 1].into()).await, second),
    ];
    for (failed, stream) in told {
        let Err(StreamError::LastOperationFailed(error)) = failed else { panic!("not refused") };
        let error = cell.table.push(error).unwrap();
        assert_eq!(cell.files().filesystem_error_code(error).unwrap(), Some(ErrorCode::Quota));
        assert!(
            matches!(cell.table.get_mut(&stream).unwrap().check_write(), Err(StreamError::Closed)),
            "and is told once"
        );
    }
    refused(cell.files().write(again(&file), vec![0; 1], 0).await, ErrorCode::Quota);
    cell.create(&data, "file").await.unwrap();
    cell.create(&data, "other").await.unwrap();
    refused(cell.create(&data, "third").await, ErrorCode::Quota);
}

#[tokio::test]
async fn t07_names_of_a_listing_count_until_it_is_dropped() {
    let mut cell = Cell::new();
    let (_, data) = cell.opened().await;
    for name in ["one", "two"] {
        cell.create(&data, name).await.unwrap();
    }
    let listing = cell.files().read_directory(again(&data)).await.unwrap();
    assert!(!cell.rules.listings().has_room_for(Listings::NAMES_MAX - 1));
    assert!(cell.rules.listings().has_room_for(Listings::NAMES_MAX - 2));
    HostDirectoryEntryStream::drop(&mut cell.files(), listing).unwrap();
    assert!(cell.rules.listings().has_room_for(Listings::NAMES_MAX));

    cell.rules.listings().names.insert(u32::MAX, Listings::NAMES_MAX - 1);
    refused(cell.files().read_directory(data).await, ErrorCode::InsufficientMemory);
}

#[tokio::test]
async fn t12_what_leads_out_is_refused_by_the_checks_as_well() {
    let mut cell = Cell::new();
    let (scratch, _) = cell.opened().await;
    // So many directories that the checks look at the disk.
    for name in ["a", "b", "c"] {
        cell.make_dir(&scratch, name).await.unwrap();
    }
    let outside = cell.dirs[1].path().to_owned();
    for path in ["../x", "/x", "a/../../x", &format!("{}/x", outside.display())] {
        assert!(cell.make_dir(&scratch, path).await.is_err(), "{path}");
        assert!(cell.rename(&scratch, "a", &scratch, path).await.is_err(), "{path}");
        assert!(cell.rename(&scratch, path, &scratch, "y").await.is_err(), "{path}");
    }
}

#[test]
fn t07_listings_together_stay_within_the_cap() {
    let mut listings = Listings::default();
    assert!(listings.has_room_for(Listings::NAMES_MAX));
    listings.names.insert(1, Listings::NAMES_MAX - 1);
    assert!(listings.has_room_for(1));
    assert!(!listings.has_room_for(2));
    assert!(!listings.has_room_for(u64::MAX));
    listings.names.remove(&1);
    assert!(listings.has_room_for(Listings::NAMES_MAX));
}

#[test]
fn opening_what_is_there_asks_for_the_same_rights_as_making_it() {
    let (read, write) = (DescriptorFlags::READ, DescriptorFlags::WRITE);
    let make = |flags, open| OpenAt { path_flags: PathFlags::empty(), path: String::new(), open, flags };
    for (asked, given) in [(write, write), (read, read | write), (DescriptorFlags::empty(), read | write)] {
        let how = make(asked, OpenFlags::CREATE | OpenFlags::TRUNCATE).if_there().unwrap();
        assert_eq!((how.flags, how.open), (given, OpenFlags::TRUNCATE));
    }
    assert!(make(write, OpenFlags::CREATE | OpenFlags::EXCLUSIVE).if_there().is_none());
}

#[tokio::test]
async fn t12_times_are_set_without_opening_a_pipe() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let mut cell = Cell::new();
    let (_, data) = cell.opened().await;
    mknodat(CWD, cell.dirs[1].path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (follow, now) = (PathFlags::SYMLINK_FOLLOW, NewTimestamp::Now);
    let set = cell.files().set_times_at(again(&data), follow, "pipe".to_owned(), now, now).await;
    refused(set, ErrorCode::NotPermitted);
    cell.create(&data, "file").await.unwrap();
    let used = cell.table.iter_mut().count();
    cell.files().set_times_at(again(&data), follow, "file".to_owned(), now, now).await.unwrap();
    assert_eq!(cell.table.iter_mut().count(), used, "nothing stays open for it");
}
