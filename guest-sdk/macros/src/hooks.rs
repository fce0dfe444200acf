//! The `hooks` of `plugin!`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Ident, Path, Token, braced};

/// The hooks around a plugin's life.
const PLUGIN: [&str; 4] = ["init", "on_enabled", "on_disabled", "shutdown"];
/// The hooks about a task's end, which are told of it.
const TASK: [&str; 2] = ["on_cancel", "on_terminal"];

/// The hooks that are written, by their names.
#[derive(Default)]
pub(crate) struct Hooks {
    written: Vec<(Ident, Path)>,
}

impl Parse for Hooks {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        let braces = braced!(content in input);
        let mut written: Vec<(Ident, Path)> = Vec::new();
        while !content.is_empty() {
            let name: Ident = content.parse()?;
            let word = name.to_string();
            if PLUGIN.iter().chain(&TASK).all(|known| *known != word) {
                let known = "there are `init`, `on_enabled`, `on_disabled`, `shutdown`, `on_cancel` and `on_terminal`";
                return Err(syn::Error::new(name.span(), format!("`{word}` is not a hook: {known}")));
            }
            if written.iter().any(|(other, _)| *other == word) {
                return Err(syn::Error::new(name.span(), format!("the hook `{word}` is given twice")));
            }
            content.parse::<Token![:]>()?;
            written.push((name, content.parse()?));
            if !content.is_empty() {
                content.parse::<Token![,]>()?;
            }
        }
        if written.is_empty() {
            return Err(syn::Error::new(braces.span.join(), "there is no hook in it: leave `hooks` out"));
        }
        Ok(Self { written })
    }
}

impl Hooks {
    fn find(&self, name: &str) -> Option<&Path> {
        self.written.iter().find(|(written, _)| written == name).map(|(_, function)| function)
    }

    /// The table of the functions.
    pub(crate) fn table(&self) -> TokenStream {
        let written = |function: &Path, takes: &[&str]| {
            // With the span of the function, so that the compiler's complaints point at it.
            let span = function.span();
            let takes = takes.iter().map(|name| Ident::new(name, Span::mixed_site().located_at(span)));
            let takes: Vec<Ident> = takes.collect();
            quote_spanned! {span=>
                ::core::option::Option::Some(
                    |#(#takes),*| ::taskcell_guest::__private::HookResult::into_result(#function(#(#takes),*))
                )
            }
        };
        let entry = |name: &str, takes: &[&str]| {
            let field = Ident::new(name, Span::call_site());
            let value = self.find(name).map(|function| written(function, takes));
            let value = value.unwrap_or_else(|| quote! { ::core::option::Option::None });
            quote! { #field: #value }
        };
        let plugin = PLUGIN.iter().map(|name| entry(name, &["ctx"]));
        let task = TASK.iter().map(|name| entry(name, &["ctx", "task"]));
        quote! { ::taskcell_guest::__private::HookTable { #(#plugin,)* #(#task,)* } }
    }

    /// What exports the interfaces of which a hook is written.
    pub(crate) fn exports(&self) -> TokenStream {
        let has = |names: &[&str]| names.iter().any(|name| self.find(name).is_some());
        let plugin = has(&PLUGIN).then(|| {
            quote! {
                ::taskcell_guest::__private::hook_bindings::plugin::export_plugin_hooks!(
                    Component with_types_in ::taskcell_guest::__private::hook_bindings::plugin
                );
            }
        });
        let task = has(&TASK).then(|| {
            quote! {
                ::taskcell_guest::__private::hook_bindings::task::export_task_hooks!(
                    Component with_types_in ::taskcell_guest::__private::hook_bindings::task
                );
            }
        });
        quote! { #plugin #task }
    }
}
