//! Who may act by having reached loopback: only who asked for it by a name of this host.
//!
//! A page in a browser on this host reaches loopback, too. It can let a name of its own stand
//! for 127.0.0.1 and so pass for this origin; but its requests then carry that name.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::json;

use crate::origin;

/// Refuses requests to the operators' API that name another host than this one.
pub(crate) fn guard(routes: Router) -> Router {
    routes.layer(middleware::from_fn(admit))
}

async fn admit(request: Request, next: Next) -> Response {
    let is_public = !request.uri().path().starts_with("/api/v1/");
    if is_public || names_this_host(&request) {
        return next.run(request).await;
    }
    let body = json!({
        "error": "only operators on this host are let in here",
        "hint": "ask 127.0.0.1 or localhost, not through a proxy",
    });
    (StatusCode::MISDIRECTED_REQUEST, Json(body)).into_response()
}

/// Whether a request asks for this host by a name that is always its own.
pub(crate) fn names_this_host(request: &Request) -> bool {
    let Some(named) = origin::host(request.uri(), request.headers()) else { return false };
    let host = named.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn only_names_of_loopback_are_this_host() {
        for (host, wanted) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("192.0.2.1:8080", false),
            ("", false),
        ] {
            let request = Request::builder().uri("/api/v1/checks").header(header::HOST, host);
            let request = request.body(axum::body::Body::empty()).expect("a request");
            assert_eq!(names_this_host(&request), wanted, "{host}");
        }
        let request = Request::builder().uri("http://evil.example/api/v1/checks");
        let request = request.header(header::HOST, "localhost").body(axum::body::Body::empty());
        assert!(!names_this_host(&request.expect("a request")));
    }
}
