//! What stands for a secret in a guest's memory, and how the secret comes into a request.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use uuid::Uuid;

use crate::model::grants::touch::Touch;
use crate::model::policy::SecretRule;
use crate::ports::mandate::LiveMandate;
use crate::ports::secrets::Secrets;

use super::check::Checked;

/// What a task's variables for secrets are called, before the secret's name.
const VARIABLE: &str = "TASKCELL_SECRET_";

/// The placeholders of one attempt of a task.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Placeholders {
    secrets: Arc<Secrets>,
    all: Vec<Placeholder>,
}

/// Stands for a secret. Nobody can guess it, and it is worth nothing outside of its task.
#[derive(Debug)]
pub(super) struct Placeholder {
    pub(super) name: String,
    text: String,
}

/// A placeholder stands where its secret may not go.
#[derive(Debug)]
pub(super) struct Misplaced {
    /// The secret.
    pub(super) name: String,
    pub(super) why: String,
}

/// What is said of a placeholder that is in no header's value.
pub(super) fn nowhere_else(name: &str) -> String {
    format!("the secret {name} may stand in the value of a header, and nowhere else")
}

impl Placeholders {
    /// For every secret that the task may use, be it after a question.
    pub(super) fn for_task(secrets: &Arc<Secrets>, mandate: &LiveMandate) -> Self {
        let may = |name: &&str| !mandate.denies(&Touch::Secret((*name).to_owned()));
        let made = |name: &str| {
            let text = format!("taskcell-secret-{}", Uuid::new_v4().simple());
            Placeholder { name: name.to_owned(), text }
        };
        Self { secrets: Arc::clone(secrets), all: secrets.names().filter(may).map(made).collect() }
    }

    /// The variables in which the guest finds them.
    pub(in crate::sandbox) fn env(&self) -> impl Iterator<Item = (String, &str)> {
        self.all.iter().map(|placeholder| {
            let name = placeholder.name.to_ascii_uppercase().replace('-', "_");
            (format!("{VARIABLE}{name}"), placeholder.text.as_str())
        })
    }

    /// The secret whose placeholder is in there.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.all.iter().find(|placeholder| memmem::find(bytes, placeholder.text.as_bytes()).is_some());
        found.map(|placeholder| placeholder.name.as_str())
    }

    /// Bytes of one.
    pub(super) fn length(&self) -> usize {
        self.all.iter().map(|placeholder| placeholder.text.len()).max().unwrap_or_default()
    }

    /// Those that the request uses, or why one of them may not stand where it does.
    pub(super) fn used<'a>(
        &'a self,
        request: &Checked,
        headers: &HeaderMap,
        rule_of: impl Fn(&str) -> Option<SecretRule>,
    ) -> Result<Vec<&'a Placeholder>, Misplaced> {
        let target = request.target.to_string();
        let mut used = Vec::new();
        for placeholder in &self.all {
            let (name, text) = (&placeholder.name, placeholder.text.as_str());
            let misplaced = |why: String| Err(Misplaced { name: name.clone(), why });
            if target.contains(text) || headers.keys().any(|header| header.as_str().contains(text)) {
                return misplaced(nowhere_else(name));
            }
            let mut holders =
                headers.iter().filter(|(_, value)| is_in(text, value)).map(|(header, _)| header).peekable();
            if holders.peek().is_none() {
                continue;
            }
            let Some(rule) = rule_of(name) else {
                return misplaced(format!("no policy says where the secret {name} may go"));
            };
            if !rule.hosts.iter().any(|host| host.matches(&request.touch.host)) {
                return misplaced(format!("the secret {name} may not go to {}", request.touch.host));
            }
            if let Some(other) = holders.find(|header| header.as_str() != rule.header) {
                return misplaced(format!(
                    "the secret {name} may stand in the header {} only, not in {other}",
                    rule.header
                ));
            }
            used.push(placeholder);
        }
        Ok(used)
    }

    /// Puts the secrets in.
    pub(super) fn put(&self, used: &[&Placeholder], headers: &mut HeaderMap) {
        for Placeholder { name, text } in used {
            let Some(secret) = self.secrets.value(name) else { continue };
            for value in headers.values_mut().filter(|value| is_in(text, value)) {
                let filled = String::from_utf8_lossy(value.as_bytes()).replace(text.as_str(), secret);
                // A secret has only what a header may have.
                if let Ok(mut filled) = HeaderValue::from_str(&filled) {
                    filled.set_sensitive(true);
                    *value = filled;
                }
            }
        }
    }
}

fn is_in(text: &str, value: &HeaderValue) -> bool {
    memmem::find(value.as_bytes(), text.as_bytes()).is_some()
}

/// Hides secrets in the headers that a server sent.
pub(super) fn hide(secrets: &Secrets, headers: &mut HeaderMap) {
    if secrets.is_empty() {
        return;
    }
    for value in headers.values_mut() {
        if let Some(hidden) = secrets.hidden(value.as_bytes())
            && let Ok(hidden) = HeaderValue::from_bytes(&hidden)
        {
            *value = hidden;
        }
    }
    // A name cannot be changed without becoming another one.
    let named: Vec<HeaderName> =
        headers.keys().filter(|name| secrets.hidden(name.as_str().as_bytes()).is_some()).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::model::grants::Grants;
    use crate::model::policy::mandate::Mandate;
    use crate::model::policy::{Policy, SecretSource};
    use crate::model::requests::{CapabilityRequest, Requested};
    use crate::sandbox::http::check::check;

    use super::*;

    fn placeholders() -> Placeholders {
        let mut secrets = Secrets::default();
        for name in ["api-token", "other"] {
            secrets.add(name.to_owned(), format!("value-of-{name}")).unwrap();
        }
        let given = Grants::default().secret("api-token").secret("unknown");
        let requested = Requested::new(&[CapabilityRequest::new("secrets")], [""; 0]);
        let mandate = LiveMandate::new(Mandate::new(requested, None, Some(given)));
        Placeholders::for_task(&Arc::new(secrets), &mandate)
    }

    fn rule() -> SecretRule {
        let policy = "version = 1\n[secrets.api-token]\nenv = \"T\"\nhosts = [\"a.b\"]";
        let policy = Policy::parse(policy).unwrap();
        let (_, rule) = policy.secrets().next().unwrap();
        assert_eq!(rule.source, SecretSource::Env("T".to_owned()));
        rule.clone()
    }

    fn used<'a>(all: &'a Placeholders, request: &Request<()>) -> Result<Vec<&'a Placeholder>, String> {
        all.used(&check(request).unwrap(), request.headers(), |_| Some(rule())).map_err(|misplaced| misplaced.why)
    }

    #[test]
    fn t14_only_what_is_granted_has_a_placeholder_and_each_task_has_its_own() {
        let (one, two) = (placeholders(), placeholders());
        let env: Vec<_> = one.env().collect();
        assert_eq!(env.len(), 1);
        assert_eq!(env[0].0, "TASKCELL_SECRET_API_TOKEN");
        assert!(!env[0].1.contains("value-of"));
        assert_ne!(env[0].1, two.env().next().unwrap().1);
    }

    #[test]
    fn t14_a_secret_stands_in_its_header_for_its_hosts_and_nowhere_else() {
        let all = placeholders();
        let text = all.env().next().unwrap().1.to_owned();
        let request = |uri: &str, header: &str| {
            Request::get(uri).header(header, format!("Bearer {text}")).header("x", "y").body(()).unwrap()
        };
        let mut right = request("https://A.B./", "authorization");
        let found = used(&all, &right).unwrap();
        all.put(&found, right.headers_mut());
        assert_eq!(right.headers()["authorization"], "Bearer value-of-api-token");
        for (wrong, why) in [
            (request("https://evil.org/", "authorization"), "may not go to evil.org"),
            (request("https://a.b/", "x-other"), "header authorization only"),
            (Request::get(format!("https://a.b/?{text}")).body(()).unwrap(), "nowhere else"),
            (Request::get("https://a.b/").header(text.as_str(), "x").body(()).unwrap(), "nowhere else"),
        ] {
            let said = used(&all, &wrong).map(|_| ()).unwrap_err();
            assert!(said.contains(why) && !said.contains("value-of"), "{said}");
        }
        let none = Request::get("https://a.b/").body(()).unwrap();
        assert_eq!(used(&all, &none).unwrap().len(), 0);
        let unruled = all.used(
            &check(&request("https://a.b/", "authorization")).unwrap(),
            request("https://a.b/", "authorization").headers(),
            |_| None,
        );
        assert!(unruled.unwrap_err().why.contains("no policy"));
    }

    #[test]
    fn t14_what_a_server_sends_back_is_hidden_in_headers() {
        let all = placeholders();
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("Bearer value-of-api-token;"));
        headers.insert("value-of-other", HeaderValue::from_static("x"));
        hide(&all.secrets, &mut headers);
        assert_eq!(headers["x-echo"], "Bearer ******************;");
        assert_eq!(headers.len(), 1);
    }
}
