//! Greets somebody: the smallest useful plugin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use taskcell_guest::{TaskCtl, TaskError, plugin, task};

#[derive(Deserialize, JsonSchema)]
struct Input {
    /// Whom to greet; without a name, the world.
    name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    /// The greeting.
    greeting: String,
}

/// Greets somebody by name.
#[task]
fn hello(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError> {
    let name = input.name.unwrap_or_else(|| "world".to_owned());
    ctl.report_progress(format!("greeting {name}"), 50)?;
    Ok(Output { greeting: format!("Hello, {name}!") })
}

plugin! {
    name: "hello",
    version: env!("CARGO_PKG_VERSION"),
    author: "The Taskcell developers",
    description: "Greets people.",
    tasks: [hello],
}

#[cfg(test)]
mod tests {
    use taskcell_guest::testing::FakeHost;

    use super::*;

    #[test]
    fn somebody_is_greeted() {
        let host = FakeHost::new();
        let output = host.run(hello, Input { name: Some("Ada".to_owned()) });
        assert_eq!(output.unwrap().greeting, "Hello, Ada!");
        assert_eq!(host.progress()[0].message, "greeting Ada");
    }

    #[test]
    fn without_a_name_the_world_is_greeted() {
        let output = FakeHost::new().run(hello, Input { name: None });
        assert_eq!(output.unwrap().greeting, "Hello, world!");
    }
}
