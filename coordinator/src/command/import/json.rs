//! JSON (RFC 8259) with lines: `serde_json` tells them of errors only.

use super::tree::{Input, Node, Value};

/// How deep values may nest: far beyond any backup, and safe for recursion.
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
    let (found, line) = of_text(&input.text);
    found.map_err(|why| format!("{}:{line}: {why}", input.name))
}

/// Reads JSON that stands as a text within another file: all of it is in the line given.
///
/// # Errors
/// What is wrong with it.
pub(super) fn within(text: &str, line: usize) -> Result<Node, String> {
    let mut node = of_text(text).0?;
    move_to(&mut node, line);
    Ok(node)
}

fn move_to(node: &mut Node, line: usize) {
    node.line = line;
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().for_each(|(_, node)| move_to(node, line)),
        Value::List(items) => items.iter_mut().for_each(|node| move_to(node, line)),
        _ => {}
    }
}

fn of_text(text: &str) -> (Result<Node, String>, usize) {
    let mut reader = Reader { text, at: 0, line: 1, depth: 0 };
    let mut found = reader.value();
    reader.blank();
    if found.is_ok() && reader.at < text.len() {
        found = Err("something follows the end".to_owned());
    }
    (found, reader.line)
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blank(&mut self) {
        let rest = self.rest();
        let blank = &rest[..rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()];
        self.line += blank.matches('\n').count();
        self.at += blank.len();
    }

    /// Passes over a sign, if it is the next.
    fn takes(&mut self, sign: char) -> bool {
        self.blank();
        let is_next = self.rest().starts_with(sign);
        self.at += if is_next { sign.len_utf8() } else { 0 };
        is_next
    }

    fn value(&mut self) -> Result<Node, String> {
        self.blank();
        let line = self.line;
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err("it nests too deep".to_owned());
        }
        let value = match self.rest().chars().next() {
            None => return Err("the end comes too early".to_owned()),
            Some('{') => self.map()?,
            Some('[') => self.list()?,
            Some('"') => Value::Scalar(self.string()?),
            Some(_) => self.word()?,
        };
        self.depth -= 1;
        Ok(Node::new(line, value))
    }

    fn map(&mut self) -> Result<Value, String> {
        let mut entries = Vec::new();
        self.takes('{');
        if self.takes('}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.blank();
            let key = self.string()?;
            if !self.takes(':') {
                return Err(format!("`:` is missing behind \"{key}\""));
            }
            entries.push((key, self.value()?));
            if self.takes('}') {
                return Ok(Value::Map(entries));
            }
            if !self.takes(',') {
                return Err("`,` or `}` is missing".to_owned());
            }
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        self.takes('[');
        if self.takes(']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.takes(']') {
                return Ok(Value::List(items));
            }
            if !self.takes(',') {
                return Err("`,` or `]` is missing".to_owned());
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let rest = self.rest();
        if !rest.starts_with('"') {
            return Err("a text in double quotes is missing".to_owned());
        }
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (end, _) = end.ok_or("a text does not end")?;
        let text = serde_json::from_str(&rest[..=end]).map_err(|error| error.to_string())?;
        self.at += end + 1;
        Ok(text)
    }

    fn word(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        let word = &rest[..end];
        match serde_json::from_str::<serde_json::Value>(word) {
            Ok(serde_json::Value::Null) => {
                self.at += end;
                Ok(Value::Null)
            }
            Ok(_) => {
                self.at += end;
                Ok(Value::Scalar(word.to_owned()))
            }
            Err(_) => Err(format!("`{}` is no value", word.chars().take(20).collect::<String>())),
        }
    }
}
