//! The next certificate, in time: asked for when half of the present one's time is over, and
//! asked for again until it comes.

use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_model::join::{JoinRefusal, Renew};

use crate::identity::{Identity, IdentityError};
use crate::link::{HttpLink, JoinFailure, Link};

/// The clock is looked at this often: it may be set, and a host may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// Between two attempts; half of a certificate's time has room for thousands.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Keeps the link's certificate fresh, for ever.
pub async fn keep_fresh(mut identity: Identity, link: HttpLink) {
    let (mut refused, mut is_saved) = (None, true);
    loop {
        if !is_saved {
            // A full disk costs no certificate while this process lives.
            is_saved = match identity.save() {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "the new certificate would not survive a restart");
                    false
                }
            };
        }
        let wait = identity.renew_at().since(clock::wall());
        if !wait.is_zero() {
            let look = if is_saved { LOOK_EVERY } else { RETRY_PAUSE };
            tokio::time::sleep(wait.min(look)).await;
            continue;
        }
        match renew(&identity, &link).await {
            Ok(next) => {
                tracing::info!(until = %next.until(), "the certificate is renewed");
                (identity, refused, is_saved) = (next, None, false);
            }
            Err(error) => {
                let why = error.to_string();
                if refused.as_ref() != Some(&why) {
                    tracing::warn!(%why, until = %identity.until(), "the certificate is not renewed yet");
                    refused = Some(why);
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Why there is no next certificate yet.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("{0}")]
    Join(#[from] JoinFailure),
    #[error("{0}")]
    Link(#[from] crate::link::LinkError),
}

async fn renew(identity: &Identity, link: &HttpLink) -> Result<Identity, RenewalError> {
    let question = Renew { request: identity.request()? };
    let mut last = JoinFailure::Refused(JoinRefusal::Unavailable);
    for coordinator in 0..link.coordinators() {
        match link.renew(coordinator, &question).await {
            Ok(joined) => {
                let next = identity.renewed(&joined)?;
                link.use_tls(next.client()?)?;
                return Ok(next);
            }
            Err(failure) => last = failure,
        }
    }
    Err(last.into())
}
