//! Which requests to other machines are granted: hosts, ports, methods.

use core::net::IpAddr;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "cli"))]
pub(crate) mod text;

/// Bytes of a host's name: DNS allows no more.
const HOST_BYTES_MAX: usize = 253;

/// A host, or all hosts below a name: `api.example.com`, `*.example.com`, an address, or `*` for every one.
///
/// `*.example.com` is every name below `example.com`, at any depth, and not that name itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Every,
    /// A name, in lower case and without a dot at its end, or an address.
    One(String),
    /// What lies below this name.
    Below(String),
}

/// A text that is no host and no pattern of hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no host: write a name such as `api.example.com` (others than ASCII as `xn--…`), `*.example.com`, an address such as `10.0.0.1` or `::1`, or `*`; without scheme, port and path"
)]
pub struct InvalidHost(String);

/// A host as a request names it, made comparable: lower case, no dot at the end, an address in its one form.
pub(crate) fn host_name(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    // A name whose last label is a number would be read as an address by somebody: `127.1`, `0x7f.1`, `2130706433`.
    let last_is_number = name.rsplit('.').next().is_none_or(|last| {
        let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
        hex || last.bytes().all(|c| c.is_ascii_digit())
    });
    (name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) && !last_is_number).then_some(name)
}

impl HostPattern {
    /// Every host.
    pub(crate) const EVERY: Self = Self(Kind::Every);

    /// Whether this host is meant. Its name has to be as [`host_name`] writes it.
    pub(crate) fn matches(&self, host: &str) -> bool {
        match &self.0 {
            Kind::Every => true,
            Kind::One(name) => name == host,
            Kind::Below(name) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }

    /// Whether everything that the other means is meant.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Kind::Every, _) => true,
            (_, Kind::One(host)) => self.matches(host),
            (Kind::Below(name), Kind::Below(below)) => name == below || self.matches(below),
            (Kind::Below(_) | Kind::One(_), Kind::Every) | (Kind::One(_), Kind::Below(_)) => false,
        }
    }

    /// Whether there is a host that both mean.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// What both mean. Of two patterns one lies within the other, or they share nothing.
    fn meet(&self, other: &Self) -> Option<Self> {
        if other.covers(self) { Some(self.clone()) } else { self.covers(other).then(|| other.clone()) }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let kind = match text.strip_prefix("*.") {
            // Below an address there is nothing.
            Some(below) => host_name(below).filter(|name| name.parse::<IpAddr>().is_err()).map(Kind::Below),
            None if text == "*" => Some(Kind::Every),
            None => host_name(text).map(Kind::One),
        };
        kind.map(Self).ok_or_else(|| InvalidHost(text.to_owned()))
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Every => f.write_str("*"),
            Kind::One(name) => f.write_str(name),
            Kind::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// Requests that a task may send.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpGrant {
    /// To which hosts.
    pub host: HostPattern,
    /// To which ports of theirs.
    #[serde(default = "https_port")]
    pub ports: BTreeSet<u16>,
    /// With which methods, in upper case; with none here, every one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub methods: BTreeSet<String>,
    /// Whether the host may turn out to be on a private network or this very machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
    /// Whether the request may go unencrypted, as `http://`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

fn https_port() -> BTreeSet<u16> {
    BTreeSet::from([443])
}

impl HttpGrant {
    /// Requests with any method, encrypted, to port 443 of public addresses of this host.
    pub fn new(host: HostPattern) -> Self {
        Self { host, ports: https_port(), methods: BTreeSet::new(), private: false, plain: false }
    }

    /// To these ports instead.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// With these methods alone.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.methods = methods.into_iter().map(|method| method.into().to_ascii_uppercase()).collect();
        self
    }

    /// To private addresses and this machine as well.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Unencrypted as well.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Whether this request is among them, as far as its address is not looked at.
    pub(crate) fn allows(&self, request: &HttpTouch) -> bool {
        self.host.matches(&request.host)
            && self.ports.contains(&request.port)
            && (self.methods.is_empty() || self.methods.contains(&request.method))
            && (self.plain || !request.plain)
    }

    /// What both grant; `None` when that is nothing.
    pub(in crate::model) fn meet(&self, other: &Self) -> Option<Self> {
        let host = self.host.meet(&other.host)?;
        let ports: BTreeSet<u16> = self.ports.intersection(&other.ports).copied().collect();
        let methods = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, _) => other.methods.clone(),
            (false, true) => self.methods.clone(),
            (false, false) => {
                let both: BTreeSet<String> = self.methods.intersection(&other.methods).cloned().collect();
                if both.is_empty() {
                    return None;
                }
                both
            }
        };
        let (private, plain) = (self.private && other.private, self.plain && other.plain);
        (!ports.is_empty()).then_some(Self { host, ports, methods, private, plain })
    }

    /// Whether everything that the other grants is granted.
    pub(in crate::model) fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty() || (!other.methods.is_empty() && other.methods.is_subset(&self.methods));
        self.host.covers(&other.host)
            && other.ports.is_subset(&self.ports)
            && methods
            && (self.private || !other.private)
            && (self.plain || !other.plain)
    }
}

/// A request that a guest is about to send.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct HttpTouch {
    /// In upper case.
    pub(crate) method: String,
    /// As [`host_name`] writes it.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether it is `http://`.
    pub(crate) plain: bool,
}

impl fmt::Display for HttpTouch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http" } else { "https" };
        let host = &self.host;
        write!(f, "{} {scheme}://", self.method)?;
        if host.contains(':') { write!(f, "[{host}]:{}", self.port) } else { write!(f, "{host}:{}", self.port) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn t13_a_host_has_one_form_and_no_disguise() {
        for (written, host) in [
            ("API.Example.com.", "api.example.com"),
            ("[::1]", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("10.0.0.1", "10.0.0.1"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("local_host", "local_host"),
        ] {
            assert_eq!(host_name(written).as_deref(), Some(host), "{written}");
        }
        for none in [
            "",
            ".",
            "..",
            "a..b",
            "a.b..",
            "user@host",
            "host:80",
            "host/x",
            "bücher.example",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0x7f000001",
            "1.2.3.4.5",
            "10.0.0.01",
            "a b",
            "-a.b",
            "a-.b",
            "%2e",
            "host\r\n",
            "h\0",
        ] {
            assert_eq!(host_name(none), None, "{none:?}");
        }
        assert_eq!(host_name(&format!("{}.com", "a".repeat(64))), None);
    }

    #[test]
    fn t13_a_pattern_means_names_below_and_nothing_that_only_ends_alike() {
        let below = pattern("*.example.com");
        for (host, is) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            ("badexample.com", false),
            (".example.com", false),
            ("a.example.com.evil.org", false),
        ] {
            assert_eq!(below.matches(host), is, "{host}");
        }
        for none in ["*.*", "*a.example.com", "a.*.com", "*.10.0.0.1", "https://a.b", "*."] {
            assert!(none.parse::<HostPattern>().is_err(), "{none}");
        }
        assert_eq!(pattern("EXAMPLE.com.").to_string(), "example.com");
    }

    #[test]
    fn t13_plain_requests_and_other_ports_have_to_be_granted() {
        let grant = HttpGrant::new(pattern("a.example"));
        let touch = |method: &str, port, plain| HttpTouch {
            method: method.to_owned(),
            host: "a.example".to_owned(),
            port,
            plain,
        };
        assert!(grant.allows(&touch("GET", 443, false)));
        assert!(!grant.allows(&touch("GET", 443, true)) && !grant.allows(&touch("GET", 80, true)));
        let more = grant.clone().ports([80]).plain().methods(["get"]);
        assert!(more.allows(&touch("GET", 80, true)) && !more.allows(&touch("POST", 80, true)));
        assert!(!more.allows(&touch("GET", 443, false)));
    }

    pub(in crate::model) fn any_http() -> impl Strategy<Value = HttpGrant> {
        let host = prop_oneof![
            Just("*"),
            Just("*.b"),
            Just("*.a.b"),
            Just("a.b"),
            Just("x.a.b"),
            Just("c"),
            Just("10.0.0.1"),
        ];
        let ports = prop::collection::btree_set(prop_oneof![Just(80_u16), Just(443), Just(8443)], 1..3);
        let methods = prop::collection::btree_set(prop_oneof![Just("GET"), Just("POST")], 0..2);
        (host, ports, methods, any::<(bool, bool)>()).prop_map(|(host, ports, methods, (private, plain))| {
            let mut grant = HttpGrant::new(host.parse().unwrap()).ports(ports).methods(methods);
            (grant.private, grant.plain) = (private, plain);
            grant
        })
    }

    pub(in crate::model) fn any_http_touch() -> impl Strategy<Value = HttpTouch> {
        let host = prop_oneof![Just("a.b"), Just("x.a.b"), Just("b"), Just("c"), Just("10.0.0.1"), Just("y.b")];
        let port = prop_oneof![Just(80_u16), Just(443), Just(8443)];
        (host, port, prop_oneof![Just("GET"), Just("POST"), Just("PUT")], any::<bool>())
            .prop_map(|(host, port, method, plain)| HttpTouch { method: method.into(), host: host.into(), port, plain })
    }

    proptest! {
        #[test]
        fn what_both_grant_is_what_each_grants(one in any_http(), other in any_http(), touch in any_http_touch()) {
            let both = one.meet(&other);
            let allowed = both.as_ref().is_some_and(|both| both.allows(&touch));
            prop_assert_eq!(allowed, one.allows(&touch) && other.allows(&touch));
            if let Some(both) = both {
                prop_assert!(one.covers(&both) && other.covers(&both));
                prop_assert_eq!(both.private, one.private && other.private);
            }
            if one.covers(&other) && other.allows(&touch) {
                prop_assert!(one.allows(&touch));
            }
        }
    }
}
