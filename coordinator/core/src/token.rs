//! One-time join tokens: who may become what, until when. Only digests are kept, so neither the
//! log nor a snapshot lets anybody in.
//!
//! A token is good for one key. Asked again with the same key it gives the same answer, for an
//! answer may be lost on its way; with another key it is used up.

use std::time::Duration;

use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::{ProbeId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::state::State;

/// The longest that a token may be good for.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An ended token is remembered for this long, so that whoever comes late hears why.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The most tokens at the same time: enough to roll out a large fleet in a day.
const MOST_TOKENS: usize = 10_000;

/// What a token lets its bearer become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grant {
    /// A probe at this site, which cannot choose another.
    Probe {
        /// Where it stands.
        site: SiteId,
        /// The only name that it may take, even if a probe of this name has joined before;
        /// `None`: any that is free.
        name: Option<ProbeId>,
    },
    /// A member of the coordinators.
    Member,
}

impl Grant {
    /// In words, for who tries another.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Probe { .. } => "a probe",
            Self::Member => "a coordinator",
        }
    }
}

/// A token that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What for.
    pub grant: Grant,
    /// When.
    pub issued_at: Timestamp,
    /// By whom.
    pub issued_by: String,
    /// From then on nobody may join by it.
    pub expires_at: Timestamp,
    /// The key that has joined by it, and when.
    pub used: Option<(Fingerprint, Timestamp)>,
}

impl State {
    /// Lets somebody join, once: whoever shows what `token` is the digest of.
    pub(crate) fn issue_token(
        &mut self,
        token: Fingerprint,
        grant: Grant,
        lifetime: Duration,
        by: String,
    ) -> Reply {
        self.forget_tokens();
        if let Grant::Probe { site, .. } = &grant
            && !self.config.sites.contains_key(site)
        {
            return Reply::Rejected(JoinRefusal::UnknownSite(site.clone()).to_string());
        }
        if let Grant::Probe { name: Some(name), .. } = &grant
            && let Err(refusal) = crate::identity::check_name(name)
        {
            return Reply::Rejected(refusal.to_string());
        }
        if lifetime.is_zero() || lifetime > LONGEST_LIFETIME {
            return Reply::Rejected(
                "a token lives for at least a moment and at most 7 days".into(),
            );
        }
        if self.tokens.contains_key(&token) {
            return Reply::Rejected("this token was issued before".to_owned());
        }
        if self.tokens.len() >= MOST_TOKENS {
            return Reply::Rejected(format!("there are {MOST_TOKENS} tokens; wait until some end"));
        }
        let (issued_at, expires_at) = (self.now, self.now.plus(lifetime));
        let token_of = Token { grant, issued_at, issued_by: by, expires_at, used: None };
        self.tokens.insert(token, token_of);
        Reply::Done
    }

    /// The token, if this key may join by it now. Nothing is changed: see [`State::use_token`].
    ///
    /// # Errors
    /// It is not known, used by another key, or too old.
    pub(crate) fn usable_token(
        &self,
        token: &Fingerprint,
        key: &Fingerprint,
    ) -> Result<&Token, JoinRefusal> {
        let found = self.tokens.get(token).ok_or(JoinRefusal::UnknownToken)?;
        match found.used {
            Some((user, _)) if user == *key => {}
            Some(_) => return Err(JoinRefusal::UsedToken),
            None => {}
        }
        if self.now >= found.expires_at {
            return Err(JoinRefusal::ExpiredToken { at: found.expires_at });
        }
        Ok(found)
    }

    /// From now on the token is good for this key only; whether it was fresh.
    pub(crate) fn use_token(&mut self, token: &Fingerprint, key: Fingerprint) -> bool {
        let now = self.now;
        let Some(found) = self.tokens.get_mut(token) else { return false };
        let fresh = found.used.is_none();
        if fresh {
            found.used = Some((key, now));
        }
        fresh
    }

    /// Whether this key may become a member by this token, which is then used up.
    ///
    /// # Errors
    /// It may not, and why.
    pub fn redeem_member(
        &mut self,
        token: &Fingerprint,
        key: Fingerprint,
    ) -> Result<(), JoinRefusal> {
        let found = self.usable_token(token, &key)?;
        if found.grant != Grant::Member {
            return Err(JoinRefusal::WrongKind { granted: found.grant.kind().to_owned() });
        }
        self.use_token(token, key);
        Ok(())
    }

    /// Forgets tokens that ended long ago.
    pub(crate) fn forget_tokens(&mut self) {
        let now = self.now;
        self.tokens.retain(|_, token| now.since(token.expires_at) < REMEMBERED);
    }
}
