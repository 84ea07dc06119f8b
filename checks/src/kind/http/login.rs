//! How a request shows who sends it: the four ways, of which one may be chosen.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use crosscheck_model::secret::Part;
use crosscheck_model::{Secret, Text};
use schemars::JsonSchema;
use serde::Deserialize;
use url::form_urlencoded::byte_serialize;

use super::digest::Credentials;
use super::plan::Faults;
use super::settings::Settings;
use super::token::TokenSource;
use super::words::Words;
use crate::resolve::Failure;

/// A user and password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    /// The user.
    pub(super) user: Text,
    /// The password.
    pub(super) password: Secret,
}

/// How the request shows who sends it.
#[derive(Clone, Debug)]
pub(super) enum Login {
    /// RFC 7617.
    Basic(Text, Secret),
    /// The same with both encoded as in a form, as RFC 6749 2.3.1 wants of clients.
    Client(Text, Secret),
    /// RFC 6750.
    Bearer(Secret),
    /// RFC 7616.
    Digest(Text, Secret),
    /// RFC 6749 4.4.
    Token(Arc<TokenSource>),
}

impl Login {
    /// What the settings want.
    pub(super) fn of(settings: &Settings, faults: &mut Faults) -> Option<Self> {
        for (key, account) in [("basic", &settings.basic), ("digest", &settings.digest)] {
            let user = account.iter().flat_map(|account| account.user.parts());
            let has_colon = |part| matches!(part, Part::Plain(plain) if plain.contains(':'));
            if user.into_iter().any(has_colon) {
                let message = format!("a user's name with a colon cannot be sent in `{key}`");
                faults.add(&[key, "user"], message, None);
            }
        }
        let pair = |account: &Account| (account.user.clone(), account.password.clone());
        let basic = settings.basic.as_ref().map(pair).map(|(user, word)| Self::Basic(user, word));
        let digest =
            settings.digest.as_ref().map(pair).map(|(user, word)| Self::Digest(user, word));
        let bearer = settings.bearer.clone().map(Self::Bearer);
        let wanted = settings.oauth2.as_ref();
        let token =
            wanted.map(|wanted| TokenSource::new(settings, wanted, faults).map(Self::Token));
        let written =
            settings.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
        let given = [
            ("basic", basic.is_some()),
            ("digest", digest.is_some()),
            ("bearer", bearer.is_some()),
            ("oauth2", token.is_some()),
            ("headers", written),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("`{first}` and `{second}` both set the Authorization header");
            faults.add(&[second], message, Some("leave one of them out"));
        }
        basic.or(digest).or(bearer).or(token.flatten())
    }

    /// The header's value, where it is known before the server is asked.
    pub(super) fn header(&self, words: &Words<'_>) -> Result<Option<String>, Failure> {
        let encode = |text: String| byte_serialize(text.as_bytes()).collect::<String>();
        let (user, password) = match self {
            Self::Basic(user, password) => (words.resolve(user)?, words.resolve(password.text())?),
            Self::Client(user, password) => {
                (encode(words.resolve(user)?), encode(words.resolve(password.text())?))
            }
            Self::Bearer(token) => {
                return Ok(Some(format!("Bearer {}", words.resolve(token.text())?)));
            }
            Self::Digest(..) | Self::Token(_) => return Ok(None),
        };
        let encoded = BASE64.encode(format!("{user}:{password}"));
        words.secrets.remember(&encoded);
        Ok(Some(format!("Basic {encoded}")))
    }

    /// What answers a challenge of Digest.
    pub(super) fn credentials(&self, words: &Words<'_>) -> Result<Option<Credentials>, Failure> {
        let Self::Digest(user, password) = self else { return Ok(None) };
        let password = words.resolve(password.text())?;
        Ok(Some(Credentials { user: words.resolve(user)?, password }))
    }
}
