//! A private cache of compiled components. Why it is safe to map what is in it stands in `code.rs`.

use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::code::{self, Code};

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

    /// The compiled form of a component, if it is there and sound.
    ///
    /// `source` is what it was compiled from, and says so itself when something else than Cranelift's input decides over
    /// the code. A cache that cannot be read costs time and nothing else.
    #[must_use]
    pub fn find(&self, engine: &Engine, source: &[&[u8]]) -> Option<Component> {
        let path = self.dir.join(name(engine, source));
        // Read for the seal's sake: what is mapped is a file that nobody writes to in place.
        is_sound(&path).then(|| code::map(engine, &path).ok()).flatten()
    }

    /// Keeps compiled code for [`ArtifactCache::find`] under the same `source`. A full disk is no reason not to run, so
    /// nobody hears of one.
    pub fn keep(&self, engine: &Engine, source: &[&[u8]], code: &Code) {
        let path = self.dir.join(name(engine, source));
        let _ = self.write(&path, code.bytes());
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
fn name(engine: &Engine, source: &[&[u8]]) -> String {
    let mut compatibility = HexHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let mut all = compatibility.0;
    for part in source {
        // Each by itself, so that no two sources of different parts are alike.
        all.update(Sha256::digest(part));
    }
    format!("{}.cwasm", hex::encode(all.finalize()))
}

#[expect(clippy::disallowed_methods, reason = "this file owns the cache directory")]
fn is_sound(path: &Path) -> bool {
    let read = |path: &Path| std::fs::read(path).ok();
    matches!((read(&seal_path(path)), read(path)), (Some(told), Some(code)) if seal(&code).as_bytes() == told)
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
    fn what_was_kept_is_found_for_the_same_source_and_settings_while_it_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ArtifactCache::open(dir.path().join("cache")).unwrap();
        let engine = Engine::default();
        let component = wat::parse_str("(component (core module (func (export \"f\"))))").unwrap();
        let source = [component.as_slice()];
        assert!(cache.find(&engine, &source).is_none());
        let code = Code::compile(&engine, &component).unwrap();
        code.load(&engine).unwrap();
        cache.keep(&engine, &source, &code);
        let files = cwasm_files(&dir.path().join("cache"));
        assert_eq!(files.len(), 1);
        assert!(cache.find(&engine, &source).is_some());
        let other = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        assert!(cache.find(&other, &source).is_none(), "other settings are other code");
        assert!(cache.find(&engine, &[&component, b"x"]).is_none(), "another source is other code");

        let mut bytes = std::fs::read(&files[0]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&files[0], bytes).unwrap();
        assert!(cache.find(&engine, &source).is_none(), "a damaged file is not mapped");
        cache.keep(&engine, &source, &code);
        assert!(cache.find(&engine, &source).is_some(), "and it is made anew");
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
