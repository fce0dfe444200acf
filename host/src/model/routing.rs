//! Where the caller of a task waits for it: who says so, and who wins.

use std::time::Duration;

use super::details::Routing;

/// Decides between what was said about a task: the request's own word, then the host's policy, then the plugin's hint.
/// Where nobody says anything, the caller gets a handle at once.
pub(crate) fn decide(own: Option<Routing>, policy: Option<Routing>, hint: Option<Routing>) -> Routing {
    own.or(policy).or(hint).unwrap_or(Routing::Background)
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
