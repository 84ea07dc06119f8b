//! Receiving a body: decoded as it streams in, counted, and cut off before it fills the memory.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use crosscheck_model::Cause;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zstd::stream::write::Decoder as ZstdDecoder;

use crate::resolve::Failure;

/// A body that unpacks to more than this many times its size is an attack on its readers; pages
/// and JSON come to 5 to 20.
const RATIO_AT_MOST: u64 = 100;

/// Below this size a body may unpack as it likes: short texts of one letter do.
const RATIO_FROM_BYTES: u64 = 64 << 10;

/// What a decoder may ask of memory at once: 8 MiB, the window that RFC 8878 3.1.1.1.2 wants every
/// decoder to support and RFC 9659 allows HTTP to use.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The buffer of the brotli decoder: its output comes in pieces of this size.
const BROTLI_BUFFER_BYTES: usize = 16 << 10;

/// A body on its way in.
pub(super) struct Body {
    decoder: Decoder,
    encoding: String,
    empty: bool,
}

enum Decoder {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    /// "deflate" before its first byte tells which of the two it is.
    Undecided(Sink),
    Zlib(Box<ZlibDecoder<Sink>>),
    /// What RFC 9110 8.4.1.2 calls non-conformant, and servers send.
    Deflate(Box<DeflateDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<ZstdDecoder<'static, Sink>>),
}

/// Takes what is decoded, and refuses more than is allowed.
struct Sink {
    kept: Vec<u8>,
    keep: usize,
    received: u64,
    decoded: u64,
    limit: u64,
    is_encoded: bool,
    overflow: Option<String>,
}

impl Body {
    /// A body in this `Content-Encoding`, of which the first `keep` decoded bytes are kept and
    /// at most `limit` are taken.
    pub(super) fn new(encoding: &str, keep: usize, limit: u64) -> Result<Self, Failure> {
        let encoding = encoding.trim().to_ascii_lowercase();
        let is_encoded = !matches!(encoding.as_str(), "" | "identity");
        let sink = Sink {
            kept: Vec::new(),
            keep,
            received: 0,
            decoded: 0,
            limit,
            is_encoded,
            overflow: None,
        };
        let decoder = match encoding.as_str() {
            "" | "identity" => Decoder::Identity(sink),
            "gzip" | "x-gzip" => Decoder::Gzip(Box::new(MultiGzDecoder::new(sink))),
            "deflate" => Decoder::Undecided(sink),
            "br" => Decoder::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_BUFFER_BYTES))),
            "zstd" => Decoder::Zstd(Box::new(zstd_decoder(sink).map_err(|error| Failure {
                cause: Cause::Setup,
                detail: format!("cannot decode zstd: {error}"),
            })?)),
            other => {
                let detail = format!("the body has the Content-Encoding `{other}`, not asked for");
                return Err(Failure { cause: Cause::Protocol, detail });
            }
        };
        Ok(Self { decoder, encoding, empty: true })
    }

    /// Takes a piece as received.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let Some(first) = piece.first() else { return Ok(()) };
        self.empty = false;
        self.decide(*first);
        let sink = self.decoder.sink();
        sink.received += piece.len() as u64;
        let written = self.decoder.writer().write_all(piece);
        written.map_err(|error| self.failure(&error))
    }

    /// Ends the body: what a decoder still holds comes out.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if self.empty {
            return Ok(()); // An answer to HEAD names the encoding of a body that it has not.
        }
        let finished = match &mut self.decoder {
            Decoder::Identity(_) | Decoder::Undecided(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Zlib(decoder) => decoder.try_finish(),
            Decoder::Deflate(decoder) => decoder.try_finish(),
            Decoder::Brotli(decoder) => decoder.close(),
            Decoder::Zstd(decoder) => decoder.do_finish(),
        };
        finished.map_err(|error| self.failure(&error))
    }

    /// The first decoded bytes.
    pub(super) fn kept(&mut self) -> &[u8] {
        // What was decoded before an interruption is worth showing.
        let _ = self.decoder.writer().flush();
        &self.decoder.sink().kept
    }

    /// How many bytes the body has, as they came.
    pub(super) fn received(&mut self) -> u64 {
        self.decoder.sink().received
    }

    /// Whether it is packed.
    pub(super) fn is_encoded(&mut self) -> bool {
        self.decoder.sink().is_encoded
    }

    /// How many bytes the body has, decoded.
    pub(super) fn decoded(&mut self) -> u64 {
        self.decoder.sink().decoded
    }

    /// Tells zlib (RFC 1950, whose first byte names method 8) from bare deflate (RFC 1951).
    fn decide(&mut self, first: u8) {
        if !matches!(self.decoder, Decoder::Undecided(_)) {
            return;
        }
        let sink = std::mem::replace(self.decoder.sink(), Sink::closed());
        self.decoder = if first & 0x0f == 8 {
            Decoder::Zlib(Box::new(ZlibDecoder::new(sink)))
        } else {
            Decoder::Deflate(Box::new(DeflateDecoder::new(sink)))
        };
    }

    fn failure(&mut self, error: &io::Error) -> Failure {
        match self.decoder.sink().overflow.take() {
            Some(detail) => Failure { cause: Cause::TooLarge, detail },
            None => {
                let detail = format!("the body is not the {} it says: {error}", self.encoding);
                Failure { cause: Cause::Protocol, detail }
            }
        }
    }
}

fn zstd_decoder(sink: Sink) -> io::Result<ZstdDecoder<'static, Sink>> {
    let mut decoder = ZstdDecoder::new(sink)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

impl Decoder {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Identity(sink) | Self::Undecided(sink) => sink,
            Self::Gzip(decoder) => decoder,
            Self::Zlib(decoder) => decoder,
            Self::Deflate(decoder) => decoder,
            Self::Brotli(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) | Self::Undecided(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl Sink {
    /// Takes nothing.
    fn closed() -> Self {
        Self {
            kept: Vec::new(),
            keep: 0,
            received: 0,
            decoded: 0,
            limit: 0,
            is_encoded: false,
            overflow: None,
        }
    }

    fn overflow(&self) -> Option<String> {
        if self.decoded > self.limit {
            return Some(format!("the body has more than the {} bytes allowed", self.limit));
        }
        let is_bomb = self.is_encoded
            && self.decoded > RATIO_FROM_BYTES
            && self.decoded > self.received.saturating_mul(RATIO_AT_MOST);
        is_bomb.then(|| {
            format!(
                "the body unpacks to more than {RATIO_AT_MOST} times its {} bytes",
                self.received
            )
        })
    }
}

impl Write for Sink {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        self.decoded += decoded.len() as u64;
        let room = self.keep.saturating_sub(self.kept.len()).min(decoded.len());
        self.kept.extend_from_slice(&decoded[..room]);
        self.overflow = self.overflow();
        match self.overflow {
            Some(_) => Err(io::ErrorKind::FileTooLarge.into()),
            None => Ok(decoded.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    fn packed(encoding: &str, plain: &[u8]) -> Vec<u8> {
        let level = Compression::best();
        let packed = match encoding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(plain).and_then(|()| encoder.finish())
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(plain).and_then(|()| encoder.finish())
            }
            "deflate" => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(plain).and_then(|()| encoder.finish())
            }
            "zstd" => zstd::encode_all(plain, 3),
            _ => Ok(plain.to_vec()),
        };
        packed.expect("packs in memory")
    }

    fn receive(encoding: &str, pieces: &[&[u8]], limit: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Body::new(encoding, limit, limit as u64)?;
        for piece in pieces {
            body.push(piece)?;
        }
        body.finish()?;
        Ok(body.kept().to_vec())
    }

    #[test]
    fn every_encoding_asked_for_is_decoded_in_any_pieces() {
        let plain: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        for (encoding, packer) in [
            ("", ""),
            ("identity", ""),
            ("gzip", "gzip"),
            ("GZIP", "gzip"),
            ("deflate", "zlib"),
            ("deflate", "deflate"),
            ("zstd", "zstd"),
        ] {
            let packed = packed(packer, &plain);
            for size in [1, 7, 4096, packed.len()] {
                let pieces: Vec<_> = packed.chunks(size).collect();
                let received = receive(encoding, &pieces, MIB).expect("well-formed");
                assert!(received == plain, "{encoding} by {packer} in pieces of {size}");
            }
        }
    }

    #[test]
    fn brotli_is_decoded() {
        // RFC 7932: a window of 16 bits, one meta-block of 5 bytes, and an empty last one.
        let packed = b"\x0b\x02\x80hello\x03";
        let received = receive("br", &[packed], MIB).expect("well-formed");
        assert_eq!(received, b"hello");
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio_long_before_the_limit() {
        for (encoding, packer) in [("gzip", "gzip"), ("deflate", "zlib"), ("zstd", "zstd")] {
            let packed = packed(packer, &vec![0; 8 * MIB]);
            let mut body = Body::new(encoding, 16, u64::MAX).expect("known");
            let failure = packed.chunks(1024).try_for_each(|piece| body.push(piece));
            let failure = failure.and_then(|()| body.finish()).expect_err("it is a bomb");
            assert_eq!(failure.cause, Cause::TooLarge, "{encoding}: {}", failure.detail);
            assert!(body.decoded() < 2 * MIB as u64, "{encoding}: {}", body.decoded());
        }
    }

    #[test]
    fn a_body_over_the_limit_is_cut_off() {
        let failure = receive("", &[&[b'x'; 1025]], 1024).expect_err("too large");
        assert_eq!(failure.cause, Cause::TooLarge);
        assert!(receive("", &[&[b'x'; 1024]], 1024).is_ok());
        let packed = packed("gzip", &[b'x'; 1025]);
        assert_eq!(
            receive("gzip", &[&packed], 1024).expect_err("too large").cause,
            Cause::TooLarge
        );
    }

    #[test]
    fn what_is_not_its_encoding_breaks_the_protocol() {
        let (gzip, zstd) = (packed("gzip", b"whole"), packed("zstd", b"whole"));
        for (encoding, piece) in [
            ("gzip", &b"plain text, no gzip at all"[..]),
            ("gzip", &gzip[..gzip.len() - 3]),
            ("zstd", b"plain text, no zstd at all"),
            ("zstd", &zstd[..zstd.len() - 3]),
            ("br", b"\x0b\x02\x80hel"),
            ("br", b"\xff\xff\xff\xff\xff\xff"),
            ("compress", b"x"),
        ] {
            let failure = receive(encoding, &[piece], MIB).expect_err(encoding);
            assert_eq!(failure.cause, Cause::Protocol, "{encoding}: {}", failure.detail);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_crash_a_decoder_or_pass_the_limit(
            encoding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd"]),
            // A sound beginning leads deeper into the decoder than noise alone.
            sound in any::<bool>(),
            noise in prop::collection::vec(any::<u8>(), 0..600),
            cut in 1_usize..64,
        ) {
            let begin: &[u8] = match encoding {
                "gzip" => b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
                "deflate" => b"\x78\x9c",
                "br" => b"\x0b\x02\x80hello",
                "zstd" => b"\x28\xb5\x2f\xfd",
                _ => b"",
            };
            let bytes = [if sound { begin } else { b"" }, &noise].concat();
            let mut body = Body::new(encoding, 1 << 20, 4096).expect("known");
            let _ = bytes.chunks(cut).try_for_each(|piece| body.push(piece)).and_then(|()| body.finish());
            // A decoder's buffer may lie beyond the limit, and no more.
            prop_assert!(body.decoded() <= 4096 + (128 << 10));
        }
    }

    #[test]
    fn no_body_is_no_broken_body() {
        assert_eq!(receive("gzip", &[], MIB).expect("nothing came"), b"");
    }
}
