//! Killed at random moments, without a word, hundreds of times.

use super::ledger::{Ledger, SHAPES};
use super::server::{Gone, Server};

/// So many lives has the server.
const LIVES: usize = 240;
/// In one of so many each thing is done that can be acknowledged: chance may leave one out.
const LIVES_TO_EACH: usize = 40;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }
}

/// Some of what people do, until the server is gone or so much of it is acknowledged.
async fn work(ledger: &mut Ledger, server: &Server, dice: &mut Dice, most: usize) -> Result<(), Gone> {
    let end = ledger.acks + most;
    while ledger.acks < end {
        if dice.below(3) == 0 {
            ledger.start(server, SHAPES[dice.below(SHAPES.len())]).await?;
        } else {
            // Most of the old ones have ended: half of what is done is done to the newest.
            let which = if dice.below(2) == 0 { dice.below(1 << 20) } else { ledger.newest(dice.below(8)) };
            ledger.act(server, which, dice.below(1 << 20)).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn t40_a_server_that_is_killed_again_and_again_keeps_what_it_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let (mut ledger, mut dice) = (Ledger::default(), Dice(0x5eed));
    for life in 0..LIVES {
        let server = Server::start(data.path(), None).unwrap();
        if life % 10 == 0 {
            ledger.check(&server).await.unwrap();
        }
        let most = dice.below(12);
        work(&mut ledger, &server, &mut dice, most).await.unwrap();
        if life % LIVES_TO_EACH == 0 {
            ledger.act_each(&server).await.unwrap();
        }
        // The last thing that is asked for may be cut off anywhere.
        let pause = 1 << dice.below(13);
        let cut = async {
            let _ = work(&mut ledger, &server, &mut dice, 1).await;
        };
        tokio::select! {
            biased;
            () = turns(pause) => {}
            () = cut => {}
        }
        server.kill();
    }
    let server = Server::start(data.path(), None).unwrap();
    ledger.check(&server).await.unwrap();
    ledger.finish(&server).await;
    assert_eq!(ledger.missing(), None, "it was never acknowledged");
}

async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
