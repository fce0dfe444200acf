//! What `--allow` and `--without` say: one grammar for everything that may be granted by a word.

use std::collections::BTreeSet;

use clap_complete::CompletionCandidate;

use crate::model::capability::Capability;
use crate::model::grants::http::text as http;
use crate::{Grants, HttpGrant};

/// Something that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed {
    /// To reach tasks outside of its own tree.
    Signal,
    /// To use the plugin's own store.
    Kv,
    /// To start every other plugin's tasks.
    Tasks,
    /// To start this other plugin's tasks.
    TasksOf(String),
    /// To send requests.
    Http(HttpGrant),
    /// To have a secret put into requests.
    Secret(String),
    /// To call a function of the embedding program's.
    Function(String),
    /// What every task may, unless a policy takes it away.
    Ambient(Capability),
}

impl Allowed {
    /// The secret that it is about.
    pub(super) fn secret(&self) -> Option<&str> {
        match self {
            Self::Secret(name) => Some(name),
            Self::Signal
            | Self::Kv
            | Self::Tasks
            | Self::TasksOf(_)
            | Self::Http(_)
            | Self::Function(_)
            | Self::Ambient(_) => None,
        }
    }
}

/// The forms that there are.
const FORMS: &str = "signal, kv, tasks, tasks=PLUGIN, http=[METHOD,…:]HOST[:PORT,…][+private][+plain], secrets=NAME, \
                     host:NAME, agent, clock-wall, random";

/// Reads what is allowed.
pub(super) fn allowed(text: &str) -> Result<Allowed, String> {
    if let Some(function) = text.strip_prefix("host:") {
        return named(function, "host:price").map(Allowed::Function);
    }
    let (word, scope) = match text.split_once('=') {
        Some((word, scope)) => (word, Some(scope)),
        None => (text, None),
    };
    match word {
        "dir-read" => return Err("folders are granted by naming them: --dir DIR::/data".to_owned()),
        "dir-write" | "fs" => return Err("folders are granted by naming them: --dir DIR::/data:rw".to_owned()),
        "env" => return Err("variables are granted by naming them: --env NAME=VALUE".to_owned()),
        "host" => return Err("functions are granted one by one, as in host:price".to_owned()),
        _ => {}
    }
    let Some(capability) = Capability::from_name(word) else {
        let meant = super::text::suggestion(word, Capability::ALL.into_iter().map(Capability::name));
        let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        return Err(format!("{meant}there are: {FORMS}"));
    };
    let whole = |allowed: Allowed| match scope {
        None => Ok(allowed),
        Some(_) => Err(format!("`{word}` is one thing and has no scope: --allow {word}")),
    };
    match capability {
        Capability::Signal => whole(Allowed::Signal),
        Capability::Kv => whole(Allowed::Kv),
        Capability::Agent | Capability::ClockWall | Capability::Random => whole(Allowed::Ambient(capability)),
        Capability::Tasks => match scope {
            None => Ok(Allowed::Tasks),
            Some(plugin) => named(plugin, "tasks=digest").map(Allowed::TasksOf),
        },
        Capability::Http => match scope {
            None => Err("say to which host: --allow http=GET:api.example.com; every one is http=*".to_owned()),
            Some(requests) => http::parse(requests).map(Allowed::Http),
        },
        Capability::Secrets => named(scope.unwrap_or_default(), "secrets=token").map(Allowed::Secret),
        // These were told above.
        Capability::Fs | Capability::Env | Capability::Host => Err(format!("there are: {FORMS}")),
    }
}

fn named(name: &str, example: &str) -> Result<String, String> {
    if crate::model::manifest::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!("{name:?} is no name; write for example {example}"))
}

/// Reads what is taken away.
pub(super) fn without(text: &str) -> Result<Capability, String> {
    let names = || Capability::ALL.into_iter().map(Capability::name);
    Capability::from_name(text).ok_or_else(|| format!("there are: {}", names().collect::<Vec<_>>().join(", ")))
}

/// What can be typed behind `--allow`.
pub(super) fn candidates() -> Vec<CompletionCandidate> {
    let forms = [
        ("signal", "to reach tasks outside of its own tree"),
        ("kv", "to use the plugin's own store"),
        ("tasks", "to start every other plugin's tasks"),
        ("tasks=", "to start this plugin's tasks"),
        ("http=", "to send requests: [METHOD,…:]HOST[:PORT,…][+private][+plain]"),
        ("secrets=", "to have this secret put into its requests"),
        ("host:", "to call this function of the embedding program's"),
        ("agent", "to tell the agent something"),
        ("clock-wall", "to learn the time of day"),
        ("random", "to get random numbers"),
    ];
    forms.into_iter().map(|(form, help)| CompletionCandidate::new(form).help(Some(help.into()))).collect()
}

/// What can be typed behind `--without`.
pub(super) fn capabilities() -> Vec<CompletionCandidate> {
    Capability::ALL.into_iter().map(|capability| CompletionCandidate::new(capability.name())).collect()
}

/// Adds what is allowed to grants.
pub(super) fn grant(grants: Grants, allowed: &[Allowed]) -> Grants {
    allowed.iter().fold(grants, |grants, allowed| match allowed {
        Allowed::Signal => grants.signal(),
        Allowed::Kv => grants.kv(),
        Allowed::Tasks => grants.tasks(),
        Allowed::TasksOf(plugin) => grants.plugin(plugin),
        Allowed::Http(requests) => grants.http(requests.clone()),
        Allowed::Secret(name) => grants.secret(name),
        Allowed::Function(name) => grants.function(name),
        Allowed::Ambient(_) => grants,
    })
}

/// What is given back of what every task has.
pub(super) fn ambient(allowed: &[Allowed]) -> BTreeSet<Capability> {
    let given_back = |allowed: &Allowed| match allowed {
        Allowed::Ambient(capability) => Some(*capability),
        Allowed::Signal
        | Allowed::Kv
        | Allowed::Tasks
        | Allowed::TasksOf(_)
        | Allowed::Http(_)
        | Allowed::Secret(_)
        | Allowed::Function(_) => None,
    };
    allowed.iter().filter_map(given_back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t23_each_form_is_read() {
        for (text, is) in [
            ("signal", Allowed::Signal),
            ("kv", Allowed::Kv),
            ("tasks", Allowed::Tasks),
            ("tasks=digest", Allowed::TasksOf("digest".to_owned())),
            ("secrets=token", Allowed::Secret("token".to_owned())),
            ("host:price", Allowed::Function("price".to_owned())),
            ("agent", Allowed::Ambient(Capability::Agent)),
        ] {
            assert_eq!(allowed(text), Ok(is), "{text}");
        }
        let requests = HttpGrant::new("api.example.com".parse().unwrap()).methods(["GET"]);
        assert_eq!(allowed("http=GET:api.example.com"), Ok(Allowed::Http(requests)));
    }

    #[test]
    fn t23_what_is_none_of_them_shows_the_right_form() {
        for (text, told) in [
            ("dir-read", "--dir DIR::/data"),
            ("dir-write", ":rw"),
            ("fs", "--dir"),
            ("env", "--env NAME=VALUE"),
            ("host", "host:price"),
            ("host:", "host:price"),
            ("http", "http=GET:api.example.com"),
            ("http=https://a.b", "[METHOD,…:]HOST"),
            ("kv=a", "--allow kv"),
            ("secrets", "secrets=token"),
            ("tasks=", "tasks=digest"),
            ("signals", "did you mean `signal`?"),
            ("network", "there are: signal"),
        ] {
            let error = allowed(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert_eq!(without("agent"), Ok(Capability::Agent));
        assert!(without("sockets").unwrap_err().contains("clock-wall"));
    }

    #[test]
    fn t23_what_is_allowed_is_granted_and_nothing_else() {
        let all = ["kv", "http=a.b", "tasks=digest", "random"].map(|text| allowed(text).unwrap());
        let grants = grant(Grants::default(), &all);
        let same = Grants::default().kv().http(HttpGrant::new("a.b".parse().unwrap())).plugin("digest");
        assert_eq!((grants, ambient(&all)), (same, BTreeSet::from([Capability::Random])));
    }
}
