//! WIT interfaces of the embedder's own, linked for every plugin that imports them.
//!
//! An interface's functions are jobs of the task's actor, as the host's functions by name are: the grant is looked at for
//! each call, the call is written down, and it ends with its time and with its task. Here is only what is typed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Linker, LinkerInstance, Lower, ResourceType};

/// The wasmtime whose types the functions are written with.
pub use wasmtime;

use crate::model::grants::touch::Touch;
use crate::model::machine::RefusalKind;
use crate::model::outcome::FailureKind;
use crate::ports::clock::BoxFuture;
use crate::ports::functions::{HostCallError, TIMEOUT_DEFAULT, TypedCall, WitCaller};
use crate::ports::runner::GuestCall;

use super::cell::CellData;

/// Namespaces that are the contract's and WASI's.
const TAKEN: [&str; 2] = ["taskcell:", "wasi:"];

/// A WIT interface that the embedder implements, for plugins to import: typed, where [`HostFunction`] is JSON by name.
///
/// A task may call it if it was granted by the interface's name without the version
/// ([`Grants::function`]); the manifest asks for it as the capability `host:` and that name. Each call is an event of the
/// task's log. The functions run in the caller's runtime, and are dropped when their time is over and when their task
/// ends. When one panics, the task that called it fails with kind `host`, and nothing else does.
///
/// What a function takes and gives are Rust types for the WIT types: those that wasmtime knows, and records, variants and
/// enums with its derives, or made by its `bindgen!`. Both are found in [`wit_extension`](crate::wit_extension).
///
/// ```
/// use taskcell::wit_extension::WitInterface;
/// use taskcell::{Host, HostCallError};
///
/// // interface stock {
/// //   count: func(article: string) -> u32;
/// //   reserve: func(article: string, pieces: u32) -> result<u32, string>;
/// // }
/// # fn interface() -> WitInterface {
/// WitInterface::new("acme:shop/stock@1.0.0")
///     .function("count", |_, (article,): (String,)| async move { (article.len() as u32,) })
///     .fallible("reserve", |caller, (article, pieces): (String, u32)| async move {
///         if pieces > 10 { Err(format!("{} wants too many of {article}", caller.task)) } else { Ok(pieces) }
///     })
/// # }
/// # let _ = Host::builder().wit_interface(interface());
/// ```
///
/// [`HostFunction`]: crate::HostFunction
/// [`Grants::function`]: crate::Grants::function
pub struct WitInterface {
    name: String,
    timeout: Duration,
    items: Vec<(String, Item)>,
}

/// Puts one function or resource into a linker.
type Item = Box<dyn FnOnce(&mut LinkerInstance<'_, CellData>, &str, Rules) -> wasmtime::Result<()> + Send + Sync>;

/// What holds for every function of an interface.
#[derive(Clone)]
struct Rules {
    interface: Arc<str>,
    timeout: Duration,
}

/// An interface that cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitInterfaceError {
    /// Its name is none of an interface.
    #[error("a WIT interface is called `namespace:package/interface`, perhaps with `@version`")]
    Name,
    /// Its name belongs to somebody else.
    #[error("the namespace is the host's own")]
    Taken,
    /// It is there twice.
    #[error("it is given twice")]
    Twice,
    /// Two of its items have the same name.
    #[error("it has two items called {0:?}")]
    Duplicate(String),
    /// wasmtime does not take it.
    #[error("{0}")]
    Link(String),
}

impl WitInterface {
    /// An interface without functions, by its full name: `acme:shop/stock@1.0.0`. A plugin that was built for an older
    /// version that is compatible finds it too.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), timeout: TIMEOUT_DEFAULT, items: Vec::new() }
    }

    /// With this much time for one call. Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// With a function that gives a value: `()`, or a tuple of one.
    ///
    /// WIT leaves it no way to say no. So a task that was not granted the interface fails with kind `denied` when it calls
    /// it; and one whose call takes too long, with kind `host`. A cancel waits for the call, within its grace.
    #[must_use]
    pub fn function<P, R, F, Fut>(self, name: impl Into<String>, body: F) -> Self
    where
        P: ComponentNamedList + Lift + Send + 'static,
        R: ComponentNamedList + Lower + Send + 'static,
        F: Fn(WitCaller, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        self.item(name, body, false, |refused| Err(Refused(refused).into()))
    }

    /// With a function whose WIT type is `result<T, E>`. What the host has against a call (not granted, too slow, the task
    /// shall stop) becomes an `E`; where that is a `string`, the sentence.
    #[must_use]
    pub fn fallible<P, T, E, F, Fut>(self, name: impl Into<String>, body: F) -> Self
    where
        P: ComponentNamedList + Lift + Send + 'static,
        T: ComponentType + Lower + Send + 'static,
        E: ComponentType + Lower + From<HostCallError> + Send + 'static,
        F: Fn(WitCaller, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
    {
        let body = move |caller: WitCaller, params: P| {
            let result = body(caller, params);
            async move { (result.await,) }
        };
        self.item(name, body, true, |refused| Ok((Err(E::from(refused)),)))
    }

    /// With a resource, which functions take and give as [`Resource<T>`](wasmtime::component::Resource). `dropped` is
    /// called with its number when a guest drops one that it owns, on the guest's thread: it must not block. What a task
    /// still holds at its end is not dropped one by one: clean up in its on-terminal function.
    #[must_use]
    pub fn resource<T: 'static>(
        mut self,
        name: impl Into<String>,
        dropped: impl Fn(u32) + Send + Sync + 'static,
    ) -> Self {
        let item: Item = Box::new(move |instance, name, _| {
            instance.resource(name, ResourceType::host::<T>(), move |mut store, number| {
                store.data_mut().called_for_long();
                dropped(number);
                Ok(())
            })
        });
        self.items.push((name.into(), item));
        self
    }

    fn item<P, R, F, Fut>(
        mut self,
        name: impl Into<String>,
        body: F,
        interruptible: bool,
        refused: fn(HostCallError) -> wasmtime::Result<R>,
    ) -> Self
    where
        P: ComponentNamedList + Lift + Send + 'static,
        R: ComponentNamedList + Lower + Send + 'static,
        F: Fn(WitCaller, P) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = R> + Send + 'static,
    {
        let body = Arc::new(body);
        let item: Item = Box::new(move |instance, name, rules| {
            let function: Arc<str> = format!("{}#{name}", rules.interface).into();
            instance.func_wrap_async(name, move |store: StoreContextMut<'_, CellData>, params: P| {
                let (given, result) = oneshot::channel();
                let body = Arc::clone(&body);
                let call = TypedCall {
                    interface: Arc::clone(&rules.interface),
                    function: Arc::clone(&function),
                    timeout: rules.timeout,
                    interruptible,
                    body: Box::new(move |caller| {
                        let called = body(caller, params);
                        Box::pin(async move {
                            // Nobody takes it when the task is over.
                            let _ = given.send(called.await);
                        }) as BoxFuture<'static, ()>
                    }),
                };
                Box::new(call_typed(store, call, result, refused))
            })
        });
        self.items.push((name.into(), item));
        self
    }

    /// Its name without the version: what is granted, and what a plugin's import is known by.
    pub(crate) fn unversioned(&self) -> &str {
        self.name.split_once('@').map_or(&self.name, |(name, _)| name)
    }

    fn check(&self) -> Result<(), WitInterfaceError> {
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let parts = self.unversioned().split_once(':').and_then(|(space, rest)| Some((space, rest.split_once('/')?)));
        let (space, (package, interface)) = parts.ok_or(WitInterfaceError::Name)?;
        if ![space, package, interface].into_iter().all(word) {
            return Err(WitInterfaceError::Name);
        }
        if TAKEN.iter().any(|taken| self.name.starts_with(taken)) {
            return Err(WitInterfaceError::Taken);
        }
        let mut seen = std::collections::HashSet::new();
        match self.items.iter().find(|(name, _)| !seen.insert(name)) {
            Some((name, _)) => Err(WitInterfaceError::Duplicate(name.clone())),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for WitInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<&str> = self.items.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("WitInterface").field("name", &self.name).field("items", &items).finish_non_exhaustive()
    }
}

/// A call that could not be made or did not end, and that has no way to say so to its guest.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message())]
pub(super) struct Refused(HostCallError);

impl Refused {
    /// What the task fails with.
    pub(super) fn kind(&self) -> FailureKind {
        if self.0.kind() == RefusalKind::Denied { FailureKind::Denied } else { FailureKind::Host }
    }
}

async fn call_typed<R: 'static>(
    mut store: StoreContextMut<'_, CellData>,
    call: TypedCall,
    mut result: oneshot::Receiver<R>,
    refused: fn(HostCallError) -> wasmtime::Result<R>,
) -> wasmtime::Result<R> {
    let data = store.data_mut();
    data.called_for_long();
    let ended = || HostCallError::of(RefusalKind::Ended, "the task has its outcome already");
    if let Err(denied) = data.link.asked_about(&Touch::Function(call.interface.to_string())).await {
        return refused(denied.into());
    }
    let answer = data.link.ask(|reply| GuestCall::CallTyped { call, reply }).await;
    match answer.unwrap_or_else(|| Err(ended())) {
        Ok(()) => result.try_recv().or_else(|_| refused(ended())),
        Err(error) => refused(error),
    }
}

/// Links all of them.
pub(super) fn add_to_linker(
    linker: &mut Linker<CellData>,
    interfaces: Vec<WitInterface>,
) -> Result<(), (String, WitInterfaceError)> {
    let mut seen = std::collections::HashSet::new();
    for interface in interfaces {
        let name = interface.name.clone();
        let fault = |error| (name.clone(), error);
        interface.check().map_err(fault)?;
        if !seen.insert(interface.unversioned().to_owned()) {
            return Err(fault(WitInterfaceError::Twice));
        }
        let link = |error: wasmtime::Error| fault(WitInterfaceError::Link(format!("{error:#}")));
        let rules = Rules { interface: interface.unversioned().into(), timeout: interface.timeout };
        let mut instance = linker.instance(&interface.name).map_err(link)?;
        for (item, add) in interface.items {
            add(&mut instance, &item, rules.clone()).map_err(link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_an_interface_has_a_name_of_its_own_and_items_of_different_names() {
        for good in ["acme:shop/stock", "acme:shop/stock@1.0.0"] {
            assert_eq!(WitInterface::new(good).check(), Ok(()));
        }
        for bad in ["", "stock", "acme:shop", "acme/shop", "acme:/stock", "acme:shop/", "ac me:shop/stock"] {
            assert_eq!(WitInterface::new(bad).check(), Err(WitInterfaceError::Name), "{bad:?}");
        }
        for taken in ["taskcell:plugin/task@0.1.0", "wasi:cli/run"] {
            assert_eq!(WitInterface::new(taken).check(), Err(WitInterfaceError::Taken));
        }
        let twice = WitInterface::new("acme:shop/stock")
            .function("count", |_, (): ()| async { (1_u32,) })
            .function("count", |_, (): ()| async { (2_u32,) });
        assert_eq!(twice.check(), Err(WitInterfaceError::Duplicate("count".into())));
    }
}
