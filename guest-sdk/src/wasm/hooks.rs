//! What is set up before any of the plugin's code runs: panics and log lines find their way to the host.

use std::panic::PanicHookInfo;

use super::bindings::taskcell::plugin::{log as wire, task};

/// Forwards every line; which ones it keeps is the host's affair.
struct HostLog;

impl log::Log for HostLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Trace => wire::Level::Trace,
            log::Level::Debug => wire::Level::Debug,
            log::Level::Info => wire::Level::Info,
            log::Level::Warn => wire::Level::Warn,
            log::Level::Error => wire::Level::Error,
        };
        wire::log(level, record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}

pub(super) fn install() {
    // It fails only where a log is installed already, which is then the plugin's own wish.
    if log::set_logger(&HostLog).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
    std::panic::set_hook(Box::new(report));
}

fn report(info: &PanicHookInfo<'_>) {
    let message = if let Some(text) = info.payload().downcast_ref::<&str>() {
        text
    } else if let Some(text) = info.payload().downcast_ref::<String>() {
        text
    } else {
        "a panic whose payload is not a text"
    };
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    task::report_panic(message, &place);
}
