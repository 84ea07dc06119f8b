//! Whether a request was made by a page of another site, which a visitor's browser sends wherever
//! that page wants: it must not act by what the visitor may do.
//!
//! Browsers say where a request comes from, and no page can have them say otherwise. What is no
//! browser says nothing of it, and no stranger's page speaks through it.

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// What browsers say of how far a request has come; older ones leave it out.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the request comes from a page of another site than the one that it asks.
pub(crate) fn is_foreign(asked: &Uri, headers: &HeaderMap) -> bool {
    let strays = |value: &HeaderValue| !matches!(value.as_bytes(), b"same-origin" | b"none");
    if headers.get_all(FETCH_SITE).iter().any(strays) {
        return true;
    }
    let own = host(asked, headers);
    headers.get_all(ORIGIN).iter().any(|value| own.is_none() || origin(value) != own)
}

/// The host that a request asks, with its port: HTTP/2 names it in the request's target, HTTP/1.1
/// in a header.
pub(crate) fn host(asked: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let header = || headers.get(HOST)?.to_str().ok()?.parse().ok();
    asked.authority().cloned().or_else(header)
}

/// The host of an origin; a page without one says `null`.
fn origin(value: &HeaderValue) -> Option<Authority> {
    let origin = value.to_str().ok()?.parse::<Uri>().ok()?.into_parts();
    origin.scheme.and(origin.authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_asked_host_and_what_is_no_page_are_its_own() {
        for (said, wanted) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "")], true),
            (&[("origin", "http://localhost:8080")], false),
            (&[("origin", "http://LOCALHOST:8080")], false),
            (&[("origin", "http://localhost:8081")], true),
            (&[("origin", "http://localhost")], true),
            (&[("origin", "https://evil.example")], true),
            (&[("origin", "http://localhost:8080.evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
            (&[("origin", "http://localhost:8080"), ("origin", "https://evil.example")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")], true),
            (&[("sec-fetch-site", "none"), ("origin", "https://evil.example")], true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("localhost:8080"));
            for (name, value) in said {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign(&Uri::from_static("/demo"), &headers), wanted, "{said:?}");
        }
        let mut nameless = HeaderMap::new();
        nameless.insert(ORIGIN, HeaderValue::from_static("null"));
        assert!(is_foreign(&Uri::from_static("/demo"), &nameless));
    }
}
