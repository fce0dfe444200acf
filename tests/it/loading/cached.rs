//! A cache of compiled plugins whose files lie, and a plugin's file that is another one by the time it is compiled. Guests
//! run, so that it shows whose code it is.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use taskcell::{Compiler, Host, Limits, PluginDigest, StartRequest};
use tempfile::TempDir;

use super::compiling::Script;
use crate::support::component::{Handmade, outcome_of};
use crate::support::files::{names, read, remove, rename, set_mode, write};
use crate::support::process;
use crate::support::task::{data, outcome, start_as};
use crate::support::within;

/// Pages of memory that it has.
const PAGES: u64 = 3;

/// A plugin whose task says this digit.
fn saying(number: u32) -> Vec<u8> {
    let said = outcome_of(&[(12, 1), (16, 2600), (20, 1)]);
    Handmade::new("made").field(&format!(r#"(data (i32.const 2600) "{number}")"#)).run(said).bytes()
}

/// A cache, and a compiler that counts what it is asked to compile.
struct Cached {
    cache: TempDir,
    compiler: Script,
}

impl Cached {
    fn new() -> Self {
        Self::with("")
    }

    /// The same, whose compiler does this first.
    fn with(first: &str) -> Self {
        let run = format!("{first}\necho >> compiled\nexec {} \"$1\"", process::taskcell().display());
        Self { cache: tempfile::tempdir().unwrap(), compiler: Script::new(&run) }
    }

    fn dir(&self) -> PathBuf {
        self.cache.path().join("cache")
    }

    fn host(&self) -> Host {
        self.host_with(&Limits::default())
    }

    fn host_with(&self, limits: &Limits) -> Host {
        let compiler = Compiler::Helper(self.compiler.path());
        Host::builder().running_max(4).compiler(compiler).cache_dir(self.dir()).limits(*limits).build().unwrap()
    }

    fn compiled(&self) -> usize {
        let log = self.compiler.file("compiled");
        if log.exists() { read(log).len() } else { 0 }
    }

    /// The files that are there, code and seal, and were not there before.
    fn new_files(&self, before: &[String]) -> [PathBuf; 2] {
        let new: Vec<_> = names(self.dir()).into_iter().filter(|name| !before.contains(name)).collect();
        let of = |ending: &str| self.dir().join(new.iter().find(|name| name.ends_with(ending)).unwrap());
        assert_eq!(new.len(), 2, "{new:?}");
        [of(".cwasm"), of(".seal")]
    }
}

/// What the plugin's task says.
async fn says(host: &Host) -> Value {
    data(outcome(&start_as(host, StartRequest::new("made", "go")).await).await)
}

/// Loads it on a host of its own, and lets it say what it is.
async fn runs(cached: &Cached, plugin: &[u8]) -> Value {
    let host = cached.host();
    within(host.load_plugin_bytes("made", plugin.to_vec())).await.unwrap();
    says(&host).await
}

fn pipe(path: &Path) {
    remove(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn changed(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = read(path);
    change(&mut bytes);
    write(path, bytes);
}

#[tokio::test]
async fn t22_whatever_way_the_cache_lies_each_plugin_does_what_it_is() {
    let cached = Cached::new();
    let (one, two) = (saying(1), saying(2));
    assert_eq!(runs(&cached, &one).await, json!(1));
    let mine = cached.new_files(&[]);
    let before = names(cached.dir());
    assert_eq!(runs(&cached, &two).await, json!(2));
    let others = cached.new_files(&before);
    assert_eq!(runs(&cached, &one).await, json!(1));
    assert_eq!(cached.compiled(), 2, "what is sound is compiled once");

    let aside = cached.cache.path().join("aside");
    let lies: [(&str, &dyn Fn(usize)); 8] = [
        ("cut off", &|which| changed(&mine[which], |bytes| bytes.truncate(bytes.len() / 2))),
        ("a bit of it is another", &|which| changed(&mine[which], |bytes| bytes[20] ^= 1)),
        ("of another plugin", &|which| write(&mine[which], read(&others[which]))),
        ("of another plugin, with its seal", &|_| {
            for (mine, other) in mine.iter().zip(&others) {
                write(mine, read(other));
            }
        }),
        ("a link", &|which| {
            rename(&mine[which], &aside);
            symlink(&aside, &mine[which]).unwrap();
        }),
        ("a link to what has no end", &|which| {
            remove(&mine[which]);
            symlink("/dev/zero", &mine[which]).unwrap();
        }),
        ("a pipe", &|which| pipe(&mine[which])),
        ("one that others may write to", &|which| set_mode(&mine[which], 0o666)),
    ];
    for (lie, tell) in lies {
        for which in [0, 1] {
            let compiled = cached.compiled();
            tell(which);
            assert_eq!(runs(&cached, &one).await, json!(1), "{lie}");
            assert_eq!(cached.compiled(), compiled + 1, "{lie}: it is not believed");
            assert_eq!(runs(&cached, &one).await, json!(1), "{lie}");
            assert_eq!(cached.compiled(), compiled + 1, "{lie}: it is made anew");
            assert_eq!(runs(&cached, &two).await, json!(2), "{lie}");
        }
    }
}

#[tokio::test]
async fn t22_code_that_is_kept_is_held_against_the_memory_limit_of_the_host_that_finds_it() {
    let cached = Cached::new();
    let plugin = saying(1);
    assert_eq!(runs(&cached, &plugin).await, json!(1));
    let mut less = Limits::default();
    // A byte less than the plugin has: the engine rounds up to whole pages, and has room for it.
    less.memory_bytes = (PAGES << 16) - 1;
    let host = cached.host_with(&less);
    let says =
        async |bytes: &[u8]| within(host.load_plugin_bytes("made", bytes.to_vec())).await.unwrap_err().to_string();
    // Never compiled, and compiled before: it is refused for the same reason, in the same words.
    assert_eq!(says(&saying(2)).await, says(&plugin).await);
    assert!(says(&plugin).await.contains("of memory to begin with"), "{}", says(&plugin).await);
    assert_eq!(cached.compiled(), 1);
}

#[tokio::test]
async fn t22_a_file_that_is_another_one_when_it_is_compiled_is_the_one_that_was_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, other) = (folder.path().join("plugin.wasm"), folder.path().join("other.wasm"));
    let (one, two) = (saying(1), saying(2));
    write(&plugin, &one);
    write(&other, &two);
    let cached = Cached::with(&format!("cp {} {}", other.display(), plugin.display()));
    let host = cached.host();
    let loaded = within(host.load_plugin(&plugin)).await.unwrap();
    assert_eq!(read(&plugin), two, "it was another one before it was compiled");
    assert_eq!((loaded.digest(), loaded.size()), (PluginDigest::of(&one), one.len() as u64));
    assert_eq!(says(&host).await, json!(1));
    // Nor is the code of one kept for the other.
    assert_eq!(runs(&cached, &two).await, json!(2));
    assert_eq!(runs(&cached, &one).await, json!(1));
    assert_eq!(cached.compiled(), 2);
}
