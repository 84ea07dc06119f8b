//! Mails straight to a few operators, by settings of one machine's own: for when there is nobody
//! left to ask.

use std::fmt::Write;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use ring::digest;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use super::address::Address;
use super::last_resort::{Event, LastResort, Letter, Look, Outcome, Patience, Word};
use super::message::{FieldText, Message};
use super::route::Route;
use super::submit::{Failure, Parcel, submit};
use crate::clock;
use crate::env::Secrets;
use crate::text::Span;

/// The most that one attempt may take.
const SEND_LIMIT: Duration = Duration::from_secs(60);
/// How often the watch looks, unless it is to tell sooner than after a minute.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whom a machine mails by itself, how, and after which silence.
#[derive(Clone, Debug)]
pub struct DirectMail {
    to: Vec<Address>,
    route: Route,
    /// The silence after which it tells, where that is not the usual one.
    pub after: Option<Duration>,
}

impl DirectMail {
    /// Reads and checks the settings: those of the `mail` channel, with `mail` (the addresses)
    /// and `after`.
    ///
    /// # Errors
    /// All that is wrong, each with what to do.
    pub fn parse(settings: &Value) -> Result<Self, Vec<String>> {
        let Value::Object(mut fields) = settings.clone() else {
            return Err(vec!["write `mail: [..]`, `smtp: ..` and `from: ..` in it".to_owned()]);
        };
        let mut wrong = Vec::new();
        let to = addresses(fields.remove("mail"), &mut wrong);
        let after = fields.remove("after").map(serde_json::from_value::<Span>).transpose();
        let after = after.map_err(|error| wrong.push(format!("`after`: {error}"))).ok().flatten();
        let route = Route::parse(&Value::Object(fields)).map_err(|errors| {
            wrong.extend(errors.into_iter().map(|error| {
                let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("`{}`: {}{hint}", error.path.join("."), error.message)
            }));
        });
        match route {
            Ok(route) if wrong.is_empty() => Ok(Self { to, route, after: after.map(Span::get) }),
            _ => Err(wrong),
        }
    }

    async fn send(&self, seer: &Seer, letter: &Letter, secrets: &Secrets) -> Outcome {
        let content = message(seer, letter, self).compose();
        let sent = match self.route.login(secrets) {
            Err(error) => Err(Failure::Retry(error)),
            Ok(login) => {
                let from = &self.route.from.address;
                let parcel = Parcel { from, to: &self.to, content: &content, login };
                submit(&self.route, &parcel, SEND_LIMIT).await
            }
        };
        match sent {
            Ok(_) => Outcome::Taken,
            Err(Failure::Ambiguous(why)) => {
                tracing::warn!(why = secrets.redact(&why), "a mail of last resort may be lost");
                Outcome::Ambiguous
            }
            Err(Failure::Retry(why) | Failure::Refused(why)) => {
                tracing::warn!(why = secrets.redact(&why), "a mail of last resort was not taken");
                Outcome::NotTaken
            }
        }
    }
}

fn addresses(field: Option<Value>, wrong: &mut Vec<String>) -> Vec<Address> {
    let texts = match field {
        Some(Value::String(one)) => vec![one],
        Some(list @ Value::Array(_)) => serde_json::from_value(list).unwrap_or_default(),
        _ => Vec::new(),
    };
    if texts.is_empty() {
        wrong.push("`mail`: list the operators' addresses".to_owned());
    }
    let parsed = texts.iter().filter_map(|text| {
        Address::parse(text).map_err(|error| wrong.push(format!("`mail`: `{text}`: {error}"))).ok()
    });
    parsed.collect()
}

impl<'de> Deserialize<'de> for DirectMail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Value::deserialize(deserializer)?;
        Self::parse(&settings).map_err(|wrong| D::Error::custom(wrong.join("; ")))
    }
}

/// Who watches, and for what.
#[derive(Clone, Debug)]
pub enum Seer {
    /// A coordinator that waits for the cluster to commit something.
    Coordinator {
        /// Its number and where it is.
        name: String,
    },
    /// A probe that waits for any coordinator to answer.
    Probe {
        /// Its name.
        name: String,
        /// Where it stands.
        site: String,
    },
}

impl Seer {
    fn place(&self) -> String {
        match self {
            Self::Coordinator { name } => format!("coordinator {name}"),
            Self::Probe { name, site } => format!("probe {name} at site {site}"),
        }
    }

    fn subject(&self, word: Word) -> String {
        let place = self.place();
        match (self, word) {
            (Self::Coordinator { .. }, Word::Lost) => {
                format!("[UNKNOWN] no quorum, seen from {place}")
            }
            (Self::Probe { .. }, Word::Lost) => {
                format!("[UNKNOWN] no coordinator answers, seen from {place}")
            }
            (Self::Coordinator { .. }, Word::Back) => {
                format!("[RECOVERED] a quorum again, seen from {place}")
            }
            (Self::Probe { .. }, Word::Back) => {
                format!("[RECOVERED] a coordinator answers again, seen from {place}")
            }
        }
    }

    fn what(&self, word: Word) -> &'static str {
        match (self, word) {
            (Self::Coordinator { .. }, Word::Lost) => {
                "The cluster has committed nothing that this coordinator could see. Without a \
                 quorum of coordinators no target is judged and no alarm is sent.\n\nLook whether \
                 the coordinators run and reach each other."
            }
            (Self::Probe { .. }, Word::Lost) => {
                "This probe reaches no coordinator, although it reaches the rest of the world. It \
                 goes on checking and keeps what it sees, but nothing of it is judged.\n\nLook \
                 whether the coordinators run, and whether this site reaches them."
            }
            (Self::Coordinator { .. }, Word::Back) => "The cluster commits again.",
            (Self::Probe { .. }, Word::Back) => {
                "A coordinator answers this probe again. What it kept is being delivered."
            }
        }
    }
}

fn message<'a>(seer: &Seer, letter: &Letter, mail: &'a DirectMail) -> Message<'a> {
    let (since, decided) = (letter.since, letter.decided);
    let mut text = String::new();
    let (begun, told) = match letter.word {
        Word::Lost => ("Nothing since", "Told at"),
        Word::Back => ("Nothing from", "Well again at"),
    };
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "{}\n\n{begun}: {since}\n{told}: {decided}\nSeen from: {}\n\nThis says nothing about any \
         target. It comes from this machine alone, by its own settings (`last_resort`), and is not \
         repeated for the same silence.\n",
        seer.what(letter.word),
        seer.place(),
    );
    let id = |word| {
        let word = match word {
            Word::Lost => "lost",
            Word::Back => "back",
        };
        identity(&[&seer.place(), &since.as_millis().to_string(), word])
    };
    let event = match letter.word {
        Word::Lost => "alarm",
        Word::Back => "recovery",
    };
    Message {
        id: id(letter.word),
        thread: (letter.word == Word::Back).then(|| id(Word::Lost)),
        from: &mail.route.from,
        to: &mail.to,
        subject: seer.subject(letter.word),
        at: decided,
        fields: vec![("X-Crosscheck-Event", FieldText::Plain(event.to_owned()))],
        text,
        html: None,
    }
}

/// Letters and digits that stand for these parts: the same for each copy, and another on each
/// machine and for each silence. A digest, since names are long: the id is also the boundary of the
/// mail's parts, and of such 70 characters are the most (RFC 2046, 5.1.1).
fn identity(parts: &[&str]) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in parts {
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let digest = digest.finish();
    digest.as_ref().iter().take(16).fold("lr".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

#[cfg(test)]
mod tests;

/// What is watched.
pub trait Watched: Send {
    /// Looks at it now.
    fn look(&mut self) -> impl Future<Output = Look> + Send;
}

/// Looks again and again, and mails when it must, for as long as it is polled.
pub async fn keep_watch(
    seer: Seer,
    mail: DirectMail,
    patience: Patience,
    secrets: Secrets,
    mut watched: impl Watched,
) {
    let origin = Instant::now();
    let mut watch = LastResort::new(origin.elapsed(), patience);
    let mut looks = tokio::time::interval(LOOK_EVERY.min(patience.silence / 10));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending = FuturesUnordered::new();
    loop {
        let event = tokio::select! {
            _ = looks.tick() => Event::Looked(watched.look().await),
            Some(outcome) = sending.next(), if !sending.is_empty() => Event::Sent(outcome),
        };
        if let Some(letter) = watch.step(origin.elapsed(), clock::wall(), event) {
            tracing::error!(word = ?letter.word, since = %letter.since, "mails the operators");
            let (seer, mail, secrets) = (&seer, &mail, &secrets);
            sending.push(async move { mail.send(seer, &letter, secrets).await });
        }
    }
}
