//! What a request's body says: unpacked and parsed, within bounds that hold for a bomb too.

use std::io::Read;

use serde::de::DeserializeOwned;

/// The largest body unpacked: [`crosscheck_model::wire::REPORT_LIMIT`] observations with full
/// excerpts, which JSON may stretch, and a bound for what a small bomb can blow up to.
const UNPACKED_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Why a body is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Packed in another way.
    #[error("only zstd or no encoding is read")]
    Encoding,
    /// It is, or unpacks to, too much.
    #[error("the body holds or unpacks to too much")]
    TooLarge,
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// This host's own trouble.
    #[error("{0}")]
    Here(String),
}

/// Reads JSON, packed as the `Content-Encoding` says.
///
/// # Errors
/// [`Unreadable`].
pub fn read<T: DeserializeOwned>(encoding: Option<&[u8]>, body: &[u8]) -> Result<T, Unreadable> {
    match encoding {
        None | Some(b"identity") => parse(body),
        Some(b"zstd") => parse(&decompress(body)?),
        Some(_) => Err(Unreadable::Encoding),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable::Malformed(error.to_string()))
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let bad = |error: std::io::Error| Unreadable::Malformed(error.to_string());
    let mut unpacked = Vec::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(bad)?;
    decoder.take(UNPACKED_LIMIT_BYTES + 1).read_to_end(&mut unpacked).map_err(bad)?;
    if unpacked.len() as u64 > UNPACKED_LIMIT_BYTES {
        Err(Unreadable::TooLarge)
    } else {
        Ok(unpacked)
    }
}
