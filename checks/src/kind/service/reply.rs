//! Replies of three digits and text, as SMTP (RFC 5321, 4.2) and FTP (RFC 959, 4.2) have them.

use crosscheck_model::Cause;

use crate::dialogue::Dialogue;
use crate::resolve::Failure;

/// The most lines of one reply: some hundred would already be a strange server.
const LINES_LIMIT: usize = 512;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kind) struct Reply {
    /// The three digits.
    pub(in crate::kind) code: u16,
    /// The text of each line. Lines in the midst are as they came if they have no code, as FTP
    /// allows.
    pub(in crate::kind) lines: Vec<String>,
}

impl Reply {
    /// Hears one.
    ///
    /// # Errors
    /// It is no reply, or does not come.
    pub(in crate::kind) async fn hear(dialogue: &mut Dialogue) -> Result<Self, Failure> {
        let first = dialogue.line().await?;
        let Some((code, is_last)) = head(&first) else {
            let detail = "what came is no reply with a code of three digits";
            return Err(Failure::new(Cause::Protocol, detail));
        };
        let mut lines = vec![text(&first)];
        let mut ended = is_last;
        while !ended {
            if lines.len() == LINES_LIMIT {
                let detail = format!("a reply of more than {LINES_LIMIT} lines");
                return Err(Failure::new(Cause::Protocol, detail));
            }
            let line = dialogue.line().await?;
            match head(&line) {
                Some((same, is_last)) if same == code => {
                    ended = is_last;
                    lines.push(text(&line));
                }
                _ => lines.push(line),
            }
        }
        Ok(Self { code, lines })
    }

    /// The reply, if it has this code.
    ///
    /// # Errors
    /// What it is instead, as the server's error.
    pub(in crate::kind) fn must_be(self, code: u16) -> Result<Self, Failure> {
        if self.code == code { Ok(self) } else { Err(self.refusal(Cause::ServerError)) }
    }

    /// The failure that the reply is.
    pub(in crate::kind) fn refusal(&self, cause: Cause) -> Failure {
        Failure::new(cause, format!("the server answered {}", self.shown()))
    }

    /// The reply in one line.
    pub(in crate::kind) fn shown(&self) -> String {
        format!("`{} {}`", self.code, self.lines.join(" ").trim())
    }
}

/// The code of a line, and whether the line ends a reply.
fn head(line: &str) -> Option<(u16, bool)> {
    let digits = line.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let code = digits.parse().ok().filter(|code| (100..600).contains(code))?;
    match line.as_bytes().get(3) {
        None | Some(b' ') => Some((code, true)),
        Some(b'-') => Some((code, false)),
        Some(_) => None,
    }
}

fn text(line: &str) -> String {
    line.get(4..).unwrap_or_default().trim_end().to_owned()
}
