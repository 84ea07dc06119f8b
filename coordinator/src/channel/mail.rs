//! The mail channel: one message, one contact, one SMTP transaction.

use crosscheck_checks::kind::SettingsError;
use crosscheck_checks::mail::address::Address;
use crosscheck_checks::mail::line::one_line;
use crosscheck_checks::mail::route::{Route, Settings};
use crosscheck_checks::mail::submit::{Accepted, Failure, Parcel, submit};
use crosscheck_core::outbox::SendResult;
use crosscheck_model::config::Contact;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{Channel, ChannelKind, Delivery};

mod compose;
mod digest;
mod letter;

#[cfg(test)]
mod samples;

/// The kind.
pub struct Mail;

impl ChannelKind for Mail {
    fn name(&self) -> &'static str {
        "mail"
    }

    fn about(&self) -> &'static str {
        "Mails the contact's addresses through an SMTP server."
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn lacks(&self, contact: &Contact) -> Option<&'static str> {
        Recipients::of(contact).usable.is_empty().then_some("mail address")
    }

    fn open(&self, settings: &serde_json::Value) -> Result<Box<dyn Channel>, Vec<SettingsError>> {
        Ok(Box::new(MailChannel { route: Route::parse(settings)? }))
    }
}

/// Why an address cannot be mailed to, as a lowercase fragment; `None` when it can.
pub fn objection(address: &str) -> Option<&'static str> {
    Address::parse(address).err()
}

struct MailChannel {
    route: Route,
}

impl Channel for MailChannel {
    fn send<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, SendResult> {
        Box::pin(async move {
            let recipients = Recipients::of(delivery.to);
            let reached = &delivery.owed.reached;
            let is_left = |to: &&Address| !reached.iter().any(|text| text == to.as_str());
            let to: Vec<Address> = recipients.usable.iter().filter(is_left).cloned().collect();
            if to.is_empty() && !reached.is_empty() {
                return SendResult::Delivered;
            }
            let outcome = self.attempt(&delivery, &recipients.usable, &to).await;
            let contact = &delivery.owed.contact;
            let plain = |text: String| delivery.secrets.redact(&text);
            match outcome {
                Ok(Accepted { refused }) => {
                    let later: Vec<_> = refused.iter().filter(|m| !m.is_final).collect();
                    if !later.is_empty() {
                        let put_off = |to: &Address| later.iter().any(|m| m.address == *to);
                        let reached = to.iter().filter(|to| !put_off(to)).map(Address::to_string);
                        let why: Vec<&str> = later.iter().map(|m| m.why.as_str()).collect();
                        return SendResult::Partly {
                            reached: reached.collect(),
                            why: plain(why.join("; ")),
                        };
                    }
                    let final_words = refused.into_iter().map(|missed| missed.why);
                    let missed: Vec<_> =
                        recipients.unusable.into_iter().chain(final_words).collect();
                    if !missed.is_empty() {
                        let missed = plain(missed.join("; "));
                        tracing::warn!(%contact, missed, "a mail did not go to all addresses");
                    }
                    SendResult::Delivered
                }
                Err(Failure::Retry(text)) => SendResult::Retry(plain(text)),
                Err(Failure::Ambiguous(text)) => SendResult::Ambiguous(plain(text)),
                Err(Failure::Refused(text)) => {
                    let all: Vec<_> = recipients.unusable.into_iter().chain([text]).collect();
                    SendResult::Refused(plain(all.join("; ")))
                }
            }
        })
    }
}

impl MailChannel {
    /// Hands the mail over for the addresses `to`; its header names `all`, so that every copy is
    /// the same.
    async fn attempt(
        &self,
        delivery: &Delivery<'_>,
        all: &[Address],
        to: &[Address],
    ) -> Result<Accepted, Failure> {
        if to.is_empty() {
            let text = format!("contact `{}` has no usable mail address", delivery.owed.contact);
            return Err(Failure::Refused(text));
        }
        let login = self.route.login(delivery.secrets).map_err(Failure::Retry)?;
        let from = &self.route.from;
        let content =
            compose::compose(delivery.owed, delivery.others, from, all).map_err(Failure::Retry)?;
        let parcel = Parcel { from: &from.address, to, content: &content, login };
        submit(&self.route, &parcel, delivery.deadline).await
    }
}

/// A contact's addresses.
struct Recipients {
    usable: Vec<Address>,
    /// The others, each with what is wrong with it.
    unusable: Vec<String>,
}

impl Recipients {
    fn of(contact: &Contact) -> Self {
        let mut recipients = Self { usable: Vec::new(), unusable: Vec::new() };
        for text in &contact.mail {
            match Address::parse(text) {
                Ok(address) => recipients.usable.push(address),
                Err(error) => recipients.unusable.push(format!("{}: {error}", one_line(text))),
            }
        }
        recipients
    }
}
