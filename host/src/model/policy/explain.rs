//! What a policy comes to for what a plugin asks for.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::capability::Capability;
use crate::model::grants::http::{HostPattern, HttpGrant, text};
use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, Grants};
use crate::model::requests::{CapabilityRequest, Requested};

use super::{Rules, Ruling};

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Word {
    Allowed,
    Ask,
    Denied,
}

/// What becomes of a part of what a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Explained {
    pub(crate) capability: Capability,
    /// On what; empty when it is one thing only.
    pub(crate) scope: String,
    pub(crate) verdict: Word,
    /// The place in the policy that says so; `policy` when no place does.
    pub(crate) rule: String,
}

/// What is asked for beside everything that is named.
const ANY_OTHER: &str = "any other";
/// The rule when none speaks of it.
const SILENT: &str = "policy";

impl Rules {
    /// What becomes of everything that a task's type asks for.
    pub(crate) fn explain<'a>(
        &self,
        asked: impl IntoIterator<Item = &'a CapabilityRequest>,
        requested: &Requested,
    ) -> Vec<Explained> {
        let mut lines: Vec<Explained> = asked.into_iter().flat_map(|request| self.explain_one(request)).collect();
        for capability in requested.implied() {
            lines.extend(self.explain_whole(capability, &CapabilityRequest::new(capability.name())));
        }
        let mut seen = Vec::new();
        lines.retain(|line| {
            let is_new = !seen.contains(line);
            seen.extend(is_new.then(|| line.clone()));
            is_new
        });
        lines
    }

    fn explain_one(&self, request: &CapabilityRequest) -> Vec<Explained> {
        // One that nobody knows is no manifest's.
        let Some(capability) = request.known() else { return Vec::new() };
        match request.capability.strip_prefix("host:") {
            Some(function) => vec![self.explain_touch(&Touch::Function(function.to_owned()))],
            None => self.explain_whole(capability, request),
        }
    }

    fn explain_whole(&self, capability: Capability, request: &CapabilityRequest) -> Vec<Explained> {
        let (allow, ask) = (&self.allow, &self.ask);
        let names = |grants: &Grants| grants.env.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
        match capability {
            Capability::Fs => self.explain_folders(request.access()),
            Capability::Http => self.explain_http(request),
            Capability::Env => {
                let known = [names(allow), names(ask), self.deny.env.clone(), self.for_all.env.clone()];
                self.explain_names(&request.names, known, Touch::Env)
            }
            Capability::Secrets => {
                let denied = [self.deny.secrets.clone(), self.for_all.secrets.clone()];
                let known = [allow.secrets.clone(), ask.secrets.clone()].into_iter().chain(denied);
                self.explain_names(&request.names, known, Touch::Secret)
            }
            Capability::Tasks => {
                let denied = [self.deny.tasks.clone(), self.for_all.tasks.clone()];
                let known = [allow.plugins.clone(), ask.plugins.clone()].into_iter().chain(denied);
                self.explain_names(&request.plugins, known, Touch::Tasks)
            }
            Capability::Host => {
                let denied = [self.deny.host.clone(), self.for_all.host.clone()];
                let known = [allow.functions.clone(), ask.functions.clone()].into_iter().chain(denied);
                self.explain_names(&BTreeSet::new(), known, Touch::Function)
            }
            Capability::Signal => vec![self.explain_touch(&Touch::Signal)],
            Capability::Kv => vec![self.explain_touch(&Touch::Kv)],
            Capability::Agent => vec![self.explain_touch(&Touch::Agent)],
            Capability::ClockWall => vec![self.explain_touch(&Touch::ClockWall)],
            Capability::Random => vec![self.explain_touch(&Touch::Random)],
        }
    }

    fn explain_touch(&self, touch: &Touch) -> Explained {
        let (verdict, rule) = match self.rule(touch) {
            Ruling::Allow(rule) => (Word::Allowed, rule),
            Ruling::Ask(rule) => (Word::Ask, rule),
            Ruling::Deny(rule) => (Word::Denied, rule),
            Ruling::Silent => (Word::Denied, SILENT.to_owned()),
        };
        Explained { capability: touch.capability(), scope: touch.scope(), verdict, rule }
    }

    /// Each name that is asked for; when none is, each that the policy knows, and all others.
    fn explain_names(
        &self,
        wanted: &BTreeSet<String>,
        known: impl IntoIterator<Item = BTreeSet<String>>,
        touch: impl Fn(String) -> Touch,
    ) -> Vec<Explained> {
        if !wanted.is_empty() {
            return wanted.iter().map(|name| self.explain_touch(&touch(name.clone()))).collect();
        }
        let known: BTreeSet<String> = known.into_iter().flatten().collect();
        let mut lines: Vec<Explained> = known.into_iter().map(|name| self.explain_touch(&touch(name))).collect();
        // No name of anything is empty, so this one stands for those that nobody names.
        lines.push(Explained { scope: ANY_OTHER.to_owned(), ..self.explain_touch(&touch(String::new())) });
        lines
    }

    /// The folders that it gets; plugins do not say which ones they would like.
    fn explain_folders(&self, wanted: Access) -> Vec<Explained> {
        let mut lines: Vec<Explained> = Vec::new();
        for dir in self.allow.dirs.iter().chain(&self.ask.dirs) {
            let access = dir.access.min(wanted);
            let line = self.explain_touch(&Touch::Dir { host: dir.host.clone(), guest: dir.guest.clone(), access });
            let what = match access {
                Access::Read => "read",
                Access::ReadWrite => "read and write",
            };
            lines.push(Explained { scope: format!("{what} {} as {}", dir.host.display(), dir.guest), ..line });
        }
        lines.push(Explained {
            capability: Capability::Fs,
            scope: if lines.is_empty() { "any folder" } else { "any other folder" }.to_owned(),
            verdict: Word::Denied,
            rule: SILENT.to_owned(),
        });
        lines
    }

    /// Each part of what is asked for that a grant speaks of, and what is left.
    fn explain_http(&self, request: &CapabilityRequest) -> Vec<Explained> {
        let requested = Requested::new([request], [""; 0]);
        let part = |grant: &HttpGrant| requested.narrow(&Grants::default().http(grant.clone())).http;
        let (mut lines, mut granted) = (Vec::new(), Vec::new());
        for (table, grants, verdict) in [("allow", &self.allow.http, Word::Allowed), ("ask", &self.ask.http, Word::Ask)]
        {
            for (place, grant) in grants.iter().enumerate() {
                for part in part(grant) {
                    if table == "ask" && self.allow.http.iter().any(|allowed| allowed.covers(&part)) {
                        continue;
                    }
                    let rule = format!("plugins.{}.{table}.http[{place}]", self.plugin);
                    let (verdict, rule) = self.forbidden(&part.host).map_or((verdict, rule), |by| (Word::Denied, by));
                    granted.extend((verdict != Word::Denied).then(|| part.host.clone()));
                    let scope = text::written(&part);
                    lines.push(Explained { capability: Capability::Http, scope, verdict, rule });
                }
            }
        }
        // What is cut out of these.
        for host in self.for_all.http.iter().chain(&self.deny.http) {
            if let Some(rule) = self.forbidden(host).filter(|_| granted.iter().any(|wide| wide.covers(host))) {
                let scope = host.to_string();
                lines.push(Explained { capability: Capability::Http, scope, verdict: Word::Denied, rule });
            }
        }
        let every = [HostPattern::EVERY];
        let hosts = if request.hosts.is_empty() { every.as_slice() } else { request.hosts.as_slice() };
        for host in hosts {
            let wish = HttpGrant { methods: request.methods.clone(), ..HttpGrant::new(host.clone()) };
            let given = || self.allow.http.iter().chain(&self.ask.http);
            if given().any(|grant| grant.covers(&wish)) {
                continue;
            }
            let is_touched = given().any(|grant| grant.host.overlaps(host));
            let rule = self.forbidden(host).unwrap_or_else(|| SILENT.to_owned());
            let scope = text::written(&wish);
            let scope = if is_touched { format!("{scope}, {ANY_OTHER}") } else { scope };
            lines.push(Explained { capability: Capability::Http, scope, verdict: Word::Denied, rule });
        }
        lines
    }

    /// The rule that forbids all of these hosts.
    fn forbidden(&self, hosts: &HostPattern) -> Option<String> {
        let own = format!("plugins.{}", self.plugin);
        let bans = [("all", &self.for_all), (own.as_str(), &self.deny)];
        bans.into_iter().find_map(|(place, deny)| Some(format!("{place}.deny.{}", deny.forbid_hosts(hosts)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::ids::PluginDigest;
    use crate::model::policy::Policy;

    const POLICY: &str = r#"
        version = 1
        [all.deny]
        env = ["KEY"]
        [plugins.a]
        digest = "any"
        [plugins.a.allow]
        fs = [{ host = "/srv/docs", guest = "/docs", access = "read-write" }]
        http = [{ host = "*.example.com", methods = ["GET"] }, { host = "evil.example.com" }]
        env = { LANG = "C", KEY = "1" }
        host = ["price"]
        tasks = ["b"]
        [plugins.a.ask]
        http = [{ host = "api.example.com" }]
        tasks = ["*"]
        kv = true
        [plugins.a.deny]
        http = ["evil.example.com"]
    "#;

    fn explained(policy: &str, asked: serde_json::Value, imports: &[&str]) -> Vec<String> {
        let asked: Vec<CapabilityRequest> = serde_json::from_value(asked).unwrap();
        let rules = Policy::parse(policy).unwrap().rules_for("a", &PluginDigest::of(b"a"));
        let lines = rules.explain(&asked, &Requested::new(&asked, imports));
        lines
            .iter()
            .map(|line| format!("{} {} {:?} {}", line.capability, line.scope, line.verdict, line.rule))
            .collect()
    }

    #[test]
    fn t23_each_wish_is_answered_with_the_rule_that_decides_it() {
        let wishes = serde_json::json!([
            {"capability": "fs", "access": "read"},
            {"capability": "http", "hosts": ["api.example.com", "other.org"], "methods": ["GET", "POST"]},
            {"capability": "env"},
            {"capability": "tasks"},
            {"capability": "host:price"},
            {"capability": "host:other"},
            {"capability": "kv"},
            {"capability": "signal"},
        ]);
        assert_eq!(
            explained(POLICY, wishes, &[]),
            [
                "fs read /srv/docs as /docs Allowed plugins.a.allow.fs[0]",
                "fs any other folder Denied policy",
                "http GET:api.example.com Allowed plugins.a.allow.http[0]",
                "http GET,POST:api.example.com Ask plugins.a.ask.http[0]",
                "http GET,POST:other.org Denied policy",
                "env KEY Denied all.deny.env",
                "env LANG Allowed plugins.a.allow.env.LANG",
                "env any other Denied policy",
                "tasks b Allowed plugins.a.allow.tasks",
                "tasks any other Ask plugins.a.ask.tasks",
                "host price Allowed plugins.a.allow.host",
                "host other Denied policy",
                "kv  Ask plugins.a.ask.kv",
                "signal  Denied policy",
            ]
        );
    }

    #[test]
    fn t23_what_only_the_imports_ask_for_is_explained_as_a_whole() {
        let imports = ["wasi:http/outgoing-handler@0.2.6", "taskcell:plugin/kv@0.1.2"];
        assert_eq!(
            explained(POLICY, serde_json::json!([]), &imports),
            [
                "http GET:*.example.com Allowed plugins.a.allow.http[0]",
                "http evil.example.com Denied plugins.a.deny.http",
                "http api.example.com Ask plugins.a.ask.http[0]",
                "http *, any other Denied policy",
                "kv  Ask plugins.a.ask.kv",
            ]
        );
        let nothing = explained("version = 1", serde_json::json!([{"capability": "fs"}]), &imports);
        assert_eq!(nothing, ["fs any folder Denied policy", "http * Denied policy", "kv  Denied policy"]);
    }
}
