//! `taskcell:plugin/log`.

use crate::sandbox::bindings::taskcell::plugin::log;
use crate::sandbox::cell::CellData;
use crate::sandbox::stdio::make_room;

use super::convert;

impl log::Host for CellData {
    async fn log(&mut self, level: log::Level, mut target: String, mut message: String) -> wasmtime::Result<()> {
        self.called(target.len() + message.len());
        // Before anything is cut off.
        self.link.secrets.hide(&mut target);
        self.link.secrets.hide(&mut message);
        let level = match level {
            log::Level::Trace => "trace",
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        if self.link.output.log(level, convert::clipped(target), convert::clipped(message)) {
            make_room(&self.link.output).await;
        }
        Ok(())
    }
}
