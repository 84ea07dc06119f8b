//! Who is at the other end of a connection, from the certificate that the handshake has checked.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use crosscheck_model::join::{Fingerprint, node_of};
use crosscheck_model::wire::Refusal;
use crosscheck_model::{ProbeId, SiteId};
use crosscheck_probe::trust;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// Stands before a probe's name and site in its certificate.
const PROBE_URI: &str = "crosscheck:probe:";

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Nobody has shown a certificate: somebody who wants to join.
    Stranger,
    /// A probe that has joined.
    Probe {
        /// Its name.
        probe: ProbeId,
        /// Where it stands.
        site: SiteId,
        /// Its public key.
        key: Fingerprint,
    },
    /// Who has a member's certificate. Whether it is the member is told by the key.
    Member {
        /// Its number.
        node: u64,
        /// Its public key.
        key: Fingerprint,
    },
}

impl Peer {
    /// The one whom the handshake's chain stands for; `None`: the authority signed what no
    /// coordinator ever asked it for.
    pub(super) fn of(
        chain: Option<&[CertificateDer<'_>]>,
        authority: &Fingerprint,
    ) -> Option<Self> {
        let Some(certificate) = chain.and_then(<[_]>::first) else { return Some(Self::Stranger) };
        let (_, read) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let names = read.subject_alternative_name().ok()??;
        let key = trust::fingerprint(read.public_key().raw);
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => {
                let (probe, site) = parse_probe_uri(uri)?;
                Some(Self::Probe { probe, site, key })
            }
            GeneralName::DNSName(name) => {
                node_of(authority, name).map(|node| Self::Member { node, key })
            }
            _ => None,
        })
    }
}

/// What a probe's certificate says.
pub(super) fn probe_uri(probe: &ProbeId, site: &SiteId) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("{PROBE_URI}{}:{}", encoded(probe.as_str()), encoded(site.as_str()))
}

fn parse_probe_uri(uri: &str) -> Option<(ProbeId, SiteId)> {
    let (probe, site) = uri.strip_prefix(PROBE_URI)?.split_once(':')?;
    let decoded = |text| percent_decode_str(text).decode_utf8().ok();
    Some((ProbeId::new(decoded(probe)?), SiteId::new(decoded(site)?)))
}

/// Lets only members in, for what `admits` says of a member's number, its key and a path.
pub fn only_members(
    routes: Router,
    admits: impl Fn(u64, &Fingerprint, &str) -> bool + Clone + Send + Sync + 'static,
) -> Router {
    routes.layer(middleware::from_fn(move |request: Request, next: Next| {
        let admitted = match request.extensions().get() {
            Some(Peer::Member { node, key }) => admits(*node, key, request.uri().path()),
            _ => false,
        };
        pass(admitted, request, next)
    }))
}

/// Lets only probes in; what each may do is decided with what it asks for.
pub fn only_probes(routes: Router) -> Router {
    routes.layer(middleware::from_fn(|request: Request, next: Next| {
        let admitted = matches!(request.extensions().get(), Some(Peer::Probe { .. }));
        pass(admitted, request, next)
    }))
}

async fn pass(admitted: bool, request: Request, next: Next) -> Response {
    if admitted {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, axum::Json(Refusal::Forbidden)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_letters_survive() {
        for (probe, site) in [("p", "s"), ("p:q", "a b/%41"), ("北京-1", "cn-電信")] {
            let uri = probe_uri(&probe.into(), &site.into());
            assert!(uri.is_ascii(), "{uri}");
            assert_eq!(parse_probe_uri(&uri), Some((probe.into(), site.into())));
        }
        assert_eq!(parse_probe_uri("crosscheck:probe:p"), None);
        assert_eq!(parse_probe_uri("http:probe:p:s"), None);
    }
}
