//! The page's two files, under addresses that change with their content.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// How long a file may be kept: its content never changes under its address.
const KEEP: &str = "public, max-age=31536000, immutable";

/// A file of the page.
pub(crate) struct Asset {
    /// Its address.
    pub(crate) path: String,
    /// What kind of file it is.
    kind: &'static str,
    /// What stands in it.
    content: &'static str,
    /// Stands for the content.
    tag: String,
}

impl Asset {
    fn new(extension: &str, kind: &'static str, content: &'static str) -> Self {
        let tag = tag(content.as_bytes());
        Self { path: format!("/assets/page.{tag}.{extension}"), kind, content, tag }
    }
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("css", "text/css; charset=utf-8", include_str!("../../assets/page.css"))
});
/// What keeps an open page up to date.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("js", "text/javascript; charset=utf-8", include_str!("../../assets/page.js"))
});

/// `GET /assets/{file}`.
pub(crate) async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let asked = format!("/assets/{file}");
    let Some(asset) = [&*STYLE, &*SCRIPT].into_iter().find(|asset| asset.path == asked) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kept = [(header::ETAG, weak(&asset.tag)), (header::CACHE_CONTROL, KEEP.to_owned())];
    if is_known(&headers, &asset.tag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, asset.kind)], asset.content).into_response()
}

/// A short name for content: 64 bits of its SHA-256.
pub(crate) fn tag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a string takes all text");
        text
    })
}

/// The tag as a weak validator: compression changes the bytes, not what they say.
pub(crate) fn weak(tag: &str) -> String {
    format!("W/\"{tag}\"")
}

/// Whether the client has this content already (RFC 9110, If-None-Match).
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    asked.is_some_and(|asked| asked.split(',').any(|known| known.contains(tag)))
}
