//! Adds an invoice up. The prices come from a function of the program around the host, and a large sum needs a yes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use taskcell_guest::{Approval, HostError, TaskCtl, TaskError, plugin, task};

/// Sums above this many cents need a yes, unless the operator configured another one as `free_up_to`.
const FREE_UP_TO: u64 = 10_000;

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    free_up_to: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { free_up_to: FREE_UP_TO }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    /// Who is to pay.
    customer: String,
    /// What was ordered.
    items: Vec<Item>,
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    article: String,
    pieces: u64,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Invoice {
    customer: String,
    /// The sum in cents.
    cents: u64,
    /// What has no price.
    unknown: Vec<String>,
}

/// Adds the order up, and asks for a yes when it is large.
#[task]
fn invoice(ctl: &TaskCtl, order: Order) -> Result<Invoice, TaskError> {
    let mut made = Invoice { customer: order.customer, cents: 0, unknown: Vec::new() };
    for (done, item) in order.items.iter().enumerate() {
        ctl.report_progress(format!("the price of {}", item.article), percent(done, order.items.len()))?;
        match ctl.call_host::<u64>("price", &json!({ "article": item.article })) {
            Ok(cents) => made.cents = made.cents.saturating_add(cents.saturating_mul(item.pieces)),
            // The function's own no: that article has no price.
            Err(HostError::Failed { .. }) => made.unknown.push(item.article.clone()),
            Err(other) => return Err(other.into()),
        }
    }
    if made.cents > ctl.config::<Config>()?.free_up_to {
        let summary = format!("send {} an invoice of {}", made.customer, euros(made.cents));
        let question = Approval::new("large-invoice", summary).metadata(json!({ "cents": made.cents }));
        ctl.request_approval(question)?.granted()?;
    }
    ctl.set_summary(format!("{} owes {}", made.customer, euros(made.cents)));
    Ok(made)
}

fn percent(done: usize, all: usize) -> u8 {
    u8::try_from(done * 100 / all.max(1)).unwrap_or(100)
}

fn euros(cents: u64) -> String {
    format!("{}.{:02} euros", cents / 100, cents % 100)
}

plugin! {
    name: "invoice",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Adds invoices up, and asks before large ones.",
    requests: ["host:price" => "an invoice needs prices"],
    tasks: [invoice],
}

#[cfg(test)]
mod tests {
    use taskcell_guest::testing::FakeHost;

    use super::*;

    fn order(articles: &[(&str, u64)]) -> Order {
        let items = articles.iter().map(|(article, pieces)| Item { article: (*article).to_owned(), pieces: *pieces });
        Order { customer: "Ada".to_owned(), items: items.collect() }
    }

    #[test]
    fn prices_are_asked_for_and_added_up() {
        let host = FakeHost::new();
        host.answer_host("price", Ok(json!(250)));
        host.answer_host("price", Err(HostError::failed("there is no such thing")));
        let made = host.run(invoice, order(&[("lamp", 3), ("moon", 1)])).unwrap();
        assert_eq!(made, Invoice { customer: "Ada".into(), cents: 750, unknown: vec!["moon".into()] });
        assert_eq!(host.summary().as_deref(), Some("Ada owes 7.50 euros"));
    }

    #[test]
    fn a_large_sum_needs_a_yes() {
        let host = FakeHost::new();
        host.answer_host("price", Ok(json!(250)));
        host.deny("ask Grace first");
        let error = host.run(invoice, order(&[("lamp", 100)])).unwrap_err();
        assert!(format!("{error:?}").contains("ask Grace first"), "{error:?}");
    }
}
