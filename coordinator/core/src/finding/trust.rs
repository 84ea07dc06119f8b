//! A certificate that is not what it must be.

use crosscheck_model::evidence::Shown;
use crosscheck_model::{Cause, Timestamp};

use super::{Case, Scope, plain};

pub(super) fn sentence(case: &Case<'_>) -> String {
    let Some(cause) = case.cause() else { return case.mixed() };
    let chain = case.found().map(|found| found.chain.as_slice()).find(|chain| !chain.is_empty());
    let told = chain.and_then(|chain| match cause {
        Cause::TlsExpired | Cause::CertificateExpiring => dated(chain, case.since),
        Cause::TlsName => Some(format!("the certificate is for {}", chain.first()?.subject)),
        _ => untrusted(chain),
    });
    let told = told.unwrap_or_else(|| plain(cause));
    // What is the same everywhere needs no place.
    match case.scope {
        Scope::All(_) => told,
        _ => format!("{told}, seen {}", case.place()),
    }
}

/// The certificate of the chain that is out of its time, or will be first.
fn dated(chain: &[Shown], now: Timestamp) -> Option<String> {
    if let Some(early) = chain.iter().find(|shown| shown.from > now) {
        return Some(format!("certificate is not valid before {}", day(early.from)));
    }
    let (place, first) = chain.iter().enumerate().min_by_key(|(_, shown)| shown.until)?;
    let what = match place {
        0 => "certificate".to_owned(),
        _ => format!("intermediate certificate {}", first.subject),
    };
    let verb = if first.until <= now { "expired" } else { "expires" };
    Some(format!("{what} {verb} on {}", day(first.until)))
}

fn untrusted(chain: &[Shown]) -> Option<String> {
    let (leaf, last) = (chain.first()?, chain.last()?);
    let issuer = &last.issuer;
    Some(if leaf.issuer == leaf.subject {
        "the certificate is signed by itself".to_owned()
    } else if chain.len() == 1 {
        format!("the chain ends at {issuer}: not trusted, or a certificate is missing")
    } else {
        format!("the chain ends at {issuer}, which is not trusted")
    })
}

/// `2026-11-20`.
fn day(at: Timestamp) -> String {
    at.to_string().get(..10).unwrap_or_default().to_owned()
}
