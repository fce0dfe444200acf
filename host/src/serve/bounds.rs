//! What a server takes from its clients, and for how long.

use std::time::Duration;

/// What bounds a server: each of them protects it from clients, also from such as mean well and hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Connections at a time; more wait until one of them is closed. Default 512: each takes a descriptor and some 100 KiB
    /// at most, and a process usually has 1024 descriptors.
    pub connections: usize,
    /// Of them, those that follow events; more are refused. Default 256, so that others have room beside them.
    pub followers: usize,
    /// Bytes of a request's line and headers. Default 16 KiB: what clients of this kind send fits many times.
    pub head_bytes: usize,
    /// Headers of a request. Default 64.
    pub headers: usize,
    /// Time for a request's line and headers, and for the next request of a connection. Default 15 s.
    pub head_time: Duration,
    /// Bytes of a body that is JSON. Default 12 MiB: an input of 4 MiB and a few small attachments, which are written as
    /// hex digits.
    pub body_bytes: usize,
    /// Bytes of a plugin's file. Default 32 MiB, as [`LoadLimits::file_bytes`](crate::LoadLimits) has it.
    pub plugin_bytes: usize,
    /// Time for a body. Default 60 s.
    pub body_time: Duration,
    /// Time without a byte taken by a client for which there is one, before it is dropped. Default 30 s.
    pub stalled_time: Duration,
    /// How long a request waits at most when it asks to (`Prefer: wait`, `timeout_ms`). Default 5 minutes.
    pub wait_time: Duration,
    /// Time that requests under way have when the server ends. Default 5 s.
    pub farewell_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 512,
            followers: 256,
            head_bytes: 16 << 10,
            headers: 64,
            head_time: Duration::from_secs(15),
            body_bytes: 12 << 20,
            plugin_bytes: 32 << 20,
            body_time: Duration::from_mins(1),
            stalled_time: Duration::from_secs(30),
            wait_time: Duration::from_mins(5),
            farewell_time: Duration::from_secs(5),
        }
    }
}
