//! Where the caller of a task waits for it: who says so, and who wins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::details::Routing;
use super::request::StartRequest;

/// Decides between what was said about a task: the request's own word, then the host's policy, then the plugin's hint.
/// Where nobody says anything, the caller gets a handle at once.
pub(crate) fn decide(own: Option<Routing>, policy: Option<Routing>, hint: Option<Routing>) -> Routing {
    own.or(policy).or(hint).unwrap_or(Routing::Background)
}

/// One of a host's rules about where the callers of tasks wait
/// ([`HostBuilder::routing_rules`](crate::HostBuilder::routing_rules)): what is not said holds for any.
///
/// ```
/// use taskcell::{Routing, RoutingRule};
///
/// let rule: RoutingRule = serde_json::from_str(r#"{"plugin": "search", "routing": {"mode": "foreground"}}"#)?;
/// assert_eq!(rule, RoutingRule::new(Routing::Foreground).plugin("search"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoutingRule {
    /// For tasks of the plugin of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// For tasks of the type of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    /// Where their callers wait.
    pub routing: Routing,
}

impl RoutingRule {
    /// A rule for all tasks.
    pub fn new(routing: Routing) -> Self {
        Self { plugin: None, task_type: None, routing }
    }

    /// Only for tasks of the plugin of this name.
    #[must_use]
    pub fn plugin(mut self, name: impl Into<String>) -> Self {
        self.plugin = Some(name.into());
        self
    }

    /// Only for tasks of the type of this name.
    #[must_use]
    pub fn task_type(mut self, name: impl Into<String>) -> Self {
        self.task_type = Some(name.into());
        self
    }

    fn holds_for(&self, request: &StartRequest) -> bool {
        self.plugin.as_ref().is_none_or(|plugin| *plugin == request.plugin)
            && self.task_type.as_ref().is_none_or(|task_type| *task_type == request.task_type)
    }
}

/// What the first rule says that holds.
pub(crate) fn first_of(rules: &[RoutingRule], request: &StartRequest) -> Option<Routing> {
    rules.iter().find(|rule| rule.holds_for(request)).map(|rule| rule.routing)
}

impl Routing {
    /// Whether somebody waits for a task at its start: it is in the foreground then.
    pub(crate) fn is_foreground(self) -> bool {
        !self.patience().is_zero()
    }

    /// How long the caller waits for the outcome: not at all, for ever (`Duration::MAX`), or this long.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Foreground => Duration::MAX,
            Self::Background => Duration::ZERO,
            Self::DetachAfter { after } => after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r14_the_request_wins_over_the_policy_the_policy_over_the_hint() {
        let (own, policy) = (Routing::Foreground, Routing::DetachAfter { after: Duration::from_secs(1) });
        let hint = Routing::DetachAfter { after: Duration::from_secs(9) };
        assert_eq!(decide(Some(own), Some(policy), Some(hint)), own);
        assert_eq!(decide(None, Some(policy), Some(hint)), policy);
        assert_eq!(decide(None, None, Some(hint)), hint);
        assert_eq!(decide(None, None, None), Routing::Background);
    }

    #[test]
    fn r14_the_first_rule_that_holds_says_where_the_caller_waits() {
        let after = Routing::DetachAfter { after: Duration::from_secs(1) };
        let rules = [
            RoutingRule::new(after).plugin("p").task_type("slow"),
            RoutingRule::new(Routing::Foreground).plugin("p"),
            RoutingRule::new(Routing::Background).task_type("slow"),
        ];
        let of = |plugin: &str, task_type: &str| first_of(&rules, &StartRequest::new(plugin, task_type));
        assert_eq!((of("p", "slow"), of("p", "t")), (Some(after), Some(Routing::Foreground)));
        assert_eq!((of("q", "slow"), of("q", "t")), (Some(Routing::Background), None));
        assert!(serde_json::from_str::<RoutingRule>(r#"{"plugins": "p", "routing": {"mode": "foreground"}}"#).is_err());
    }

    #[test]
    fn r14_each_way_has_its_patience() {
        let after = Duration::from_secs(7);
        let ways = [Routing::Background, Routing::DetachAfter { after }, Routing::Foreground];
        assert_eq!(ways.map(Routing::patience), [Duration::ZERO, after, Duration::MAX]);
    }

    #[test]
    fn r14_a_routing_is_written_with_its_mode() {
        let after = Routing::DetachAfter { after: Duration::from_secs(2) };
        let text = serde_json::to_string(&after).unwrap();
        assert_eq!(text, r#"{"mode":"detach-after","after_ms":2000}"#);
        assert_eq!(serde_json::from_str::<Routing>(&text).unwrap(), after);
        assert_eq!(serde_json::from_str::<Routing>(r#"{"mode":"foreground"}"#).unwrap(), Routing::Foreground);
    }
}
