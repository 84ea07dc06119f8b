//! What the kinds that talk with one service over TCP have in common: where it is, TLS from the
//! start or in the midst (`starttls`), the run around the talk, and the words of the settings.

#[cfg(test)]
mod hostile;
mod place;
mod reply;
#[cfg(test)]
pub(super) mod scripted;
mod settings;

use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Secret, Text};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use self::place::{Place, TlsWords};
pub(super) use self::reply::Reply;
pub(super) use self::settings::settings;
use super::Check;
use crate::dial::{self, Timer};
use crate::dialogue::Dialogue;
use crate::env::{Env, SecretError, Secrets};
use crate::gather::Endpoint;
use crate::kind::tls::starttls::Starttls;
use crate::resolve::Failure;
use crate::text::Pattern;

/// What is said to a service, and what it must answer.
pub(super) trait Protocol: Send + Sync + 'static {
    /// What a run needs of the secrets.
    type Ready: Send + Sync;

    /// Reads the secrets, before anybody is disturbed.
    fn prepare(&self, secrets: &Secrets) -> Result<Self::Ready, SecretError>;

    /// Talks.
    fn talk(
        &self,
        place: &Place,
        ready: &Self::Ready,
        dialogue: &mut Dialogue,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What is checked, in a few words.
    fn target(&self, place: &Place) -> String {
        place.address.to_string()
    }

    /// How TLS begins in the midst, where it can.
    fn starttls(&self) -> Option<Starttls> {
        None
    }

    /// What is said last, after the judgement.
    fn farewell(&self) -> &'static [u8] {
        b""
    }
}

/// Whether a greeting is the one wanted, if one is; `shown` is how people are told of it.
pub(super) fn fits(banner: Option<&Pattern>, greeting: &str, shown: &str) -> Result<(), Failure> {
    match banner {
        Some(banner) if !banner.is_match(greeting) => {
            Err(Failure::new(Cause::Body, format!("{shown} does not match `{banner}`")))
        }
        _ => Ok(()),
    }
}

/// A user and a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// The user.
    pub(super) user: Text,
    /// The password.
    pub(super) password: Secret,
}

/// A user and a password, read.
pub(super) struct Credentials {
    /// The user.
    pub(super) user: String,
    /// The password.
    pub(super) password: String,
}

impl Login {
    /// Reads the secrets.
    pub(super) fn read(&self, secrets: &Secrets) -> Result<Credentials, SecretError> {
        let user = secrets.resolve(&self.user)?;
        Ok(Credentials { user, password: secrets.resolve(self.password.text())? })
    }
}

impl Credentials {
    /// Nothing that would end a line of a protocol early, and begin another command.
    pub(super) fn of_one_line(&self) -> Result<(), Failure> {
        let broken = |text: &str| text.contains(['\r', '\n', '\0']);
        if broken(&self.user) || broken(&self.password) {
            let detail = "a user or password with a line break cannot be sent";
            return Err(Failure::new(Cause::Setup, detail));
        }
        Ok(())
    }
}

/// A check of a service.
pub(super) struct ServiceCheck<P> {
    /// Where it is.
    pub(super) place: Place,
    /// What is said there.
    pub(super) protocol: P,
}

impl<P: Protocol> Check for ServiceCheck<P> {
    fn target(&self) -> String {
        self.protocol.target(&self.place)
    }

    fn family(&self) -> Family {
        self.place.family
    }

    fn endpoint(&self) -> Option<Endpoint> {
        let starttls = self.protocol.starttls().filter(|_| self.place.is_secure_later());
        Some(Endpoint { starttls, ..self.place.endpoint() })
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).boxed()
    }
}

impl<P: Protocol> ServiceCheck<P> {
    async fn observe(&self, env: &Env, deadline: Duration) -> Outcome {
        let ready = self.prepare(env); // Its time is not the target's.
        let mut timer = Timer::start(deadline);
        let opened = async {
            let ready = ready?;
            let (host, port) = (self.place.address.host(), self.place.address.port());
            let connected = dial::connect(env, host, port, self.place.family, &mut timer).await?;
            Ok((ready, connected.stream))
        };
        let (ready, stream) = match opened.await {
            Ok(opened) => opened,
            Err(failure) => return timer.outcome(&env.secrets, Some(failure)),
        };
        let mut dialogue = Dialogue::new(stream, timer);
        let talked = self.talk(&ready, &mut dialogue).await;
        let outcome = dialogue.outcome(&env.secrets, talked.err());
        dialogue.farewell(self.protocol.farewell()).await;
        outcome
    }

    /// Reads the secrets, and the files of TLS at the first run.
    fn prepare(&self, env: &Env) -> Result<P::Ready, Failure> {
        self.place.prepare_tls()?;
        let ready = self.protocol.prepare(&env.secrets);
        ready.map_err(|error| Failure::new(Cause::Setup, error.to_string()))
    }

    async fn talk(&self, ready: &P::Ready, dialogue: &mut Dialogue) -> Result<(), Failure> {
        if self.place.is_secure_at_once() {
            dialogue.step("TLS");
            self.place.secure(dialogue).await?;
            dialogue.step("");
        }
        self.protocol.talk(&self.place, ready, dialogue).await?;
        dialogue.step("");
        self.place.flaws(dialogue.certificate(), dialogue.elapsed())
    }
}
