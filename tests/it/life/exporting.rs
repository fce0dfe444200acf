//! What happened to a task and to those that it started, written out.

use serde_json::{Value, json};
use taskcell::{Export, ExportFormat};

use crate::support::task::{outcome, start};
use crate::support::{fixture, within};

async fn whole(mut export: Export) -> String {
    let mut text = String::new();
    while let Some(piece) = within(export.next()).await.unwrap() {
        text += &piece;
    }
    text
}

#[tokio::test]
async fn r4b_the_tree_follows_its_root() {
    let (host, _) = fixture().await;
    let task = start(&host, "sum-in-two", json!([1, 2, 3])).await;
    outcome(&task).await;
    within(task.gone()).await;
    let children: Vec<_> = task.state().children.iter().map(|child| json!(child.id)).collect();
    assert_eq!(children.len(), 2);
    let text = whole(host.export_tree(&task, ExportFormat::JsonLines)).await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let headers: Vec<_> = lines.iter().filter(|line| line["export"] == 1).map(|line| line["id"].clone()).collect();
    assert_eq!((&headers[0], &headers[1..]), (&json!(task.id()), &children[..]));
    assert_eq!(lines.iter().filter(|line| line["complete"] == true).count(), 3);
    // Alone, they are only named.
    let alone = whole(task.export(ExportFormat::JsonLines)).await;
    assert!(text.starts_with(&alone) && alone.contains("child-started"));
    let page = whole(host.export_tree(&task, ExportFormat::Page)).await;
    assert_eq!(page.lines().filter(|line| line.starts_with("# ")).count(), 3);
    assert!(page.contains(": started `fixture/busy-sum ["), "{page}");
}
