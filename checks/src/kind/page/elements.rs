//! What a page's HTML has a browser load besides itself.

use std::collections::{BTreeMap, BTreeSet};

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{StartTag, Token, Tokenizer};

use crate::kind::http::target::Target;

/// What an element is to the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Stylesheet,
    Script,
    Image,
    Icon,
    Frame,
}

impl Role {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stylesheet => "stylesheet",
            Self::Script => "script",
            Self::Image => "image",
            Self::Icon => "icon",
            Self::Frame => "frame",
        }
    }
}

/// Something to load.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Element {
    pub(super) role: Role,
    /// Nothing, or nothing more, is shown before it is there: a stylesheet, and a script that is
    /// neither `async`, `defer` nor a module.
    pub(super) blocks: bool,
    pub(super) target: Target,
}

/// The elements in the order in which they stand, each address once. Texts within `noscript` and
/// `template`, and addresses that are no `http` or `https`, load nothing.
pub(super) fn find(html: &[u8], document: &Target, frames: bool) -> Vec<Element> {
    let mut reader = Reader { frames, ..Reader::of(document) };
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true); // A script's text is no HTML.
    for token in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => reader.start(&tag),
            Ok(Token::EndTag(tag)) => reader.end(&tag.name),
            Ok(_) => {}
            Err(never) => match never {},
        }
    }
    reader.found
}

/// What is known while the text is read.
struct Reader {
    /// What relative addresses are relative to.
    base: Target,
    has_base: bool,
    frames: bool,
    /// How deep the text is within what is not loaded.
    inert: u32,
    found: Vec<Element>,
    seen: BTreeSet<String>,
}

/// A tag's attributes as text.
struct Attributes(BTreeMap<String, String>);

impl Attributes {
    fn of<S: html5gum::SpanBound>(tag: &StartTag<S>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = tag.attributes.iter();
        Self(pairs.map(|(name, value)| (text(name), text(&value.value))).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether a value is one of these words, whatever its case.
    fn is(&self, name: &str, words: &[&str]) -> bool {
        self.get(name)
            .is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
    }
}

impl Reader {
    fn of(document: &Target) -> Self {
        Self {
            base: document.clone(),
            has_base: false,
            frames: false,
            inert: 0,
            found: Vec::new(),
            seen: BTreeSet::from([document.to_string()]),
        }
    }

    fn start<S: html5gum::SpanBound>(&mut self, tag: &StartTag<S>) {
        let name: &[u8] = &tag.name;
        if matches!(name, b"noscript" | b"template") {
            self.inert += 1;
        }
        if self.inert > 0 {
            return;
        }
        let attributes = Attributes::of(tag);
        match name {
            b"base" => self.rebase(&attributes),
            b"link" => self.link(&attributes),
            b"script" => self.script(&attributes),
            b"img" => {
                let address = attributes.get("src").filter(|address| !address.is_empty());
                let candidate = || first_candidate(attributes.get("srcset")?);
                self.add(Role::Image, false, address.or_else(candidate));
            }
            b"input" if attributes.is("type", &["image"]) => {
                self.add(Role::Image, false, attributes.get("src"));
            }
            b"video" => self.add(Role::Image, false, attributes.get("poster")),
            b"iframe" if self.frames => self.add(Role::Frame, false, attributes.get("src")),
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if matches!(name, b"noscript" | b"template") {
            self.inert = self.inert.saturating_sub(1);
        }
    }

    /// Only the first counts (HTML 4.2.3).
    fn rebase(&mut self, attributes: &Attributes) {
        let Some(address) = attributes.get("href").filter(|_| !self.has_base) else { return };
        self.has_base = true;
        if let Ok(base) = self.base.join(address) {
            self.base = base;
        }
    }

    fn link(&mut self, attributes: &Attributes) {
        let relations = attributes.get("rel").unwrap_or_default().to_ascii_lowercase();
        let is = |wanted: &str| relations.split_ascii_whitespace().any(|rel| rel == wanted);
        let address = attributes.get("href");
        if is("stylesheet") && !is("alternate") && !attributes.has("disabled") {
            let media = attributes.get("media").unwrap_or_default().to_ascii_lowercase();
            self.add(Role::Stylesheet, media != "print", address);
        } else if is("icon") {
            self.add(Role::Icon, false, address);
        }
    }

    fn script(&mut self, attributes: &Attributes) {
        let is_module = attributes.is("type", &["module"]);
        let scripts = ["", "text/javascript", "application/javascript"];
        let is_script = !attributes.has("type") || attributes.is("type", &scripts);
        // Data, templates and what is for browsers without modules is not loaded.
        if (!is_script && !is_module) || attributes.has("nomodule") {
            return;
        }
        let waits = is_module || attributes.has("async") || attributes.has("defer");
        self.add(Role::Script, !waits, attributes.get("src"));
    }

    fn add(&mut self, role: Role, blocks: bool, address: Option<&str>) {
        let Some(address) = address.filter(|address| !address.is_empty()) else { return };
        let Ok(target) = self.base.join(address) else { return };
        if self.seen.insert(target.to_string()) {
            self.found.push(Element { role, blocks, target });
        }
    }
}

/// The first address of a `srcset` (HTML 4.8.4.2.1): where it stands alone, the one that browsers
/// with a plain screen load most often.
fn first_candidate(srcset: &str) -> Option<&str> {
    let first = srcset.trim_start_matches([',', ' ', '\t', '\n', '\r']);
    first.split_ascii_whitespace().next().map(|address| address.trim_end_matches(','))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document() -> Target {
        Target::parse("https://shop.test/a/page.html").expect("a URL")
    }

    fn found(html: &str) -> Vec<String> {
        let elements = find(html.as_bytes(), &document(), true).into_iter();
        let shown = elements.map(|element| {
            let blocks = if element.blocks { "!" } else { "" };
            format!("{}{blocks} {}", element.role.as_str(), element.target)
        });
        shown.collect()
    }

    #[test]
    fn all_that_a_browser_loads_is_found_once() {
        let html = r#"<!doctype html><html><head>
            <title>&lt;img src=no.png&gt; <img src=title.png></title>
            <link rel=stylesheet href="/main.css"><link rel="alternate stylesheet" href="/no.css">
            <link rel="stylesheet" media="print" href="print.css">
            <link rel="shortcut icon" href="//cdn.test/i.ico"><link rel=canonical href="/no">
            <script src=sync.js></script><script async src=async.js></script>
            <script type="module" src="m.mjs"></script><script nomodule src="no.js"></script>
            <script type="application/json" src="no.json"></script>
            <script>document.write("<img src='no.png'>")</script>
            <style>p { background: url(no.png) }</style>
            </head><body><!-- <img src="no.png"> -->
            <noscript><img src="no.png"></noscript><template><img src="no.png"></template>
            <IMG SRC=" one.png?a=1&amp;b=2#x " alt="<img src=no.png>"><img src="one.png?a=1&b=2">
            <img srcset="small.png 1x, large.png 2x"><img src="data:image/png;base64,AA">
            <img src=""><img><input type=image src="go.png"><video poster="still.jpg"></video>
            <iframe src="https://other.test/"></iframe><a href="no.html">no</a>"#;
        assert_eq!(
            found(html),
            [
                "stylesheet! https://shop.test/main.css",
                "stylesheet https://shop.test/a/print.css",
                "icon https://cdn.test/i.ico",
                "script! https://shop.test/a/sync.js",
                "script https://shop.test/a/async.js",
                "script https://shop.test/a/m.mjs",
                "image https://shop.test/a/one.png?a=1&b=2",
                "image https://shop.test/a/small.png",
                "image https://shop.test/a/go.png",
                "image https://shop.test/a/still.jpg",
                "frame https://other.test/",
            ]
        );
    }

    #[test]
    fn the_first_base_counts() {
        let html = "<base href='/b/'><base href='/c/'><img src=x.png><img src='http:///'>";
        assert_eq!(found(html)[0], "image https://shop.test/b/x.png");
    }

    proptest! {
        #[test]
        fn no_text_crashes_the_reader(text in "[<>/a-z=\"' !-]{0,200}") {
            let _ = find(text.as_bytes(), &document(), true);
        }
    }
}
