//! A private cache of compiled components. Why it is safe to map what is in it stands in `code.rs`.

use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::Xxh3;

use crate::code::{self, Code};

/// Bytes of a file that are read at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes of a seal: a checksum, a blank and a length.
const SEAL_BYTES_MAX: u64 = 32 + 1 + 20;

/// What code is made of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What makes the component that is compiled, when it is not the plugin itself.
    pub maker: &'a str,
    /// The SHA-256 of the plugin's bytes.
    pub digest: [u8; 32],
}

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
        source: io::Error,
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
        if meta.is_dir() && is_private(&meta) { Ok(Self { dir }) } else { Err(CacheError::NotPrivate { dir }) }
    }

    /// The compiled form of a component, if it is there and sound.
    ///
    /// A cache that cannot be read costs time and nothing else.
    #[must_use]
    pub fn find(&self, engine: &Engine, source: Source<'_>) -> Option<Component> {
        let path = self.dir.join(name(engine, source));
        // Read for the seal's sake: what is mapped is a file that nobody writes to in place.
        is_sound(&path).then(|| code::map(engine, &path).ok()).flatten()
    }

    /// Keeps compiled code for [`ArtifactCache::find`] under the same `source`. A full disk is no reason not to run, so
    /// nobody hears of one.
    pub fn keep(&self, engine: &Engine, source: Source<'_>, code: &Code) {
        let path = self.dir.join(name(engine, source));
        let _ = self.write(&path, code.bytes());
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        self.write_one(&seal_path(path), seal(path, code.len() as u64, code)?.as_bytes())?;
        self.write_one(path, code)
    }

    fn write_one(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }
}

fn seal_path(path: &Path) -> PathBuf {
    path.with_extension("seal")
}

/// The file's name: everything that the code depends on.
fn name(engine: &Engine, source: Source<'_>) -> String {
    let mut compatibility = HexHasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut compatibility);
    let mut all = compatibility.0;
    // Each by itself, so that no two sources of different parts are alike.
    all.update(Sha256::digest(source.maker));
    all.update(source.digest);
    format!("{}.cwasm", hex::encode(all.finalize()))
}

/// Whether a file of the cache is what [`ArtifactCache::keep`] wrote under this name.
fn is_sound(path: &Path) -> bool {
    let sealed = || {
        let mut told = String::new();
        open(&seal_path(path))?.take(SEAL_BYTES_MAX).read_to_string(&mut told)?;
        let code = open(path)?;
        // The length first: a file of another one need not be read, however long it is.
        let length = code.metadata()?.len();
        io::Result::Ok(told.ends_with(&length_of(length)) && seal(path, length, code)? == told)
    };
    sealed().unwrap_or(false)
}

/// Opens a file of ours for reading: not what a link leads to, not a pipe whose other end nobody holds, and not what
/// somebody else could have written.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if meta.is_file() && is_private(&meta) { Ok(file) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Whether it is this user's and lets nobody else in: the last six bits are the group's and everybody's.
fn is_private(meta: &std::fs::Metadata) -> bool {
    meta.mode().trailing_zeros() >= 6 && meta.uid() == rustix::process::geteuid().as_raw()
}

/// What the file's second file says of it: a checksum of its name and what is in it, so that it is sound nowhere else, and
/// how long it is. Whoever could write false code could seal it as well, so it need not be hard to forge: it
/// finds what was torn or has rotted, and is made of each plugin that is loaded.
fn seal(path: &Path, length: u64, mut code: impl io::Read) -> io::Result<String> {
    let mut all = Xxh3::new();
    all.update(path.file_name().unwrap_or_default().as_encoded_bytes());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match code.read(&mut piece)? {
            0 => break,
            read => all.update(piece.get(..read).unwrap_or_default()),
        }
    }
    Ok(format!("{}{}", hex::encode(all.digest128().to_be_bytes()), length_of(length)))
}

fn length_of(length: u64) -> String {
    format!(" {length}")
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

    fn source_of(component: &[u8]) -> Source<'static> {
        Source { maker: "", digest: Sha256::digest(component).into() }
    }

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
        let source = source_of(&component);
        assert!(cache.find(&engine, source).is_none());
        let code = Code::compile(&engine, &component).unwrap();
        code.load(&engine).unwrap();
        cache.keep(&engine, source, &code);
        let files = cwasm_files(&dir.path().join("cache"));
        assert_eq!(files.len(), 1);
        assert!(cache.find(&engine, source).is_some());
        let other = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        assert!(cache.find(&other, source).is_none(), "other settings are other code");
        assert!(cache.find(&engine, Source { maker: "x", ..source }).is_none(), "another source is other code");

        let mut bytes = std::fs::read(&files[0]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&files[0], bytes).unwrap();
        assert!(cache.find(&engine, source).is_none(), "a damaged file is not mapped");
        cache.keep(&engine, source, &code);
        assert!(cache.find(&engine, source).is_some(), "and it is made anew");
    }

    /// Where a lie can stand: in the code, and in its seal.
    const PLACES: [fn(&Path) -> PathBuf; 2] = [Path::to_path_buf, seal_path];

    /// A cache with the code of two components in it.
    struct Kept {
        dir: tempfile::TempDir,
        cache: ArtifactCache,
        engine: Engine,
        source: Vec<u8>,
        code: Code,
        file: PathBuf,
        other: PathBuf,
    }

    impl Kept {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let cache = ArtifactCache::open(dir.path().join("cache")).unwrap();
            let engine = Engine::default();
            let [source, other] = ["(component (core module (func)))", "(component (core module (func (param i32))))"]
                .map(|text| wat::parse_str(text).unwrap());
            let path = |source: &[u8]| dir.path().join("cache").join(name(&engine, source_of(source)));
            let (file, other_file) = (path(&source), path(&other));
            let code = Code::compile(&engine, &source).unwrap();
            cache.keep(&engine, source_of(&source), &code);
            cache.keep(&engine, source_of(&other), &Code::compile(&engine, &other).unwrap());
            let kept = Self { dir, cache, engine, source, code, file, other: other_file };
            assert!(kept.is_found() && kept.other.is_file());
            kept
        }

        fn is_found(&self) -> bool {
            self.cache.find(&self.engine, source_of(&self.source)).is_some()
        }

        fn fifo(path: &Path) {
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
    }

    /// Makes a file lie.
    type Tell = fn(&Kept, &Path);

    #[test]
    fn t22_whatever_way_a_file_of_the_cache_lies_it_is_not_mapped_and_made_anew() {
        let lies: [(&str, Tell); 12] = [
            ("it is empty", |_, file| std::fs::write(file, "").unwrap()),
            ("it is cut off", |_, file| {
                let bytes = std::fs::read(file).unwrap();
                std::fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
            }),
            ("it goes on", |_, file| std::fs::write(file, [std::fs::read(file).unwrap(), vec![0]].concat()).unwrap()),
            ("a bit of it is another", |_, file| {
                let mut bytes = std::fs::read(file).unwrap();
                bytes[20] ^= 1;
                std::fs::write(file, bytes).unwrap();
            }),
            ("it is rubbish", |_, file| std::fs::write(file, [0xff; 4096]).unwrap()),
            ("a tebibyte of it is nothing", |_, file| {
                std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(1 << 40).unwrap();
            }),
            ("it is not there", |_, file| std::fs::remove_file(file).unwrap()),
            ("a link to what was there", |kept, file| {
                let aside = kept.dir.path().join("aside");
                std::fs::rename(file, &aside).unwrap();
                std::os::unix::fs::symlink(aside, file).unwrap();
            }),
            ("a link to what has no end", |_, file| {
                std::fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("/dev/zero", file).unwrap();
            }),
            ("a pipe", |_, file| {
                std::fs::remove_file(file).unwrap();
                Kept::fifo(file);
            }),
            ("others may write to it", |_, file| {
                std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o620)).unwrap();
            }),
            ("others may read it", |_, file| {
                std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o604)).unwrap();
            }),
        ];
        for (lie, tell) in lies {
            for of in PLACES {
                let kept = Kept::new();
                tell(&kept, &of(&kept.file));
                assert!(!kept.is_found(), "{lie}");
                kept.cache.keep(&kept.engine, source_of(&kept.source), &kept.code);
                assert!(kept.is_found(), "{lie}: it is made anew");
            }
        }
    }

    #[test]
    fn t22_a_folder_under_the_name_of_a_file_costs_time_and_nothing_else() {
        for of in PLACES {
            let kept = Kept::new();
            let file = of(&kept.file);
            std::fs::remove_file(&file).unwrap();
            std::fs::create_dir_all(file.join("inside")).unwrap();
            assert!(!kept.is_found());
            kept.cache.keep(&kept.engine, source_of(&kept.source), &kept.code);
            assert!(!kept.is_found(), "what is in it is not ours to remove");
        }
    }

    #[test]
    fn t22_what_somebody_else_owns_is_not_mapped() {
        let kept = Kept::new();
        if std::os::unix::fs::chown(&kept.file, Some(65_534), None).is_err() {
            // Only root can give files away, and for anybody else it is as good as done by the folder's mode.
            return;
        }
        assert!(!kept.is_found());
    }

    #[test]
    fn t22_the_code_of_another_plugin_is_not_mapped_under_this_name_with_its_seal_neither() {
        let kept = Kept::new();
        for (from, to) in [(&kept.other, &kept.file), (&seal_path(&kept.other), &seal_path(&kept.file))] {
            std::fs::copy(from, to).unwrap();
        }
        assert!(!kept.is_found());
    }

    #[test]
    fn t22_code_of_another_wasmtime_or_of_other_settings_is_not_mapped_even_when_it_is_sealed() {
        let kept = Kept::new();
        let put = |code: &[u8]| kept.cache.write(&kept.file, code).unwrap();
        put(kept.code.bytes());
        assert!(kept.is_found(), "this is how it is put there");
        // Where wasmtime says of which version it is.
        let mut older = kept.code.bytes().to_vec();
        let at = find(&older, b"\x0248")
            .expect("its version is in its code, with its length; of another wasmtime it is another");
        older[at + 1] ^= 1;
        put(&older);
        assert!(!kept.is_found(), "an older wasmtime's");
        let other = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        put(Code::compile(&other, &kept.source).unwrap().bytes());
        assert!(!kept.is_found(), "other settings");
        put(b"\x7fELF and nothing else");
        assert!(!kept.is_found(), "no code");
        // What it would be without those: no such file.
        put(&[]);
        assert!(!kept.is_found(), "nothing at all");
    }

    fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
        bytes.windows(text.len()).position(|window| window == text)
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
