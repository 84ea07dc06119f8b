//! `crosscheck-probe join`: from a token to a certificate.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_checks::clock;
use crosscheck_model::Timestamp;
use crosscheck_model::join::{JoinProbe, JoinRefusal, JoinToken, Joined, NoToken};
use reqwest::Url;

use crate::config::{Config, ConfigError};
use crate::identity::{Identity, IdentityError, Joining};
use crate::link::{self, JoinFailure};
use crate::trust::{self, Announced};

/// A clock that is off by more cannot judge certificates well, and dates log lines wrongly.
const CLOCK_LIMIT: Duration = Duration::from_secs(60);

/// Why a probe could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The text is no token.
    #[error("{0}")]
    Token(#[from] NoToken),
    /// The file of the token cannot be read.
    #[error("read the token from `{0}`: {1}")]
    TokenFile(String, io::Error),
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// There is no TLS without a place for the key, and none with an `http://` URL.
    #[error("`coordinators` has no https:// URL, or `data` is missing: there is nothing to join")]
    Nothing,
    /// A coordinator says no.
    #[error("{0}")]
    Refused(#[from] JoinRefusal),
    /// No coordinator was reached.
    #[error(
        "no coordinator let this probe join:\n{0}\nhint: the token names the authority of one installation; `certificate expired` or `not valid yet` mean that a clock is wrong, most likely this host's"
    )]
    Unreached(String),
    /// The key or the certificate cannot be kept or used.
    #[error("{0}")]
    Identity(#[from] IdentityError),
}

impl JoinError {
    /// Whether the user's input is to be corrected.
    pub const fn is_input(&self) -> bool {
        matches!(self, Self::Token(_) | Self::TokenFile(..) | Self::Config(_) | Self::Nothing)
    }
}

/// What came of it.
pub struct Outcome {
    /// Who the probe is now.
    pub identity: Identity,
    /// How far this host's clock is off, if that is too much: its own time and the cluster's.
    pub clock_off: Option<(Timestamp, Timestamp)>,
}

/// A token from where `-` stands for standard input and `@FILE` for a file, so that it need not be
/// seen in a list of processes.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read_token(text: &str) -> Result<JoinToken, JoinError> {
    let bad = |error| JoinError::TokenFile(text.trim_start_matches('@').to_owned(), error);
    let text = match text {
        "-" => io::read_to_string(io::stdin()).map_err(bad)?,
        _ => match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(Path::new(path)).map_err(bad)?,
            None => text.to_owned(),
        },
    };
    Ok(text.parse()?)
}

/// Makes a key, shows the token to a coordinator that the token's authority vouches for, and
/// keeps the certificate. Asked again after a lost answer, it goes on with the same key.
///
/// # Errors
/// See [`JoinError`].
pub async fn join(config: &Config, token: &JoinToken) -> Result<Outcome, JoinError> {
    let secured = |url: &Url| url.scheme() == "https";
    let coordinators: Vec<Url> = config.urls()?.into_iter().filter(secured).collect();
    let data = config.data.as_deref().filter(|_| !coordinators.is_empty());
    let joining = Joining::begin(data.ok_or(JoinError::Nothing)?)?;
    let question = JoinProbe {
        token: token.reveal(),
        probe: config.probe.clone(),
        site: config.site.clone(),
        request: joining.request()?,
    };
    let joined = ask(coordinators, token, &question).await?;
    let identity = joining.finish(&joined, token.authority)?;
    let ours = clock::wall();
    let off = ours.since(joined.now).max(joined.now.since(ours)) > CLOCK_LIMIT;
    Ok(Outcome { identity, clock_off: off.then_some((ours, joined.now)) })
}

/// The first answer that a coordinator gives; one without a leader or out of reach gives none.
async fn ask(
    coordinators: Vec<Url>,
    token: &JoinToken,
    question: &JoinProbe,
) -> Result<Joined, JoinError> {
    let mut failures = Vec::new();
    for coordinator in coordinators {
        let announced = Arc::new(Announced::new(token.authority));
        let tls = trust::joiner(announced).map_err(IdentityError::Tls)?;
        match link::join(coordinator.clone(), tls, question).await {
            Ok(joined) => return Ok(joined),
            Err(JoinFailure::Refused(refusal)) if refusal != JoinRefusal::Unavailable => {
                return Err(refusal.into());
            }
            Err(failure) => failures.push(format!("  {coordinator}: {failure}")),
        }
    }
    Err(JoinError::Unreached(failures.join("\n")))
}
