//! Who is told of what and by which channel: contacts, channels, routes, operators.

use crosscheck_model::config::{Channel, Contact, Route};
use crosscheck_model::{ContactId, pattern};

use super::fields::{self, Fields};
use super::tree::{Entry, Node, Span};
use super::{Reading, alarm, hint, settings, words};

/// The channel of a route that names none.
const USUAL_CHANNEL: &str = "mail";

impl Reading<'_> {
    /// Reads `contacts`, `channels` and `operators`.
    pub(super) fn people(&mut self, document: &Fields<'_>) {
        if let Some(entry) = document.entry("contacts") {
            for contact in fields::named(entry, &mut self.findings) {
                self.contact(contact);
            }
        }
        if let Some(entry) = document.entry("channels") {
            for channel in fields::named(entry, &mut self.findings) {
                self.channel(channel);
            }
        }
        match document.texts("operators", &mut self.findings) {
            Some(names) => self.operators(&names),
            None if self.config.channels.is_empty() => {}
            None => {
                let message = "no `operators`: nobody is told when a probe, a site, a channel or a \
                               coordinator is in trouble";
                let hint = "add `operators: [NAME]`, of the contacts".to_owned();
                self.findings.warning(document.at(), message).hint(hint);
            }
        }
    }

    /// Operators are told by every channel that they have an address for.
    fn operators(&mut self, names: &[(String, Span)]) {
        for (name, span) in names {
            let Some(id) = self.known_contact(name, *span) else { continue };
            let kinds = self.catalogue.channels.iter();
            let mut used = kinds.filter(|kind| self.config.channels.contains_key(kind.name()));
            let contact = &self.config.contacts[&id];
            let has_channels = !self.config.channels.is_empty();
            if has_channels && used.all(|kind| kind.lacks(contact).is_some()) {
                let message = format!("operator `{id}` has no address for any channel");
                self.findings.error(*span, message).hint("add it to the contact".to_owned());
            }
            self.config.operators.push(id);
        }
    }

    fn contact(&mut self, entry: &Entry) {
        self.name("contact", &entry.key.name, entry.key.span);
        let id = ContactId::new(entry.key.name.as_str());
        let found = &mut self.findings;
        let mut contact = Contact::default();
        if let Some(fields) = Fields::of(&entry.value, entry.key.span, &words::CONTACT, found) {
            let mail = fields.texts("mail", found).unwrap_or_default();
            let phone = fields.entry("phone");
            if mail.is_empty() && phone.is_none() {
                let message = format!("contact `{id}` has no address: nobody could be told");
                found.error(entry.key.span, message).hint("add `mail` or `phone`".to_owned());
            }
            for (address, span) in mail {
                if let Err(reason) = mail_address(&address) {
                    let shown: String = address.escape_debug().collect();
                    found.error(span, format!("`{shown}` is no mail address: {reason}"));
                }
                contact.mail.push(address);
            }
            contact.apart = fields.flag("apart", found).unwrap_or_default();
            contact.phone = fields.text("phone", found);
            if let (Some(number), Some(phone)) = (&contact.phone, phone)
                && !is_phone(number)
            {
                found
                    .error(fields::place(phone), format!("`{number}` is no telephone number"))
                    .hint(
                        "`+`, the country code and the number, in quotes: \"+861000000000\""
                            .to_owned(),
                    );
            }
        }
        self.config.contacts.insert(id, contact);
    }

    fn channel(&mut self, entry: &Entry) {
        let name = entry.key.name.as_str();
        let kinds = self.catalogue.channels;
        let Some(kind) = kinds.iter().copied().find(|kind| kind.name() == name) else {
            let hint = hint::nearest(name, kinds.iter().map(|kind| kind.name()));
            self.findings.error(entry.key.span, format!("unknown channel `{name}`")).hint(hint);
            return;
        };
        let make = |generator: &mut _| kind.schema(generator);
        let known = self.schemas.known(kind.name(), make, &entry.value, &mut self.findings);
        self.note_secrets(&known);
        let parse = |settings: &_| kind.parse(settings);
        let parsed = settings::parse(entry, &known, parse, &mut self.findings);
        let settings = parsed.map(|((), settings)| settings.to_string()).unwrap_or_default();
        let channel = Channel { kind: name.to_owned(), settings };
        self.config.channels.insert(name.to_owned(), channel);
    }

    /// Reads `routes`; the checks must have been read.
    pub(super) fn routes(&mut self, entry: Option<&Entry>) {
        let Some(entry) = entry else { return };
        for node in fields::items(entry, &mut self.findings) {
            let route = self.route(node);
            self.config.routes.extend(route);
        }
    }

    fn route(&mut self, node: &Node) -> Option<Route> {
        let found = &mut self.findings;
        let fields = Fields::of(node, node.span, &words::ROUTE, found)?;
        let severities = fields.texts("severity", found).unwrap_or_default();
        let severities = severities
            .iter()
            .filter_map(|(text, span)| alarm::severity(text, *span, found))
            .collect();
        let to = fields.required("to", found).and_then(|entry| fields::texts(entry, found));
        let channels = fields.entry("channels").and_then(|entry| fields::texts(entry, found));
        let customer = self.owner_of(node.span, fields.entry("customer"));
        let checks = self.patterns(&fields, customer.as_ref());
        let to: Vec<(ContactId, Span)> = to
            .into_iter()
            .flatten()
            .filter_map(|(name, span)| Some((self.known_contact(&name, span)?, span)))
            .collect();
        let channels = match channels {
            Some(names) => {
                names.into_iter().filter_map(|(name, at)| self.known_channel(name, at)).collect()
            }
            None => self.usual_channel(node.span),
        };
        self.reachable(&to, &channels);
        let to = to.into_iter().map(|(id, _)| id).collect();
        Some(Route { severities, checks, customer, to, channels })
    }

    /// The channel of a route that names none: `mail`, or the only one there is.
    fn usual_channel(&mut self, span: Span) -> Vec<String> {
        let mut names: Vec<&String> = self.config.channels.keys().collect();
        if names.iter().any(|name| *name == USUAL_CHANNEL) || names.len() == 1 {
            names.retain(|name| *name == USUAL_CHANNEL || self.config.channels.len() == 1);
            return names.into_iter().cloned().collect();
        }
        let hint = match names.is_empty() {
            true => "describe one under `channels`: `mail: { smtp: .., from: .. }`".to_owned(),
            false => format!("add `channels`, of {}", hint::list(&names)),
        };
        self.findings.error(span, "a route without a channel: nobody would be told").hint(hint);
        Vec::new()
    }

    /// Reports contacts without the address that a route's channel needs.
    fn reachable(&mut self, to: &[(ContactId, Span)], channels: &[String]) {
        for name in channels {
            let kinds = self.catalogue.channels.iter();
            let Some(kind) = kinds.copied().find(|kind| kind.name() == name) else { continue };
            for (id, span) in to {
                let Some(contact) = self.config.contacts.get(id) else { continue };
                let Some(lacks) = kind.lacks(contact) else { continue };
                let message = format!("contact `{id}` has no {lacks} for channel `{name}`");
                self.findings.error(*span, message);
            }
        }
    }

    /// The patterns of checks' names; those that fit no check of the customer are reported.
    pub(super) fn patterns(
        &mut self,
        fields: &Fields<'_>,
        customer: Option<&crosscheck_model::CustomerId>,
    ) -> Vec<String> {
        let patterns = fields.texts("checks", &mut self.findings).unwrap_or_default();
        for (wanted, span) in &patterns {
            let mine = |check: &&crosscheck_model::CheckSpec| {
                customer.is_none() || check.customer.as_ref() == customer
            };
            let names = || self.config.checks.iter().filter(mine).map(|check| check.name.as_str());
            if names().any(|name| pattern::matches(wanted, name)) {
                continue;
            }
            let hint = hint::nearest(wanted, names());
            self.findings.warning(*span, format!("no check's name fits `{wanted}`")).hint(hint);
        }
        patterns.into_iter().map(|(pattern, _)| pattern).collect()
    }

    fn known_contact(&mut self, name: &str, span: Span) -> Option<ContactId> {
        let id = ContactId::new(name);
        if self.config.contacts.contains_key(&id) {
            return Some(id);
        }
        let hint = hint::nearest(name, self.config.contacts.keys().map(ContactId::as_str));
        self.findings.error(span, format!("unknown contact `{name}`")).hint(hint);
        None
    }

    fn known_channel(&mut self, name: String, span: Span) -> Option<String> {
        if self.config.channels.contains_key(&name) {
            return Some(name);
        }
        let hint = hint::nearest(&name, self.config.channels.keys().map(String::as_str));
        let hint = hint.or_else(|| Some("describe it under `channels`".to_owned()));
        self.findings.error(span, format!("channel `{name}` is not configured")).hint(hint);
        None
    }
}

/// Whether a text can be an address in a mail's header and envelope.
fn mail_address(address: &str) -> Result<(), &'static str> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\".contains(c);
    if address.chars().any(char::is_control) {
        return Err("it has a line break or another control character");
    }
    if address.chars().any(forbidden) {
        return Err("it has a blank or one of `<>,;:\"()[]\\`");
    }
    match address.split('@').collect::<Vec<_>>()[..] {
        [local, domain] if !local.is_empty() && !domain.is_empty() => Ok(()),
        [_] => Err("it has no `@`"),
        _ => Err("it is not of the form `name@domain`"),
    }
}

/// Whether a text is a telephone number in international form (E.164: at most 15 digits).
fn is_phone(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_could_break_a_mail_are_refused() {
        for (address, fine) in [
            ("ops@example.com", true),
            ("ops+a.b@example.com", true),
            ("ops", false),
            ("@example.com", false),
            ("a@b@c", false),
            ("a@b\r\nBcc: x@y", false),
            ("a@b\0", false),
            ("A <a@b>", false),
        ] {
            assert_eq!(mail_address(address).is_ok(), fine, "{address:?}");
        }
        assert!(is_phone("+861000000000") && !is_phone("861000000000") && !is_phone("+86 10"));
    }
}
