//! The Debian way: which folder it makes, whether that is made already, and making it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    Options, Target, ToolchainError,
    apt::{self, Installed},
    disk, environment,
    run::{Stopwatch, answer},
    sysroot::{self, Recipe},
};

/// The file that is written last, inside.
const MARK: &str = "complete";

/// A sysroot that is ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) folder: PathBuf,
    /// The Debian package's version.
    pub(crate) version: String,
}

/// What was made before, if it fits the packages that are installed now.
pub(crate) fn find(options: &Options) -> Option<Made> {
    let installed = Installed::look();
    let made = place(options, installed.usable()?);
    is_complete(&made.folder, options.target).then_some(made)
}

/// Installs the packages if need be and builds. The caller holds the lock.
pub(crate) fn make(options: &Options, say: &mut dyn FnMut(&str)) -> Result<Made, ToolchainError> {
    let watch = Stopwatch::start();
    let mut installed = Installed::look();
    if installed.usable().is_none() {
        apt::install(options.target, &apt::PACKAGES, say)?;
        installed = Installed::look();
    }
    let version = installed.usable().ok_or_else(|| installed.complaint(options.target))?;
    let made = place(options, version);
    if is_complete(&made.folder, options.target) {
        return Ok(made);
    }
    build(options, &made, say)?;
    say(&format!("made the guest toolchain in {} s: {}", watch.elapsed().as_secs(), made.folder.display()));
    Ok(made)
}

fn build(options: &Options, made: &Made, say: &mut dyn FnMut(&str)) -> Result<(), ToolchainError> {
    remove_leftovers(&options.cache_dir)?;
    let temporary = tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&options.cache_dir).map_err(|source| {
        ToolchainError::Disk { what: "create a folder in", path: options.cache_dir.clone(), source }
    })?;
    let about = answer(environment::debian_command(sysroot::RUSTC).arg("-vV"))
        .ok_or_else(|| ToolchainError::Incomplete(format!("{} does not run", sysroot::RUSTC)))?;
    let recipe = Recipe { target: options.target, folder: temporary.path(), compiler: &about };
    recipe.cook(say)?;
    disk::write(&temporary.path().join(MARK), "")?;
    disk::remove_dir(&made.folder)?;
    // Kept first: a folder that has been moved away must not be removed when the guard goes.
    disk::rename(&temporary.keep(), &made.folder)
}

/// How the folders of builds that are going on are called.
const TEMPORARY: &str = ".making-";

/// Removes what builds that were killed have left. Nobody else builds: the caller holds the lock.
fn remove_leftovers(cache_dir: &Path) -> Result<(), ToolchainError> {
    for path in disk::list(cache_dir)? {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY)) {
            disk::remove_dir(&path)?;
        }
    }
    Ok(())
}

fn place(options: &Options, version: &str) -> Made {
    let folder = options.cache_dir.join(folder_name(options.target, version, &sysroot::ingredients()));
    Made { folder, version: version.to_owned() }
}

/// Says what is in the folder: another compiler or another recipe makes another folder.
fn folder_name(target: Target, version: &str, ingredients: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in ingredients {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let version: String =
        version.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect();
    let mut name = format!("{target}-{version}-");
    for byte in hash.finalize().iter().take(6) {
        // Writing to a string does not fail.
        write!(name, "{byte:02x}").unwrap_or_default();
    }
    name
}

/// rustup's linkers are linked to, so they go away when that toolchain is removed.
fn is_complete(folder: &Path, target: Target) -> bool {
    folder.join(MARK).is_file() && sysroot::has_linkers(folder, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_after_what_it_is_made_from() {
        let name = folder_name(Target::Wasip2, "1.96.0+dfsg1-1~deb12u2", &["shim", "crt"]);
        assert_eq!(name, "wasm32-wasip2-1.96.0_dfsg1_1_deb12u2-813de52a9bda");
        assert_ne!(name, folder_name(Target::Wasip1, "1.96.0+dfsg1-1~deb12u2", &["shim", "crt"]));
        assert_ne!(name, folder_name(Target::Wasip2, "1.96.1+dfsg1-1~deb12u2", &["shim", "crt"]));
        assert_ne!(name, folder_name(Target::Wasip2, "1.96.0+dfsg1-1~deb12u2", &["shimc", "rt"]));
    }

    #[test]
    fn leftovers_go_and_the_rest_stays() {
        let cache = tempfile::tempdir().unwrap();
        for name in [".making-abc/lib", "wasm32-wasip2-1/lib"] {
            disk::create_dirs(&cache.path().join(name)).unwrap();
        }
        remove_leftovers(cache.path()).unwrap();
        assert_eq!(disk::list(cache.path()).unwrap(), [cache.path().join("wasm32-wasip2-1")]);
    }

    #[test]
    fn a_folder_without_its_mark_or_its_linkers_is_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        let is_complete = |target| is_complete(dir.path(), target);
        let bin = dir.path().join("lib/rustlib/some-host/bin");
        disk::create_dirs(&bin).unwrap();
        disk::write(&bin.join("rust-lld"), "").unwrap();
        assert!(!is_complete(Target::Wasip1), "without its mark");
        disk::write(&dir.path().join(MARK), "").unwrap();
        assert!(is_complete(Target::Wasip1));
        assert!(!is_complete(Target::Wasip2), "without the linker for components");
        disk::write(&bin.join("wasm-component-ld"), "").unwrap();
        assert!(is_complete(Target::Wasip2));
    }
}
