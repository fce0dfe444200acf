//! The macros of `taskcell-guest`, which re-exports and describes them: depend on that crate, not on this one.

mod checks;
mod hooks;
mod limits;
mod plugin;
mod quantity;
mod request;
mod task;

use proc_macro::TokenStream;

/// The macro itself. It is described where it is used from, because its example needs that crate.
#[proc_macro_attribute]
pub fn task(options: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(options.into(), item.into()).into()
}

/// The macro itself, like [`macro@task`].
#[proc_macro]
pub fn plugin(fields: TokenStream) -> TokenStream {
    plugin::expand(fields.into()).into()
}
