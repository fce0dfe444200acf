//! Tests of a directory in which one host after the other lives.

use crate::ports::scratch::Scratch;

use crate::runtime::attachments::Attached;

use super::*;

fn data() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn id(number: u128) -> TaskId {
    TaskId::from_random(number)
}

fn known(tasks: &[TaskId]) -> HashSet<TaskId> {
    tasks.iter().copied().collect()
}

/// The next host on a directory, with what it knows.
fn next(data: &tempfile::TempDir, tasks: &[TaskId], attachments: &[u64]) -> HostDirs {
    let dirs = HostDirs::in_data(data.path()).unwrap();
    dirs.keep_only(&known(tasks), &attachments.iter().copied().collect());
    dirs.empty_trash();
    dirs
}

fn used(dirs: &HostDirs, id: TaskId) -> Scratch {
    let scratch = dirs.scratch(id);
    scratch.open().unwrap().write("f", b"12345").unwrap();
    assert!(scratch.close());
    scratch
}

fn count(dirs: &HostDirs, place: &str) -> usize {
    dirs.dir.read_dir(place).unwrap().count()
}

#[test]
fn r46_an_artifact_is_read_and_removed_by_the_next_host() {
    let data = data();
    let (mine, gone) = (id(1), id(2));
    let dirs = HostDirs::in_data(data.path()).unwrap();
    dirs.store(mine, 1, &mut &b"one"[..], 10).unwrap();
    dirs.store(gone, 1, &mut &b"one"[..], 10).unwrap();
    drop(dirs);
    let dirs = next(&data, &[mine], &[]);
    assert_eq!(dirs.read(mine, 1).unwrap(), b"one");
    assert!(dirs.has_files(mine) && !dirs.has_files(gone));
    let missing = dirs.read(gone, 1).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().contains(&format!("artifact 1 of task {gone} cannot be read")), "{missing}");
    dirs.remove_files(mine);
    assert_eq!(count(&dirs, "artifacts"), 0);
}

#[test]
fn r46_a_copy_that_was_not_written_down_is_in_nobodys_way() {
    let data = data();
    let dirs = HostDirs::in_data(data.path()).unwrap();
    dirs.store(id(1), 1, &mut &b"one"[..], 10).unwrap();
    // The host is killed before anybody is told of this one.
    dirs.store(id(1), 2, &mut &b"two"[..], 10).unwrap();
    drop(dirs);
    let dirs = next(&data, &[id(1)], &[]);
    dirs.store(id(1), 2, &mut &b"other"[..], 10).unwrap();
    assert_eq!((dirs.read(id(1), 1).unwrap(), dirs.read(id(1), 2).unwrap()), (b"one".to_vec(), b"other".to_vec()));
    let twice = dirs.store(id(1), 2, &mut &b"again"[..], 10).unwrap_err();
    assert!(twice.message.contains("failed to store"), "{twice:?}");
}

#[test]
fn r39_a_kept_directory_is_known_with_its_bytes_and_others_are_swept() {
    let data = data();
    let [kept, forgotten, running] = [id(1), id(2), id(3)];
    let dirs = HostDirs::in_data(data.path()).unwrap();
    for id in [kept, forgotten] {
        let scratch = used(&dirs, id);
        assert_eq!(dirs.keep_scratch(&scratch, id, 1000).unwrap(), Some(5));
    }
    used(&dirs, running);
    dirs.dir.create_dir_all("trash/7/1").unwrap();
    drop(dirs);
    let dirs = next(&data, &[kept, running], &[]);
    assert_eq!(dirs.kept_bytes(kept, 1000), Some(5));
    assert_eq!((dirs.kept_bytes(forgotten, 1000), dirs.kept_bytes(running, 1000)), (None, None));
    assert_eq!((count(&dirs, "scratch"), count(&dirs, "kept"), count(&dirs, "trash/left")), (0, 1, 0));
    // The next attempt of one that goes on has a directory of its own.
    used(&dirs, running);
    dirs.remove_files(kept);
    assert!(!dirs.kept_path(kept).exists());
}

#[test]
fn r39_a_directory_is_kept_that_its_host_had_no_time_to_keep() {
    let data = data();
    let dirs = HostDirs::in_data(data.path()).unwrap();
    used(&dirs, id(1));
    drop(dirs);
    let dirs = HostDirs::in_data(data.path()).unwrap();
    for id in [id(1), id(2)] {
        dirs.keep_left_scratch(id);
    }
    dirs.keep_only(&known(&[id(1), id(2)]), &HashSet::new());
    assert_eq!((dirs.kept_bytes(id(1), 1000), dirs.kept_bytes(id(2), 1000)), (Some(5), None));
}

#[test]
fn r47_attachments_are_there_for_a_task_that_goes_on_and_numbers_too() {
    let data = data();
    let dirs = Arc::new(HostDirs::in_data(data.path()).unwrap());
    let places: Vec<_> = (0..3).map(|_| dirs.new_attachments().unwrap().0).collect();
    dirs.dir.write("attachments/1/f", b"x").unwrap();
    drop(dirs);
    let dirs = Arc::new(next(&data, &[], &[1]));
    assert_eq!((places, count(&dirs, "attachments")), (vec![0, 1, 2], 1));
    let again = Attached::reopen(&dirs, 1).unwrap();
    assert!(again.place() == 1 && again.path().join("f").is_file());
    assert_eq!(Attached::reopen(&dirs, 2).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(dirs.new_attachments().unwrap().0, 3);
    // The end of a host is not the end of its tasks.
    let path = again.path();
    drop(again);
    assert!(path.exists());
    Attached::reopen(&dirs, 1).unwrap().remove();
    assert!(!path.exists());
}

#[test]
fn f26_what_has_another_name_is_left_alone_and_no_link_is_followed() {
    let (data, other) = (data(), data());
    let dirs = HostDirs::in_data(data.path()).unwrap();
    let elsewhere = Dir::open_ambient_dir(other.path(), cap_std::ambient_authority()).unwrap();
    elsewhere.create_dir("d").unwrap();
    elsewhere.write("d/f", b"x").unwrap();
    let name = |number| id(number).to_string();
    for place in ["artifacts", "output", "kept", "attachments"] {
        dirs.dir.write(format!("{place}/notes.txt"), b"x").unwrap();
        dirs.dir.create_dir(format!("{place}/07")).unwrap();
        // Of the right name, and not of the right kind.
        let link = if place == "attachments" { "5".to_owned() } else { name(1) };
        std::os::unix::fs::symlink(other.path().join("d"), data.path().join("files").join(place).join(link)).unwrap();
    }
    dirs.dir.create_dir(format!("output/{}", name(2))).unwrap();
    dirs.dir.write(format!("artifacts/{}", name(2)), b"x").unwrap();
    dirs.dir.create_dir("scratch/s").unwrap();
    std::os::unix::fs::symlink(other.path().join("d"), data.path().join("files/scratch/s/link")).unwrap();
    drop(dirs);
    let dirs = next(&data, &[], &[]);
    assert_eq!((count(&dirs, "artifacts"), count(&dirs, "output"), count(&dirs, "kept")), (4, 4, 3));
    assert_eq!((count(&dirs, "attachments"), count(&dirs, "scratch")), (3, 0));
    assert!((1..3).all(|number| !dirs.has_files(id(number)) && !dirs.had_output(id(number))));
    assert!(
        dirs.read(id(1), 1).is_err() && dirs.read_output(id(1)).is_err() && dirs.write_output(id(1), false).is_err()
    );
    assert!(elsewhere.exists("d/f"));
    // Numbers go on after the highest there is, whatever it is.
    assert_eq!(dirs.new_attachments().unwrap().0, 6);
    // In the place of a directory of the host's own it is an error.
    drop(dirs);
    let top = Dir::open_ambient_dir(data.path(), cap_std::ambient_authority()).unwrap();
    top.rename("files", &top, "moved").unwrap();
    std::os::unix::fs::symlink(other.path(), data.path().join("files")).unwrap();
    let refused = HostDirs::in_data(data.path()).unwrap_err();
    assert!(refused.to_string().ends_with("files is not a directory"), "{refused}");
}

#[test]
fn r39_nobody_else_looks_into_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let data = data();
    drop(HostDirs::in_data(data.path()).unwrap());
    for place in ["files", "files/output", "files/scratch"] {
        let mode = data.path().join(place).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{place}");
    }
}

#[test]
fn f25_what_lies_deep_in_the_trash_is_removed_by_the_next_host() {
    let data = data();
    let dirs = HostDirs::in_data(data.path()).unwrap();
    let mut dir = dirs.dir.open_dir("trash").unwrap();
    for _ in 0..2_000 {
        dir.create_dir("d").unwrap();
        dir.write("f", b"x").unwrap();
        dir = dir.open_dir("d").unwrap();
    }
    drop(dirs);
    // One that is killed in the middle of it.
    drop(HostDirs::in_data(data.path()).unwrap());
    let dirs = next(&data, &[], &[]);
    assert_eq!((count(&dirs, "trash"), count(&dirs, "trash/left")), (1, 0));
}
