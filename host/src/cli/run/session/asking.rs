//! What the person is asked: for signals, fuel, approval, and a word.

use std::time::Duration;

use crate::cli::progress::labelled;
use crate::cli::prompt::{self, Answer, Choice, Typed, Verdict};
use crate::cli::run::happenings::Question;
use crate::cli::text;
use crate::{ApprovalAnswer, ApprovalAsk, ApprovalNumber, NotifyAnswer, Party, Senders, SignalKey};

use super::Session;

/// Why nobody can be asked.
const STDIN_CLOSED: &str = "stdin is closed, so nobody answers";
const NO_THREAD: &str = "there is no thread to read an answer with";

impl Session<'_, '_> {
    /// Asks the person. Where there is none, nobody will answer later either: the task is told so at once.
    pub(super) async fn on_fuel_request(&mut self, number: ApprovalNumber, units: u64, reason: String) {
        // What it may take without asking, it has already.
        let open = self.handle.state().fuel_request;
        if open.is_none_or(|open| open.number != number) {
            return;
        }
        if let Some(verdict) = self.verdicts.of(ApprovalAsk::FUEL).cloned() {
            self.screen.line(&labelled("fuel", &prompt::fuel_wish(units, &reason)));
            self.decide_fuel(number, units, verdict).await;
            return;
        }
        let Some(nobody) = self.nobody() else {
            self.screen.ask(&prompt::fuel_question(units, &reason));
            self.asking = Some(Question::Fuel(number, units, reason));
            return;
        };
        self.screen.say(&labelled("fuel", &prompt::fuel_wish(units, &reason)));
        self.handle.deny(number, self.refusal(nobody, units), Party::Host).await;
    }

    /// Decides as was said in advance, or asks the person. Where there is none, it is a no.
    pub(super) async fn on_approval(&mut self, number: ApprovalNumber, ask: ApprovalAsk) {
        if !self.handle.state().approvals.iter().any(|pending| pending.number == number) {
            return;
        }
        let wish = labelled("ask", &prompt::approval_wish(&ask));
        if let Some(verdict) = self.verdicts.of(&ask.kind).cloned() {
            self.screen.line(&wish);
            self.decide(number, verdict).await;
            return;
        }
        let Some(nobody) = self.nobody() else {
            self.screen.ask(&prompt::approval_question(&ask));
            self.asking = Some(Question::Approval(number, Box::new(ask)));
            return;
        };
        self.screen.say(&wish);
        self.decline(number, nobody, &ask.kind).await;
    }

    /// Says no in the host's name, because there is nobody to ask.
    async fn decline(&mut self, number: ApprovalNumber, nobody: &str, kind: &str) {
        let flag = text::shell_word(kind);
        let reason = format!("{nobody}; --approve {flag} says yes in advance");
        self.handle.deny(number, reason, Party::Host).await;
    }

    /// Decides about this request for fuel, and no later one. A yes that goes beyond its limit is a no, with what allows it.
    async fn decide_fuel(&mut self, number: ApprovalNumber, units: u64, verdict: Verdict) {
        let answer = match verdict {
            Verdict::Approve(input) => self.handle.approve(number, input, Party::Person).await,
            Verdict::Deny(reason) => self.handle.deny(number, reason, Party::Person).await,
        };
        if let ApprovalAnswer::NotAllowed(why) = answer {
            let in_all = text::fuel_flag(self.limits.fuel_on_approval.saturating_add(units));
            let reason = format!("{why}; --limit fuel_on_approval={in_all} allows it");
            self.screen.say(&labelled("fuel", &reason));
            self.handle.deny(number, reason, Party::Host).await;
        }
    }

    async fn decide(&mut self, number: ApprovalNumber, verdict: Verdict) {
        let answer = match verdict {
            Verdict::Approve(input) => self.handle.approve(number, input, Party::Person).await,
            Verdict::Deny(reason) => self.handle.deny(number, reason, Party::Person).await,
        };
        match answer {
            ApprovalAnswer::Decided | ApprovalAnswer::AlreadyEnded(_) => {}
            ApprovalAnswer::NotAsked => self.screen.say("It was decided already."),
            ApprovalAnswer::NotAllowed(why) => self.screen.say(&why),
        }
    }

    /// Why nobody can be asked; `None` when somebody can, and is listened to.
    fn nobody(&mut self) -> Option<&'static str> {
        self.nobody.or_else(|| self.person.listen().is_err().then_some(NO_THREAD))
    }

    /// Why fuel is refused without an answer, and what gives it in advance.
    fn refusal(&self, nobody: &str, units: u64) -> String {
        let in_all = text::fuel_flag(self.limits.fuel_on_request.saturating_add(units));
        format!("{nobody}; --limit fuel_on_request={in_all} gives it in advance")
    }

    pub(super) fn on_wait(&mut self, keys: Vec<SignalKey>, senders: &Senders, timeout: Option<Duration>) {
        if !senders.allow(Party::Person) {
            let line = format!("the task waits for {}{}, and not from a person", named(&keys), at_most(timeout));
            self.screen.line(&labelled("wait", &line));
            return;
        }
        let Some(nobody) = self.nobody() else {
            self.ask_for_signal(keys);
            return;
        };
        let flag = keys.first().map(|key| text::shell_word(&format!("{key}=true"))).unwrap_or_default();
        let advice = format!("{nobody}; give it in advance: --signal {flag}");
        let line = format!("the task waits for {}{}; {advice}", named(&keys), at_most(timeout));
        self.screen.say(&labelled("wait", &line));
    }

    fn ask_for_signal(&mut self, keys: Vec<SignalKey>) {
        match keys.as_slice() {
            [only] => self.screen.ask(&prompt::question(only)),
            several => self.screen.ask(&prompt::choice_question(several)),
        }
        self.asking = Some(Question::Signal(keys));
    }

    pub(super) fn on_message_wait(&mut self, timeout: Option<Duration>) {
        let Some(nobody) = self.nobody() else {
            self.screen.ask(prompt::MESSAGE_QUESTION);
            self.asking = Some(Question::Message);
            return;
        };
        let line = format!("the task waits to be told something{}; {nobody}", at_most(timeout));
        self.screen.say(&labelled("wait", &line));
    }

    pub(super) async fn on_typed(&mut self, typed: Typed) {
        let Some(question) = self.asking.take() else { return };
        match typed {
            Typed::Closed => self.on_closed(question).await,
            Typed::Line(line) => {
                self.screen.answered();
                self.on_line(&line, question).await;
            }
        }
    }

    async fn on_closed(&mut self, question: Question) {
        self.nobody = Some(STDIN_CLOSED);
        let goes_on = match &question {
            Question::Signal(keys) => format!(" The task goes on waiting for {}.", named(keys)),
            Question::Message => " The task goes on waiting.".to_owned(),
            Question::Fuel(..) | Question::Approval(..) => String::new(),
        };
        self.screen.withdraw(&format!("Nobody answers: stdin is closed.{goes_on}"));
        match question {
            Question::Fuel(number, units, _) => {
                self.handle.deny(number, self.refusal(STDIN_CLOSED, units), Party::Host).await;
            }
            Question::Approval(number, ask) => self.decline(number, STDIN_CLOSED, &ask.kind).await,
            Question::Signal(_) | Question::Message => {}
        }
    }

    async fn on_line(&mut self, line: &str, question: Question) {
        match question {
            Question::Signal(keys) => self.on_signal_line(line, keys).await,
            Question::Fuel(number, units, reason) => match prompt::consent(line) {
                Some(true) => self.decide_fuel(number, units, Verdict::Approve(None)).await,
                Some(false) => self.decide_fuel(number, units, Verdict::Deny(String::new())).await,
                None => {
                    self.screen.say("That is neither y nor n.");
                    self.on_fuel_request(number, units, reason).await;
                }
            },
            Question::Approval(number, ask) => match prompt::verdict_about(&ask, line) {
                Ok(verdict) => self.decide(number, verdict).await,
                Err(why) => {
                    self.screen.say(&why);
                    self.on_approval(number, *ask).await;
                }
            },
            Question::Message if line.trim().is_empty() => self.on_message_wait(None),
            Question::Message => {
                let told = self.handle.instruct(line.trim(), Party::Person).await;
                self.say_of(told);
            }
        }
    }

    async fn on_signal_line(&mut self, line: &str, keys: Vec<SignalKey>) {
        let choice = match keys.as_slice() {
            [only] => match prompt::answer(line) {
                Answer::Payload(payload) => Choice::Signal(only.clone(), payload),
                Answer::Unclear(why) => Choice::Unclear(why),
            },
            several => prompt::choice(line, several),
        };
        match choice {
            Choice::Signal(key, payload) => {
                let told = self.handle.notify(key, payload, Party::Person).await;
                self.say_of(told);
            }
            Choice::Unclear(why) => {
                self.screen.say(&why);
                self.on_wait(keys, &Senders::default(), None);
            }
        }
    }

    fn say_of(&mut self, told: NotifyAnswer) {
        match told {
            NotifyAnswer::Delivered | NotifyAnswer::Buffered => {}
            NotifyAnswer::NoTask => self.screen.say("The task has ended already."),
            NotifyAnswer::Full => self.screen.say("The task keeps too much already; this is not taken."),
        }
    }
}

/// ``the signal `a` `` or ``one of the signals `a`, `b` ``.
fn named(keys: &[SignalKey]) -> String {
    match keys {
        [only] => format!("the signal `{only}`"),
        several => {
            let names: Vec<String> = several.iter().map(|key| format!("`{key}`")).collect();
            format!("one of the signals {}", names.join(", "))
        }
    }
}

fn at_most(timeout: Option<Duration>) -> String {
    timeout.map(|time| format!(" for at most {}", text::elapsed(time))).unwrap_or_default()
}
