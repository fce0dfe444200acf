//! The table of the verbs.

use clap::Subcommand;

use super::approve::{ApproveArguments, DenyArguments};
use super::audit::AuditArguments;
use super::cancel::CancelArguments;
use super::controls::{FuelArguments, InstructArguments, NotifyArguments, PauseArguments, ResumeArguments};
use super::events::EventsArguments;
use super::gc::GcArguments;
use super::help;
use super::list::ListArguments;
use super::output::OutputArguments;
use super::plugin::PluginVerb;
use super::revoke::RevokeArguments;
use super::schedule::ScheduleVerb;
use super::show::ShowArguments;
use super::start::StartArguments;
use super::stop_all::StopAllArguments;
use super::wait::WaitArguments;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Verb {
    /// Starts a task on the server and prints its id
    #[command(after_help = help::START)]
    Start(Box<StartArguments>),
    /// Lists the server's tasks, the newest first
    #[command(after_help = help::LIST)]
    List(ListArguments),
    /// Shows all about a task: how it stands, what it asks, what it has used
    Show(ShowArguments),
    /// Waits for the end of tasks, and ends as they do
    #[command(after_help = help::WAIT)]
    Wait(WaitArguments),
    /// Shows what a task prints and logs
    Output(OutputArguments),
    /// Shows what happened to a task, or follows what happens to all of them
    #[command(after_help = help::EVENTS)]
    Events(EventsArguments),
    /// Asks tasks to stop
    Cancel(CancelArguments),
    /// Stops many tasks at once
    StopAll(StopAllArguments),
    /// Makes tasks stand still
    Pause(PauseArguments),
    /// Lets paused tasks go on
    Resume(ResumeArguments),
    /// Sends a signal to a task
    Notify(NotifyArguments),
    /// Says something to a task
    Instruct(InstructArguments),
    /// Says yes to a task's question; without a task, lists the questions
    #[command(after_help = help::APPROVE)]
    Approve(ApproveArguments),
    /// Says no to a task's question; without a task, lists the questions
    Deny(DenyArguments),
    /// Takes a capability away from tasks that run
    #[command(after_help = help::REVOKE)]
    Revoke(RevokeArguments),
    /// Shows what tasks were allowed and denied, who was asked, and what was taken away
    #[command(after_help = help::AUDIT)]
    Audit(AuditArguments),
    /// Gives a task more fuel, or refuses it
    Fuel(FuelArguments),
    /// Adds, lists and removes the server's plugins
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Adds, lists and removes schedules, which start tasks at their times
    #[command(subcommand)]
    Schedule(ScheduleVerb),
    /// Throws away tasks that ended long ago, with all that is kept of them
    Gc(GcArguments),
}
