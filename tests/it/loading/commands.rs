//! Plain programs: a component that exports `wasi:cli/run` is a plugin with the one task type `command`.

use serde_json::{Value, json};
use taskcell::{FailureKind, Host, StartError, StartRequest};

use crate::support::task::{data, failed, outcome, start_as, stderr};
use crate::support::{builder, guest, within};

async fn with_command() -> Host {
    let host = builder().build().unwrap();
    within(host.load_plugin(guest("command"))).await.unwrap();
    host
}

fn command(input: Value) -> StartRequest {
    StartRequest::new("command", "command").input(input)
}

#[tokio::test]
async fn r1_a_command_is_a_plugin_called_after_its_file() {
    let host = with_command().await;
    let plugins = host.plugins();
    let manifest = plugins[0].manifest();
    assert_eq!(manifest.name, "command");
    let types: Vec<_> = manifest.tasks.iter().map(|task| task.name.as_str()).collect();
    assert_eq!(types, ["command"]);
}

#[tokio::test]
async fn r2_a_command_gets_its_arguments_and_its_input_and_its_output_is_the_result() {
    let host = with_command().await;
    let task = start_as(&host, command(json!({"args": ["one", "two ü"], "stdin": "in\nput"}))).await;
    assert_eq!(
        data(outcome(&task).await),
        json!({"exit_code": 0, "stdout": "argument: one\nargument: two ü\nin\nput", "truncated": false})
    );
    assert_eq!(stderr(&task).await, "6 bytes of input\n");
}

#[tokio::test]
async fn r2_a_command_runs_with_nothing_at_all() {
    let host = with_command().await;
    let task = start_as(&host, command(json!({}))).await;
    assert_eq!(data(outcome(&task).await)["stdout"], json!(""));
}

#[tokio::test]
async fn f32_an_exit_with_0_is_a_success_of_a_command() {
    let host = with_command().await;
    let task = start_as(&host, command(json!({"args": ["--exit", "0"]}))).await;
    assert_eq!(data(outcome(&task).await)["exit_code"], json!(0));
}

#[tokio::test]
async fn r37_an_exit_with_3_is_a_failure_and_arrives_as_1() {
    let host = with_command().await;
    let task = start_as(&host, command(json!({"args": ["--exit", "3"], "stdin": "x"}))).await;
    let told = failed(outcome(&task).await, FailureKind::Exited);
    // WASI 0.2 knows only success and failure.
    assert_eq!(told.exit_code, Some(1));
    assert!(told.message.contains('1'), "{}", told.message);
    assert_eq!(stderr(&task).await, "1 bytes of input\n");
}

#[tokio::test]
async fn r13_a_commands_input_has_a_schema_too() {
    let host = with_command().await;
    for input in [json!({"args": "one"}), json!({"argv": []}), json!([])] {
        let error = within(host.start(command(input.clone()))).await.unwrap_err();
        assert!(matches!(error, StartError::InvalidInput { .. }), "{input}: {error:?}");
    }
}
