//! Certificates that are not what they must be, seen by every kind that shakes hands.

use crosscheck_model::Cause;
use serde_json::json;
use tokio::io::AsyncReadExt;

use super::tls::kinds;
use super::{assert_is, env, run};
use crate::tls::scripted::{Authority, Server};

#[tokio::test]
async fn a_certificate_that_is_not_right_is_told_apart_by_every_kind() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let here = &["127.0.0.1"];
    for (leaf, signer, cause) in [
        (authority.leaf(&["other.test"]), &authority, Cause::TlsName),
        (authority.leaf_until(here, 2024, 5, 1), &authority, Cause::TlsExpired),
        (authority.leaf_from(here, 3000), &authority, Cause::TlsExpired),
        (stranger.leaf(here), &stranger, Cause::TlsUntrusted),
        (Authority::self_signed(here), &authority, Cause::TlsUntrusted),
    ] {
        let config = signer.server(&leaf, &[], false);
        let server = Server::tls(config, |mut stream| async move {
            drop(stream.read_to_end(&mut Vec::new()).await);
        })
        .await;
        let trusting = json!({ "ca": authority.file() });
        for (kind, settings) in kinds(&server.address.to_string(), &trusting) {
            let outcome = run(&env(), kind, &settings, Some(cause)).await;
            assert_is(&outcome, Some(cause), kind);
        }
    }
}
