//! Where a task's requests may go, once the host's name has become an address, and what may be put into them.

use core::net::IpAddr;

use crate::model::grants::address::is_public;
use crate::model::grants::http::{HttpGrant, HttpTouch};
use crate::model::grants::touch::Touch;
use crate::model::policy::SecretRule;

use super::Mandate;

impl Mandate {
    /// Whether a request that it may send may go to this address, to which its host's name has led.
    pub(crate) fn may_reach(&self, request: &HttpTouch, address: IpAddr) -> bool {
        // Who forbids an address means it also behind a name.
        let by_address = Touch::Http(HttpTouch { host: address.to_canonical().to_string(), ..request.clone() });
        let is_forbidden = self.withdrawn.forbid(&by_address).is_some()
            || self.rules.as_ref().is_some_and(|rules| rules.forbid(&by_address).is_some());
        !is_forbidden && (is_public(address) || self.may_reach_private(request))
    }

    /// Whether what lets it send this request says that private addresses are meant as well.
    fn may_reach_private(&self, request: &HttpTouch) -> bool {
        let private = |grants: &[HttpGrant]| grants.iter().any(|grant| grant.private && grant.allows(request));
        let given = self.given.as_ref().map_or(self.rules.is_some(), |given| private(&given.http));
        let by_rules = self.rules.as_ref().is_none_or(|rules| {
            // What is allowed without a question is not widened by what would be asked about.
            let is_allowed = rules.allow.http.iter().any(|grant| grant.allows(request));
            private(if is_allowed { &rules.allow.http } else { &rules.ask.http })
        });
        given && by_rules
    }

    /// Where the policy lets this secret go; `None` when it does not know it.
    pub(crate) fn secret_rule(&self, name: &str) -> Option<SecretRule> {
        self.rules.as_ref()?.secrets.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::model::grants::Grants;
    use crate::model::ids::PluginDigest;
    use crate::model::policy::Policy;
    use crate::model::requests::{CapabilityRequest, Requested};

    use super::*;

    const POLICY: &str = r#"
        version = 1
        [plugins.fetch]
        digest = "any"
        [plugins.fetch.allow]
        http = [{ host = "*.example.com" }, { host = "intranet.example.com", private = true }]
        secrets = ["token"]
        [plugins.fetch.ask]
        http = [{ host = "*", private = true }]
        [plugins.fetch.deny]
        http = ["9.9.9.9"]
        [secrets.token]
        env = "TOKEN"
        hosts = ["api.example.com"]
    "#;

    fn get(host: &str) -> HttpTouch {
        HttpTouch { method: "GET".into(), host: host.into(), port: 443, plain: false }
    }

    fn mandate(policy: Option<&str>, given: Option<Grants>) -> Mandate {
        let rules = policy
            .map(|policy| Arc::new(Policy::parse(policy).unwrap().rules_for("fetch", &PluginDigest::of(b"fetch"))));
        Mandate::new(Requested::new(&[CapabilityRequest::new("http")], [""; 0]), rules, given)
    }

    #[test]
    fn t13_a_private_address_has_to_be_granted_by_what_allows_the_request() {
        let mandate = mandate(Some(POLICY), None);
        for (host, address, is) in [
            ("api.example.com", "93.184.216.34", true),
            ("api.example.com", "10.0.0.1", false),
            ("api.example.com", "::ffff:93.184.216.34", false),
            ("api.example.com", "9.9.9.9", false),
            ("intranet.example.com", "10.0.0.1", true),
            // Somebody is asked about it, and is asked about private addresses with it.
            ("elsewhere.org", "10.0.0.1", true),
            ("elsewhere.org", "9.9.9.9", false),
        ] {
            assert_eq!(mandate.may_reach(&get(host), address.parse().unwrap()), is, "{host} at {address}");
        }
    }

    #[test]
    fn t13_without_a_policy_whoever_starts_a_task_says_so() {
        let all = || HttpGrant::new("*".parse().unwrap());
        let address: IpAddr = "127.0.0.1".parse().unwrap();
        for (given, is) in [(None, false), (Some(all()), false), (Some(all().private()), true)] {
            let given = given.map(|grant| Grants::default().http(grant));
            assert_eq!(mandate(None, given.clone()).may_reach(&get("a.org"), address), is, "{given:?}");
            let both = mandate(Some(POLICY), given).may_reach(&get("api.example.com"), address);
            assert!(!both, "the policy does not");
        }
    }

    #[test]
    fn t14_where_a_secret_may_go_is_the_policys_to_say() {
        let rule = mandate(Some(POLICY), None).secret_rule("token").unwrap();
        assert_eq!((rule.header.as_str(), rule.hosts.len()), ("authorization", 1));
        assert_eq!(mandate(Some(POLICY), None).secret_rule("other"), None);
        assert_eq!(mandate(None, Some(Grants::default().secret("token"))).secret_rule("token"), None);
    }
}
