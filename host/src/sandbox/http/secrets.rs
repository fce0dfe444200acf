//! What stands for a secret in a guest's memory, and how the secret comes into a request.

use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use uuid::Uuid;

use crate::model::grants::touch::Touch;
use crate::model::policy::SecretRule;
use crate::ports::mandate::LiveMandate;
use crate::ports::secrets::{Known, Secrets};

use super::check::Checked;

/// What a task's variables for secrets are called, before the secret's name.
const VARIABLE: &str = "TASKCELL_SECRET_";

/// The placeholders of one attempt of a task.
#[derive(Debug, Default)]
pub(in crate::sandbox) struct Placeholders {
    secrets: Arc<Secrets>,
    /// There may be more secrets later.
    all: Mutex<Vec<Arc<Placeholder>>>,
}

/// Stands for a secret. Nobody can guess it, and it is worth nothing outside of its task.
#[derive(Debug)]
pub(super) struct Placeholder {
    pub(super) name: String,
    text: String,
}

/// What may not be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The placeholder of this secret.
    Placeholder(String),
    /// A secret itself.
    Value,
}

/// What is said of a secret itself. Not which one it is: the guest may have tried.
pub(super) const TOLD: &str =
    "a secret itself stands in the request; what stands for it in the environment may, in its header";

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
    /// For the secrets of a host.
    pub(super) fn new(secrets: &Arc<Secrets>) -> Self {
        Self { secrets: Arc::clone(secrets), all: Mutex::default() }
    }

    fn all(&self) -> Vec<Arc<Placeholder>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one of a secret, which is made when it is wanted first.
    fn of(&self, name: &str) -> Arc<Placeholder> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|placeholder| placeholder.name == name) {
            return Arc::clone(known);
        }
        let text = format!("taskcell-secret-{}", Uuid::new_v4().simple());
        let made = Arc::new(Placeholder { name: name.to_owned(), text });
        all.push(Arc::clone(&made));
        made
    }

    /// The variables in which the guest finds them: one for every secret that the task may use at this moment, be it after a
    /// question.
    pub(in crate::sandbox) fn env(&self, mandate: &LiveMandate) -> Vec<(String, String)> {
        let known = self.secrets.known();
        let may = |name: &&str| !mandate.denies(&Touch::Secret((*name).to_owned()));
        let variable = |name: &str| {
            let variable = format!("{VARIABLE}{}", name.to_ascii_uppercase().replace('-', "_"));
            (variable, self.of(name).text.clone())
        };
        known.names().filter(may).map(variable).collect()
    }

    /// What of this may not be sent: the secret whose placeholder is in there, or a secret itself.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<Found> {
        let all = self.all();
        let found = all.iter().find(|placeholder| memmem::find(bytes, placeholder.text.as_bytes()).is_some());
        let placeholder = found.map(|placeholder| Found::Placeholder(placeholder.name.clone()));
        placeholder.or_else(|| self.secrets.known().is_in(bytes).then_some(Found::Value))
    }

    /// Bytes of the longest that there is to find.
    pub(super) fn longest(&self) -> usize {
        let placeholder = self.all().iter().map(|placeholder| placeholder.text.len()).max().unwrap_or_default();
        placeholder.max(self.secrets.known().longest())
    }

    /// Whether a secret itself is in a request's head, where the guest cannot have it from the host. It is looked for where the
    /// request goes, in the names of headers and in their values.
    pub(super) fn is_told_by(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        if self.secrets.is_empty() {
            return false;
        }
        let known = self.secrets.known();
        let in_header = |(name, value): (&HeaderName, &HeaderValue)| {
            known.is_in(name.as_str().as_bytes()) || known.is_in(value.as_bytes())
        };
        known.is_in(uri.to_string().as_bytes()) || headers.iter().any(in_header)
    }

    /// Those that the request uses, or why one of them may not stand where it does.
    pub(super) fn used(
        &self,
        request: &Checked,
        headers: &HeaderMap,
        rule_of: impl Fn(&str) -> Option<SecretRule>,
    ) -> Result<Vec<Arc<Placeholder>>, Misplaced> {
        let target = request.target.to_string();
        let mut used = Vec::new();
        for placeholder in self.all() {
            let (name, text) = (placeholder.name.clone(), placeholder.text.as_str());
            let misplaced = |why: String| Err(Misplaced { name: name.clone(), why });
            if target.contains(text) || headers.keys().any(|header| header.as_str().contains(text)) {
                return misplaced(nowhere_else(&name));
            }
            let mut holders =
                headers.iter().filter(|(_, value)| is_in(text, value)).map(|(header, _)| header).peekable();
            if holders.peek().is_none() {
                continue;
            }
            let Some(rule) = rule_of(&name) else {
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

    /// Looks for those that a request uses once more and puts the secrets in, which are those of the moment of the rules.
    pub(super) fn put(
        &self,
        request: &Checked,
        headers: &mut HeaderMap,
        rule_of: impl Fn(&str) -> Option<SecretRule>,
    ) -> Result<(), Misplaced> {
        self.secrets.look(|known| {
            let used = self.used(request, headers, rule_of)?;
            fill(known, &used, headers)
        })
    }
}

/// Puts secrets in the place of what stands for them.
fn fill(known: &Known, used: &[Arc<Placeholder>], headers: &mut HeaderMap) -> Result<(), Misplaced> {
    for placeholder in used {
        let Placeholder { name, text } = &**placeholder;
        let secret = known
            .value(name)
            .ok_or_else(|| Misplaced { name: name.clone(), why: format!("the secret {name} is not there any more") })?;
        for value in headers.values_mut().filter(|value| is_in(text, value)) {
            let filled = String::from_utf8_lossy(value.as_bytes()).replace(text.as_str(), secret);
            // A secret has only what a header may have.
            if let Ok(mut filled) = HeaderValue::from_str(&filled) {
                filled.set_sensitive(true);
                *value = filled;
            }
        }
    }
    Ok(())
}

fn is_in(text: &str, value: &HeaderValue) -> bool {
    memmem::find(value.as_bytes(), text.as_bytes()).is_some()
}

/// Hides secrets in the headers that a server sent.
pub(super) fn hide(secrets: &Secrets, headers: &mut HeaderMap) {
    if secrets.is_empty() {
        return;
    }
    let secrets = secrets.known();
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
    use crate::ports::secrets::Values;
    use crate::sandbox::http::check::check;

    use super::*;

    fn value_of(name: &str) -> (String, String) {
        (name.to_owned(), format!("value-of-{name}"))
    }

    fn mandate() -> LiveMandate {
        let given = Grants::default().secret("api-token").secret("unknown");
        let requested = Requested::new(&[CapabilityRequest::new("secrets")], [""; 0]);
        LiveMandate::new(Mandate::new(requested, None, Some(given)))
    }

    fn placeholders() -> Placeholders {
        let all = Placeholders::new(&Arc::new(Secrets::new(["api-token", "other"].map(value_of)).unwrap()));
        assert_eq!(all.env(&mandate()).len(), 1);
        all
    }

    fn rule() -> SecretRule {
        let policy = "version = 1\n[secrets.api-token]\nenv = \"T\"\nhosts = [\"a.b\"]";
        let policy = Policy::parse(policy).unwrap();
        let (_, rule) = policy.secrets().next().unwrap();
        assert_eq!(rule.source, SecretSource::Env("T".to_owned()));
        rule.clone()
    }

    fn used(all: &Placeholders, request: &Request<()>) -> Result<usize, String> {
        let used = all.used(&check(request).unwrap(), request.headers(), |_| Some(rule()));
        used.map(|used| used.len()).map_err(|misplaced| misplaced.why)
    }

    fn text(all: &Placeholders) -> String {
        all.env(&mandate()).remove(0).1
    }

    #[test]
    fn t14_only_what_is_granted_has_a_placeholder_and_each_task_has_its_own() {
        let (one, two) = (placeholders(), placeholders());
        let env = one.env(&mandate());
        assert_eq!(env.len(), 1);
        assert_eq!(env[0].0, "TASKCELL_SECRET_API_TOKEN");
        assert!(!env[0].1.contains("value-of"));
        assert_eq!(one.env(&mandate()), env, "it is the same at each look");
        assert_ne!(env[0].1, text(&two));
    }

    #[test]
    fn t14_a_secret_that_comes_later_has_a_placeholder_from_then_on_and_the_new_value() {
        let secrets = Arc::new(Secrets::new([value_of("api-token")]).unwrap());
        let all = Placeholders::new(&secrets);
        let first = all.env(&mandate());
        let both = [("api-token".to_owned(), "another-value".to_owned()), value_of("unknown")];
        secrets.exchange(Values::new(both).unwrap(), || ());
        let env = all.env(&mandate());
        assert_eq!((env[0].clone(), env[1].0.as_str()), (first[0].clone(), "TASKCELL_SECRET_UNKNOWN"));
        let mut request = Request::get("https://a.b/").header("authorization", &env[0].1).body(()).unwrap();
        let checked = check(&request).unwrap();
        all.put(&checked, request.headers_mut(), |_| Some(rule())).unwrap();
        assert_eq!(request.headers()["authorization"], "another-value");
        // One that is gone is nothing to the guest, and what stood for it is sent nowhere.
        secrets.exchange(Values::new([value_of("unknown")]).unwrap(), || ());
        assert_eq!(all.env(&mandate()), env[1..]);
        request.headers_mut().insert("authorization", HeaderValue::from_str(&env[0].1).unwrap());
        let gone = all.put(&checked, request.headers_mut(), |_| Some(rule())).unwrap_err();
        assert_eq!(gone.why, "the secret api-token is not there any more");
    }

    #[test]
    fn t14_a_secret_itself_is_sent_nowhere() {
        let all = placeholders();
        let request = |uri: &str, name: &str, value: &str| Request::get(uri).header(name, value).body(()).unwrap();
        for told in [
            request("https://a.b/?value-of-other", "x", "y"),
            request("https://value-of-other.b/", "x", "y"),
            request("https://a.b/", "value-of-other", "y"),
            request("https://a.b/", "authorization", "Bearer value-of-api-token"),
        ] {
            assert!(all.is_told_by(told.uri(), told.headers()), "{told:?}");
        }
        let other = request("https://a.b/", "x", "value-of");
        assert!(!all.is_told_by(other.uri(), other.headers()));
        assert_eq!(all.find(b"a value-of-other"), Some(Found::Value));
        assert_eq!(all.find(text(&all).as_bytes()), Some(Found::Placeholder("api-token".to_owned())));
        assert_eq!(all.find(b"value-of"), None);
    }

    #[test]
    fn t14_a_secret_stands_in_its_header_for_its_hosts_and_nowhere_else() {
        let all = placeholders();
        let text = text(&all);
        let request = |uri: &str, header: &str| {
            Request::get(uri).header(header, format!("Bearer {text}")).header("x", "y").body(()).unwrap()
        };
        let mut right = request("https://A.B./", "authorization");
        assert_eq!(used(&all, &right), Ok(1));
        let checked = check(&right).unwrap();
        all.put(&checked, right.headers_mut(), |_| Some(rule())).unwrap();
        assert_eq!(right.headers()["authorization"], "Bearer value-of-api-token");
        for (wrong, why) in [
            (request("https://evil.org/", "authorization"), "may not go to evil.org"),
            (request("https://a.b/", "x-other"), "header authorization only"),
            (Request::get(format!("https://a.b/?{text}")).body(()).unwrap(), "nowhere else"),
            (Request::get("https://a.b/").header(text.as_str(), "x").body(()).unwrap(), "nowhere else"),
        ] {
            let said = used(&all, &wrong).unwrap_err();
            assert!(said.contains(why) && !said.contains("value-of"), "{said}");
        }
        let none = Request::get("https://a.b/").body(()).unwrap();
        assert_eq!(used(&all, &none), Ok(0));
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
