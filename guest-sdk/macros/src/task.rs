//! `#[task]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, FnArg, Ident, ItemFn, Lit, LitStr, Meta, MetaNameValue, ReturnType, Safety, Token, Type};

use crate::checks;
use crate::limits::{self, Limit};
use crate::plugin;
use crate::quantity;
use crate::request::Request;

const SIGNATURE: &str = "a task is a plain `fn(ctl: &TaskCtl, input: Input) -> Result<Output, TaskError>`";

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let place = item.span();
    let Ok(function) = syn::parse2::<ItemFn>(item) else {
        return syn::Error::new(place, format!("`#[task]` goes on a function: {SIGNATURE}")).to_compile_error();
    };
    let made = syn::parse2(options).and_then(|options| companion(&options, &function));
    // The function is kept even so, or every use of it would be an error as well.
    let made = made.unwrap_or_else(|error| error.to_compile_error());
    quote! {
        // Both would complain about the signature, which is not the author's choice.
        #[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "a task's signature")]
        #function
        #made
    }
}

/// What a task type says of itself by a bare word.
const WORDS: [&str; 4] = ["daemon", "read_only", "concurrent_safe", "restartable"];

#[derive(Default)]
struct Options {
    name: Option<String>,
    /// Where the caller waits: the mode's name in the manifest, and for how many milliseconds.
    routing: Option<(&'static str, Option<u64>)>,
    /// What it says of itself by a bare word.
    words: Vec<String>,
    requests: Option<Vec<Request>>,
    /// In the order in which they are written.
    limits: Vec<(&'static Limit, u64)>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            let word = key.to_string();
            if WORDS.contains(&word.as_str()) {
                once(!options.words.contains(&word), &key)?;
                if input.peek(Token![=]) {
                    return Err(syn::Error::new(key.span(), format!("`{word}` stands alone, or not at all")));
                }
                options.words.push(word);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
                continue;
            }
            input.parse::<Token![=]>()?;
            if word == "name" {
                once(options.name.is_none(), &key)?;
                options.name = Some(checks::name(&input.parse()?)?);
            } else if word == "routing" {
                once(options.routing.is_none(), &key)?;
                options.routing = Some(routing(&input.parse()?)?);
            } else if word == "requests" {
                once(options.requests.is_none(), &key)?;
                let requests: Vec<Request> = plugin::list(input)?;
                plugin::no_twin(&requests, Request::what, |it| it.capability.span())?;
                options.requests = Some(requests);
            } else {
                let limit = limits::find(&word).ok_or_else(|| limits::unknown(&key))?;
                once(options.limits.iter().all(|(other, _)| other.option != limit.option), &key)?;
                options.limits.push((limit, limit.value(input)?));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// `"foreground"`, `"background"` or `"detach-after 5s"`.
fn routing(literal: &LitStr) -> syn::Result<(&'static str, Option<u64>)> {
    let text = literal.value();
    let wrong = |problem: String| syn::Error::new(literal.span(), problem);
    match (text.as_str(), text.strip_prefix("detach-after ")) {
        ("foreground", _) => Ok(("foreground", None)),
        ("background", _) => Ok(("background", None)),
        (_, Some(time)) => Ok(("detach-after", Some(quantity::duration(time).map_err(wrong)?))),
        _ => Err(wrong("`routing` takes \"foreground\", \"background\" or \"detach-after 5s\"".to_owned())),
    }
}

fn once(is_first: bool, key: &Ident) -> syn::Result<()> {
    if is_first { Ok(()) } else { Err(syn::Error::new(key.span(), format!("`{key}` is set twice"))) }
}

/// The type of the function's name, which carries what `plugin!` needs. Types and functions have namespaces of their
/// own, so it can have the same name, and `use` brings both.
fn companion(options: &Options, function: &ItemFn) -> syn::Result<TokenStream> {
    let (input, result) = signature(function)?;
    let ident = &function.sig.ident;
    let vis = &function.vis;
    let name = task_name(options, ident)?;
    let description = optional(description(&function.attrs, ident)?);
    let limits = options.limits.iter().map(|(limit, value)| {
        let wire = limit.wire;
        quote! { (#wire, #value) }
    });
    let routing = optional(options.routing.map(|(mode, after)| {
        let after = optional(after);
        quote! { (#mode, #after) }
    }));
    let says = |word: &str| options.words.iter().any(|said| said == word);
    let [daemon, read_only, concurrent_safe, restartable] = WORDS.map(says);
    let kind = optional(daemon.then_some("daemon"));
    let requests = options.requests.iter().flatten().map(Request::tokens);
    // With the spans of the types, so that the compiler's complaints point at them.
    let input_schema = quote_spanned! {input.span()=> ::taskcell_guest::__private::input_schema::<#input> };
    let output_schema = quote_spanned! {result.span()=> ::taskcell_guest::__private::output_schema::<#result> };
    let run_json = quote! { ::taskcell_guest::__private::run_json::<#input, #result> };
    // Of the macro's own hygiene, or a task that is called `input` would be shadowed.
    let ctl_argument = Ident::new("ctl", Span::mixed_site());
    let input_argument = Ident::new("input", Span::mixed_site());
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types, reason = "it has the function's name")]
        #[derive(Debug)]
        #vis enum #ident {}

        impl ::taskcell_guest::__private::TaskType for #ident {
            const ENTRY: ::taskcell_guest::__private::TaskEntry = ::taskcell_guest::__private::TaskEntry {
                name: #name,
                description: #description,
                limits: &[#(#limits),*],
                routing: #routing,
                kind: #kind,
                requests: &[#(#requests),*],
                read_only: #read_only,
                concurrent_safe: #concurrent_safe,
                restartable: #restartable,
                input_schema: #input_schema,
                output_schema: #output_schema,
                run: |#ctl_argument, #input_argument| #run_json(#ctl_argument, #input_argument, #ident),
            };
        }
    })
}

fn task_name(options: &Options, ident: &Ident) -> syn::Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.clone());
    }
    let name = ident.unraw().to_string().replace('_', "-");
    if checks::is_name(&name) {
        return Ok(name);
    }
    let problem = format!("{}; set another one with `#[task(name = \"…\")]`", checks::name_problem(&name));
    Err(syn::Error::new(ident.span(), problem))
}

/// The types of the input and the result.
fn signature(function: &ItemFn) -> syn::Result<(&Type, &Type)> {
    let sig = &function.sig;
    let wrong = |span: Span, problem: &str| Err(syn::Error::new(span, format!("{problem}: {SIGNATURE}")));
    if let Some(word) = &sig.asyncness {
        return wrong(word.span(), "a task is not async, its calls park it");
    }
    if let Safety::Unsafe(word) = &sig.safety {
        return wrong(word.span(), "a task is not unsafe");
    }
    if let Some(word) = &sig.abi {
        return wrong(word.span(), "a task has no ABI");
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return wrong(sig.generics.span(), "a task has no generic parameters");
    }
    let mut arguments = sig.inputs.iter();
    let (Some(ctl), Some(input)) = (arguments.next(), arguments.next()) else {
        return wrong(sig.paren_token.span.join(), "a task takes two arguments");
    };
    if let Some(third) = arguments.next() {
        return wrong(third.span(), "a task takes two arguments");
    }
    match ctl {
        FnArg::Typed(ctl) if is_shared_reference(&ctl.ty) => {}
        FnArg::Typed(ctl) => return wrong(ctl.ty.span(), "a task's first argument is a `&TaskCtl`"),
        FnArg::Receiver(receiver) => return wrong(receiver.span(), "a task is not a method"),
    }
    let FnArg::Typed(input) = input else {
        return wrong(input.span(), "a task is not a method");
    };
    match &sig.output {
        ReturnType::Type(_, result) => Ok((&input.ty, result)),
        ReturnType::Default => wrong(sig.span(), "a task returns something"),
    }
}

fn is_shared_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none())
}

/// The doc comment, without the space that begins each line.
fn description(attributes: &[Attribute], ident: &Ident) -> syn::Result<Option<String>> {
    let lines: Vec<String> = attributes.iter().filter_map(doc_line).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    let text = lines.join("\n").trim().to_owned();
    if text.chars().count() > checks::MAX_DESCRIPTION {
        let problem =
            format!("the doc comment is the task's description and has at most {} characters", checks::MAX_DESCRIPTION);
        return Err(syn::Error::new(ident.span(), problem));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    if !attribute.path().is_ident("doc") {
        return None;
    }
    let Meta::NameValue(MetaNameValue { value: Expr::Lit(literal), .. }) = &attribute.meta else {
        return None;
    };
    let Lit::Str(text) = &literal.lit else { return None };
    Some(text.value())
}

pub(crate) fn optional(value: Option<impl quote::ToTokens>) -> TokenStream {
    value.map_or_else(
        || quote! { ::core::option::Option::None },
        |value| quote! { ::core::option::Option::Some(#value) },
    )
}
