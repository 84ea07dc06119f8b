//! The health checking protocol: its two messages, and what the call's status means.
//!
//! Each message has one field, so both are written out here instead of generated:
//! `HealthCheckRequest { string service = 1 }` and `HealthCheckResponse { ServingStatus status = 1 }`.

use std::collections::BTreeMap;

use crosscheck_model::Cause;
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::resolve::Failure;

/// The trailer with the call's status.
pub(super) const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The trailer with its words, percent-encoded.
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Before each message: whether it is compressed, and its length in 32 bits.
const PREFIX_BYTES: usize = 5;

/// Field 1, length-delimited.
const SERVICE: u8 = 1 << 3 | 2;

/// The codes of gRPC by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The states of a service by number.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// The framed request for a service's health.
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE);
        put_varint(service.len() as u64, &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], &message].concat()
}

/// Judges the call's status, then the service's state.
///
/// # Errors
/// It does not serve, or does not say so.
pub(super) fn judge(
    service: &str,
    trailers: &HeaderMap,
    body: &[u8],
    values: &mut BTreeMap<String, f64>,
) -> Result<(), Failure> {
    let code = trailers.get(STATUS).and_then(|value| value.to_str().ok()?.parse::<u16>().ok());
    let Some(code) = code else {
        return Err(Failure::new(Cause::Protocol, "the call ended without a `grpc-status`"));
    };
    values.insert("grpc_status".to_owned(), f64::from(code));
    if code != 0 {
        return Err(refusal(code, service, trailers));
    }
    let state = state(body)?;
    values.insert("serving_status".to_owned(), state as f64);
    let name = usize::try_from(state).ok().and_then(|state| STATES.get(state).copied());
    let who = if service.is_empty() { "the server".to_owned() } else { format!("`{service}`") };
    match name {
        Some("SERVING") => Ok(()),
        Some("SERVICE_UNKNOWN") => Err(unknown_service(service)),
        Some(name) => Err(Failure::new(Cause::NotServing, format!("{who} is {name}"))),
        None => Err(Failure::new(Cause::Protocol, format!("{who} is in the state {state}"))),
    }
}

fn refusal(code: u16, service: &str, trailers: &HeaderMap) -> Failure {
    let cause = match code {
        5 => return unknown_service(service),
        7 | 16 => Cause::Login,
        12 => Cause::NotOffered,
        _ => Cause::ServerError,
    };
    let name = CODES.get(usize::from(code)).copied().unwrap_or("an unknown code");
    let message = trailers.get(MESSAGE).map(|value| percent_decode_str_of(value.as_bytes()));
    let message = message.filter(|message| !message.is_empty());
    let message = message.map(|message| format!(": `{message}`")).unwrap_or_default();
    let what = if code == 12 { "it has no health service, and answered" } else { "it answered" };
    Failure::new(cause, format!("{what} {code} {name}{message}"))
}

fn percent_decode_str_of(bytes: &[u8]) -> String {
    percent_decode_str(&String::from_utf8_lossy(bytes)).decode_utf8_lossy().into_owned()
}

fn unknown_service(service: &str) -> Failure {
    let detail = format!("the server does not know the service `{service}`");
    Failure::new(Cause::ServiceUnknown, detail)
}

/// The state in a framed response.
fn state(body: &[u8]) -> Result<u64, Failure> {
    let broken = |why: &str| Failure::new(Cause::Protocol, format!("malformed answer: {why}"));
    let Some((prefix, mut message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(broken("no message"));
    };
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(broken("it is compressed, which nobody has offered"));
    }
    if usize::try_from(u32::from_be_bytes(length)) != Ok(message.len()) {
        return Err(broken("its length is not the one announced"));
    }
    let mut state = 0; // The default of a field that is not there.
    while !message.is_empty() {
        let tag = take_varint(&mut message).ok_or_else(|| broken("a field without an end"))?;
        match (tag >> 3, tag & 7) {
            (1, 0) => {
                let value = take_varint(&mut message);
                state = value.ok_or_else(|| broken("a state without an end"))?;
            }
            // Fields that later versions may add are passed over.
            (_, kind) => {
                skip(kind, &mut message).ok_or_else(|| broken("a field without an end"))?;
            }
        }
    }
    Ok(state)
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn skip(kind: u64, message: &mut &[u8]) -> Option<()> {
    let length = match kind {
        0 => return take_varint(message).map(drop),
        1 => 8,
        2 => usize::try_from(take_varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    *message = message.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        [&[0], &length[..], message].concat()
    }

    #[test]
    fn messages_are_written_and_read() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), [0, 0, 0, 0, 5, 10, 3, b'a', b'.', b'B']);
        let long = question(&"x".repeat(200));
        assert_eq!(long[5..8], [10, 0xc8, 1]);
        for (message, wanted) in [
            (&[8, 1][..], Some(1)),
            (&[], Some(0)),
            (&[18, 2, 8, 9, 8, 2], Some(2)),
            (&[8, 0x80], None),
            (&[18, 9, 1], None),
            (&[0xff; 12], None),
        ] {
            assert_eq!(state(&framed(message)).ok(), wanted, "{message:?}");
        }
        assert!(state(&[1, 0, 0, 0, 2, 8, 1]).is_err(), "compressed");
        assert!(state(&[0, 0, 0, 0, 3, 8, 1]).is_err(), "cut short");
    }

    proptest! {
        /// Whatever comes is read without a panic.
        #[test]
        fn any_answer_is_read(message in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = state(&message);
            let _ = state(&framed(&message));
        }
    }
}
