//! The child's side: takes a plugin from stdin, gives up what it does not need, compiles, and writes the code to stdout.

use std::io::{self, Read, Write};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::wire::{Answer, HEAD_BYTES, MARK};

/// A plugin to compile.
#[derive(Debug)]
pub struct Request {
    /// What the host said about it. Means something to who asks only.
    pub kind: u8,
    /// The plugin.
    pub plugin: Vec<u8>,
}

/// Serves the one request that comes over stdin, and ends the process when the host has gone.
///
/// # Errors
/// When the request is none, the system does not take the limits, or nobody takes the answer. Nothing is compiled without
/// limits.
pub fn serve(work: impl FnOnce(&Request) -> Answer) -> io::Result<()> {
    let request = read(&mut io::stdin().lock())?;
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(|| {
        // Nothing more is said: this ends when the host lets go, or is no more.
        let _ = io::stdin().lock().read(&mut [0]);
        std::process::abort();
    })?;
    let answer = work(&request);
    let (kind, rest) = answer.parts();
    let mut stdout = io::stdout().lock();
    stdout.write_all(MARK)?;
    stdout.write_all(&[kind])?;
    stdout.write_all(rest)?;
    stdout.flush()
}

fn read(from: &mut impl Read) -> io::Result<Request> {
    let mut head = [0; HEAD_BYTES];
    from.read_exact(&mut head)?;
    let mut rest = head.as_slice();
    if take::<{ MARK.len() }>(&mut rest)? != *MARK {
        return Err(io::Error::other("this is no request; the host that asks is of another version"));
    }
    let memory = u64::from_le_bytes(take(&mut rest)?);
    let seconds = u64::from_le_bytes(take(&mut rest)?);
    let [kind] = take(&mut rest)?;
    let length = u64::from_le_bytes(take(&mut rest)?);
    // Before the plugin is read: it counts as well.
    limit_itself(memory, seconds)?;
    let mut plugin = Vec::new();
    from.take(length).read_to_end(&mut plugin)?;
    if plugin.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Request { kind, plugin })
}

fn take<const N: usize>(from: &mut &[u8]) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Lowers what this process may take, for good.
fn limit_itself(memory: u64, seconds: u64) -> io::Result<()> {
    // Below the host's own threads and above its guests, which are ten steps below it. It is no matter when it fails.
    let _ = rustix::process::nice(5);
    // Memory that can be written to, of the heap and of mappings. Not the address space: allocators and stacks reserve
    // much more of it than they use, differently on each machine.
    lower(Resource::Data, memory)?;
    lower(Resource::Cpu, seconds)?;
    // A core file would hold the plugin; and the compiler has no business with files.
    lower(Resource::Core, 0)?;
    lower(Resource::Fsize, 0)
}

fn lower(resource: Resource, most: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.map_or(most, |present| present.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_is_refused_before_anything_is_limited() {
        for rubbish in [b"".as_slice(), &[0; HEAD_BYTES], b"taskcell-c 2 and more that is long enough to be a head"] {
            assert!(read(&mut &*rubbish).is_err(), "{rubbish:?}");
        }
    }
}
