//! A policy made of what a plugin was denied: as little as it takes.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use toml_edit::{Array, Key, Value};

use crate::model::capability::Capability;
use crate::model::cron::written_date;
use crate::model::grants::address::is_public;
use crate::model::grants::http::{HttpGrant, HttpTouch, host_name};
use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, DirGrant, Grants};
use crate::model::ids::PluginDigest;
use crate::model::requests::CapabilityRequest;
use crate::model::text::escape;
use crate::model::time::Timestamp;

use super::answer::{dir, http};
use super::mandate::PRIVATE;
use super::{Bytes, PluginRules, Policy};

/// What a plugin wanted while it was denied everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    touches: BTreeSet<Touch>,
    /// Hosts whose names have led to addresses that are not public.
    private: BTreeSet<String>,
    /// What its manifest does not ask for, and what is in no scope that is known here: no policy gives it.
    beyond: BTreeSet<String>,
}

/// Of what and for whom the policy is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) version: &'a str,
    pub(crate) digest: PluginDigest,
    pub(crate) task: &'a str,
    pub(crate) at: Timestamp,
}

/// The policy under which a plugin is looked at: it has what it wanted before, and is denied everything else. Of the folders it
/// sees that they are there.
pub(crate) fn probe(plugin: &str, digest: PluginDigest, dirs: &[DirGrant], has: &Grants) -> Policy {
    let ask = Grants { dirs: dirs.to_vec(), ..Grants::nothing() };
    let rules = PluginRules { digest: Some(Bytes::Exactly(digest)), allow: has.clone(), ask, ..PluginRules::default() };
    Policy { plugins: BTreeMap::from([(plugin.to_owned(), rules)]), ..Policy::default() }
}

impl Wanted {
    /// It was denied this, by this rule. Returns whether it is new.
    pub(crate) fn add(&mut self, capability: Capability, scope: &str, rule: &str, dirs: &[DirGrant]) -> bool {
        if let Some(touch) = touch(capability, scope, dirs).filter(|_| rule != "manifest") {
            let mut is_new = false;
            if let Touch::Http(request) = &touch
                && rule == PRIVATE
            {
                // It is known by now where the name leads.
                is_new = self.private.insert(request.host.clone());
            }
            return self.touches.insert(touch) | is_new;
        }
        self.beyond.insert(format!("{capability} {scope}").trim_end().to_owned());
        false
    }

    /// The things, one after the other.
    pub(crate) fn things(&self) -> impl Iterator<Item = &Touch> {
        self.touches.iter()
    }

    /// As grants, as narrow as the things were.
    pub(crate) fn grants(&self, dirs: &[DirGrant]) -> Grants {
        let mut grants = Grants::default();
        for touch in &self.touches {
            match touch {
                Touch::Dir { guest, access, .. } => {
                    let known = dirs.iter().find(|dir| dir.guest == *guest).into_iter();
                    let one = Grants {
                        dirs: known.map(|dir| DirGrant { access: *access, ..dir.clone() }).collect(),
                        ..Grants::nothing()
                    };
                    grants = grants.join(&one);
                }
                Touch::Http(request) => {
                    let private = is_near(&request.host) || self.private.contains(&request.host);
                    add_request(&mut grants.http, request, private);
                }
                Touch::Secret(name) => grants = grants.secret(name),
                Touch::Tasks(plugin) => grants = grants.plugin(plugin),
                Touch::Function(name) => grants = grants.function(name),
                Touch::Signal => grants = grants.signal(),
                Touch::Kv => grants = grants.kv(),
                // Of a variable nobody knows the value, and the others every task has.
                Touch::Env(_) | Touch::Agent | Touch::ClockWall | Touch::Random => {}
            }
        }
        // What is read before what is written, what only asks before what changes something.
        grants.dirs.sort_by_key(|dir| dir.access);
        grants.http.sort_by_key(|grant| !grant.methods.iter().all(|method| ["GET", "HEAD"].contains(&method.as_str())));
        grants
    }

    /// The text of a policy that gives these and nothing else.
    pub(crate) fn written(&self, of: Subject<'_>, dirs: &[DirGrant], asked: &[&CapabilityRequest]) -> String {
        let Subject { plugin, version, digest, task, at } = of;
        let key = Key::new(plugin).to_string();
        let mut text = format!(
            "# What {} {} ({}) wanted while it was denied everything, on {}.\n\
             # A suggestion: read each line, and take out what the plugin has no business with.\n\
             version = 1\n\n\
             [plugins.{key}]\n\
             # These bytes and no others: an update is granted nothing until its own digest stands here.\n\
             digest = \"sha256:{digest}\"\n\n\
             [plugins.{key}.allow]\n",
            escape(plugin),
            escape(version),
            escape(task),
            written_date(at)
        );
        let lines = allowed(&self.grants(dirs));
        if lines.is_empty() {
            text.push_str("# Nothing: it wanted nothing that has to be granted.\n");
        }
        text.push_str(&lines);
        let unseen: Vec<String> =
            asked.iter().filter(|request| !self.is_given(request)).filter_map(|request| self.unseen(request)).collect();
        if !unseen.is_empty() {
            text.push_str("\n# It asks for this too, and did not come to it, or could not: add it to the table above if it needs it.\n");
            text.push_str(&unseen.concat());
        }
        if !self.beyond.is_empty() {
            text.push_str("\n# It tried this without asking for it in its manifest, which no policy gives:\n");
            for thing in &self.beyond {
                let _ = writeln!(text, "# {}", escape(thing));
            }
        }
        text
    }

    /// Whether what is asked for is in the table. No variable is: its value is the operator's to say.
    fn is_given(&self, request: &CapabilityRequest) -> bool {
        self.touches.iter().any(|touch| touch.capability() != Capability::Env && request.asks_for(touch))
    }

    /// What the manifest asks for and nobody has seen: why, and how it would be written.
    fn unseen(&self, request: &CapabilityRequest) -> Option<String> {
        let capability = request.known().filter(|capability| !capability.is_ambient())?;
        let of = |names: &BTreeSet<String>, other: &str| names.first().cloned().unwrap_or_else(|| other.to_owned());
        let quoted = |name: String| Value::from(name).to_string();
        let example = match capability {
            Capability::Fs => {
                let access = if request.access() == Access::Read { "read" } else { "read-write" };
                format!(
                    "fs = [{{ host = \"/a/folder\", guest = \"/data\", access = \"{access}\" }}]; with --dir it is looked at"
                )
            }
            Capability::Http => {
                let host = request.hosts.first().map_or_else(|| "api.example.com".to_owned(), ToString::to_string);
                let methods = request.methods.iter().map(String::as_str).collect::<Array>();
                let methods = if methods.is_empty() { "[\"GET\"]".to_owned() } else { methods.to_string() };
                format!("http = [{{ host = {}, methods = {methods} }}]", quoted(host))
            }
            Capability::Env => {
                let mut names = request.names.clone();
                names.extend(self.touches.iter().filter(|touch| request.asks_for(touch)).map(Touch::scope));
                if names.is_empty() {
                    names.insert("NAME".to_owned());
                }
                let pairs: Vec<String> =
                    names.into_iter().map(|name| format!("{} = \"its value\"", Key::new(name))).collect();
                format!("env = {{ {} }}", pairs.join(", "))
            }
            Capability::Secrets => {
                let name = of(&request.names, "name");
                format!(
                    "secrets = [{}], and a table [secrets.{}] that says where it is",
                    quoted(name.clone()),
                    Key::new(name)
                )
            }
            Capability::Tasks => format!("tasks = [{}]", quoted(of(&request.plugins, "plugin"))),
            Capability::Host => {
                let name = request.capability.strip_prefix("host:").unwrap_or_default();
                format!("host = [{}]", quoted(name.to_owned()))
            }
            Capability::Signal => "signal = true".to_owned(),
            Capability::Kv => "kv = true".to_owned(),
            Capability::Agent | Capability::ClockWall | Capability::Random => return None,
        };
        let reason =
            request.reason.as_deref().map(|reason| format!(" - it says: {:?}", escape(reason))).unwrap_or_default();
        Some(format!("# {}\n", escape(&format!("{example}{reason}"))))
    }
}

/// What a denial was about.
fn touch(capability: Capability, scope: &str, dirs: &[DirGrant]) -> Option<Touch> {
    let name = || Some(scope.to_owned()).filter(|name| !name.is_empty());
    Some(match capability {
        Capability::Fs => {
            let (does, guest) = scope.split_once(' ')?;
            let dir = dirs.iter().find(|dir| dir.guest == guest)?;
            let access = if does == "read" { Access::Read } else { Access::ReadWrite };
            Touch::Dir { host: dir.host.clone(), guest: guest.to_owned(), access }
        }
        Capability::Http => Touch::Http(request(scope)?),
        Capability::Env => Touch::Env(name()?),
        Capability::Secrets => Touch::Secret(name()?),
        Capability::Tasks => Touch::Tasks(name()?),
        Capability::Host => Touch::Function(name()?),
        Capability::Signal => Touch::Signal,
        Capability::Kv => Touch::Kv,
        Capability::Agent => Touch::Agent,
        Capability::ClockWall => Touch::ClockWall,
        Capability::Random => Touch::Random,
    })
}

/// Reads a request as a denial tells it: `GET https://a.b:443`.
fn request(scope: &str) -> Option<HttpTouch> {
    let (method, place) = scope.split_once(' ')?;
    let (scheme, place) = place.split_once("://")?;
    let (host, port) = place.rsplit_once(':')?;
    let (method, host) = (method.to_owned(), host_name(host)?);
    Some(HttpTouch { method, host, port: port.parse().ok()?, plain: scheme == "http" })
}

/// Adds a request to those to the same place.
fn add_request(all: &mut Vec<HttpGrant>, request: &HttpTouch, private: bool) {
    let Ok(host) = request.host.parse() else { return };
    let mut grant = HttpGrant::new(host).ports([request.port]).methods([request.method.as_str()]);
    (grant.plain, grant.private) = (request.plain, private);
    match all.iter_mut().find(|known| HttpGrant { methods: grant.methods.clone(), ..(*known).clone() } == grant) {
        Some(known) => known.methods.append(&mut grant.methods),
        None => all.push(grant),
    }
}

/// Whether a host is this machine or not out in the world, by its name alone.
fn is_near(host: &str) -> bool {
    let is_near = |address: IpAddr| !is_public(address);
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(is_near)
}

/// The lines of a table `allow`, what can do the least harm first.
fn allowed(grants: &Grants) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: Value| {
        let _ = writeln!(text, "{key} = {value}");
    };
    let names = |names: &BTreeSet<String>| Value::from(names.iter().map(String::as_str).collect::<Array>());
    for (key, is) in [("kv", grants.kv), ("signal", grants.signal)] {
        if is {
            line(key, true.into());
        }
    }
    for (key, of) in [("host", &grants.functions), ("tasks", &grants.plugins), ("secrets", &grants.secrets)] {
        if !of.is_empty() {
            line(key, names(of));
        }
    }
    let dirs = grants.dirs.iter().map(dir).collect::<Vec<_>>();
    let http = grants.http.iter().map(http).collect::<Vec<_>>();
    for (key, entries) in [("fs", dirs), ("http", http)] {
        if entries.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{key} = [");
        for entry in entries {
            let _ = writeln!(text, "    {entry},");
        }
        text.push_str("]\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::policy::Ruling;

    fn folders() -> Vec<DirGrant> {
        vec![
            DirGrant::new("/srv/docs", "/docs", Access::ReadWrite),
            DirGrant::new("/srv/out", "/out", Access::ReadWrite),
        ]
    }

    #[test]
    fn t24_the_policy_gives_what_was_denied_and_nothing_else() {
        let (digest, dirs) = (PluginDigest::of(b"fetch"), folders());
        let mut wanted = Wanted::default();
        for (capability, scope) in [
            (Capability::Http, "POST https://api.example.com:443"),
            (Capability::Http, "GET https://b.example.com:8443"),
            (Capability::Http, "GET http://[::1]:8080"),
            (Capability::Fs, "write /out"),
            (Capability::Fs, "read /docs"),
            (Capability::Kv, ""),
            (Capability::Tasks, "digest"),
            (Capability::Env, "LANG"),
        ] {
            assert!(wanted.add(capability, scope, "policy", &dirs), "{scope}");
        }
        assert!(wanted.add(Capability::Http, "HEAD https://b.example.com:8443", "policy", &dirs));
        assert!(!wanted.add(Capability::Http, "HEAD https://b.example.com:8443", "policy", &dirs), "it is known");
        assert!(!wanted.add(Capability::Signal, "", "manifest", &dirs), "it did not ask");
        let asked = [
            CapabilityRequest::new("http"),
            CapabilityRequest { reason: Some("two\nlines".to_owned()), ..CapabilityRequest::new("env") },
        ];
        let of = Subject { plugin: "fetch", version: "1", digest, task: "go", at: Timestamp(1_924_362_000_000) };
        let text = wanted.written(of, &dirs, &asked.iter().collect::<Vec<_>>());
        let policy = Policy::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let rules = policy.rules_for("fetch", &digest);
        for touch in wanted.things().filter(|touch| touch.capability() != Capability::Env) {
            assert!(matches!(rules.rule(touch), Ruling::Allow(_)), "{touch}: {text}");
        }
        let get = |scope: &str| Touch::Http(request(scope).unwrap());
        for other in [
            Touch::Signal,
            get("GET https://api.example.com:443"),
            get("GET https://b.example.com:443"),
            get("POST http://[::1]:8080"),
            Touch::Tasks("other".to_owned()),
            Touch::Dir { host: "/srv/docs".into(), guest: "/docs".into(), access: Access::ReadWrite },
        ] {
            assert_eq!(rules.rule(&other), Ruling::Silent, "{other}: {text}");
        }
        assert!(policy.rules_for("fetch", &PluginDigest::of(b"update")).all() == Grants::default());
        let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        assert!(
            at("kv = true") < at("fs = [") && at("/srv/docs") < at("/srv/out") && at("\"GET\", \"HEAD\"") < at("POST")
        );
        assert!(text.contains("private = true, plain = true") && text.contains("# env = { LANG = "), "{text}");
        assert!(text.contains(r"two\\nlines") && text.contains("\n# signal\n") && !text.contains("# http"), "{text}");
    }

    #[test]
    fn t24_a_name_that_leads_to_a_private_address_is_suggested_with_that() {
        let digest = PluginDigest::of(b"fetch");
        let scope = "GET https://intranet.example.com:443";
        let mut wanted = Wanted::default();
        let mut private = |rule: &str, is_new: bool| {
            assert_eq!(wanted.add(Capability::Http, scope, rule, &[]), is_new, "{rule}");
            wanted.grants(&[]).http.iter().map(|grant| grant.private).collect::<Vec<_>>()
        };
        assert_eq!(private("policy", true), [false], "nobody has looked where it leads");
        assert_eq!(private(PRIVATE, true), [true]);
        assert_eq!(private(PRIVATE, false), [true], "more is not to be had");
        let rules = probe("fetch", digest, &[], &wanted.grants(&[])).rules_for("fetch", &digest);
        assert!(rules.allow.http.iter().all(|grant| grant.private));
    }

    #[test]
    fn t13_what_is_near_is_what_is_not_public() {
        for (host, is) in [
            ("localhost", true),
            ("a.localhost", true),
            ("10.0.0.1", true),
            ("100.64.0.1", true),
            ("0.0.0.0", true),
            ("::ffff:8.8.8.8", true),
            ("fec0::1", true),
            ("8.8.8.8", false),
            ("2606:4700::1111", false),
            ("example.com", false),
        ] {
            assert_eq!(is_near(host), is, "{host}");
        }
    }

    #[test]
    fn t24_who_is_looked_at_has_nothing_but_what_every_task_has() {
        let digest = PluginDigest::of(b"a");
        let rules = probe("a", digest, &folders(), &Grants::default()).rules_for("a", &digest);
        let dir = Touch::Dir { host: "/srv/docs/x".into(), guest: "/docs".into(), access: Access::Read };
        assert!(matches!(rules.rule(&dir), Ruling::Ask(_)), "it is seen, and each use is denied");
        assert_eq!(rules.rule(&Touch::Kv), Ruling::Silent);
        assert_eq!(rules.allow, Grants::default());
        let nothing = Wanted::default().written(
            Subject { plugin: "a-b", version: "1", digest, task: "go", at: Timestamp(0) },
            &[],
            &[],
        );
        assert_eq!(Policy::parse(&nothing).unwrap().plugins().collect::<Vec<_>>(), ["a-b"], "{nothing}");
    }
}
