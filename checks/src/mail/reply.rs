//! Replies of an SMTP server (RFC 5321, 4.2), read from bytes, and what a refusal means.

use super::line::one_line;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The three digits.
    pub(super) code: u16,
    /// The text of each line.
    pub(super) lines: Vec<String>,
}

/// The bytes are no reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoReply;

/// The longest reply taken: some hundred lines of the 512 bytes that RFC 5321, 4.5.3.1.5 allows
/// would already be a strange server.
const REPLY_LIMIT_BYTES: usize = 64 * 1024;

impl Reply {
    /// The reply at the beginning of `bytes` and its length; `None` while it is incomplete.
    ///
    /// # Errors
    /// It is no reply, or longer than any sane one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, NoReply> {
        let mut lines = Vec::new();
        let mut first_code = None;
        let mut used = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let Some(line_end) = line.strip_suffix(b"\n") else { break };
            used += line.len();
            let text = String::from_utf8_lossy(line_end.strip_suffix(b"\r").unwrap_or(line_end));
            let code = text.get(..3).and_then(|digits| digits.parse().ok()).ok_or(NoReply)?;
            if !(200..600).contains(&code) || *first_code.get_or_insert(code) != code {
                return Err(NoReply);
            }
            let (is_last, rest) = match text.as_bytes().get(3) {
                None => (true, ""),
                Some(b' ') => (true, text.get(4..).unwrap_or_default()),
                Some(b'-') => (false, text.get(4..).unwrap_or_default()),
                Some(_) => return Err(NoReply),
            };
            lines.push(rest.trim_end().to_owned());
            if is_last {
                return Ok(Some((Self { code, lines }, used)));
            }
        }
        if bytes.len() > REPLY_LIMIT_BYTES { Err(NoReply) } else { Ok(None) }
    }

    /// The whole reply in one line, fit to be shown.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.code, one_line(&self.lines.join(" ")))
    }

    /// Done.
    pub(super) const fn is_positive(&self) -> bool {
        self.code < 300
    }

    /// It will be the same next time, and not because of us.
    ///
    /// 530, 534, 535 and 538 (RFC 4954) and the policy codes x.7.x (RFC 3463: relaying denied,
    /// sender not allowed, taken for spam) are about us: an operator can mend that, so the mail
    /// is worth another try.
    pub(super) fn is_final_refusal(&self) -> bool {
        let about_us = matches!(self.code, 530 | 534 | 535 | 538);
        let policy = self.lines.first().is_some_and(|line| {
            let mut numbers = line.split([' ', '.']);
            numbers.next() == Some("5") && numbers.next() == Some("7")
        });
        self.code >= 500 && !about_us && !policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_line_by_line() {
        for (bytes, want) in [
            ("250 OK\r\nrest", Ok(Some((250, vec!["OK"], 8)))),
            ("250\r\n", Ok(Some((250, vec![""], 5)))),
            (
                "250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
                Ok(Some((250, vec!["mail", "STARTTLS", "AUTH PLAIN"], 40))),
            ),
            ("550 bare line feed\n", Ok(Some((550, vec!["bare line feed"], 19)))),
            ("", Ok(None)),
            ("250-mail\r\n250 half", Ok(None)),
            ("250-one\r\n550 two\r\n", Err(NoReply)),
            ("HTTP/1.1 400 Bad Request\r\n", Err(NoReply)),
            ("25\r\n", Err(NoReply)),
            ("250?OK\r\n", Err(NoReply)),
            ("999 what\r\n", Err(NoReply)),
            ("+25 what\r\n", Err(NoReply)),
            ("2é 5\r\n", Err(NoReply)),
        ] {
            let got = Reply::parse(bytes.as_bytes());
            let want = want.map(|found| {
                found.map(|(code, lines, used): (u16, Vec<&str>, usize)| {
                    (Reply { code, lines: lines.into_iter().map(str::to_owned).collect() }, used)
                })
            });
            assert_eq!(got, want, "{bytes:?}");
        }
        let endless = "250-again\r\n".repeat(REPLY_LIMIT_BYTES / 10);
        assert_eq!(Reply::parse(endless.as_bytes()), Err(NoReply));
    }

    #[test]
    fn policy_and_login_are_no_final_refusals() {
        for (line, is_final) in [
            ("550 5.1.1 user unknown", true),
            ("554 no such mailbox", true),
            ("552 5.3.4 too big", true),
            ("554 5.7.1 relay access denied", false),
            ("550 5.7.26 unauthenticated", false),
            ("530 authentication required", false),
            ("535 5.7.8 bad password", false),
            ("450 4.2.0 greylisted", false),
            ("421 4.7.0 too many connections", false),
        ] {
            let bytes = format!("{line}\r\n");
            let (reply, _) = Reply::parse(bytes.as_bytes()).expect(line).expect(line);
            assert_eq!(reply.is_final_refusal(), is_final, "{line}");
        }
    }
}
