//! A mail, read back (RFC 5322, 2045, 2046).

/// A mail that arrived.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Every header field: its name, and its content unfolded.
    pub fields: Vec<(String, String)>,
    /// The text part, decoded.
    pub text: String,
    /// The HTML part, decoded.
    pub html: String,
    /// All of it, as it came.
    pub raw: String,
}

impl Letter {
    /// Reads a mail; its lines may end as they like.
    ///
    /// # Panics
    /// It is not one that crosscheck may send: without parts, or not in quoted-printable.
    pub fn read(raw: &str) -> Self {
        let raw = raw.replace("\r\n", "\n");
        let (head, body) = raw.split_once("\n\n").expect("a head and a body");
        let mut letter = Self { fields: fields(head), raw: raw.clone(), ..Self::default() };
        let boundary = letter
            .field("Content-Type")
            .and_then(|kind| kind.split_once("boundary="))
            .map(|(_, name)| name.trim_matches('"').to_owned())
            .expect("a mail of several parts");
        for part in body.split(&format!("--{boundary}\n")).skip(1) {
            let (head, content) = part.split_once("\n\n").expect("a part's head and content");
            let part = Self { fields: fields(head), ..Self::default() };
            assert_eq!(part.field("Content-Transfer-Encoding"), Some("quoted-printable"));
            let end = format!("--{boundary}--");
            let content = decoded(content.split(&end).next().unwrap_or_default());
            match part.field("Content-Type") {
                Some(kind) if kind.starts_with("text/plain") => letter.text = content,
                Some(kind) if kind.starts_with("text/html") => letter.html = content,
                other => panic!("a part that nobody expects: {other:?}"),
            }
        }
        letter
    }

    /// The first header field of a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Its subject; empty without one.
    pub fn subject(&self) -> &str {
        self.field("Subject").unwrap_or_default()
    }

    /// The incident that it is about.
    pub fn incident(&self) -> Option<&str> {
        self.field("X-Crosscheck-Incident")
    }

    /// What it tells: `alarm`, `recovery` ..; empty without a word of it.
    pub fn event(&self) -> &str {
        self.field("X-Crosscheck-Event").unwrap_or_default()
    }

    /// The check that it is about.
    pub fn check(&self) -> Option<&str> {
        self.field("X-Crosscheck-Check")
    }
}

fn fields(head: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in head.lines() {
        match (line.starts_with([' ', '\t']), fields.last_mut()) {
            (true, Some((_, content))) => {
                content.push(' ');
                content.push_str(line.trim());
            }
            _ => {
                let (name, content) = line.split_once(':').unwrap_or((line, ""));
                fields.push((name.to_owned(), content.trim().to_owned()));
            }
        }
    }
    fields
}

/// Quoted-printable (RFC 2045, 6.7).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let joined = text.replace("=\n", "");
    let mut rest = joined.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let coded = (byte == b'=').then(|| after.get(..2)).flatten();
        let code = coded.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_mail_of_two_parts_is_read() {
        let raw = "Subject: [DOWN]\r\n shop\r\nContent-Type: multipart/alternative;\r\n\
            \tboundary=\"=_1\"\r\n\r\n--=_1\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nca=C3=A9 =3D no=\r\nt\r\n\
            --=_1\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\
            \r\n<p>x\r\n--=_1--\r\n";
        let letter = Letter::read(raw);
        assert_eq!(letter.subject(), "[DOWN] shop");
        assert_eq!((letter.text.trim(), letter.html.trim()), ("caé = not", "<p>x"));
        assert_eq!(letter.incident(), None);
    }
}
