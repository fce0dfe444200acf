//! What a task says it spent elsewhere, and messages that are sent once.

use serde_json::json;
use taskcell::{AgentMessage, Budget, Delivery, EventBody, FailureKind, LimitsRequest};

use crate::support::task::{data, events, failed, outcome, result, start, start_as};
use crate::support::{builder, fixture, request, with_fixture};

#[tokio::test]
async fn r2a_what_was_spent_is_summed_in_the_state() {
    let (host, _) = fixture().await;
    let task = start(&host, "spend", json!({"tool": "search", "tokens": 1000, "actions": 1, "times": 3})).await;
    assert_eq!(data(outcome(&task).await), json!(["ok", "ok", "ok"]));
    let usage = task.state().usage;
    assert_eq!((usage.tokens, usage.actions), (3000, 3));
    for tool in ["", "a\nb", &"t".repeat(257)] {
        let refused = result(&host, "spend", json!({"tool": tool, "tokens": 1, "actions": 1, "times": 1})).await;
        assert_eq!(refused, json!(["invalid-argument"]), "{tool:?}");
    }
}

#[tokio::test]
async fn r2a_a_budget_warns_at_80_percent_and_stops_the_task_at_100() {
    let (host, _) = fixture().await;
    let limits = LimitsRequest::default().tokens(1000).actions(1000);
    let spend = |times: u32| json!({"tool": "search", "tokens": 100, "actions": 1, "times": times});
    for (times, warned) in [(7, false), (8, true), (9, true), (50, true)] {
        let task = start_as(&host, request("spend", spend(times)).limits(limits)).await;
        let ended = outcome(&task).await;
        let low = |body: &EventBody| {
            matches!(body, EventBody::BudgetLow { budget: Budget::Tokens, used: 800, limit: 1000, .. })
        };
        let lows = events(&task).await.iter().filter(|event| low(&event.body)).count();
        assert_eq!(lows, usize::from(warned), "{times}");
        if times < 10 {
            assert_eq!(data(ended), json!(vec!["ok"; times as usize]));
        } else {
            let failure = failed(ended, FailureKind::Budget);
            assert_eq!(failure.message, "its limit of 1000 tokens is used up: it has recorded 1000");
            assert_eq!(task.state().usage.tokens, 1000);
        }
    }
}

#[tokio::test]
async fn r25_a_message_with_a_key_reaches_the_agent_once_and_is_answered_alike() {
    let sink = |message: &AgentMessage| match message.message.as_str() {
        "about a" => Delivery::Accepted,
        _ => Delivery::Blocked,
    };
    let (host, _) = with_fixture(builder().agent_sink(sink)).await;
    let task = start(&host, "agent-once", json!({"keys": ["a", "b", "a", "b", ""]})).await;
    let answers = json!(["accepted", "blocked", "accepted", "blocked", "invalid-argument"]);
    assert_eq!(data(outcome(&task).await), answers);
    let sent = |event: &&taskcell::Event| matches!(event.body, EventBody::AgentMessage { .. });
    assert_eq!(events(&task).await.iter().filter(sent).count(), 2);
}
