//! Documents: manifests, policies, and the JSON that guests give.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::model::capability::Capability;
use crate::model::children::ChildOptions;
use crate::model::grants::http::{HttpTouch, host_name};
use crate::model::grants::touch::Touch;
use crate::model::grants::{Access, Grants};
use crate::model::ids::PluginDigest;
use crate::model::json;
use crate::model::manifest::{Manifest, is_name};
use crate::model::plan::Plan;
use crate::model::policy::mandate::{Mandate, Verdict};
use crate::model::policy::{Policy, Rules, Ruling, Standing};
use crate::model::requests::{CapabilityRequest, Requested};

use super::text;

/// How deep a schema may be nested, as a host has it by default.
const DEPTH_MAX: u32 = 32;
/// Words of a policy that are tried as names of everything.
const WORDS_MAX: usize = 24;
/// Values of a document that are checked against its own schemas.
const VALUES: [&str; 4] = ["null", "{}", "[1,\"a\"]", "{\"a\":{\"a\":1}}"];

/// A manifest is an error, or says the same when it is written and read again; its schemas can be used or not.
pub(super) fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(&text(bytes)).inspect_err(|error| drop(error.to_string())) else { return };
    assert!(is_name(&manifest.name) && manifest.tasks.iter().all(|task| is_name(&task.name)));
    let written = serde_json::to_string(&manifest);
    let again = written.as_deref().ok().and_then(|text| Manifest::parse(text).ok());
    assert_eq!(again.and_then(|again| serde_json::to_string(&again).ok()), written.ok());
    let values = VALUES.iter().filter_map(|value| serde_json::from_str::<Value>(value).ok()).collect::<Vec<_>>();
    for task in &manifest.tasks {
        let requested =
            Requested::new(manifest.requests_of(task), manifest.tasks.iter().map(|task| task.name.as_str()));
        let _ = requested.narrow(&Grants::default());
    }
    for (_, schemas) in manifest.schemas(DEPTH_MAX).into_iter().flatten() {
        for schema in [&schemas.input, &schemas.output] {
            for value in &values {
                let _ = schema.check(value);
            }
        }
    }
}

/// A policy is an error, or decides about everything that there is in it: what is forbidden before what is allowed.
pub(super) fn policy(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(policy) = Policy::parse(&text).inspect_err(|error| drop(error.to_string())) else { return };
    let touches = touches(&text);
    let digest = PluginDigest::of(b"");
    for plugin in policy.plugins().chain(["nobody"]) {
        let rules = policy.rules_for(plugin, &digest);
        assert_eq!(rules.standing == Standing::Unknown, plugin == "nobody" && !policy.plugins.contains_key("nobody"));
        laws(&rules.allow, &rules.ask, &touches);
        let mandate = Mandate::new(everything(), Some(Arc::new(rules.clone())), None);
        for touch in &touches {
            decided(&policy, &rules, &mandate, touch);
        }
    }
}

fn decided(policy: &Policy, rules: &Rules, mandate: &Mandate, touch: &Touch) {
    let forbidden = policy.all.deny.forbid(touch).or(rules.deny.forbid(touch)).is_some();
    let ruling = rules.rule(touch);
    assert_eq!(forbidden, matches!(ruling, Ruling::Deny(_)), "{touch}: {ruling:?}");
    let verdict = mandate.decide(touch);
    let same = match (&ruling, &verdict) {
        (Ruling::Allow(rule), Verdict::Allowed { rule: by }) | (Ruling::Ask(rule), Verdict::Ask { rule: by }) => {
            rule == by
        }
        (Ruling::Deny(_) | Ruling::Silent, Verdict::Denied { .. }) => true,
        (Ruling::Allow(_) | Ruling::Ask(_) | Ruling::Deny(_) | Ruling::Silent, _) => false,
    };
    assert!(same, "{touch}: {ruling:?} came to {verdict:?}");
    if rules.standing != Standing::Known && !touch.capability().is_ambient() {
        assert!(!matches!(verdict, Verdict::Allowed { .. } | Verdict::Ask { .. }), "{touch} for bytes of nobody's");
    }
    if mandate.bound().entry_for(touch).is_some() {
        assert!(!forbidden, "{touch} is within what children may get, and forbidden");
    }
}

/// What two have in common each of them has; what one has, both together have.
fn laws(a: &Grants, b: &Grants, touches: &[Touch]) {
    let (meet, join) = (a.meet(b), a.clone().join(b));
    for touch in touches {
        let has = |grants: &Grants| grants.entry_for(touch).is_some();
        assert!(!has(&meet) || (has(a) && has(b)), "{touch} is in what both have");
        assert!(!(has(a) || has(b)) || has(&join), "{touch} is lost");
    }
    assert_eq!(meet.first_beyond(a), None);
    assert_eq!(meet.first_beyond(b), None);
}

/// What a plugin would ask for that asks for everything.
fn everything() -> Requested {
    // Functions of the host's are asked for one by one, or by what the code imports.
    let all = Capability::ALL.into_iter().filter(|capability| *capability != Capability::Host);
    let asked: Vec<CapabilityRequest> = all
        .map(|capability| {
            let mut request = CapabilityRequest::new(capability.name());
            if capability == Capability::Fs {
                request.access = Some(Access::ReadWrite);
            }
            request
        })
        .collect();
    Requested::new(&asked, ["taskcell:plugin/host@0.1.2"])
}

/// Everything that the words of a text could name.
fn touches(text: &str) -> Vec<Touch> {
    let is_part = |c: char| c.is_alphanumeric() || "/.-_:".contains(c);
    let words: BTreeSet<&str> = text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).take(WORDS_MAX).collect();
    let mut all = vec![Touch::Signal, Touch::Agent, Touch::Kv, Touch::ClockWall, Touch::Random];
    for word in words {
        let name = || word.to_owned();
        all.extend([Touch::Env(name()), Touch::Secret(name()), Touch::Tasks(name()), Touch::Function(name())]);
        for access in [Access::Read, Access::ReadWrite] {
            all.push(Touch::Dir { host: PathBuf::from(word).join("x"), guest: name(), access });
            all.push(Touch::Dir { host: PathBuf::from(word), guest: name(), access });
        }
        for host in [word.to_owned(), format!("x.{word}")].iter().filter_map(|host| host_name(host)) {
            for (method, port, plain) in [("GET", 443, false), ("POST", 80, true)] {
                let (method, host) = (method.to_owned(), host.clone());
                all.push(Touch::Http(HttpTouch { method, host, port, plain }));
            }
        }
    }
    all
}

/// JSON that a guest gives: as a value, as a plan, as the options of a child.
pub(super) fn values(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(value) = json::parse(&text).inspect_err(|error| drop(error.to_string())) else { return };
    // A field that stands there twice is counted twice.
    assert!(!json::has_too_many(&value), "it was let through");
    assert!(json::weight(&value) >= 64);
    let written = value.to_string();
    assert_eq!(json::parse(&written).ok().as_ref(), Some(&value), "it is another value when it is read again");
    if let Ok(plan) = Plan::from_json(value.clone()) {
        let checked = plan.check();
        let again = Plan::from_json(plan.to_json());
        assert_eq!(again.as_ref(), Ok(&plan), "a plan that is read again is the same");
        assert_eq!(again.map(|again| again.check()), Ok(checked));
    }
    let _ = serde_json::from_value::<Box<ChildOptions>>(value);
}
