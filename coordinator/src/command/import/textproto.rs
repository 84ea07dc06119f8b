//! The text format of protocol buffers, as far as configurations use it: fields with values,
//! messages and lists, comments, texts in either quotes.
//!
//! Without a schema a number is the text that was written, and a field that stands several times
//! is several entries of its message.

use super::tree::{Input, Node, Value};

/// How deep messages may nest: far beyond any configuration, and safe for recursion.
const DEPTH_LIMIT: usize = 64;

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    depth: usize,
}

/// Reads a file.
///
/// # Errors
/// What is wrong with it, with its place.
pub(super) fn read(input: &Input) -> Result<Node, String> {
    let mut reader = Reader { text: &input.text, at: 0, line: 1, depth: 0 };
    let found = reader.fields(None);
    found.map_err(|why| format!("{}:{}: {why}", input.name, reader.line))
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over blanks and comments.
    fn blank(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = match rest.chars().next() {
                Some('#') => rest.find('\n').unwrap_or(rest.len()),
                Some(c) if c.is_ascii_whitespace() => 1,
                _ => return,
            };
            self.line += rest[..skipped].matches('\n').count();
            self.at += skipped;
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.blank();
        self.rest().chars().next()
    }

    fn takes(&mut self, sign: char) -> bool {
        let is_next = self.peek() == Some(sign);
        self.at += if is_next { sign.len_utf8() } else { 0 };
        is_next
    }

    /// The fields up to the sign that closes their message; without one, up to the end.
    fn fields(&mut self, close: Option<char>) -> Result<Node, String> {
        self.blank();
        let line = self.line;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("it nests too deep".to_owned());
        }
        let mut entries = Vec::new();
        loop {
            match (self.peek(), close) {
                (None, None) => break,
                (None, Some(close)) => return Err(format!("`{close}` is missing at the end")),
                (Some(found), Some(close)) if found == close => {
                    self.at += 1;
                    break;
                }
                (Some(_), _) => entries.push(self.field()?),
            }
        }
        self.depth -= 1;
        Ok(Node::new(line, Value::Map(entries)))
    }

    fn field(&mut self) -> Result<(String, Node), String> {
        let line = self.line;
        let name = match self.peek() {
            Some('[') => self.extension()?,
            _ => self.word()?,
        };
        let colon = self.takes(':');
        let mut node = match self.peek() {
            Some('{' | '<' | '[') => self.value()?,
            _ if colon => self.value()?,
            _ => return Err(format!("`:` or `{{` is missing behind `{name}`")),
        };
        node.line = line;
        if !self.takes(',') {
            self.takes(';');
        }
        Ok((name, node))
    }

    fn value(&mut self) -> Result<Node, String> {
        self.blank();
        let line = self.line;
        let value = match self.peek() {
            Some('{') => {
                self.at += 1;
                return self.fields(Some('}'));
            }
            Some('<') => {
                self.at += 1;
                return self.fields(Some('>'));
            }
            Some('[') => self.list()?,
            Some('"' | '\'') => {
                let mut text = Vec::new();
                // Texts that follow each other are one.
                while matches!(self.peek(), Some('"' | '\'')) {
                    self.string(&mut text)?;
                }
                let text = String::from_utf8(text);
                Value::Scalar(text.map_err(|_| "a text is not UTF-8".to_owned())?)
            }
            _ => Value::Scalar(self.word()?),
        };
        Ok(Node::new(line, value))
    }

    fn list(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("it nests too deep".to_owned());
        }
        let mut items = Vec::new();
        self.takes('[');
        while !self.takes(']') {
            items.push(self.value()?);
            if !self.takes(',') && self.peek() != Some(']') {
                return Err("`,` or `]` is missing".to_owned());
            }
        }
        self.depth -= 1;
        Ok(Value::List(items))
    }

    /// `[cloudprober.probes.http.http_probe]`: an extension's name.
    fn extension(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let end = rest.find(']').ok_or("`]` is missing")?;
        self.at += end + 1;
        Ok(rest[1..end].trim().to_owned())
    }

    fn word(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.');
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(match rest.chars().next() {
                Some(found) => format!("a name or value is missing before `{found}`"),
                None => "the end comes too early".to_owned(),
            });
        }
        self.at += word.len();
        Ok(word.to_owned())
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let rest = self.rest();
        let mut chars = rest.char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        while let Some((at, c)) = chars.next() {
            match c {
                c if Some(c) == quote => {
                    self.at += at + 1;
                    return Ok(());
                }
                '\n' => return Err("a text does not end in its line".to_owned()),
                '\\' => {
                    let (_, escape) = chars.next().ok_or("a text does not end")?;
                    match escape {
                        'n' => out.push(b'\n'),
                        'r' => out.push(b'\r'),
                        't' => out.push(b'\t'),
                        'a' => out.push(0x07),
                        'b' => out.push(0x08),
                        'f' => out.push(0x0c),
                        'v' => out.push(0x0b),
                        'u' | 'U' => {
                            let count = if escape == 'u' { 4 } else { 8 };
                            let digits: String =
                                chars.by_ref().take(count).map(|(_, c)| c).collect();
                            let code = u32::from_str_radix(&digits, 16).ok();
                            let letter = code.and_then(char::from_u32).ok_or("a wrong `\\u`")?;
                            out.extend(letter.to_string().into_bytes());
                        }
                        '\\' | '"' | '\'' | '?' | '/' => {
                            out.extend(escape.to_string().into_bytes());
                        }
                        'x' => {
                            let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                            let byte = u8::from_str_radix(&digits, 16);
                            out.push(byte.map_err(|_| "a wrong `\\x`".to_owned())?);
                        }
                        '0'..='7' => {
                            let digits: String = std::iter::once(escape)
                                .chain(chars.by_ref().take(2).map(|(_, c)| c))
                                .collect();
                            let byte = u8::from_str_radix(&digits, 8);
                            out.push(byte.map_err(|_| "a wrong octal escape".to_owned())?);
                        }
                        other => return Err(format!("an unknown escape `\\{other}`")),
                    }
                }
                c => out.extend(c.to_string().into_bytes()),
            }
        }
        Err("a text does not end".to_owned())
    }
}
