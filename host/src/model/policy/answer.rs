//! An answer that shall hold for all tasks of a plugin: another entry in its table of what is allowed.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::model::cron::written_date;
use crate::model::grants::http::HttpGrant;
use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, DirGrant, Entry};
use crate::model::signal::Party;
use crate::model::text::escape;
use crate::model::time::Timestamp;

use super::text::{PolicyError, wrong};
use super::{PluginRules, Policy};

/// Somebody has allowed something for all tasks of a plugin, when one of them was about to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlwaysAllowed {
    /// The plugin.
    pub plugin: String,
    /// What was asked about.
    pub(crate) touch: Touch,
    /// Who said so.
    pub by: Party,
    /// When.
    pub at: Timestamp,
}

impl AlwaysAllowed {
    pub(crate) fn new(plugin: impl Into<String>, touch: Touch, by: Party, at: Timestamp) -> Self {
        Self { plugin: plugin.into(), touch, by, at }
    }

    /// The text of a policy with this in its plugin's table `allow`, and a comment that says who and when. Everything else
    /// in it stays as it is. A policy that allows it already is the same text.
    ///
    /// # Errors
    /// When the text is no policy, or has no rule any more that asks about this.
    pub fn written_into(&self, text: &str) -> Result<String, PolicyError> {
        let policy = Policy::parse(text)?;
        if policy.plugins.get(&self.plugin).is_some_and(|own| own.allows(&self.touch)) {
            return Ok(text.to_owned());
        }
        let with = policy.with_answer(self)?;
        let mut document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| PolicyError::Text(error.to_string().trim_end().to_owned()))?;
        let rules = with.plugins.get(&self.plugin).ok_or_else(|| self.no_rules())?;
        let own = document.get_mut("plugins").and_then(|plugins| plugins.get_mut(&self.plugin));
        let own = own.and_then(Item::as_table_like_mut).ok_or_else(|| self.no_rules())?;
        self.write(own, rules).ok_or_else(|| self.no_rules())?;
        let written = document.to_string();
        Policy::parse(&written)?;
        Ok(written)
    }

    fn no_rules(&self) -> PolicyError {
        wrong(format!("plugins.{}.ask", self.plugin), format!("it asks about nothing such as {}", self.touch))
    }

    fn comment(&self) -> String {
        let at = written_date(self.at);
        format!("# {at}: {} was asked about {}, and allows it always", self.by, escape(&self.touch.to_string()))
    }

    /// `None` when there is no place for it.
    fn write(&self, own: &mut dyn TableLike, rules: &PluginRules) -> Option<()> {
        if self.touch.capability().is_ambient() {
            own.get_mut("ask")?.as_table_like_mut()?.remove(self.touch.capability().name());
        }
        let allow = table(own, "allow")?;
        let key = self.touch.capability().name();
        let at = |list: &str| list.to_owned();
        match &self.touch {
            Touch::Dir { .. } => push(allow, key, dir(rules.allow.dirs.last()?), &self.comment()),
            Touch::Http(_) => push(allow, key, http(rules.allow.http.last()?), &self.comment()),
            Touch::Secret(name) | Touch::Tasks(name) | Touch::Function(name) => {
                push(allow, key, at(name).into(), &self.comment())
            }
            Touch::Env(name) => {
                let (_, value) = rules.allow.env.iter().find(|(known, _)| known == name)?;
                set(table(allow, key)?, name, at(value).into(), &self.comment())
            }
            Touch::Signal | Touch::Agent | Touch::Kv | Touch::ClockWall | Touch::Random => {
                set(allow, key, true.into(), &self.comment())
            }
        }
    }
}

/// The table of this name, made if there is none. One that is written in one line becomes one of its own: a line has no room
/// for a comment.
fn table<'a>(own: &'a mut dyn TableLike, name: &str) -> Option<&'a mut dyn TableLike> {
    let inline = own.get(name).and_then(Item::as_inline_table).cloned();
    if let Some(inline) = inline {
        own.insert(name, Item::Table(inline.into_table()));
    } else if !own.contains_key(name) {
        own.insert(name, Item::Table(Table::new()));
    }
    own.get_mut(name)?.as_table_like_mut()
}

pub(super) fn dir(grant: &DirGrant) -> Value {
    let mut entry = InlineTable::new();
    entry.insert("host", grant.host.display().to_string().into());
    entry.insert("guest", grant.guest.clone().into());
    let access = match grant.access {
        Access::Read => "read",
        Access::ReadWrite => "read-write",
    };
    entry.insert("access", access.into());
    for (key, most) in [("bytes", grant.bytes), ("inodes", grant.inodes)] {
        if let Some(most) = most.and_then(|most| i64::try_from(most).ok()) {
            entry.insert(key, most.into());
        }
    }
    entry.into()
}

pub(super) fn http(grant: &HttpGrant) -> Value {
    let mut entry = InlineTable::new();
    entry.insert("host", grant.host.to_string().into());
    entry.insert("ports", grant.ports.iter().map(|port| i64::from(*port)).collect::<Array>().into());
    entry.insert("methods", grant.methods.iter().cloned().collect::<Array>().into());
    for (key, is) in [("private", grant.private), ("plain", grant.plain)] {
        if is {
            entry.insert(key, true.into());
        }
    }
    entry.into()
}

fn push(allow: &mut dyn TableLike, key: &str, mut value: Value, comment: &str) -> Option<()> {
    if !allow.contains_key(key) {
        allow.insert(key, Item::Value(Array::new().into()));
    }
    let list = allow.get_mut(key)?;
    if let Some(tables) = list.as_array_of_tables_mut() {
        let mut table = value.as_inline_table()?.clone().into_table();
        table.decor_mut().set_prefix(format!("\n{comment}\n"));
        tables.push(table);
        return Some(());
    }
    value.decor_mut().set_prefix(format!("\n    {comment}\n    "));
    value.decor_mut().set_suffix("\n");
    list.as_array_mut()?.push_formatted(value);
    Some(())
}

fn set(table: &mut dyn TableLike, key: &str, value: Value, comment: &str) -> Option<()> {
    table.insert(key, Item::Value(value));
    table.key_mut(key)?.leaf_decor_mut().set_prefix(format!("{comment}\n"));
    Some(())
}

impl Policy {
    /// With an answer that holds for all tasks of a plugin.
    pub(crate) fn with_answer(&self, answer: &AlwaysAllowed) -> Result<Self, PolicyError> {
        let mut policy = self.clone();
        let rules = policy.plugins.get_mut(&answer.plugin).ok_or_else(|| answer.no_rules())?;
        rules.allow_always(&answer.touch).ok_or_else(|| answer.no_rules())?;
        Ok(policy)
    }
}

impl PluginRules {
    /// Whether this is allowed without a question already, by words and not because every task may.
    fn allows(&self, touch: &Touch) -> bool {
        !touch.capability().is_ambient() && self.allow.entry_for(touch).is_some()
    }

    /// Allows what was asked about; `None` when nothing asks about it.
    fn allow_always(&mut self, touch: &Touch) -> Option<()> {
        let entry = self.ask.entry_for(touch)?;
        let place = match entry {
            Entry::At(place) => place,
            Entry::Whole => 0,
        };
        let allow = &mut self.allow;
        match touch {
            Touch::Dir { host, guest, access } => {
                let asked = self.ask.dirs.get(place)?;
                let (host, guest, access) = (host.clone(), guest.clone(), *access);
                allow.dirs.push(DirGrant { host, guest, access, ..asked.clone() });
            }
            Touch::Http(request) => {
                let asked = self.ask.http.get(place)?;
                let mut grant = HttpGrant::new(request.host.parse().ok()?).ports([request.port]);
                grant = grant.methods([request.method.as_str()]);
                (grant.private, grant.plain) = (asked.private, request.plain);
                allow.http.push(grant);
            }
            Touch::Env(_) => allow.env.push(self.ask.env.get(place)?.clone()),
            Touch::Secret(name) => drop(allow.secrets.insert(name.clone())),
            Touch::Tasks(plugin) => drop(allow.plugins.insert(plugin.clone())),
            Touch::Function(name) => drop(allow.functions.insert(name.clone())),
            Touch::Signal => allow.signal = true,
            Touch::Kv => allow.kv = true,
            Touch::Agent | Touch::ClockWall | Touch::Random => {
                self.ask.without.insert(touch.capability());
                allow.without.remove(&touch.capability());
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grants::http::HttpTouch;

    const TEXT: &str = r#"# Ours.
version = 1

[plugins.fetch]   # from the shelf
digest = "any"
allow = { kv = true }

[plugins.fetch.ask]
agent = true   # it talks a lot
http = [{ host = "*", private = true }]
fs = [{ host = "/srv/docs", guest = "/docs", access = "read-write", bytes = 10 }]
tasks = ["*"]
host = ["clock"]
secrets = ["token"]
signal = true
env = { LANG = "C" }

[plugins.other]
digest = "any"
[[plugins.other.allow.http]]
host = "a.example.com"
[plugins.other.ask]
http = [{ host = "*" }]

[secrets.token]
env = "TOKEN"
hosts = ["api.example.com"]
"#;

    fn get(host: &str) -> Touch {
        Touch::Http(HttpTouch { method: "GET".into(), host: host.into(), port: 443, plain: false })
    }

    fn dir(access: Access) -> Touch {
        Touch::Dir { host: "/srv/docs".into(), guest: "/docs".into(), access }
    }

    fn answer(plugin: &str, touch: Touch) -> AlwaysAllowed {
        AlwaysAllowed::new(plugin, touch, Party::Person, Timestamp(1_795_307_930_000))
    }

    #[test]
    fn t23_an_answer_for_always_is_written_beside_what_is_there_and_means_what_it_says() {
        let asked = [
            ("fetch", get("api.example.com")),
            ("other", get("b.example.com")),
            ("fetch", dir(Access::Read)),
            ("fetch", Touch::Env("LANG".into())),
            ("fetch", Touch::Secret("token".into())),
            ("fetch", Touch::Tasks("hello".into())),
            ("fetch", Touch::Function("clock".into())),
            ("fetch", Touch::Signal),
            ("fetch", Touch::Agent),
        ];
        let mut text = TEXT.to_owned();
        for (plugin, touch) in asked {
            let before = Policy::parse(&text).unwrap();
            let answer = answer(plugin, touch.clone());
            let written = answer.written_into(&text).unwrap();
            assert_eq!(Policy::parse(&written).unwrap(), before.with_answer(&answer).unwrap(), "{written}");
            let rules = |text: &str| {
                let digest = crate::model::ids::PluginDigest::of(b"");
                Policy::parse(text).unwrap().rules_for(plugin, &digest).rule(&touch)
            };
            assert!(matches!(rules(&text), super::super::Ruling::Ask(_)), "{touch}");
            assert!(matches!(rules(&written), super::super::Ruling::Allow(_)), "{touch}: {written}");
            let said = format!(": a person was asked about {touch}, and allows it always\n");
            assert_eq!(written.matches(&said).count(), 1, "{written}");
            text = written;
        }
        // What was there is there, but for the line that was one table and the question that is no more.
        for line in TEXT.lines().filter(|line| !line.starts_with("allow =") && !line.starts_with("agent =")) {
            assert!(text.contains(line.trim_end_matches(']')), "{line}: {text}");
        }
    }

    #[test]
    fn t23_what_nobody_asks_about_is_not_written() {
        for (plugin, touch) in [("nobody", Touch::Signal), ("other", Touch::Kv), ("other", Touch::Agent)] {
            assert!(answer(plugin, touch).written_into(TEXT).is_err());
        }
        // Somebody else was faster.
        assert_eq!(answer("fetch", Touch::Kv).written_into(TEXT).unwrap(), TEXT);
        assert!(answer("fetch", Touch::Signal).written_into("version = 2").is_err());
    }

    #[test]
    fn t23_a_read_that_is_allowed_always_leaves_the_write_to_a_question() {
        let written = answer("fetch", dir(Access::Read)).written_into(TEXT).unwrap();
        let digest = crate::model::ids::PluginDigest::of(b"");
        let rules = Policy::parse(&written).unwrap().rules_for("fetch", &digest);
        assert!(matches!(rules.rule(&dir(Access::ReadWrite)), super::super::Ruling::Ask(_)));
        let all = rules.all();
        let [seen] = all.dirs.as_slice() else { panic!("it is seen once: {all:?}") };
        assert_eq!((seen.access, seen.bytes), (Access::ReadWrite, Some(10)));
    }
}
