//! Digest authentication (RFC 7616): the answer to a server's challenge.
//!
//! Each run answers a challenge of its own: a nonce is never used twice, so its count is always 1.

use std::fmt::Write as _;

use crosscheck_model::Cause;
use http::{HeaderMap, header};
use md5::{Digest as _, Md5};
use ring::digest as sha;

use crate::resolve::Failure;

/// A user and password, read.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// The hash functions of RFC 7616 6.1 that servers have, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Sha256,
    Md5,
}

impl Hash {
    /// The hash in small hexadecimal digits.
    fn of(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(sha::digest(&sha::SHA256, text.as_bytes()).as_ref()),
            Self::Md5 => hex(Md5::digest(text.as_bytes()).as_slice()),
        }
    }
}

/// What a server asks for.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// As the server wrote it; left out in the answer where it left it out.
    algorithm: Option<String>,
    hash: Hash,
    /// The hash of the password covers the nonces too (`-sess`).
    is_session: bool,
    /// Quality of protection `auth`; without it the server is one of RFC 2069.
    has_qop: bool,
}

/// The value of the Authorization header for this challenge.
///
/// # Errors
/// The server offers no Digest authentication, or none that is known here.
pub(super) fn answer(
    headers: &HeaderMap,
    credentials: &Credentials,
    (method, uri): (&str, &str),
    own_nonce: &str,
) -> Result<String, Failure> {
    let challenge = best(headers)?;
    let Challenge { realm, nonce, hash, .. } = &challenge;
    let Credentials { user, password } = credentials;
    let mut secret = hash.of(&format!("{user}:{realm}:{password}"));
    if challenge.is_session {
        secret = hash.of(&format!("{secret}:{nonce}:{own_nonce}"));
    }
    let asked = hash.of(&format!("{method}:{uri}"));
    let response = match challenge.has_qop {
        true => hash.of(&format!("{secret}:{nonce}:00000001:{own_nonce}:auth:{asked}")),
        false => hash.of(&format!("{secret}:{nonce}:{asked}")),
    };
    let mut value = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
        quoted(user),
        quoted(realm),
        quoted(nonce),
        quoted(uri)
    );
    if let Some(algorithm) = &challenge.algorithm {
        value.push_str(&format!(", algorithm={algorithm}"));
    }
    if let Some(opaque) = &challenge.opaque {
        value.push_str(&format!(", opaque={}", quoted(opaque)));
    }
    if challenge.has_qop || challenge.is_session {
        value.push_str(&format!(", cnonce=\"{own_nonce}\""));
    }
    if challenge.has_qop {
        value.push_str(", qop=auth, nc=00000001");
    }
    Ok(value)
}

/// A nonce of the client's.
pub(super) fn own_nonce() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// The challenge with the best hash (RFC 7616 3.7).
fn best(headers: &HeaderMap) -> Result<Challenge, Failure> {
    let all = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let written: Vec<String> =
        all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let offered = schemes(&written.join(", "));
    let digests = offered.iter().filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest"));
    let mut known: Vec<Challenge> = digests.filter_map(|(_, fields)| challenge(fields)).collect();
    known.sort_by_key(|challenge| challenge.hash);
    known.into_iter().next().ok_or_else(|| {
        let schemes: Vec<&str> = offered.iter().map(|(scheme, _)| scheme.as_str()).collect();
        let detail = match schemes.is_empty() {
            true => "status 401 without a challenge".to_owned(),
            false => format!(
                "the server offers no Digest authentication that is known here, but `{}`",
                schemes.join("`, `")
            ),
        };
        Failure::new(Cause::NotOffered, detail)
    })
}

fn challenge(fields: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| {
        let mut found = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.clone())
    };
    let algorithm = get("algorithm");
    let (hash, is_session) = match algorithm.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("md5") => (Hash::Md5, false),
        Some("md5-sess") => (Hash::Md5, true),
        Some("sha-256") => (Hash::Sha256, false),
        Some("sha-256-sess") => (Hash::Sha256, true),
        Some(_) => return None,
    };
    let qop = get("qop");
    let has_auth = |qop: &String| qop.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth"));
    if qop.as_ref().is_some_and(|qop| !has_auth(qop)) {
        return None; // `auth-int` alone, which nobody speaks.
    }
    Some(Challenge {
        realm: get("realm")?,
        nonce: get("nonce")?,
        opaque: get("opaque"),
        algorithm,
        hash,
        is_session,
        has_qop: qop.is_some(),
    })
}

/// Schemes with their fields, out of a list of challenges (RFC 9110 11.6.1): whether a comma ends
/// a field or a challenge is told by what follows it.
fn schemes(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if rest.is_empty() {
            return found;
        }
        let after_blank = after.trim_start_matches([' ', '\t']);
        let value =
            after_blank.strip_prefix('=').map(|value| value.trim_start_matches([' ', '\t']));
        match (value, found.last_mut()) {
            (Some(value), Some((_, fields))) => {
                let (value, left) = field_value(value);
                fields.push((word.to_owned(), value));
                rest = left;
            }
            (Some(value), None) => rest = value, // A field of no scheme.
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what is after it.
fn field_value(text: &str) -> (String, &str) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = inside.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &inside[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Text takes what is written.
        text
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(challenges: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for challenge in challenges {
            let value = HeaderValue::from_str(challenge).expect("one line");
            headers.append(header::WWW_AUTHENTICATE, value);
        }
        headers
    }

    fn mufasa() -> Credentials {
        Credentials { user: "Mufasa".to_owned(), password: "Circle of Life".to_owned() }
    }

    /// The example of RFC 7616 3.9.1.
    #[test]
    fn the_standards_example_is_answered_with_the_better_hash() {
        let realm = "realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                     nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                     opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
        let nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let asked = ("GET", "/dir/index.html");
        let md5 = format!("Digest {realm}, algorithm=MD5");
        let sha = format!("Digest {realm}, algorithm=SHA-256");
        let both = headers(&[&md5, &sha]);
        let value = answer(&both, &mufasa(), asked, nonce).expect("a challenge");
        let wanted = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(value.contains(&format!("response=\"{wanted}\"")), "{value}");
        assert!(value.contains("algorithm=SHA-256, opaque=\"FQhe/"), "{value}");
        assert!(value.ends_with("qop=auth, nc=00000001"), "{value}");
        let one = headers(&[&format!("Basic realm=\"x\", {md5}")]);
        let value = answer(&one, &mufasa(), asked, nonce).expect("a challenge");
        assert!(value.contains("response=\"8ca523f5e9506fed4657c9700eebdbec\""), "{value}");
    }

    /// The example of RFC 2069 2.4, with the response of its erratum.
    #[test]
    fn an_old_server_without_protection_is_answered() {
        let old = headers(&["Digest realm=\"testrealm@host.com\", \
             nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""]);
        let credentials =
            Credentials { user: "Mufasa".to_owned(), password: "CircleOfLife".to_owned() };
        let value = answer(&old, &credentials, ("GET", "/dir/index.html"), "x").expect("one");
        assert!(value.contains("response=\"1949323746fe6a43ef61f9606e7febea\""), "{value}");
        assert!(!value.contains("cnonce") && !value.contains("algorithm"), "{value}");
    }

    #[test]
    fn what_is_not_known_is_told_with_what_is_offered() {
        for (challenges, words) in [
            (&[][..], "without a challenge"),
            (&["Basic realm=\"a, Digest\""], "but `Basic`"),
            (&["Negotiate, Bearer realm=x"], "but `Negotiate`, `Bearer`"),
            (&["Digest realm=\"a\", nonce=\"b\", algorithm=SHA-512-256"], "but `Digest`"),
            (&["Digest realm=\"a\", nonce=\"b\", qop=\"auth-int\""], "but `Digest`"),
            (&["Digest realm=\"a\""], "but `Digest`"),
        ] {
            let failure = answer(&headers(challenges), &mufasa(), ("GET", "/"), "x");
            let failure = failure.expect_err("nothing known");
            assert_eq!(failure.cause, Cause::NotOffered);
            assert!(failure.detail.contains(words), "{}", failure.detail);
        }
    }

    #[test]
    fn quotes_are_read_and_written() {
        let odd = headers(&["digest Realm = \"a \\\"b\\\", c\" , nonce=bare"]);
        let user = Credentials { user: "o\"hara\\".to_owned(), password: String::new() };
        let value = answer(&odd, &user, ("GET", "/"), "x").expect("a challenge");
        assert!(value.contains("username=\"o\\\"hara\\\\\""), "{value}");
        assert!(value.contains("realm=\"a \\\"b\\\", c\", nonce=\"bare\""), "{value}");
    }

    proptest! {
        #[test]
        fn no_challenge_hangs_or_crashes(text in "[ -~]{0,80}") {
            let _ = schemes(&text);
            let _ = schemes(&format!("Digest realm=\"a\", {text}"));
        }
    }
}
