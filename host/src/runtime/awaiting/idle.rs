//! What happens to a task while nothing works for it: what others say to it is decided and written down as ever, and whoever
//! wants it to stop has that at once.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::approval::ApprovalDecision;
use crate::model::command::{Answer, Command, Decision, HostFit};
use crate::model::event::{Event, EventBody, EventSeq};
use crate::model::machine::{Refusal, RefusalKind, step};
use crate::model::papers::TaskPapers;
use crate::model::plan::PlanError;
use crate::model::request::CancelRequest;
use crate::model::signal::{NotifyAnswer, Party};
use crate::model::snapshot::Phase;
use crate::ports::store::{Fence, Record, StreamId};

use super::super::actor::{Ended, stopped};
use super::super::calls::notify_answer;
use super::super::children::why_left_behind;
use super::super::delivery::LoopLife;
use super::super::effects::{changes_questions, forget};
use super::super::external::nobodys_code;
use super::super::feed::EventLane;
use super::super::guard::guarded;
use super::super::hiding::hidden;
use super::super::host::Inner;
use super::super::plans::done;
use super::super::recovery::Life;
use super::super::shared::{Addressee, Control, Moment, Shared};
use super::super::start_error::StartError;
use super::{Awaits, Kept, Untold};

/// Takes care of one task: the only writer of its log meanwhile.
pub(in crate::runtime) struct Caretaker {
    inner: Arc<Inner>,
    pub(super) kept: Kept,
    /// `None` when they are missing, which only a host sees that leaves the task alone.
    pub(super) papers: Option<TaskPapers>,
    pub(super) life: Option<LoopLife>,
    /// The children that have no outcome in its log, which nobody forgets before it knows.
    pub(super) children: Vec<Arc<Shared>>,
}

impl Caretaker {
    /// Of a task that is in the books.
    pub(in crate::runtime) fn new(inner: &Arc<Inner>, kept: Kept, papers: Option<TaskPapers>) -> Box<Self> {
        let life = LoopLife::begin(&kept.body.shared);
        Box::new(Self { inner: Arc::clone(inner), kept, papers, life, children: Vec::new() })
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.kept.body.shared
    }

    /// The task waits from now on, before this is polled too.
    pub(in crate::runtime) fn wait(self: Box<Self>) -> Life {
        let leaves = self.inner.standby.leaves();
        let digest = self.papers.as_ref().map(|papers| papers.plugin).filter(|_| !leaves);
        self.shared().set_awaits(Some(digest.map_or(Awaits::Host, Awaits::Plugin)));
        let called = digest.map(|_| self.inner.standby.awaiting.enter(self.shared()));
        Box::pin(self.keep(called))
    }

    async fn keep(mut self: Box<Self>, mut called: Option<oneshot::Receiver<oneshot::Sender<Box<Self>>>>) {
        let mut shutdown = self.inner.shutdown.subscribe();
        self.hold_children();
        let begun = {
            let begun = pin!(self.begins());
            guarded(begun).await
        };
        let mut lives = self.survive(begun);
        while lives.is_ok() {
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => lives = self.give_up("its host has stopped while it waited for its plugin"),
                call = call(&mut called) => {
                    // Whoever called has it now. When nobody does any more, the host is left.
                    let _ = call.send(self);
                    return;
                }
                control = self.kept.body.ears.control() => {
                    let done = {
                        let done = pin!(self.on_control(*control));
                        guarded(done).await
                    };
                    lives = self.survive(done);
                }
            }
        }
        // Whoever calls now finds that it has ended.
        drop(called);
        self.inner.standby.awaiting.leave(self.shared());
        (*self).end().await;
    }

    /// What panics in the host on behalf of this task is its end here, and nobody else's.
    fn survive(&mut self, done: Result<Result<(), Ended>, String>) -> Result<(), Ended> {
        done.unwrap_or_else(|panic| self.give_up(&format!("the host panicked: {panic}")))
    }

    /// One that this task does not know the end of is kept until it does. Those that had ended before are kept already.
    fn hold_children(&mut self) {
        let open: Vec<_> = {
            let state = self.shared().state();
            state.children.iter().filter(|child| child.outcome.is_none()).map(|child| child.id).collect()
        };
        self.children = open.into_iter().filter_map(|child| self.inner.registry.by_id(child)).collect();
    }

    /// A task does not outlive the one that started it, unless it is detached from that.
    async fn begins(&mut self) -> Result<(), Ended> {
        if self.inner.standby.leaves() || !self.shared().is_left_behind(&self.inner.registry) {
            return Ok(());
        }
        let why = why_left_behind(self.shared(), Some(&self.inner));
        let now = self.shared().now();
        self.cancel(CancelRequest::new(Party::Host, why), now).await
    }

    async fn on_control(&mut self, control: Control) -> Result<(), Ended> {
        match control {
            // It waits for its plugin, and takes nothing before.
            Control::Notify { to: Addressee::Waiting, reply, .. } => drop(reply.send(NotifyAnswer::NoTask)),
            Control::Notify { key, signal, to: Addressee::Any, reply } => {
                let answer = self.decide(Command::Notify { key, signal }).await?;
                let _ = reply.send(notify_answer(&answer));
            }
            Control::CancelWait { reply, .. } => drop(reply.send(false)),
            Control::Instruct { instruction, reply } => {
                let answer = self.decide(Command::Instruct(instruction)).await?;
                let _ = reply.send(notify_answer(&answer));
            }
            Control::DecideApproval { number, decision, ruling, reply } => {
                if let Err(refusal) = self.fits_approved(&decision) {
                    let _ = reply.send(Answer::Refused(refusal));
                    return Ok(());
                }
                let answer = self.decide(Command::DecideApproval { number, decision, ruling }).await;
                if answer.is_ok() || self.shared().unstored().is_none() {
                    let _ = reply.send(answer.as_ref().map_or(Answer::Done, Clone::clone));
                }
                answer?;
            }
            Control::Update { expected, patch, by, reply } => {
                let answer = self.decide(Command::Update { expected, patch, by }).await?;
                let _ = reply.send(answer);
            }
            Control::Cancel { request, asked, reply } => {
                let ended = self.cancel(request, asked).await;
                let _ = reply.send(());
                ended?;
            }
            Control::Adopt { reply, .. } => {
                let (parent, reason) = (self.shared().id, self.why());
                let _ = reply.send(Err(StartError::ParentRefuses { parent, reason }));
            }
            Control::Replan { reply, .. } => drop(reply.send(Err(PlanError::Planner(self.why())))),
            Control::Plan { command, reply } => {
                let answer = self.decide(Command::Plan(command)).await?;
                let plan =
                    done(answer).and_then(|()| self.shared().state().plan.as_deref().cloned().ok_or(PlanError::NoPlan));
                let _ = reply.send(plan);
            }
            Control::Change { mut command, reply } => {
                if let Command::SetOutcome { usage, .. } = &mut command {
                    *usage = self.shared().usage();
                }
                let answer = self.decide(command).await;
                if answer.is_ok() || self.shared().unstored().is_none() {
                    let _ = reply.send(answer.as_ref().map_or(true, |answer| *answer == Answer::Done));
                }
                answer?;
            }
        }
        Ok(())
    }

    /// Why it does nothing.
    fn why(&self) -> String {
        let plugin = &self.shared().task.plugin;
        match self.shared().awaits() {
            Some(Awaits::Plugin(digest)) => format!("it waits for its plugin {plugin} with the digest {digest}"),
            Some(Awaits::Host) | None => "this host leaves it alone".to_owned(),
        }
    }

    /// What somebody approves of instead of the task's input cannot be looked at without its plugin.
    fn fits_approved(&self, decision: &ApprovalDecision) -> Result<(), Refusal> {
        let held = self.shared().state().phase == Some(Phase::Held);
        if held && matches!(decision, ApprovalDecision::Approved { input: Some(_), .. }) {
            let message = format!("another input cannot be approved now: {}", self.why());
            return Err(Refusal::new(RefusalKind::InvalidArgument, message));
        }
        Ok(())
    }

    /// Nothing runs that would need a grace.
    async fn cancel(&mut self, request: CancelRequest, asked: Moment) -> Result<(), Ended> {
        self.shared().note(|moments| &mut moments.asked, asked);
        let (usage, now) = (self.shared().usage(), self.shared().around.clock.date());
        self.decide(Command::Cancel { request, usage }).await?;
        self.decide(Command::HostRestarted { fit: HostFit::NoPlugin, now }).await.map(drop)
    }

    async fn decide(&mut self, command: Command) -> Result<Answer, Ended> {
        let Decision { events, answer } = step(&self.shared().state(), command);
        self.write(events).await.map(|()| answer)
    }

    /// Writes down what was decided when its plugin came.
    pub(super) async fn write_last(&mut self, bodies: Vec<EventBody>) -> Result<(), Ended> {
        let written = {
            let written = pin!(self.write(bodies));
            guarded(written).await
        };
        self.survive(written)
    }

    /// Writes down what was decided, folds it in, and tells everybody.
    async fn write(&mut self, bodies: Vec<EventBody>) -> Result<(), Ended> {
        let shared = Arc::clone(self.shared());
        let bodies = hidden(&shared.around.secrets, bodies);
        let (fence, events) = {
            let state = shared.state();
            (Fence::After(state.seq), state.numbered(shared.around.clock.date(), bodies))
        };
        let Some(last) = events.last() else { return Ok(()) };
        let seq = last.seq;
        let records = events.iter().cloned().map(Record::Event).collect();
        shared.around.suspended.pass().await;
        let stored = shared.around.store.commit(StreamId::Task(shared.id), fence, records).await;
        shared.around.suspended.pass().await;
        match stored {
            Ok(()) => self.publish(&events, seq),
            Err(error) => self.give_up(&format!("the task's events could not be stored: {error}")),
        }
    }

    fn publish(&mut self, events: &[Event], stored: EventSeq) -> Result<(), Ended> {
        let shared = self.shared();
        let mut phases = Vec::new();
        for event in events {
            shared.state().apply(event);
            phases.push(shared.state().phase.unwrap_or(Phase::Queued));
            if changes_questions(&event.body) {
                shared.around.approvals.changed();
            }
            if let EventBody::Updated { .. } = event.body {
                shared.renew_identity();
            }
        }
        let ended = shared.outcome().is_some();
        if shared.unstored().is_none() {
            shared.tell_loop(events);
        }
        if ended {
            shared.note(|moments| &mut moments.ended, shared.now());
            // The state is visible; now the key is free, and then whoever waits is woken.
            self.inner.registry.end(shared);
        }
        shared.around.feed.tell_each(&shared.identity(), EventLane::Task, phases.into_iter().zip(events));
        shared.set_head(stored, ended);
        if ended { Err(Ended) } else { Ok(()) }
    }

    /// It is over here, and not in its log: the next host has it as it lies there.
    fn give_up(&mut self, why: &str) -> Result<(), Ended> {
        let end = self.shared().end_unstored(format!("{why}; the next host on this store goes on with it"));
        let stored = self.shared().head.get().seq;
        self.publish(&[end], stored)
    }

    /// What follows from its outcome.
    pub(super) async fn end(mut self) {
        // Whoever has asked something meanwhile is told that it is over.
        self.kept.body.ears.close();
        let shared = Arc::clone(self.shared());
        // Those that had ended when the host took over, which nobody asks for any more.
        let _children = self.inner.standby.children_of(shared.id);
        shared.around.suspended.pass().await;
        shared.set_awaits(None);
        if shared.unstored().is_some() {
            shared.set_gone(shared.now());
            return;
        }
        let mut called = self.kept.at_end.take().map(|at_end| at_end.call(Arc::clone(&shared)));
        self.tell_plugin();
        let registry = &self.inner.registry;
        let children = shared.bound_children().into_iter().filter_map(|child| registry.by_id(child)).collect();
        shared.stop_bound(children).await;
        self.remove_files().await;
        let now = shared.now();
        shared.set_gone(now);
        let forgotten = registry.retire(shared.id, now.steady);
        forget(&shared.around, forgotten).await;
        if let Some(called) = &mut called {
            while called.join_next().await.is_some() {}
        }
    }

    /// Its plugin is told of its end: now if it is here, and else when it comes.
    fn tell_plugin(&self) {
        let Some(papers) = self.papers.as_ref().filter(|papers| papers.plugin != nobodys_code()) else { return };
        let (shared, inner) = (self.shared(), &self.inner);
        let of = Untold { id: shared.id, plugin: papers.plugin, grants: papers.grants.as_deref().cloned() };
        inner.standby.awaiting.note_untold(&shared.task.plugin, of);
        if let Some(version) = inner.registry.version(&shared.task.plugin) {
            inner.tell_of_ends(&version);
        }
    }

    /// Removes what only a task needs that runs.
    async fn remove_files(&self) {
        let (shared, place) = (Arc::clone(self.shared()), self.papers.as_ref().and_then(|papers| papers.attachments));
        let removed = tokio::task::spawn_blocking(move || {
            if let Some(place) = place {
                shared.around.dirs.remove_attachments(place);
            }
            shared.output.close();
        });
        let _ = removed.await;
    }
}

/// Completes when the task is called back, with whom it is given to.
async fn call(
    called: &mut Option<oneshot::Receiver<oneshot::Sender<Box<Caretaker>>>>,
) -> oneshot::Sender<Box<Caretaker>> {
    if let Some(receiver) = called
        && let Ok(call) = receiver.await
    {
        return call;
    }
    // Nobody calls any more.
    *called = None;
    std::future::pending().await
}
