//! An agent's loop with a scripted model: it starts tasks in turns, lets a slow one go on in the background, asks a person
//! before something costs money, and takes another turn when a result or a message comes.
//!
//! `cargo run --example agent_loop -- target/guests/wasm`
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use taskcell::{
    AgentLoop, ApprovalVerdict, ContinuePolicy, Grants, Host, HostFunction, LoopUpdate, MessageFilter, Party, Routing,
    StartRequest, TaskKey, Turn, TurnStart, UpdateBody, escape,
};

/// What the model says in a turn. A real one is given what the loop prints, and answers with the same: text and tool calls.
struct Says {
    text: &'static str,
    calls: Vec<StartRequest>,
}

fn script() -> anyhow::Result<Vec<Says>> {
    let order = json!({"customer": "Ada", "items": [{"article": "chair", "pieces": 6}]});
    let invoice = StartRequest::new("invoice", "invoice").input(order).grants(Grants::default().function("price"));
    // It takes longer than a turn should. Its result lets the agent go on.
    let primes = StartRequest::new("crunch", "primes").input(json!({"upto": 300_000_000}));
    let soon = Routing::DetachAfter { after: Duration::from_millis(50) };
    let publish = json!({"text": "16252325 primes", "reviewers": ["you"], "timeout_seconds": 600});
    let publish = StartRequest::new("approval", "publish").input(publish).key(TaskKey::new("news")?);
    let review = StartRequest::new("approval", "review").input(json!({"task": "news", "approve": true}));
    Ok(vec![
        Says {
            text: "I bill Ada and count the primes.",
            calls: vec![
                invoice.call("call-1").routing(Routing::Foreground),
                primes.call("call-2").routing(soon).continue_policy(ContinuePolicy::RequestContinue),
            ],
        },
        Says { text: "They are counted. I publish it.", calls: vec![publish.call("call-3")] },
        Says {
            text: "I have read it: it may go out.",
            calls: vec![review.call("call-4").routing(Routing::Foreground).grants(Grants::default().signal())],
        },
    ])
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    if let Some(done) = taskcell::compile_child() {
        return Ok(done);
    }
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "target/guests/wasm".to_owned()));
    let host = Host::builder().provide(HostFunction::new("price"), |_| async { Ok(json!(4_900)) }).build()?;
    for plugin in ["invoice", "crunch", "approval"] {
        host.load_plugin(folder.join(plugin).with_extension("wasm")).await?;
    }
    let agent = host.agent_loop("demo");
    for (number, says) in script()?.into_iter().enumerate() {
        if number > 0 {
            between_turns(&host, &agent).await;
        }
        let turn = agent.turn(format!("turn {}", number + 1));
        take_turn(&host, &turn, says).await?;
    }
    // The last results are there when nothing runs any more.
    agent.wait_idle().await;
    for update in agent.drain(100).updates {
        tell("note", &update);
    }
    host.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// What the model says is done, and the turn goes on until each of its calls is answered.
async fn take_turn(host: &Host, turn: &Turn, says: Says) -> anyhow::Result<()> {
    println!("{} | {}", turn.name(), says.text);
    for request in says.calls {
        let call = request.details.call_id.clone().unwrap_or_default();
        match turn.start(request).await? {
            // The turn will say how it ends.
            TurnStart::Foreground(_) => {}
            TurnStart::Background(task) => println!("answer | {call}: {} goes on in the background", task.task_ref()),
            TurnStart::Joined(task) => println!("answer | {call}: {}", task.wait().await),
        }
    }
    while let Some(update) = turn.next().await {
        if let UpdateBody::Question(question) = &update.body {
            // Here a person is shown what the task wants; this one says yes.
            println!(" asked | {}? yes", escape(&question.ask.summary));
            host.decide(question.id, question.number, ApprovalVerdict::Approve(None), Party::Person).await;
        } else {
            tell("answer", &update);
        }
    }
    Ok(())
}

/// Waits until there is a reason to take another turn.
async fn between_turns(host: &Host, agent: &AgentLoop) {
    while let Some(ready) = agent.wait_ready().await {
        let drained = agent.drain(100);
        for update in &drained.updates {
            tell("note", update);
        }
        let messages = host.messages();
        for claimed in messages.claim(&MessageFilter::session(agent.session()), 10, Duration::from_mins(1)) {
            println!("  mail | {}", escape(&claimed.message.message));
            messages.ack(claimed.token).await;
        }
        if drained.continue_requested || ready.message {
            return;
        }
    }
}

fn tell(label: &str, update: &LoopUpdate) {
    let call = update.call_id.as_deref().unwrap_or_default();
    match &update.body {
        UpdateBody::Detached => println!("{label:>6} | {call}: it takes long, and goes on in the background"),
        UpdateBody::Result { outcome, .. } => println!("{label:>6} | {call}: {outcome}"),
        // A question of a task in the background; the first one asks in its turn.
        UpdateBody::Question(_) | _ => println!("{label:>6} | {call}: {:?}", update.body),
    }
}
