//! Claims on the outbox, with every moment told by the test.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MOST: OutboxLimits = OutboxLimits { messages: 100, bytes: 1000 };

/// An outbox whose tokens are counted.
struct Bench {
    outbox: Outbox,
    tokens: u128,
}

impl Bench {
    fn new() -> Self {
        Self { outbox: Outbox::new(MOST), tokens: 0 }
    }

    fn send(&mut self, task: u128, number: u64) {
        let message = message(task, number);
        assert!(self.outbox.reserve(message.bytes()));
        self.outbox.put(message);
    }

    /// Claims for ten seconds.
    fn claim(&mut self, filter: &MessageFilter, most: usize, now: Duration) -> Vec<ClaimedMessage> {
        let Self { outbox, tokens } = self;
        outbox.claim(filter, most, now, now + 10 * SECOND, || {
            *tokens += 1;
            ClaimToken::from_random(*tokens)
        })
    }

    fn settle(&mut self, token: ClaimToken, now: Duration) -> Option<u64> {
        let (_, number) = self.outbox.begin_to_settle(token, now)?;
        self.outbox.settled(token);
        Some(number)
    }

    fn all(&mut self, now: Duration) -> Vec<(TaskId, u64)> {
        self.claim(&MessageFilter::default(), 100, now).iter().map(of).collect()
    }

    /// What must hold whatever was done: the books agree with what lies there.
    fn check(&self) {
        let outbox = &self.outbox;
        let all = || outbox.queues.values().flat_map(|queue| queue.entries.values());
        assert_eq!(outbox.messages, all().count() as u64);
        assert_eq!(outbox.bytes, all().map(|entry| entry.message.bytes()).sum::<u64>());
        for queue in outbox.queues.values() {
            assert!(!queue.entries.is_empty());
            assert_eq!(queue.claimed, queue.entries.values().filter(|entry| entry.hold != Hold::Free).count());
        }
        let ready = outbox.queues.iter().filter(|(_, queue)| queue.claimed == 0);
        let ready: BTreeMap<u64, TaskId> =
            ready.map(|(id, queue)| (*queue.entries.keys().next().unwrap(), *id)).collect();
        assert_eq!(outbox.ready, ready);
        let claimed = all().filter(|entry| matches!(entry.hold, Hold::Claimed(_))).count();
        assert_eq!(outbox.ends.len(), claimed);
        assert_eq!(outbox.tokens.len(), all().filter(|entry| entry.token.is_some()).count());
    }
}

fn id(task: u128) -> TaskId {
    TaskId::from_random(task)
}

fn message(task: u128, number: u64) -> AgentMessage {
    AgentMessage {
        id: id(task),
        task: TaskRef { plugin: "p".into(), task_type: "t".into(), key: id(task).into() },
        session: Some(format!("s{}", task % 2)),
        number,
        message: "0123456789".into(),
        trigger: false,
        once: None,
        at: Timestamp(0),
    }
}

fn of(claimed: &ClaimedMessage) -> (TaskId, u64) {
    (claimed.message.id, claimed.message.number)
}

#[test]
fn r25_messages_are_claimed_once_the_oldest_first_and_each_tasks_in_order() {
    let mut bench = Bench::new();
    for (task, number) in [(1, 1), (2, 1), (1, 2), (2, 2), (3, 1)] {
        bench.send(task, number);
    }
    let first = bench.claim(&MessageFilter::default(), 3, SECOND);
    assert_eq!(first.iter().map(of).collect::<Vec<_>>(), [(id(1), 1), (id(2), 1), (id(1), 2)]);
    // The second message of task 2 waits for its first.
    assert_eq!(bench.all(SECOND), [(id(3), 1)]);
    bench.check();
    assert_eq!(bench.settle(first[1].token, SECOND), Some(1));
    assert_eq!(bench.all(SECOND), [(id(2), 2)]);
    bench.check();
}

#[test]
fn r25_a_claim_that_is_over_lets_the_message_be_claimed_again_and_an_ack_still_counts_until_then() {
    let mut bench = Bench::new();
    bench.send(1, 1);
    bench.send(1, 2);
    let first = bench.claim(&MessageFilter::default(), 1, SECOND);
    assert_eq!(bench.outbox.next_end(), Some(11 * SECOND));
    assert_eq!(bench.all(10 * SECOND), []);
    // Over, and nobody has claimed it since.
    assert_eq!(bench.settle(first[0].token, 12 * SECOND), Some(1));
    bench.check();
    let second = bench.claim(&MessageFilter::default(), 9, 12 * SECOND);
    assert_eq!((of(&second[0]), second[0].claims), ((id(1), 2), 1));
    let again = bench.claim(&MessageFilter::default(), 9, 22 * SECOND);
    assert_eq!((of(&again[0]), again[0].claims), ((id(1), 2), 2));
    assert_eq!(bench.settle(second[0].token, 22 * SECOND), None, "somebody else has it");
    bench.check();
    assert_eq!(bench.settle(again[0].token, 22 * SECOND), Some(2));
    assert_eq!(bench.settle(again[0].token, 22 * SECOND), None, "it is gone");
    bench.check();
    assert_eq!(bench.outbox.open(&MessageFilter::default()), 0);
}

#[test]
fn r25_what_is_given_back_can_be_claimed_at_once_in_its_place() {
    let mut bench = Bench::new();
    bench.send(1, 1);
    bench.send(2, 1);
    bench.send(1, 2);
    let claimed = bench.claim(&MessageFilter::default(), 3, SECOND);
    assert!(bench.outbox.release(claimed[0].token, SECOND));
    assert!(!bench.outbox.release(claimed[0].token, SECOND), "it was given back already");
    assert_eq!(bench.all(SECOND), [], "the task's second message is still claimed");
    assert!(bench.outbox.release(claimed[2].token, SECOND));
    assert_eq!(bench.all(SECOND), [(id(1), 1), (id(1), 2)]);
    assert!(!bench.outbox.release(claimed[1].token, 12 * SECOND), "its time was over");
    bench.check();
}

#[test]
fn r25_what_is_being_written_down_is_nobodys_and_comes_back_when_it_could_not_be() {
    let mut bench = Bench::new();
    bench.send(1, 1);
    let claimed = bench.claim(&MessageFilter::default(), 1, SECOND);
    let token = claimed[0].token;
    assert_eq!(bench.outbox.begin_to_settle(token, 2 * SECOND), Some((id(1), 1)));
    assert_eq!(bench.outbox.begin_to_settle(token, 2 * SECOND), None);
    assert!(!bench.outbox.release(token, 2 * SECOND));
    assert_eq!(bench.all(20 * SECOND), [], "not even when the claim's time is over");
    bench.outbox.unsettled(token, 5 * SECOND);
    bench.check();
    assert_eq!(bench.all(5 * SECOND), []);
    assert_eq!(bench.all(20 * SECOND), [(id(1), 1)]);
    bench.check();
}

#[test]
fn r25_a_session_and_a_task_are_claimed_alone() {
    let mut bench = Bench::new();
    for task in 1..=4 {
        bench.send(task, 1);
    }
    let even = bench.claim(&MessageFilter::session("s0"), 9, SECOND);
    assert_eq!(even.iter().map(of).collect::<Vec<_>>(), [(id(2), 1), (id(4), 1)]);
    let third = bench.claim(&MessageFilter::task(id(3)), 9, SECOND);
    assert_eq!(third.iter().map(of).collect::<Vec<_>>(), [(id(3), 1)]);
    assert_eq!(bench.claim(&MessageFilter::task(id(3)), 9, SECOND), []);
    assert_eq!(bench.outbox.open(&MessageFilter::session("s1")), 2);
    bench.check();
}

#[test]
fn r25_the_host_keeps_so_many_messages_of_so_many_bytes() {
    let mut outbox = Outbox::new(OutboxLimits { messages: 2, bytes: 25 });
    assert!(outbox.reserve(10) && !outbox.reserve(16) && outbox.reserve(15));
    assert!(!outbox.reserve(0), "two are there");
    outbox.unreserve(15);
    assert!(outbox.reserve(1));
}

#[test]
fn f14_a_task_that_is_forgotten_takes_its_messages_along() {
    let mut bench = Bench::new();
    for (task, number) in [(1, 1), (1, 2), (2, 1), (3, 1)] {
        bench.send(task, number);
    }
    let claimed = bench.claim(&MessageFilter::default(), 3, SECOND);
    bench.outbox.begin_to_settle(claimed[0].token, SECOND);
    for task in [1, 3] {
        bench.outbox.forget(id(task));
        bench.check();
    }
    bench.outbox.settled(claimed[0].token);
    bench.check();
    assert_eq!(bench.outbox.open(&MessageFilter::default()), 1);
}

#[test]
fn a_token_is_read_back_from_its_text() {
    let token = ClaimToken::from_random(0xabc);
    assert_eq!(token.to_string().parse(), Ok(token));
    for bad in ["", "abc", "+0000000000000000000000000000abc"] {
        assert_eq!(bad.parse::<ClaimToken>(), Err(InvalidToken), "{bad}");
    }
}
