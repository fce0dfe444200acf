//! Words that do not stay in the code, and the one line that every file begins with.

use proc_macro2::{TokenStream, TokenTree};

use crate::{
    rust,
    tree::{File, Offence, Tree},
};

/// Attributes and what to do instead. A macro may write them into its user's code: it cannot know whether a lint would
/// have a complaint there.
const ATTRIBUTES: [(&str, &str); 2] = [
    ("allow", "a lint is excused with #[expect(…, reason = …)], which complains when it is not needed any more"),
    ("ignore", "a test runs, or it is removed"),
];

/// Macros and what to do instead.
const MACROS: [(&str, &str); 2] =
    [("todo", "what is not there yet has no code yet"), ("unimplemented", "what is not there yet has no code yet")];

/// Notes to oneself. Put together here, so that this file does not offend.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

pub(crate) fn offences(tree: &Tree) -> Vec<Offence> {
    let mut offences = Vec::new();
    for file in tree.rust() {
        let tokens = rust::tokens(file);
        for attribute in rust::attributes(&rust::without_quotes(tokens.clone())) {
            if let Some((name, instead)) = ATTRIBUTES.iter().find(|(name, _)| *name == attribute.name) {
                offences.push(Offence::new(&file.path, attribute.line, format!("no #[{name}]: {instead}")));
            }
        }
        macros(file, &tokens, &mut offences);
    }
    for file in tree.files() {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(note) = NOTES.iter().find(|note| has_word(line, note)) {
                offences.push(Offence::new(
                    &file.path,
                    number + 1,
                    format!("no {note}: it is done, or it is an issue"),
                ));
            }
        }
    }
    offences
}

fn macros(file: &File, tokens: &TokenStream, offences: &mut Vec<Offence>) {
    let mut tokens = tokens.clone().into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => macros(file, &group.stream(), offences),
            TokenTree::Ident(ident) => {
                let is_call = matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!');
                let known = MACROS.iter().find(|(name, _)| ident == name);
                if let (true, Some((name, instead))) = (is_call, known) {
                    let rule = format!("no {name}!: {instead}");
                    offences.push(Offence::new(&file.path, rust::line(ident.span()), rule));
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|part| part == word)
}

/// Files whose first line does not say what they are for.
pub(crate) fn first_lines(tree: &Tree) -> Vec<Offence> {
    let is_silent = |file: &&File| {
        let first = file.text.lines().next().unwrap_or_default();
        first.strip_prefix("//! ").is_none_or(|sentence| sentence.trim().is_empty())
    };
    let complaint = |file: &File| Offence::new(&file.path, 1, "the first line says what the file is for: `//! …`");
    tree.rust().filter(is_silent).map(complaint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        offences(&Tree::of(&[("a.rs", text)])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_allowed_or_ignored() {
        let offences =
            found("#![allow(dead_code)]\n#[cfg_attr(windows, ignore = \"slow\")]\nfn f() {}\nm! { #[allow(x)] }");
        assert_eq!(offences.len(), 3, "{offences:?}");
        assert!(offences[0].starts_with("a.rs:1: no #[allow]"), "{offences:?}");
        assert!(offences[1].starts_with("a.rs:2: no #[ignore]"), "{offences:?}");
        assert!(offences[2].starts_with("a.rs:4: no #[allow]"), "{offences:?}");
    }

    #[test]
    fn a_macro_may_allow_in_what_it_writes() {
        let text =
            "fn f() -> T { quote! { #[allow(x)] fn g() {} } }\nfn h() -> T { quote_spanned! {i()=> #[allow(x)] } }";
        assert_eq!(found(text), Vec::<String>::new());
        assert_eq!(found("fn f(quote: T) -> T { m! { #[allow(x)] }; #[allow(y)] if !quote { g() } }").len(), 2);
    }

    #[test]
    fn expecting_is_fine_and_so_is_talking_about_it() {
        let text = "#[expect(dead_code, reason = \"x\")]\n/// Not #[allow(dead_code)].\nfn allow() -> &'static str { \"#[ignore]\" }\n\
                    #[derive(A)] struct B; fn c(todo: u8) -> u8 { todo }";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_left_open() {
        assert_eq!(found("fn f() {\n    todo!()\n}\nfn g() { std::unimplemented!(\"x\") }").len(), 2);
        let note = format!("// {} this\nfn f() {{}}\n", NOTES[0]);
        assert_eq!(found(&note).len(), 1);
        let offences = offences(&Tree::of(&[("README.md", &format!("x\n{}: y", NOTES[1]))]));
        assert_eq!(offences.len(), 1);
        assert_eq!(offences[0].line, 2);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let tree = Tree::of(&[
            ("a.rs", "//! Says it.\n"),
            ("b.rs", "use std::fmt;\n"),
            ("c.rs", "//! \n"),
            ("d.rs", ""),
            ("e.rs", "// Not so.\n"),
            ("f.md", "Text."),
        ]);
        let paths: Vec<_> = first_lines(&tree).into_iter().map(|offence| offence.path).collect();
        assert_eq!(paths, ["b.rs", "c.rs", "d.rs", "e.rs"]);
    }
}
