//! A shared key shown as `Authorization: Bearer`, as members of the cluster and probes do.

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};

/// What must be shown. Only its digest is kept, and digests are compared, so that neither a dump
/// of the memory nor the time that a comparison takes tells the key.
#[derive(Clone)]
pub(crate) struct BearerKey([u8; 32]);

impl BearerKey {
    pub(crate) fn new(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Whether a request shows the key.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
        shown.is_some_and(|shown| Self::new(shown).0 == self.0)
    }
}

/// Lets only those in who show the key.
pub(crate) fn guard(routes: Router, key: BearerKey) -> Router {
    routes.layer(middleware::from_fn_with_state(key, admit))
}

async fn admit(State(key): State<BearerKey>, request: Request, next: Next) -> Response {
    if key.admits(request.headers()) {
        return next.run(request).await;
    }
    let body = json!({
        "error": "not let in",
        "hint": "show the operators' key: `Authorization: Bearer ..`, --key, or CROSSCHECK_KEY",
    });
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_admitted() {
        let key = BearerKey::new("secret");
        for (value, admitted) in [
            ("Bearer secret", true),
            ("Bearer secret ", false),
            ("Bearer ", false),
            ("secret", false),
            ("Basic secret", false),
        ] {
            let value = value.parse().expect("a header");
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(key.admits(&headers), admitted, "{headers:?}");
        }
        assert!(!key.admits(&HeaderMap::new()));
    }
}
