//! `plugin!`.

use std::collections::HashSet;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Path, Token, bracketed};

use crate::checks;
use crate::hooks::Hooks;
use crate::request::Request;
use crate::task::optional;

pub(crate) fn expand(fields: TokenStream) -> TokenStream {
    match syn::parse2::<Fields>(fields).and_then(Fields::complete) {
        Ok(plugin) => plugin.into_tokens(),
        Err(error) => error.to_compile_error(),
    }
}

/// The fields as far as they were given.
#[derive(Default)]
struct Fields {
    name: Option<LitStr>,
    version: Option<Expr>,
    author: Option<Expr>,
    description: Option<Expr>,
    url: Option<Expr>,
    requests: Option<Vec<Request>>,
    tasks: Option<Vec<Path>>,
    hooks: Option<Hooks>,
}

impl Parse for Fields {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut fields = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            input.parse::<Token![:]>()?;
            let word = key.to_string();
            match word.as_str() {
                "name" => set(&mut fields.name, &key, input.parse()?)?,
                "version" => set(&mut fields.version, &key, input.parse()?)?,
                "author" => set(&mut fields.author, &key, input.parse()?)?,
                "description" => set(&mut fields.description, &key, input.parse()?)?,
                "url" => set(&mut fields.url, &key, input.parse()?)?,
                "requests" => set(&mut fields.requests, &key, list(input)?)?,
                "tasks" => set(&mut fields.tasks, &key, list(input)?)?,
                "hooks" => set(&mut fields.hooks, &key, input.parse()?)?,
                _ => {
                    let known =
                        "there are `name`, `version`, `author`, `description`, `url`, `requests`, `tasks` and `hooks`";
                    return Err(syn::Error::new(key.span(), format!("`{word}` is not a field of a plugin: {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(fields)
    }
}

fn set<T>(place: &mut Option<T>, key: &Ident, value: T) -> syn::Result<()> {
    if place.replace(value).is_some() {
        return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
    }
    Ok(())
}

pub(crate) fn list<T: Parse>(input: ParseStream<'_>) -> syn::Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(Punctuated::<T, Token![,]>::parse_terminated(&content)?.into_iter().collect())
}

/// A plugin with all that it must have.
struct Plugin {
    name: String,
    version: Expr,
    author: Option<Expr>,
    description: Option<Expr>,
    url: Option<Expr>,
    requests: Vec<Request>,
    tasks: Vec<Path>,
    hooks: Hooks,
}

impl Fields {
    fn complete(self) -> syn::Result<Plugin> {
        let missing = |field: &str| syn::Error::new(Span::call_site(), format!("the plugin has no `{field}`"));
        let name = self.name.ok_or_else(|| missing("name"))?;
        let plugin = Plugin {
            name: checks::name(&name)?,
            version: self.version.ok_or_else(|| missing("version"))?,
            author: self.author,
            description: self.description,
            url: self.url,
            requests: self.requests.unwrap_or_default(),
            tasks: self.tasks.filter(|tasks| !tasks.is_empty()).ok_or_else(|| missing("tasks"))?,
            hooks: self.hooks.unwrap_or_default(),
        };
        no_twin(&plugin.requests, Request::what, |request| request.capability.span())?;
        no_twin(&plugin.tasks, |task| task.to_token_stream().to_string(), Spanned::span)?;
        Ok(plugin)
    }
}

pub(crate) fn no_twin<T>(items: &[T], name: impl Fn(&T) -> String, span: impl Fn(&T) -> Span) -> syn::Result<()> {
    let mut seen = HashSet::new();
    for item in items {
        let name = name(item);
        if !seen.insert(name.clone()) {
            return Err(syn::Error::new(span(item), format!("`{name}` is listed twice")));
        }
    }
    Ok(())
}

impl Plugin {
    fn into_tokens(self) -> TokenStream {
        let checks = self.checks();
        let Self { name, version, author, description, url, requests, tasks, hooks } = self;
        let (table, exports) = (hooks.table(), hooks.exports());
        let (author, description, url) = (optional(author), optional(description), optional(url));
        let requests = requests.iter().map(Request::tokens);
        let entries = tasks.iter().map(|task| {
            quote_spanned! {task.span()=> <#task as ::taskcell_guest::__private::TaskType>::ENTRY }
        });
        quote! {
            /// This crate as a plugin, for tests to look at.
            pub const PLUGIN: ::taskcell_guest::Plugin = {
                const PARTS: ::taskcell_guest::__private::Parts = ::taskcell_guest::__private::Parts {
                    name: #name,
                    version: #version,
                    author: #author,
                    description: #description,
                    url: #url,
                    requests: &[#(#requests),*],
                    tasks: &[#(#entries),*],
                    hooks: #table,
                };
                #checks
                ::taskcell_guest::Plugin::__new(PARTS)
            };

            #[cfg(target_family = "wasm")]
            const _: () = {
                enum Source {}

                impl ::taskcell_guest::__private::exports::PluginSource for Source {
                    const PLUGIN: &'static ::taskcell_guest::Plugin = &PLUGIN;
                }

                type Component = ::taskcell_guest::__private::exports::Exported<Source>;
                ::taskcell_guest::__private::bindings::export!(
                    Component with_types_in ::taskcell_guest::__private::bindings
                );
                #exports
            };
        }
    }

    /// What only the compiler can see: the values of the fields, and the names that the tasks have.
    fn checks(&self) -> TokenStream {
        let lengths = [
            ("version", Some(&self.version), 1_usize, 64_usize),
            ("author", self.author.as_ref(), 0, 256),
            ("description", self.description.as_ref(), 0, checks::MAX_DESCRIPTION),
            ("url", self.url.as_ref(), 0, 2048),
        ];
        let lengths = lengths.into_iter().filter_map(|(field, value, min, max)| {
            let value = value?;
            let problem = format!("`{field}` takes {min} to {max} characters");
            Some(quote_spanned! {value.span()=>
                ::core::assert!(::taskcell_guest::__private::has_length(#value, #min, #max), #problem);
            })
        });
        let names = self.tasks.iter().enumerate().map(|(index, task)| {
            let problem = "an earlier task has the same name; set another one with `#[task(name = \"…\")]`";
            quote_spanned! {task.span()=>
                ::core::assert!(!::taskcell_guest::__private::is_named_twice(PARTS.tasks, #index), #problem);
            }
        });
        quote! { #(#lengths)* #(#names)* }
    }
}
