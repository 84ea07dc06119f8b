//! The files of the page and of the demonstration's page, under addresses that change with their content.

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
    fn style(name: &str, content: &'static str) -> Self {
        let tag = tag(content.as_bytes());
        let path = format!("/assets/{name}.{tag}.css");
        Self { path, kind: "text/css; charset=utf-8", content, tag }
    }

    fn script(name: &str, content: &'static str) -> Self {
        let tag = tag(content.as_bytes());
        let path = format!("/assets/{name}.{tag}.js");
        Self { path, kind: "text/javascript; charset=utf-8", content, tag }
    }
}

/// The style sheet.
pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::style("page", include_str!("../../assets/page.css")));
/// What keeps an open page up to date.
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("page", include_str!("../../assets/page.js")));
/// What the demonstration's page adds to the style sheet.
pub(crate) static DEMO_STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::style("demo", include_str!("../../assets/demo.css")));
/// What keeps the demonstration's page up to date.
pub(crate) static DEMO_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::script("demo", include_str!("../../assets/demo.js")));

/// `GET /assets/{file}`.
pub(crate) async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Response {
    let asked = format!("/assets/{file}");
    let files = [&*STYLE, &*SCRIPT, &*DEMO_STYLE, &*DEMO_SCRIPT];
    let Some(asset) = files.into_iter().find(|asset| asset.path == asked) else {
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
