//! What a plugin or a task asks for: `"http" { hosts = ["api.example.com"], methods = ["GET"] } => "the reason"`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Token, braced, token};

use crate::plugin::list;
use crate::task::optional;

/// The keys that name several things, each with the capabilities that it belongs to.
const LISTS: [(&str, &[&str]); 4] =
    [("hosts", &["http"]), ("methods", &["http"]), ("names", &["env", "secrets"]), ("plugins", &["tasks"])];

/// One thing that is asked for.
pub(crate) struct Request {
    pub(crate) capability: LitStr,
    reason: LitStr,
    access: Option<LitStr>,
    /// In the order of [`LISTS`].
    lists: [Vec<LitStr>; 4],
}

impl Parse for Request {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let capability: LitStr = input.parse()?;
        within(&capability, 1, 128)?;
        let mut request =
            Self { reason: capability.clone(), capability, access: None, lists: [const { Vec::new() }; 4] };
        if input.peek(token::Brace) {
            let scope;
            braced!(scope in input);
            while !scope.is_empty() {
                request.read_scope(&scope)?;
                if !scope.is_empty() {
                    scope.parse::<Token![,]>()?;
                }
            }
        }
        if !input.peek(Token![=>]) {
            return Err(syn::Error::new(
                request.capability.span(),
                format!("say what it is needed for: \"{}\" => \"the reason\"", request.capability.value()),
            ));
        }
        input.parse::<Token![=>]>()?;
        request.reason = input.parse()?;
        within(&request.reason, 1, 1024)?;
        Ok(request)
    }
}

fn within(literal: &LitStr, min: usize, max: usize) -> syn::Result<()> {
    let length = literal.value().chars().count();
    if length < min || length > max {
        return Err(syn::Error::new(literal.span(), format!("it takes {min} to {max} characters")));
    }
    Ok(())
}

impl Request {
    /// One key with its value.
    fn read_scope(&mut self, scope: ParseStream<'_>) -> syn::Result<()> {
        let key: Ident = scope.parse()?;
        scope.parse::<Token![=]>()?;
        let word = key.to_string();
        let belongs = |of: &[&str]| {
            if of.contains(&self.capability.value().as_str()) {
                return Ok(());
            }
            let of = of.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" and ");
            Err(syn::Error::new(key.span(), format!("`{key}` belongs to {of}")))
        };
        if word == "access" {
            belongs(&["fs"])?;
            let access: LitStr = scope.parse()?;
            if !["read", "read-write"].contains(&access.value().as_str()) {
                return Err(syn::Error::new(access.span(), "`access` takes \"read\" or \"read-write\""));
            }
            self.access = Some(access);
            return Ok(());
        }
        let found = LISTS.iter().zip(&mut self.lists).find(|((name, _), _)| *name == word);
        let Some(((_, of), place)) = found else {
            let known = "there are `access`, `hosts`, `methods`, `names` and `plugins`";
            return Err(syn::Error::new(key.span(), format!("`{word}` says nothing about a capability: {known}")));
        };
        belongs(of)?;
        let things: Vec<LitStr> = list(scope)?;
        if things.is_empty() {
            return Err(syn::Error::new(key.span(), format!("`{word}` is empty; without it, all are asked for")));
        }
        let is_upper = |thing: &LitStr| thing.value().bytes().all(|c| c.is_ascii_uppercase());
        if let Some(method) = things.iter().find(|thing| word == "methods" && !is_upper(thing)) {
            return Err(syn::Error::new(method.span(), "methods are written in upper case, as \"GET\""));
        }
        *place = things;
        Ok(())
    }

    /// What it is about: two of the same are one too many.
    pub(crate) fn what(&self) -> String {
        let mut what = self.capability.value();
        for word in self.access.iter().chain(self.lists.iter().flatten()) {
            what = format!("{what} {}", word.value());
        }
        what
    }

    /// As the SDK keeps it.
    pub(crate) fn tokens(&self) -> TokenStream {
        let Self { capability, reason, access, lists: [hosts, methods, names, plugins] } = self;
        let access = optional(access.as_ref());
        quote! {
            ::taskcell_guest::__private::Request {
                capability: #capability,
                access: #access,
                hosts: &[#(#hosts),*],
                methods: &[#(#methods),*],
                names: &[#(#names),*],
                plugins: &[#(#plugins),*],
                reason: #reason,
            }
        }
    }
}
