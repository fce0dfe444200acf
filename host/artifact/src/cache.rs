//! A private cache of compiled components.
//!
//! # Why mapping these files is safe
//!
//! `Component::deserialize_file` runs whatever native code the file holds, so the file must be one that this program
//! wrote, unchanged:
//!
//! - The cache is a directory of our own user with mode 0700; [`ArtifactCache::open`] refuses any other, and a link in
//!   its place. Whoever can write there is this user already and needs no trick.
//! - A file comes into being under a temporary name in the same directory and is renamed, so nobody sees half of one.
//!   Nothing ever writes to a file in place, so a mapping never changes under a running task.
//! - Its name is the SHA-256 of the component's own digest and of wasmtime's version and compatibility hash, so code
//!   compiled for another component, engine setting or version is another file. Wasmtime checks the latter once more.
//! - The file carries a SHA-256 of itself in a second file beside it; a file that was torn or rotted is compiled anew.
//! - Nothing from outside is ever put in: the only writer is [`ArtifactCache::load`], with what Cranelift just made.

use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// A directory of compiled components that only this program writes to.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    dir: PathBuf,
}

/// Why the directory cannot serve as a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It cannot be made or read.
    #[error("failed to open the cache of compiled plugins at {}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may write to it, so what it holds cannot be trusted.
    #[error(
        "the cache of compiled plugins at {} is not private: it must be a directory of this user with mode 0700; \
         remove it, or name another place",
        dir.display()
    )]
    NotPrivate {
        /// The directory.
        dir: PathBuf,
    },
}

impl ArtifactCache {
    /// Opens the cache, making the directory with mode 0700 if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be made, is not this user's, or lets others in.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let dir = dir.into();
        let io = |source| CacheError::Io { dir: dir.clone(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(io)?;
        let meta = std::fs::symlink_metadata(&dir).map_err(io)?;
        // The last six bits are the group's and everybody's.
        let private =
            meta.is_dir() && meta.mode().trailing_zeros() >= 6 && meta.uid() == rustix::process::geteuid().as_raw();
        if private { Ok(Self { dir }) } else { Err(CacheError::NotPrivate { dir }) }
    }

    /// The compiled form of a component: from the cache if it is there and sound, else compiled now and kept.
    ///
    /// A cache that cannot be read or written costs time and nothing else.
    ///
    /// # Errors
    /// What Cranelift says about a component that it cannot compile.
    pub fn load(&self, engine: &Engine, component: &[u8]) -> wasmtime::Result<Component> {
        let path = self.dir.join(name(engine, component));
        if let Some(component) = read(engine, &path) {
            return Ok(component);
        }
        let compiled = Component::from_binary(engine, component)?;
        if let Ok(code) = compiled.serialize() {
            // A full disk is no reason not to run.
            let _ = self.write(&path, &code);
        }
        Ok(compiled)
    }

    fn write(&self, path: &Path, code: &[u8]) -> std::io::Result<()> {
        self.write_one(&seal_path(path), seal(code).as_bytes())?;
        self.write_one(path, code)
    }

    fn write_one(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }
}

fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

/// The file's name: everything that the code depends on.
fn name(engine: &Engine, component: &[u8]) -> String {
    let mut compatibility = HexHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let mut all = compatibility.0;
    all.update(Sha256::digest(component));
    format!("{}.cwasm", hex::encode(all.finalize()))
}

#[expect(clippy::disallowed_methods, reason = "this file owns the cache directory")]
fn read(engine: &Engine, path: &Path) -> Option<Component> {
    let seal = std::fs::read(seal_path(path)).ok()?;
    let code = std::fs::read(path).ok()?;
    if self::seal(&code).as_bytes() != seal {
        return None;
    }
    // SAFETY: the module's documentation is the argument. In short: the file lies in a directory that only this user
    // can write to, under a name that only `write` makes, holds what Cranelift made, and has just been checked.
    unsafe { Component::deserialize_file(engine, path) }.ok()
}

/// What the file's second file says of it.
fn seal(code: &[u8]) -> String {
    hex::encode(Sha256::digest(code))
}

/// Feeds what wasmtime wants hashed into SHA-256, because 64 bits are too few for a name that decides over code.
struct HexHasher(Sha256);

impl Hasher for HexHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests damage files of their own")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn cwasm_files(dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "cwasm")).collect()
    }

    #[test]
    fn compiles_once_and_again_when_the_file_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ArtifactCache::open(dir.path().join("cache")).unwrap();
        let engine = Engine::default();
        let component = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
        cache.load(&engine, &component).unwrap();
        let files = cwasm_files(&dir.path().join("cache"));
        assert_eq!(files.len(), 1);
        assert!(read(&engine, &files[0]).is_some());

        let mut code = std::fs::read(&files[0]).unwrap();
        let middle = code.len() / 2;
        code[middle] ^= 1;
        std::fs::write(&files[0], code).unwrap();
        assert!(read(&engine, &files[0]).is_none(), "a damaged file is not mapped");
        cache.load(&engine, &component).unwrap();
        assert!(read(&engine, &files[0]).is_some(), "and it is made anew");
    }

    #[test]
    fn t22_a_cache_that_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(ArtifactCache::open(dir.path()), Err(CacheError::NotPrivate { .. })));
        let link = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), link.path().join("cache")).unwrap();
        assert!(ArtifactCache::open(link.path().join("cache")).is_err());
    }
}
