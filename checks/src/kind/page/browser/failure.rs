//! Why a document did not come, in the words of checks.

use crosscheck_model::Cause;
use url::Url;

use super::tunnel::{Place, Tunnel};
use crate::resolve::Failure;

/// What the browser's word for it means, where the word says more than that something broke.
/// (Chromium's `net_error_list.h`.)
const WORDS: [(&str, Cause); 18] = [
    ("ERR_CERT_DATE_INVALID", Cause::TlsExpired),
    ("ERR_CERT_COMMON_NAME_INVALID", Cause::TlsName),
    ("ERR_CERT_", Cause::TlsUntrusted),
    ("ERR_SSL_", Cause::TlsHandshake),
    ("ERR_BAD_SSL_CLIENT_AUTH_CERT", Cause::TlsHandshake),
    ("ERR_TOO_MANY_REDIRECTS", Cause::Redirect),
    ("ERR_UNSAFE_REDIRECT", Cause::Redirect),
    ("ERR_CONNECTION_RESET", Cause::Reset),
    ("ERR_CONNECTION_CLOSED", Cause::Reset),
    ("ERR_CONNECTION_ABORTED", Cause::Reset),
    ("ERR_EMPTY_RESPONSE", Cause::Reset),
    ("ERR_SOCKS_CONNECTION_", Cause::Reset),
    ("ERR_TIMED_OUT", Cause::FirstByteTimeout),
    ("ERR_CONNECTION_TIMED_OUT", Cause::FirstByteTimeout),
    // What it will not connect to says nothing of what is there.
    ("ERR_UNSAFE_PORT", Cause::Setup),
    ("ERR_INSUFFICIENT_RESOURCES", Cause::Setup),
    ("ERR_PROXY_CONNECTION_FAILED", Cause::Setup),
    ("ERR_NETWORK_CHANGED", Cause::Setup),
];

/// The failure of the document at `url`. What the tunnel saw on the way there is better known than
/// what the browser makes of it.
pub(super) fn of(url: &str, word: &str, tunnel: &Tunnel) -> Failure {
    let seen = place(url).and_then(|place| tunnel.failure(&place));
    seen.unwrap_or_else(|| in_words(word))
}

fn in_words(word: &str) -> Failure {
    let plain = word.trim_start_matches("net::");
    let known = WORDS.iter().find(|(known, _)| plain.starts_with(known));
    let cause = known.map_or(Cause::Protocol, |(_, cause)| *cause);
    let detail = match plain {
        "ERR_ABORTED" => "the answer is nothing that a browser shows".to_owned(),
        _ => format!("the browser says {plain}"),
    };
    Failure::new(cause, detail)
}

/// Where a URL leads, as the browser names it to the tunnel.
pub(super) fn place(url: &str) -> Option<Place> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_words_have_causes() {
        for (word, cause) in [
            ("net::ERR_CERT_AUTHORITY_INVALID", Cause::TlsUntrusted),
            ("net::ERR_CERT_DATE_INVALID", Cause::TlsExpired),
            ("net::ERR_SSL_PROTOCOL_ERROR", Cause::TlsHandshake),
            ("net::ERR_EMPTY_RESPONSE", Cause::Reset),
            ("net::ERR_INVALID_HTTP_RESPONSE", Cause::Protocol),
            ("net::ERR_ABORTED", Cause::Protocol),
            ("net::ERR_UNSAFE_PORT", Cause::Setup),
        ] {
            assert_eq!(in_words(word).cause, cause, "{word}");
        }
    }

    #[test]
    fn places_are_named_as_the_browser_does() {
        for (url, wanted) in [
            ("http://shop.test/x", Some(("shop.test", 80))),
            ("https://[2001:db8::1]/", Some(("2001:db8::1", 443))),
            ("http://127.0.0.1:81/", Some(("127.0.0.1", 81))),
            ("about:blank", None),
        ] {
            let wanted = wanted.map(|(host, port): (&str, u16)| (host.to_owned(), port));
            assert_eq!(place(url), wanted, "{url}");
        }
    }
}
