//! The plugins that a server has when it starts: files in its directory.
//!
//! `NAME.wasm` is a plugin, and `NAME.disabled` beside it says that its tasks shall not be started. A file comes to its name
//! whole: it is written under another one, synced, and renamed. A signature that came along is `NAME.DIGEST.sig`, with the
//! beginning of the plugin's digest: so it is there before the plugin is, and is nothing to the one that is there before.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use crate::ports::failpoint::failpoint;
use crate::sandbox::load::{read_file, read_signature};
use crate::{LoadError, Plugin, PluginBytes, PluginDigest};

/// The folder in the server's directory.
const FOLDER: &str = "plugins";
/// Bytes of a plugin's name, as its manifest may have it.
const NAME_BYTES_MAX: usize = 64;
/// What a plain command is called that nobody gave a name.
const NO_NAME: &str = "plugin";
/// What the name of a signature's file ends with.
const SIGNATURE: &str = ".sig";
/// Digits of a digest that a signature's file is called by: enough to tell a plugin's versions apart.
const DIGITS: usize = 32;
/// What a file that is being written is in.
const STAGE: &str = ".new-";

/// Where a server keeps its plugins. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shelf {
    path: PathBuf,
    dir: Arc<Dir>,
}

/// Why a plugin was not kept, or not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShelfError {
    /// The disk did not do what was asked.
    #[error("failed to {what} in {}: {source}", folder.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file that a plugin was loaded from is another one by now.
    #[error("the file of the plugin {name} was changed while it was loaded; try it again")]
    Changed {
        /// The plugin's name.
        name: String,
    },
    /// That is no plugin's name.
    #[error("{name:?} is no plugin's name: lower-case letters, digits and `-`, at most {NAME_BYTES_MAX}")]
    Name {
        /// The name.
        name: String,
    },
}

/// What became of a plugin that is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keeping {
    /// None of its name was kept before.
    New,
    /// It is kept in the place of another one of its name.
    Replaced,
    /// The same file was kept already.
    Same,
}

/// A plugin's file on its way to the shelf. Dropped, it is thrown away.
#[derive(Debug)]
pub(super) struct Staged {
    shelf: Shelf,
    folder: String,
    file: String,
    digest: PluginDigest,
    /// The file of its signature, if it came with one.
    signature: Option<String>,
}

impl Shelf {
    /// The plugins of a server on this directory, which is made when it is missing, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub fn open(data: &Path) -> Result<Self, ShelfError> {
        let path = data.join(FOLDER);
        let failed = |source| ShelfError::Io { what: "open the folder of plugins", folder: path.clone(), source };
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&path).map_err(failed)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority()).map_err(failed)?;
        let shelf = Self { path, dir: Arc::new(dir) };
        // What was being written when a server was killed.
        for name in shelf.names().map_err(|source| shelf.failed("list the plugins", source))? {
            if name.starts_with(STAGE) {
                shelf.dir.remove_dir_all(&name).map_err(|source| shelf.failed("tidy up", source))?;
            }
        }
        Ok(shelf)
    }

    /// The plugins that are kept, by name, each with its file and whether it is enabled.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn kept(&self) -> Result<Vec<Kept>, ShelfError> {
        let mut names = self.names().map_err(|source| self.failed("list the plugins", source))?;
        names.sort_unstable();
        let kept = |name: &String| {
            let stem = name.strip_suffix(".wasm")?;
            Some(Kept { path: self.path.join(name), enabled: !names.contains(&disabled(stem)), name: stem.to_owned() })
        };
        Ok(names.iter().filter_map(kept).collect())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<cap_std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        self.dir.entries()?.map(name).collect()
    }

    fn failed(&self, what: &'static str, source: io::Error) -> ShelfError {
        ShelfError::Io { what, folder: self.path.clone(), source }
    }

    /// Writes a file beside the others, where it can be looked at before it is put among them. `name` is for a plain
    /// command, which is called as its file is. Blocks.
    pub(super) fn stage(&self, name: Option<&str>, bytes: &PluginBytes) -> Result<Staged, ShelfError> {
        let name = name.unwrap_or(NO_NAME);
        check(name)?;
        let PluginBytes { wasm, signature } = bytes;
        let folder = format!("{STAGE}{}", uuid::Uuid::new_v4().simple());
        let file = format!("{folder}/{name}.wasm");
        let signature_file = signature.as_ref().map(|_| format!("{file}.sig"));
        let digest = PluginDigest::of(wasm);
        let staged = Staged { shelf: self.clone(), folder, file, digest, signature: signature_file };
        let write = || {
            self.dir.create_dir(&staged.folder)?;
            self.write_new(&staged.file, wasm)?;
            match staged.signature.as_ref().zip(signature.as_ref()) {
                Some((file, signature)) => self.write_new(file, signature),
                None => Ok(()),
            }
        };
        write().map_err(|source| self.failed("write a plugin", source))?;
        Ok(staged)
    }

    fn write_new(&self, file: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.dir.open_with(file, OpenOptions::new().write(true).create_new(true))?;
        file.write_all(content)?;
        file.sync_all()
    }

    /// What a plugin that is kept is loaded from, with the signature that came with it. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or is larger than so many bytes.
    pub fn bytes(&self, kept: &Kept, bytes_max: u64) -> Result<PluginBytes, LoadError> {
        let bytes = read_file(&kept.path, bytes_max)?;
        let file = self.path.join(signature_file(&kept.name, &PluginDigest::of(&bytes.wasm)));
        match read_signature(&file) {
            Err(LoadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(bytes),
            read => Ok(PluginBytes { signature: Some(read?), ..bytes }),
        }
    }

    /// Keeps a plugin that was loaded from this, in the place of the one of its name that was kept before. Whether that
    /// one was enabled stays so. Blocks.
    ///
    /// # Errors
    /// When the disk does not take it, or it is another file by now.
    pub fn keep(&self, plugin: &Plugin, bytes: &PluginBytes) -> Result<Keeping, ShelfError> {
        let (name, digest) = (plugin.name(), plugin.digest());
        if PluginDigest::of(&bytes.wasm) != digest {
            return Err(ShelfError::Changed { name: name.to_owned() });
        }
        let is_there = self.dir.read(format!("{name}.wasm")).is_ok_and(|kept| kept == bytes.wasm);
        let signature = || self.dir.read(signature_file(name, &digest)).ok();
        if is_there && (bytes.signature.is_none() || bytes.signature == signature()) {
            return Ok(Keeping::Same);
        }
        let before = self.stage(Some(name), bytes)?.put(name)?;
        Ok(match before {
            Some(_) if is_there => Keeping::Same,
            Some(_) => Keeping::Replaced,
            None => Keeping::New,
        })
    }

    /// Takes a plugin off. One that is not there is no error. Blocks.
    pub(super) fn remove(&self, name: &str) -> Result<(), ShelfError> {
        check(name)?;
        let remove = || {
            remove(&self.dir, &format!("{name}.wasm"))?;
            remove(&self.dir, &disabled(name))?;
            self.forget_signatures(name, None)?;
            self.sync()
        };
        remove().map_err(|source| self.failed("remove a plugin", source))
    }

    /// Removes the signatures that came with a plugin, but that of the one with this digest.
    fn forget_signatures(&self, name: &str, but: Option<&PluginDigest>) -> io::Result<()> {
        let but = but.map(|digest| signature_file(name, digest));
        let is_of_it = |file: &String| {
            let rest = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| rest.ends_with(SIGNATURE)) && Some(file) != but.as_ref()
        };
        self.names()?.iter().filter(|file| is_of_it(file)).try_for_each(|file| remove(&self.dir, file))
    }

    /// Writes down whether a plugin is enabled. Blocks.
    pub(super) fn enable(&self, name: &str, enabled: bool) -> Result<(), ShelfError> {
        check(name)?;
        let write = || {
            if enabled {
                remove(&self.dir, &disabled(name))?;
            } else {
                self.dir.write(disabled(name), "")?;
            }
            self.sync()
        };
        write().map_err(|source| self.failed("write down that a plugin is enabled or disabled", source))
    }

    /// Makes names outlive the machine.
    fn sync(&self) -> io::Result<()> {
        // Opened anew: what a `Dir` holds is a place, and not a folder that can be read or synced.
        std::fs::OpenOptions::new().read(true).open(&self.path)?.sync_all()
    }
}

/// A plugin on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Whether its tasks can be started.
    pub enabled: bool,
}

impl Staged {
    /// Where it can be looked at.
    pub(super) fn path(&self) -> PathBuf {
        self.shelf.path.join(&self.file)
    }

    /// Puts it among the others. Gives what it takes the place of. Blocks.
    pub(super) fn put(self, name: &str) -> Result<Option<PluginBytes>, ShelfError> {
        check(name)?;
        let place = &self.shelf;
        let read = |file: &str| match place.dir.read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        };
        let put = || {
            let to = format!("{name}.wasm");
            let before = match read(&to)? {
                Some(wasm) => {
                    let signature = read(&signature_file(name, &PluginDigest::of(&wasm)))?;
                    Some(PluginBytes { wasm, signature })
                }
                None => None,
            };
            // First, so that the plugin is never there without it.
            if let Some(signature) = &self.signature {
                place.dir.rename(signature, &place.dir, signature_file(name, &self.digest))?;
            }
            failpoint!("plugin.kept");
            place.dir.rename(&self.file, &place.dir, &to)?;
            place.sync()?;
            // One that stays is nothing to the plugin that is there now.
            let _ = place.forget_signatures(name, Some(&self.digest));
            Ok(before)
        };
        put().map_err(|source| place.failed("put a plugin in its place", source))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What stays is thrown away when the next server starts.
        let _ = self.shelf.dir.remove_dir_all(&self.folder);
    }
}

/// Where the signature of a plugin with this digest is.
fn signature_file(name: &str, digest: &PluginDigest) -> String {
    let digest = digest.to_string();
    format!("{name}.{}{SIGNATURE}", digest.get(..DIGITS).unwrap_or(&digest))
}

fn disabled(name: &str) -> String {
    format!("{name}.disabled")
}

fn remove(dir: &Dir, name: &str) -> io::Result<()> {
    match dir.remove_file(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn check(name: &str) -> Result<(), ShelfError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(ShelfError::Name { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: &[u8]) -> PluginBytes {
        PluginBytes::new(bytes)
    }

    fn names(shelf: &Shelf) -> Vec<(String, bool)> {
        shelf.kept().unwrap().into_iter().map(|kept| (kept.name, kept.enabled)).collect()
    }

    #[test]
    fn a_plugin_is_there_whole_or_not_at_all() {
        let data = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(data.path()).unwrap();
        let staged = shelf.stage(Some("a"), &plain(b"one")).unwrap();
        assert!(staged.path().ends_with("a.wasm") && names(&shelf).is_empty());
        assert_eq!(staged.put("a").unwrap(), None);
        assert_eq!(shelf.stage(None, &plain(b"two")).unwrap().put("a").unwrap(), Some(plain(b"one")));
        drop(shelf.stage(Some("b"), &plain(b"three")).unwrap());
        shelf.enable("a", false).unwrap();
        assert_eq!(names(&shelf), [("a".to_owned(), false)]);
        std::mem::forget(shelf.stage(Some("c"), &plain(b"killed")).unwrap());
        let shelf = Shelf::open(data.path()).unwrap();
        assert_eq!(shelf.names().unwrap().len(), 2, "{:?}", shelf.names());
        shelf.enable("a", true).unwrap();
        assert_eq!(names(&shelf), [("a".to_owned(), true)]);
        shelf.remove("a").unwrap();
        shelf.remove("a").unwrap();
        assert!(names(&shelf).is_empty());
    }

    #[test]
    fn t23_a_signature_that_came_along_stays_with_its_plugin() {
        let data = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(data.path()).unwrap();
        let kept = || shelf.bytes(&shelf.kept().unwrap()[0], 100).unwrap();
        let (one, two) = (plain(b"one").signature(*b"first"), plain(b"two").signature(*b"second"));
        shelf.stage(Some("a"), &one).unwrap().put("a").unwrap();
        assert_eq!(kept(), one);
        // A server that is killed before the second one is there has the first one's still.
        let staged = shelf.stage(Some("a"), &two).unwrap();
        let signature = staged.signature.clone().unwrap();
        shelf.dir.rename(signature, &shelf.dir, signature_file("a", &staged.digest)).unwrap();
        drop(staged);
        assert_eq!(kept(), one);
        assert_eq!(shelf.stage(Some("a"), &two).unwrap().put("a").unwrap(), Some(one.clone()));
        assert_eq!(kept(), two);
        assert_eq!(shelf.names().unwrap().len(), 2, "{:?}", shelf.names());
        // The same file without one is no other file, and what is put back is as it was.
        shelf.stage(Some("a"), &plain(b"two")).unwrap().put("a").unwrap();
        assert_eq!(kept(), two);
        shelf.stage(Some("a"), &one).unwrap().put("a").unwrap();
        shelf.stage(Some("a-b"), &two).unwrap().put("a-b").unwrap();
        shelf.remove("a").unwrap();
        assert_eq!(kept(), two);
        assert_eq!(shelf.names().unwrap().len(), 2, "{:?}", shelf.names());
    }

    #[test]
    fn t30_a_name_leads_nowhere_else() {
        let data = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(data.path()).unwrap();
        for name in ["", "..", "../x", "a/b", "A", "x\0", &"x".repeat(65)] {
            assert!(shelf.stage(Some(name), &plain(b"")).is_err(), "{name:?}");
            assert!(shelf.remove(name).is_err(), "{name:?}");
            assert!(shelf.enable(name, false).is_err(), "{name:?}");
        }
    }
}
