//! Rust as the rules see it: paths that are named, attributes, string literals, names of tests.
//!
//! Text inside macro calls is not parsed, since only the macro knows its grammar, but its tokens are looked through.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::{ItemExternCrate, ItemMod, ItemUse, LitStr, Macro, Path, UseTree, visit::Visit};

use crate::tree::{File, Offence, Tree};

/// A parsed file, or nothing: [`unreadable`] complains about those.
pub(crate) fn parse(file: &File) -> Option<syn::File> {
    syn::parse_file(&file.text).ok()
}

/// The tokens of a file, or none.
pub(crate) fn tokens(file: &File) -> TokenStream {
    file.text.parse().unwrap_or_default()
}

/// Files that are not Rust. The other rules pass over them.
pub(crate) fn unreadable(tree: &Tree) -> Vec<Offence> {
    let complaint = |file: &File| {
        let error = syn::parse_file(&file.text).err()?;
        Some(Offence::new(&file.path, line(error.span()), format!("every .rs file is Rust: {error}")))
    };
    tree.rust().filter_map(complaint).collect()
}

/// The line of a token, from 1.
pub(crate) fn line(span: Span) -> usize {
    span.start().line
}

/// A path that some code names, such as `std::time::Instant`. A glob ends with `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    /// The inline modules around it.
    pub(crate) inside: Vec<String>,
}

impl Named {
    /// Whether it begins with these segments.
    pub(crate) fn begins_with(&self, segments: &[&str]) -> bool {
        self.segments.len() >= segments.len() && self.segments.iter().zip(segments).all(|(a, b)| a == b)
    }
}

/// All paths of two segments or more, and all that `use` and `extern crate` bring in.
pub(crate) fn named_paths(file: &syn::File) -> Vec<Named> {
    let mut paths = Paths::default();
    paths.visit_file(file);
    paths.found
}

#[derive(Debug, Default)]
struct Paths {
    found: Vec<Named>,
    inside: Vec<String>,
}

impl Paths {
    fn add(&mut self, segments: Vec<String>, span: Span) {
        self.found.push(Named { segments, line: line(span), inside: self.inside.clone() });
    }

    fn add_use(&mut self, before: &[String], tree: &UseTree) {
        let with = |ident: &Ident| before.iter().cloned().chain([ident.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.add(with(&name.ident), name.ident.span()),
            UseTree::Rename(rename) => self.add(with(&rename.ident), rename.ident.span()),
            UseTree::Glob(glob) => {
                let segments = before.iter().cloned().chain(["*".to_owned()]).collect();
                self.add(segments, glob.star_token.spans[0]);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.add_use(before, item)),
        }
    }

    /// Paths among loose tokens: names joined by `::`, perhaps with a group at the end.
    fn add_loose(&mut self, before: &[String], tokens: TokenStream) {
        let mut segments = before.to_vec();
        let mut start = Span::call_site();
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(ident) => {
                    start = ident.span();
                    segments.push(ident.to_string());
                    let mut colons = 0;
                    while tokens.next_if(|next| matches!(next, TokenTree::Punct(p) if p.as_char() == ':')).is_some() {
                        colons += 1;
                    }
                    if colons == 2 {
                        continue;
                    }
                }
                TokenTree::Group(group) if segments.len() > before.len() && group.delimiter() == Delimiter::Brace => {
                    self.add_loose(&segments, group.stream());
                    segments = before.to_vec();
                    continue;
                }
                TokenTree::Group(group) => self.add_loose(&[], group.stream()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            if segments.len() > before.len() && segments.len() > 1 {
                self.add(segments, start);
            }
            segments = before.to_vec();
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.inside.push(item.ident.to_string());
        syn::visit::visit_item_mod(self, item);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        self.add(vec![item.ident.to_string()], item.ident.span());
    }

    fn visit_path(&mut self, path: &'ast Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.add(segments, path.segments.first().map_or_else(Span::call_site, |segment| segment.ident.span()));
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.add_loose(&[], call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

/// An attribute, wherever it stands: also inside macros, and inside `cfg_attr`.
#[derive(Debug)]
pub(crate) struct Attribute {
    /// The last segment of its path, such as `test` of `#[tokio::test]`.
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// All attributes among these tokens.
pub(crate) fn attributes(tokens: &TokenStream) -> Vec<Attribute> {
    let mut found = Vec::new();
    let mut after_hash = false;
    for token in tokens.clone() {
        match token {
            TokenTree::Punct(punct) => {
                // `#![…]` has a `!` in between.
                after_hash = punct.as_char() == '#' || (after_hash && punct.as_char() == '!');
                continue;
            }
            TokenTree::Group(group) => {
                if after_hash && group.delimiter() == Delimiter::Bracket {
                    add_attribute(group.stream(), &mut found);
                }
                found.extend(attributes(&group.stream()));
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
        after_hash = false;
    }
    found
}

fn add_attribute(content: TokenStream, found: &mut Vec<Attribute>) {
    let mut name = None;
    for token in content {
        match token {
            TokenTree::Ident(ident) => name = Some(ident),
            TokenTree::Group(group) => {
                if name.as_ref().is_some_and(|name| name == "cfg_attr") {
                    for part in parts(&group) {
                        add_attribute(part, found);
                    }
                }
                break;
            }
            TokenTree::Punct(punct) if punct.as_char() == '=' => break,
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found.extend(name.map(|name| Attribute { name: name.to_string(), line: line(name.span()) }));
}

/// What stands between the commas of a group.
fn parts(group: &Group) -> Vec<TokenStream> {
    let tokens: Vec<_> = group.stream().into_iter().collect();
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens.split(is_comma).map(|part| part.iter().cloned().collect()).collect()
}

/// The same tokens without what stands in `quote!` and `quote_spanned!`, which is not our code but our users'.
pub(crate) fn without_quotes(tokens: TokenStream) -> TokenStream {
    let is_quote =
        |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name == "quote" || name == "quote_spanned");
    let is_bang = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!');
    let mut kept: Vec<TokenTree> = Vec::new();
    for token in tokens {
        let TokenTree::Group(group) = token else {
            kept.push(token);
            continue;
        };
        let quoted = matches!(kept.as_slice(), [.., name, bang] if is_quote(name) && is_bang(bang));
        let content = if quoted { TokenStream::new() } else { without_quotes(group.stream()) };
        kept.push(Group::new(group.delimiter(), content).into());
    }
    kept.into_iter().collect()
}

/// The names of all test functions among these tokens, also those inside macros such as `proptest!`.
pub(crate) fn test_names(tokens: &TokenStream) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                if let Some(TokenTree::Group(group)) = tokens.peek() {
                    let mut found = Vec::new();
                    add_attribute(group.stream(), &mut found);
                    is_test |= found.iter().any(|attribute| attribute.name == "test");
                    tokens.next();
                }
            }
            TokenTree::Ident(ident) if ident == "fn" => {
                if let (true, Some(TokenTree::Ident(name))) = (is_test, tokens.peek()) {
                    names.push(name.to_string());
                }
                is_test = false;
            }
            TokenTree::Group(group) => names.extend(test_names(&group.stream())),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    names
}

/// The values of all string literals among these tokens.
pub(crate) fn strings(tokens: &TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens.clone() {
        match token {
            TokenTree::Group(group) => found.extend(strings(&group.stream())),
            TokenTree::Literal(literal) => {
                found.extend(syn::parse_str::<LitStr>(&literal.to_string()).ok().map(|literal| literal.value()));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let file = syn::parse_file(text).unwrap();
        named_paths(&file).into_iter().map(|named| named.segments.join("::")).collect()
    }

    #[test]
    fn a_grouped_use_is_taken_apart() {
        let found = paths("use crate::{a::{B, c::*}, d as e}; extern crate f; pub(in crate::g) fn x() {}");
        assert_eq!(found, ["crate::a::B", "crate::a::c::*", "crate::d", "f", "crate::g"]);
    }

    #[test]
    fn types_calls_and_macros_are_looked_through() {
        let found = paths("fn f(x: a::B<c::D>) { e::f(); g!(h::i(1), crate::{j::K, l}, m: n, o => p.q); }");
        for path in ["a::B", "c::D", "e::f", "h::i", "crate::j::K", "crate::l"] {
            assert!(found.contains(&path.to_owned()), "{path} is not in {found:?}");
        }
        assert_eq!(found.len(), 6, "{found:?}");
    }

    #[test]
    fn attributes_are_found_wherever_they_stand() {
        let text = "#![a]\n#[b::c(d)]\nfn f() { g! { #[h = 1] } }\n#[cfg_attr(i, j(k), l)]\nstruct M;\nconst X: &str = \"#[z]\";";
        let found = attributes(&text.parse().unwrap());
        let found: Vec<_> = found.iter().map(|attribute| (attribute.name.as_str(), attribute.line)).collect();
        assert_eq!(found, [("a", 1), ("c", 2), ("h", 3), ("i", 4), ("j", 4), ("l", 4), ("cfg_attr", 4)]);
    }

    #[test]
    fn tests_are_found_also_in_macros() {
        let text = "#[test] fn a() {} fn b() {} #[tokio::test(flavor = \"x\")] #[c] async fn d() {} \
                    proptest! { #[test] fn e(x in 0..1) {} } #[cfg(test)] mod t { fn f() {} }";
        assert_eq!(test_names(&text.parse().unwrap()), ["a", "d", "e"]);
    }

    #[test]
    fn strings_are_unescaped() {
        assert_eq!(strings(&r#"f("a\"b", [r"c\", 1, 'd'])"#.parse().unwrap()), ["a\"b", "c\\"]);
    }

    #[test]
    fn what_is_not_rust_is_reported() {
        let offences = unreadable(&Tree::of(&[("a.rs", "//! x\nfn f( {}"), ("b.rs", "fn g() {}"), ("c.md", "fn")]));
        assert_eq!(offences.len(), 1);
        assert!(offences[0].to_string().starts_with("a.rs:2: "), "{}", offences[0]);
    }
}
