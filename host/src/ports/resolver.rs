//! From a host's name to its addresses.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::clock::BoxFuture;

/// Names that the system looks up at once; more wait. A look-up holds a thread of its own for as long as the system takes,
/// and those threads are the ones that guests' files are served by.
const LOOKUPS_MAX: usize = 16;

/// Says which addresses a host has. What it says is checked; it is asked once for each request, and the connection goes to
/// an address that it named.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The addresses of the host of this name, the best first. It is never asked about a name that is an address.
    ///
    /// # Errors
    /// When there is no such host, or nobody could be asked.
    ///
    /// Cancel safety: the future may be dropped at any moment.
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// Asks the system, which looks into its own files and asks its name servers.
#[derive(Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl SystemResolver {
    /// The system's.
    pub fn new() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver for SystemResolver {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (lookups, name) = (Arc::clone(&self.lookups), name.to_owned());
        Box::pin(async move {
            let turn = lookups.acquire_owned().await.map_err(io::Error::other)?;
            let found = tokio::task::spawn_blocking(move || {
                // The system cannot be told to stop: the turn ends with the look-up, whoever waits for it.
                let _turn = turn;
                (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

/// A fixed table of names: for tests, and for embedders that know all hosts that their plugins may reach. A name that is not
/// in it is not found.
///
/// ```
/// use std::net::IpAddr;
/// use taskcell::NameTable;
///
/// let table = NameTable::default().name("api.internal", [IpAddr::from([10, 0, 0, 7])]);
/// ```
#[derive(Debug, Default)]
pub struct NameTable {
    names: Mutex<HashMap<String, VecDeque<Vec<IpAddr>>>>,
}

impl NameTable {
    /// Says which addresses a host has. Said more than once for a name, these are the answers of one look-up after the
    /// other, and the last one stays.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let names = self.names.get_mut().unwrap_or_else(PoisonError::into_inner);
        names.entry(name.into().to_ascii_lowercase()).or_default().push_back(addresses.into_iter().collect());
        self
    }
}

impl Resolver for NameTable {
    fn addresses(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = names
            .get_mut(name)
            .and_then(|answers| if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() });
        let answer = answer.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name is not in the table"));
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn t13_a_table_answers_in_turn_and_the_last_answer_stays() {
        let (one, two) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([127, 0, 0, 1]));
        let table = NameTable::default().name("A.test", [one]).name("a.test", [two]);
        assert_eq!(table.addresses("a.test").await.unwrap(), [one]);
        for _ in 0..2 {
            assert_eq!(table.addresses("a.test").await.unwrap(), [two]);
        }
        assert_eq!(table.addresses("b.test").await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn t13_the_system_knows_this_machine() {
        let found = SystemResolver::new().addresses("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty(), "{found:?}");
    }
}
