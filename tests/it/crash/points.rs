//! Killed at every named failpoint, the first time that it comes there and later ones.

use reqwest::Method;
use serde_json::json;

use super::ledger::{Ledger, SHAPES};
use super::server::{Gone, Server, is_killed};

/// What is done in each life, in the same order each time.
async fn work(ledger: &mut Ledger, server: &Server) -> Result<(), Gone> {
    for shape in SHAPES {
        ledger.start(server, shape).await?;
    }
    for number in 0..24 {
        ledger.act(server, ledger.newest(number / 6), number).await?;
    }
    let (status, body) = server.ask(Method::POST, "/gc", None, Some(json!({"older_than_ms": 3_600_000}))).await?;
    assert!(status.is_success(), "{status}: {body}");
    Ok(())
}

/// The same, and a plugin is added.
async fn work_and_add(ledger: &mut Ledger, server: &Server) -> Result<(), Gone> {
    work(ledger, server).await?;
    let status = server.upload("hello").await?;
    assert!(status.is_success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn t40_a_server_that_is_killed_at_any_failpoint_keeps_what_it_acknowledged() {
    let mut reached = Vec::new();
    for point in taskcell::FAILPOINTS {
        for times in [1, 2, 5, 17] {
            let data = tempfile::tempdir().unwrap();
            let mut ledger = Ledger::default();
            // A life before, so that there is something to recover.
            let before = Server::start(data.path(), None).unwrap();
            work(&mut ledger, &before).await.unwrap();
            // Nobody has told these anything, so some of them are under way.
            for shape in SHAPES {
                ledger.start(&before, shape).await.unwrap();
            }
            before.kill();
            let kill_at = format!("{point}:{times}");
            let died = match Server::start(data.path(), Some(&kill_at)) {
                None => true,
                Some(mut server) => match work_and_add(&mut ledger, &server).await {
                    Err(Gone) => {
                        let (status, said) = server.ended();
                        assert!(is_killed(status), "{kill_at}: {status}: {said}");
                        true
                    }
                    Ok(()) => server.dies_ending(),
                },
            };
            if died {
                reached.push(*point);
            }
            let after = Server::start(data.path(), None).unwrap();
            ledger.check(&after).await.unwrap();
            ledger.finish(&after).await;
        }
    }
    let never: Vec<_> = taskcell::FAILPOINTS.iter().filter(|point| !reached.contains(point)).collect();
    assert!(never.is_empty(), "nobody came there: {never:?}");
}
