//! Probes that have joined: each is a name bound to a site and to a key that only it holds. The
//! listener proves the key (a certificate); here it is decided what the key may do.

use std::time::Duration;

use crosscheck_model::join::{Fingerprint, JoinRefusal};
use crosscheck_model::wire::{Hello, Refusal, Welcome};
use crosscheck_model::{ProbeId, SiteId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::command::Reply;
use crate::effect::Effect;
use crate::state::State;
use crate::token::Grant;

/// How long a certificate is good for. Probes ask for the next one at half of it.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A name is drawn on pages and stands in certificates.
const LONGEST_NAME: usize = 64;

/// A probe that has joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Where it stands: from its token.
    pub site: SiteId,
    /// Its public key.
    pub key: Fingerprint,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Who issued its token.
    pub invited_by: String,
    /// When its newest certificate ends.
    pub certified_until: Timestamp,
    /// It may not come in any more.
    pub revoked: Option<Revocation>,
}

/// An operator has shut a probe out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// What a certificate is to say; the shell of the coordinator that asked signs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certified {
    /// For whom.
    pub probe: ProbeId,
    /// Where it stands.
    pub site: SiteId,
    /// The certificate's number, never given before.
    pub serial: u64,
    /// Good from then on.
    pub from: Timestamp,
    /// Good until then.
    pub until: Timestamp,
}

/// Whether a probe may have this name.
pub(crate) fn check_name(name: &ProbeId) -> Result<(), JoinRefusal> {
    let text = name.as_str();
    let bad = |what: &str| Err(JoinRefusal::BadName(format!("a probe's name {what}")));
    match () {
        () if text.trim() != text || text.is_empty() => bad("begins and ends with a letter"),
        () if text.chars().count() > LONGEST_NAME => bad("has at most 64 letters"),
        () if text.chars().any(char::is_control) => bad("has no control characters"),
        () => Ok(()),
    }
}

impl State {
    /// A probe joins by a token: from now on the name, the site and the key belong together.
    pub(crate) fn enrol(
        &mut self,
        token: &Fingerprint,
        probe: ProbeId,
        site: &SiteId,
        key: Fingerprint,
        effects: &mut Vec<Effect>,
    ) -> Result<Certified, JoinRefusal> {
        let found = self.usable_token(token, &key)?;
        let invited_by = found.issued_by.clone();
        let Grant::Probe { site: granted, name } = found.grant.clone() else {
            return Err(JoinRefusal::WrongKind { granted: found.grant.kind().to_owned() });
        };
        if granted != *site {
            return Err(JoinRefusal::WrongSite { granted });
        }
        if !self.config.sites.contains_key(site) {
            return Err(JoinRefusal::UnknownSite(site.clone()));
        }
        check_name(&probe)?;
        if let Some(granted) = name.clone().filter(|granted| *granted != probe) {
            return Err(JoinRefusal::WrongName { granted });
        }
        let again = self.identities.get(&probe).is_some_and(|known| {
            known.key == key && known.revoked.is_none() && known.site == *site
        });
        // Whoever has this name was let in by somebody else's act: only a token that says so may
        // put another in its place.
        let is_known = self.identities.contains_key(&probe) || self.probes.contains_key(&probe);
        if !again && name.is_none() && is_known {
            return Err(JoinRefusal::NameTaken(probe));
        }
        let fresh = self.use_token(token, key);
        if !again && !fresh {
            // What this key was let in as is over: it was revoked or replaced since.
            return Err(JoinRefusal::UsedToken);
        }
        if !again {
            self.end_session(&probe, "another one has joined under its name", effects);
            // Whoever else has the old key is shut out with it.
            self.rivals.remove(&probe);
            self.suspicions.remove(&probe);
            let identity = Identity {
                site: site.clone(),
                key,
                joined_at: self.now,
                invited_by,
                certified_until: self.now,
                revoked: None,
            };
            self.identities.insert(probe.clone(), identity);
        }
        Ok(self.certify(probe, site.clone()))
    }

    /// A probe's next certificate.
    pub(crate) fn renew(
        &mut self,
        probe: ProbeId,
        key: &Fingerprint,
    ) -> Result<Certified, JoinRefusal> {
        let Some(site) = self.admits(&probe, key).map(|identity| identity.site.clone()) else {
            return Err(JoinRefusal::NotAdmitted(probe));
        };
        Ok(self.certify(probe, site))
    }

    fn certify(&mut self, probe: ProbeId, site: SiteId) -> Certified {
        let (from, until) = (self.now, self.now.plus(CERTIFICATE_LIFETIME));
        if let Some(identity) = self.identities.get_mut(&probe) {
            identity.certified_until = until;
        }
        Certified { probe, site, serial: self.number(), from, until }
    }

    /// The identity, if its holder has this key and may come in.
    pub fn admits(&self, probe: &ProbeId, key: &Fingerprint) -> Option<&Identity> {
        let identity = self.identities.get(probe)?;
        (identity.key == *key && identity.revoked.is_none()).then_some(identity)
    }

    /// Opens a session for a probe that has proved to hold `key`.
    pub(crate) fn open_as(
        &mut self,
        hello: Hello,
        key: &Fingerprint,
        effects: &mut Vec<Effect>,
    ) -> Result<Welcome, Refusal> {
        let identity = self.admits(&hello.probe, key).ok_or(Refusal::Forbidden)?;
        if identity.site != hello.site {
            return Err(Refusal::Forbidden);
        }
        self.open_session(hello, effects)
    }

    /// Opens a session for a probe of which nobody has proof: where only this host reaches the
    /// listener. A name that belongs to a key cannot be taken in this way.
    pub(crate) fn open(
        &mut self,
        hello: Hello,
        effects: &mut Vec<Effect>,
    ) -> Result<Welcome, Refusal> {
        if self.identities.contains_key(&hello.probe) {
            return Err(Refusal::Forbidden);
        }
        self.open_session(hello, effects)
    }

    /// Shuts a probe out, at once: its session ends, and its votes are gone.
    pub(crate) fn revoke(
        &mut self,
        probe: &ProbeId,
        by: String,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let at = self.now;
        let Some(identity) = self.identities.get_mut(probe) else {
            return Reply::Rejected(format!("no probe `{probe}` has joined"));
        };
        if let Some(revoked) = &identity.revoked {
            return Reply::Rejected(format!("{} has revoked `{probe}` already", revoked.by));
        }
        identity.revoked = Some(Revocation { at, by });
        self.end_session(probe, "it was revoked", effects);
        Reply::Done
    }

    /// The probe is no voter any more until it opens another session, if it may.
    fn end_session(&mut self, probe: &ProbeId, why: &str, effects: &mut Vec<Effect>) {
        self.drop_probe(probe, why, effects);
        self.assign(effects);
    }

    /// Identities of probes whose certificates ended long ago, and that were revoked: there is
    /// nothing left that they keep out.
    pub(crate) fn forget_identities(&mut self) {
        let now = self.now;
        self.identities.retain(|_, identity| {
            identity.revoked.is_none() || now.since(identity.certified_until) < CERTIFICATE_LIFETIME
        });
    }
}
