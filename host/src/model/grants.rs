//! What a task may touch. Nothing by default; a grant is given by the operator and can only shrink.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::attachment::ATTACHMENTS;
use super::capability::Capability;

#[cfg(any(test, feature = "http", feature = "cli"))]
pub(crate) mod address;
pub(crate) mod http;
pub(crate) mod touch;

use http::HttpGrant;
use touch::Touch;

/// Where a task finds its own directory.
pub(crate) const SCRATCH: &str = "/scratch";

/// What may be done in a granted folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write, create and remove.
    ReadWrite,
}

/// A folder of the host that a task sees under a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DirGrant {
    /// The folder on the host.
    pub host: PathBuf,
    /// The path under which the task sees it.
    pub guest: String,
    /// What the task may do there.
    pub access: Access,
    /// Bytes of what the task may write there in all its life; without it as much as the disk takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Files, folders and links that the task may make there in all its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
}

impl DirGrant {
    /// A folder of the host, which the task sees under the given path.
    pub fn new(host: impl Into<PathBuf>, guest: impl Into<String>, access: Access) -> Self {
        Self { host: host.into(), guest: guest.into(), access, bytes: None, inodes: None }
    }

    /// Whether this folder is among what the other one gives. Both paths have to be real ones: without links and `..`.
    fn is_within(&self, other: &Self) -> bool {
        let few =
            |mine: Option<u64>, theirs: Option<u64>| theirs.is_none_or(|most| mine.is_some_and(|mine| mine <= most));
        self.host.starts_with(&other.host)
            && self.access <= other.access
            && few(self.bytes, other.bytes)
            && few(self.inodes, other.inodes)
    }

    /// As much as both give, of the same folder under the same path.
    fn widen(&mut self, other: &Self) {
        let more = |one: Option<u64>, two: Option<u64>| one.zip(two).map(|(one, two)| one.max(two));
        self.access = self.access.max(other.access);
        self.bytes = more(self.bytes, other.bytes);
        self.inodes = more(self.inodes, other.inodes);
    }

    /// What both give: the inner one of two folders.
    fn meet(&self, other: &Self) -> Option<Self> {
        let inner = match (self.host.starts_with(&other.host), other.host.starts_with(&self.host)) {
            (true, _) => self,
            (false, true) => other,
            (false, false) => return None,
        };
        let fewer = |one: Option<u64>, two: Option<u64>| one.into_iter().chain(two).min();
        Some(Self {
            access: self.access.min(other.access),
            bytes: fewer(self.bytes, other.bytes),
            inodes: fewer(self.inodes, other.inodes),
            ..inner.clone()
        })
    }
}

/// Everything a task may touch beyond its own memory and its scratch directory. [`Grants::default`] grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Grants {
    /// Folders.
    pub dirs: Vec<DirGrant>,
    /// Environment variables, which the task sees and nothing else of the host's environment.
    pub env: Vec<(String, String)>,
    /// Whether it may reach tasks outside of its own tree.
    pub signal: bool,
    /// Whether it may use its plugin's store.
    pub kv: bool,
    /// Whether it may start any other plugin's tasks as its children. Its own plugin's it may always.
    pub tasks: bool,
    /// The plugins whose tasks it may start, if it may not start any.
    pub plugins: BTreeSet<String>,
    /// The names of the host's functions that it may call.
    pub functions: BTreeSet<String>,
    /// Requests to other machines that it may send.
    pub http: Vec<HttpGrant>,
    /// The names of the secrets that the host puts into its requests.
    pub secrets: BTreeSet<String>,
    /// What it may not although every task may: messages to the agent, the time of day, random numbers.
    pub without: BTreeSet<Capability>,
}

impl Grants {
    /// Grants a folder of the host, which the task sees under the given path.
    ///
    /// ```
    /// use taskcell::{Access, Grants};
    ///
    /// let grants = Grants::default().dir("/srv/docs", "/docs", Access::Read).env("LANG", "C").signal();
    /// assert_eq!(grants.dirs.len(), 1);
    /// ```
    #[must_use]
    pub fn dir(mut self, host: impl Into<PathBuf>, guest: impl Into<String>, access: Access) -> Self {
        self.dirs.push(DirGrant::new(host, guest, access));
        self
    }

    /// Gives it an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Lets it reach tasks outside of its own tree.
    #[must_use]
    pub fn signal(mut self) -> Self {
        self.signal = true;
        self
    }

    /// Lets it use its plugin's store.
    #[must_use]
    pub fn kv(mut self) -> Self {
        self.kv = true;
        self
    }

    /// Lets it start other plugins' tasks.
    #[must_use]
    pub fn tasks(mut self) -> Self {
        self.tasks = true;
        self
    }

    /// Lets it call the host's function of this name.
    #[must_use]
    pub fn function(mut self, name: impl Into<String>) -> Self {
        self.functions.insert(name.into());
        self
    }

    /// Lets it start this other plugin's tasks.
    #[must_use]
    pub fn plugin(mut self, name: impl Into<String>) -> Self {
        self.plugins.insert(name.into());
        self
    }

    /// Lets it send these requests.
    ///
    /// ```
    /// use taskcell::{Grants, HttpGrant};
    ///
    /// let api = HttpGrant::new("api.example.com".parse()?).methods(["GET"]);
    /// assert_eq!(Grants::default().http(api).http.len(), 1);
    /// # Ok::<(), taskcell::InvalidHost>(())
    /// ```
    #[must_use]
    pub fn http(mut self, requests: HttpGrant) -> Self {
        self.http.push(requests);
        self
    }

    /// Lets it use this secret of the host's, without ever seeing it.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        self.secrets.insert(name.into());
        self
    }

    /// Takes away what every task may do otherwise. Capabilities that have to be granted are not there anyway.
    #[must_use]
    pub fn without(mut self, capability: Capability) -> Self {
        self.without.insert(capability);
        self
    }

    /// Nothing at all, not even what every task may do otherwise.
    pub(crate) fn nothing() -> Self {
        let ambient = Capability::ALL.into_iter().filter(|capability| capability.is_ambient());
        Self { without: ambient.collect(), ..Self::default() }
    }

    /// The same without anything of this capability.
    #[must_use]
    pub(crate) fn whole_without(mut self, capability: Capability) -> Self {
        match capability {
            Capability::Fs => self.dirs.clear(),
            Capability::Http => self.http.clear(),
            Capability::Env => self.env.clear(),
            Capability::Secrets => self.secrets.clear(),
            Capability::Tasks => {
                self.tasks = false;
                self.plugins.clear();
            }
            Capability::Signal => self.signal = false,
            Capability::Kv => self.kv = false,
            Capability::Host => self.functions.clear(),
            Capability::Agent | Capability::ClockWall | Capability::Random => {
                self.without.insert(capability);
            }
        }
        self
    }

    /// Which entry lets a task do this; `None` when none does.
    pub(crate) fn entry_for(&self, touch: &Touch) -> Option<Entry> {
        let at = |place: Option<usize>| place.map(Entry::At);
        let whole = |is: bool| is.then_some(Entry::Whole);
        match touch {
            Touch::Dir { host, access, .. } => {
                at(self.dirs.iter().position(|dir| host.starts_with(&dir.host) && *access <= dir.access))
            }
            Touch::Http(request) => at(self.http.iter().position(|grant| grant.allows(request))),
            Touch::Env(name) => at(self.env.iter().position(|(granted, _)| granted == name)),
            Touch::Secret(name) => whole(self.secrets.contains(name)),
            Touch::Tasks(plugin) => whole(self.tasks || self.plugins.contains(plugin)),
            Touch::Signal => whole(self.signal),
            Touch::Kv => whole(self.kv),
            Touch::Function(name) => whole(self.functions.contains(name)),
            Touch::Agent | Touch::ClockWall | Touch::Random => whole(!self.without.contains(&touch.capability())),
        }
    }

    /// What both give, and nothing else.
    #[must_use]
    pub(crate) fn meet(&self, other: &Self) -> Self {
        Self {
            dirs: pairs(&self.dirs, &other.dirs, DirGrant::meet),
            env: self.env.iter().filter(|variable| other.env.contains(variable)).cloned().collect(),
            signal: self.signal && other.signal,
            kv: self.kv && other.kv,
            tasks: self.tasks && other.tasks,
            plugins: match (self.tasks, other.tasks) {
                (true, true) => BTreeSet::new(),
                (true, false) => other.plugins.clone(),
                (false, true) => self.plugins.clone(),
                (false, false) => self.plugins.intersection(&other.plugins).cloned().collect(),
            },
            functions: self.functions.intersection(&other.functions).cloned().collect(),
            http: pairs(&self.http, &other.http, HttpGrant::meet),
            secrets: self.secrets.intersection(&other.secrets).cloned().collect(),
            without: self.without.union(&other.without).copied().collect(),
        }
    }

    /// What one or the other gives.
    #[must_use]
    pub(crate) fn join(mut self, other: &Self) -> Self {
        let Self { dirs, env, signal, kv, tasks, plugins, functions, http, secrets, without } = other;
        for dir in dirs {
            match self.dirs.iter_mut().find(|own| own.host == dir.host && own.guest == dir.guest) {
                Some(own) => own.widen(dir),
                None => self.dirs.push(dir.clone()),
            }
        }
        self.env.extend(env.iter().cloned());
        self.signal |= signal;
        self.kv |= kv;
        self.tasks |= tasks;
        self.plugins.extend(plugins.iter().cloned());
        self.functions.extend(functions.iter().cloned());
        self.http.extend(http.iter().cloned());
        self.secrets.extend(secrets.iter().cloned());
        self.without.retain(|capability| without.contains(capability));
        self
    }

    /// The first thing that the other does not give; `None` when it gives everything.
    pub(crate) fn first_beyond(&self, other: &Self) -> Option<(Capability, String)> {
        let dir = self.dirs.iter().find(|dir| !other.dirs.iter().any(|wide| dir.is_within(wide)));
        let http = self.http.iter().find(|grant| !other.http.iter().any(|wide| wide.covers(grant)));
        let env = self.env.iter().find(|variable| !other.env.contains(variable));
        let plugin = self.plugins.iter().find(|name| !other.tasks && !other.plugins.contains(*name));
        let named = |capability, name: Option<&String>| name.map(|name| (capability, name.clone()));
        let whole = |capability, is: bool| is.then(|| (capability, String::new()));
        dir.map(|dir| (Capability::Fs, dir.host.display().to_string()))
            .or_else(|| http.map(|grant| (Capability::Http, grant.host.to_string())))
            .or_else(|| named(Capability::Env, env.map(|(name, _)| name)))
            .or_else(|| named(Capability::Secrets, self.secrets.difference(&other.secrets).next()))
            .or_else(|| whole(Capability::Tasks, self.tasks && !other.tasks))
            .or_else(|| named(Capability::Tasks, plugin))
            .or_else(|| whole(Capability::Signal, self.signal && !other.signal))
            .or_else(|| whole(Capability::Kv, self.kv && !other.kv))
            .or_else(|| named(Capability::Host, self.functions.difference(&other.functions).next()))
    }

    /// Whether there is anything of this capability.
    pub(crate) fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Fs => !self.dirs.is_empty(),
            Capability::Http => !self.http.is_empty(),
            Capability::Env => !self.env.is_empty(),
            Capability::Secrets => !self.secrets.is_empty(),
            Capability::Tasks => self.tasks || !self.plugins.is_empty(),
            Capability::Signal => self.signal,
            Capability::Kv => self.kv,
            Capability::Host => !self.functions.is_empty(),
            Capability::Agent | Capability::ClockWall | Capability::Random => !self.without.contains(&capability),
        }
    }

    /// The first thing that is not there any more afterwards.
    pub(crate) fn first_lost(&self, after: &Self) -> Option<(Capability, String)> {
        let ambient = after.without.difference(&self.without).next();
        self.first_beyond(after).or_else(|| ambient.map(|capability| (*capability, String::new())))
    }

    /// The first guest path that cannot be: empty, given twice, or that of the scratch directory or the attachments.
    pub(crate) fn clash(&self) -> Option<&str> {
        let mut seen = std::collections::HashSet::new();
        let reserved = [SCRATCH, ATTACHMENTS].map(parts);
        let mut paths = self.dirs.iter().map(|dir| dir.guest.as_str());
        paths.find(|path| {
            let parts = parts(path);
            // What lies below one of the host's own would hide what is there.
            let strange = path.is_empty() || parts.contains(&"..");
            strange || reserved.iter().any(|own| parts.starts_with(own)) || !seen.insert(parts)
        })
    }
}

/// Which entry of its kind lets a task do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The one of this place in its list, counted from 0.
    At(usize),
    /// There is one at most.
    Whole,
}

/// What each of one has with each of the other, without repetition.
fn pairs<T: PartialEq>(one: &[T], other: &[T], meet: impl Fn(&T, &T) -> Option<T>) -> Vec<T> {
    let mut both = Vec::new();
    for shared in one.iter().flat_map(|one| other.iter().filter_map(|other| meet(one, other))) {
        if !both.contains(&shared) {
            both.push(shared);
        }
    }
    both
}

/// What a path comes to: its names, without what changes nothing about it.
fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".").collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    use super::http::tests::{any_http, any_http_touch};

    pub(in crate::model) fn any_grants() -> impl Strategy<Value = Grants> {
        let access = || prop_oneof![Just(Access::Read), Just(Access::ReadWrite)];
        let quota = || prop::option::of(1..4_u64);
        let host = || prop_oneof![Just("/a"), Just("/a/b"), Just("/a/b/c"), Just("/ab")];
        let dir = (host(), "/[a-c]", access(), quota(), quota()).prop_map(|(host, guest, access, bytes, inodes)| {
            DirGrant { bytes, inodes, ..DirGrant::new(host, guest, access) }
        });
        let name = || "[a-c]";
        let names = || prop::collection::btree_set(name(), 0..3);
        let env = prop::collection::vec(("[A-C]", "[a-c]"), 0..3);
        let ambient = prop_oneof![Just(Capability::Agent), Just(Capability::ClockWall), Just(Capability::Random)];
        let lists = (prop::collection::vec(dir, 0..3), env, prop::collection::vec(any_http(), 0..3));
        let sets = (names(), names(), names(), prop::collection::btree_set(ambient, 0..3));
        (lists, any::<(bool, bool, bool)>(), sets).prop_map(
            |((dirs, env, http), (signal, kv, tasks), (plugins, functions, secrets, without))| Grants {
                dirs,
                env,
                signal,
                kv,
                tasks,
                plugins,
                functions,
                http,
                secrets,
                without,
            },
        )
    }

    pub(in crate::model) fn any_touch() -> impl Strategy<Value = Touch> {
        let host = prop_oneof![Just("/a"), Just("/a/b"), Just("/a/b/c"), Just("/ab"), Just("/")];
        let access = prop_oneof![Just(Access::Read), Just(Access::ReadWrite)];
        let name = || "[a-c]".boxed();
        prop_oneof![
            (host, access).prop_map(|(host, access)| Touch::Dir { host: host.into(), guest: "/x".into(), access }),
            any_http_touch().prop_map(Touch::Http),
            "[A-C]".prop_map(Touch::Env),
            name().prop_map(Touch::Secret),
            name().prop_map(Touch::Tasks),
            name().prop_map(Touch::Function),
            prop_oneof![
                Just(Touch::Signal),
                Just(Touch::Kv),
                Just(Touch::Agent),
                Just(Touch::ClockWall),
                Just(Touch::Random),
            ],
        ]
    }

    fn allows(grants: &Grants, touch: &Touch) -> bool {
        grants.entry_for(touch).is_some()
    }

    proptest! {
        #[test]
        fn t23_what_two_give_together_is_what_each_gives(
            one in any_grants(),
            other in any_grants(),
            touches in prop::collection::vec(any_touch(), 20),
        ) {
            let both = one.meet(&other);
            // What a variable's value is makes two of one name different things.
            let by_value = |touch: &Touch| matches!(touch, Touch::Env(_));
            for touch in touches {
                let each = allows(&one, &touch) && allows(&other, &touch);
                let is = allows(&both, &touch);
                prop_assert!(is == each || (by_value(&touch) && !is), "{touch}: {is}, each {each}");
                let either = one.clone().join(&other);
                prop_assert_eq!(allows(&either, &touch), allows(&one, &touch) || allows(&other, &touch));
            }
            prop_assert_eq!(both.first_beyond(&one), None);
            prop_assert_eq!(both.first_beyond(&other), None);
        }

        #[test]
        fn t23_what_is_within_allows_nothing_more(
            one in any_grants(),
            other in any_grants(),
            touches in prop::collection::vec(any_touch(), 20),
        ) {
            if one.first_beyond(&other).is_none() {
                for touch in touches.iter().filter(|touch| !touch.capability().is_ambient()) {
                    prop_assert!(!allows(&one, touch) || allows(&other, touch), "{touch}");
                }
            }
        }
    }

    #[test]
    fn guest_paths_do_not_clash() {
        let grants = |paths: &[&str]| Grants {
            dirs: paths.iter().map(|path| DirGrant::new("h", *path, Access::Read)).collect(),
            ..Grants::default()
        };
        assert_eq!(grants(&["/a", "/b", "/"]).clash(), None);
        assert_eq!(grants(&["/a", "/a/"]).clash(), Some("/a/"));
        assert_eq!(grants(&["/scratch"]).clash(), Some("/scratch"));
        assert_eq!(grants(&["/attachments/"]).clash(), Some("/attachments/"));
        for below in
            ["/attachments/a", "//attachments", "attachments", "/attachments/.", "/./scratch/x", "/a/../scratch", ""]
        {
            assert_eq!(grants(&[below]).clash(), Some(below), "{below:?}");
        }
        assert_eq!(grants(&["/attachment", "/scratchpad", "/a/attachments"]).clash(), None);
    }
}
