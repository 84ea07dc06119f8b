//! YAML 1.2 text to a tree of nodes with spans.
//!
//! One document per file, maps with plain names as keys, no tags beyond the core schema. Aliases
//! are copies, within bounds; `<<` merges maps as YAML 1.1 did, because people use it.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span as Range, StrInput, Tag, options};

use super::finding::Findings;
use super::tree::{Entry, Key, Node, Scalar, Span, Value};

/// How deep a document may nest: far beyond any real one, and safe for recursion.
const DEPTH_LIMIT: usize = 48;

/// How many nodes aliases may add in one file: ten for each of 10,000 checks, and an end to a few
/// lines that would expand to gigabytes.
const ALIAS_NODES_LIMIT: usize = 100_000;

/// The tree of a source; `None` when it is empty or cannot be read at all.
pub(crate) fn parse(source: usize, text: &str, findings: &mut Findings) -> Option<Node> {
    let options = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_LIMIT,
        block_nesting_limit: DEPTH_LIMIT,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { source, text, parser, anchors: HashMap::new(), copied: 0, findings };
    match reader.stream() {
        Ok(node) => node,
        Err(error) => {
            let span = reader.mark(error.marker().byte_offset());
            reader.findings.error(span, error.info());
            None
        }
    }
}

struct Reader<'a, 'f> {
    source: usize,
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    findings: &'f mut Findings,
}

impl<'a> Reader<'a, '_> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Range)>, ScanError> {
        self.parser.next_event().transpose()
    }

    /// The whole file: nothing, or one document.
    fn stream(&mut self) -> Result<Option<Node>, ScanError> {
        let mut first = None;
        while let Some((event, range)) = self.next()? {
            match event {
                Event::DocumentStart(..) if first.is_some() => {
                    let span = self.span(&range);
                    self.findings.error(span, "a second document in one file").hint(
                        "put it into a file of its own; a directory of files is read as one"
                            .to_owned(),
                    );
                    return Ok(first);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                event => first = self.node(event, range)?,
            }
        }
        Ok(first)
    }

    /// The node that begins with this event; `None` when it was refused.
    fn node(&mut self, event: Event<'a>, range: Range) -> Result<Option<Node>, ScanError> {
        let span = self.span(&range);
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !is_text(tag.as_deref());
                self.check_tag(tag.as_deref(), span);
                let scalar = Scalar { text: text.into_owned(), plain };
                (anchor, Node { span: self.trimmed(span), value: Value::Scalar(scalar) })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                (anchor, self.list(span)?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.check_tag(tag.as_deref(), span);
                (anchor, self.map(span)?)
            }
            Event::Alias(target) => return Ok(self.copy(target, span)),
            Event::UnresolvedAlias(name) => {
                self.findings.error(span, format!("no anchor `&{name}` before this alias"));
                return Ok(None);
            }
            _ => return Ok(None),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(Some(node))
    }

    fn list(&mut self, start: Span) -> Result<Node, ScanError> {
        let mut items = Vec::new();
        while let Some((event, range)) = self.next()? {
            if event == Event::SequenceEnd {
                return Ok(closed(start, self.span(&range), Value::List(items)));
            }
            items.extend(self.node(event, range)?);
        }
        Ok(Node { span: start, value: Value::List(items) })
    }

    fn map(&mut self, start: Span) -> Result<Node, ScanError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, Span> = HashMap::new();
        while let Some((event, range)) = self.next()? {
            if event == Event::MappingEnd {
                merged.retain(|entry| !places.contains_key(&entry.key.name));
                entries.append(&mut merged);
                return Ok(closed(start, self.span(&range), Value::Map(entries)));
            }
            let key = self.node(event, range)?;
            let Some((event, range)) = self.next()? else { break };
            let value = self.node(event, range)?;
            let Some((key, plain)) = key.and_then(|key| self.key(key)) else { continue };
            let Some(value) = value else { continue };
            if plain && key.name == "<<" {
                self.merge(value, &mut merged);
            } else if let Some(first) = places.get(&key.name) {
                let line = line_of(self.text, first.start);
                self.findings
                    .error(key.span, format!("`{}` is given twice", key.name))
                    .hint(format!("the first one is in line {line}; remove one of them"));
            } else {
                places.insert(key.name.clone(), key.span);
                entries.push(Entry { key, value });
            }
        }
        Ok(Node { span: start, value: Value::Map(entries) })
    }

    /// The key, and whether it was written without quotes.
    fn key(&mut self, node: Node) -> Option<(Key, bool)> {
        match node.value {
            Value::Scalar(scalar) if !scalar.is_null() => {
                Some((Key { name: scalar.text, span: node.span }, scalar.plain))
            }
            _ => {
                self.findings
                    .error(node.span, "a key must be a name")
                    .hint("a text that begins with `{` or `[` needs quotes".to_owned());
                None
            }
        }
    }

    /// Takes over the entries of `<<: *name` or `<<: [*a, *b]`; the first one of a name counts.
    fn merge(&mut self, value: Node, merged: &mut Vec<Entry>) {
        let maps = match value.value {
            Value::List(items) => items,
            _ => vec![value],
        };
        for map in maps {
            let Value::Map(entries) = map.value else {
                self.findings.error(map.span, "only maps can be merged with `<<`");
                continue;
            };
            for entry in entries {
                if !merged.iter().any(|known| known.key.name == entry.key.name) {
                    merged.push(entry);
                }
            }
        }
    }

    /// A copy of an anchor's node.
    fn copy(&mut self, target: usize, span: Span) -> Option<Node> {
        let Some(node) = self.anchors.get(&target) else {
            self.findings.error(span, "an alias inside its own anchor");
            return None;
        };
        if self.copied > ALIAS_NODES_LIMIT {
            return None;
        }
        self.copied = self.copied.saturating_add(node.size());
        if self.copied > ALIAS_NODES_LIMIT {
            self.findings
                .error(span, format!("aliases expand to more than {ALIAS_NODES_LIMIT} values"));
            return None;
        }
        if node.depth() > DEPTH_LIMIT / 2 {
            self.findings.error(span, "aliases nest too deep");
            return None;
        }
        Some(node.clone())
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix().is_none()) {
            let original = tag.original();
            self.findings.error(span, format!("the tag `{original}` has no meaning here"));
        }
    }

    fn span(&self, range: &Range) -> Span {
        let start = range.start.byte_offset().unwrap_or(self.text.len());
        let end = range.end.byte_offset().unwrap_or(start).max(start);
        Span { source: self.source, start, end }
    }

    fn mark(&self, at: Option<usize>) -> Span {
        let at = at.unwrap_or(self.text.len());
        Span { source: self.source, start: at, end: at + 1 }
    }

    /// The span without white space behind the text.
    fn trimmed(&self, span: Span) -> Span {
        let text = self.text.get(span.start..span.end).unwrap_or_default();
        Span { end: span.start + text.trim_end().len(), ..span }
    }
}

/// The node from its start to its end.
fn closed(start: Span, end: Span, value: Value) -> Node {
    Node { span: Span { end: end.end.max(start.end), ..start }, value }
}

fn is_text(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"))
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
