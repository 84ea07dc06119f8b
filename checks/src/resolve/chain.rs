//! What an answer says about a name's addresses. Pure: messages in, steps out.

use std::net::IpAddr;

use crosscheck_model::Cause;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::excerpt;
use crate::resolve::Failure;

/// Aliases followed for one name. Real chains have up to about five; BIND stops at 16.
const ALIAS_LIMIT: usize = 16;

/// Names are up to 255 bytes long and not ours: this much of a path tells which it is.
const PATH_SHOWN_BYTES: usize = 512;

/// Whether the server did its duty: it said what there is, even if that is nothing.
///
/// # Errors
/// It could not, or would not.
pub(super) fn answered(message: &Message) -> Result<(), Failure> {
    let referral = message.answers.is_empty()
        && !message.recursion_available
        && !message.authoritative
        && message.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    match message.response_code {
        ResponseCode::NoError if referral => Err(Failure::new(
            Cause::DnsRefused,
            "it refers to other servers and does not resolve by itself",
        )),
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        ResponseCode::Refused => Err(Failure::new(Cause::DnsRefused, "answered REFUSED")),
        ResponseCode::ServFail => Err(Failure::new(Cause::DnsServfail, "answered SERVFAIL")),
        other => Err(Failure::new(Cause::DnsServfail, format!("answered {other}"))),
    }
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// These are the addresses.
    Addresses(Vec<IpAddr>),
    /// The chain of aliases ends outside the answer: ask for the current name.
    AskAgain,
}

/// The way from the name asked for to the name that has addresses.
pub(super) struct Aliases {
    names: Vec<Name>,
}

impl Aliases {
    pub(super) fn of(name: Name) -> Self {
        Self { names: vec![name] }
    }

    /// The name to ask for now.
    pub(super) fn current(&self) -> &Name {
        self.names.last().expect("there is a first name, and none is ever removed")
    }

    /// Follows the aliases in an answer about the current name.
    ///
    /// # Errors
    /// The name does not exist, has no such address, or its aliases lead nowhere.
    pub(super) fn follow(
        &mut self,
        message: &Message,
        record_type: RecordType,
    ) -> Result<Step, Failure> {
        let asked = self.names.len();
        while let Some(target) = alias(message, self.current()) {
            self.push(target)?;
        }
        let addresses = addresses(message, self.current(), record_type);
        if !addresses.is_empty() {
            return Ok(Step::Addresses(addresses));
        }
        if message.response_code == ResponseCode::NXDomain {
            let detail = format!("{} does not exist", self.path());
            return Err(Failure::new(Cause::DnsNxdomain, detail));
        }
        if self.names.len() > asked {
            return Ok(Step::AskAgain);
        }
        let detail = format!("{} has no {record_type} record", self.path());
        Err(Failure::new(Cause::DnsNoAddress, detail))
    }

    fn push(&mut self, target: Name) -> Result<(), Failure> {
        let looped = self.names.contains(&target);
        self.names.push(target);
        if looped || self.names.len() > ALIAS_LIMIT {
            let what = if looped { "go round in circles" } else { "are too many" };
            let detail = format!("the aliases {what}: {}", self.path());
            return Err(Failure::new(Cause::DnsServfail, detail));
        }
        Ok(())
    }

    /// The names so far, as people read them.
    fn path(&self) -> String {
        let names: Vec<_> =
            self.names.iter().map(|n| n.to_ascii().trim_end_matches('.').to_owned()).collect();
        excerpt::shorten(&names.join(" -> "), PATH_SHOWN_BYTES)
    }
}

/// The names that an answer is about: the one asked for, and those that its aliases lead to.
/// Records of other names are no answer, whoever adds them.
pub(crate) fn names_answered(message: &Message) -> Vec<Name> {
    let mut names: Vec<Name> = message.queries.iter().map(|query| query.name().clone()).collect();
    while let Some(target) = names.last().and_then(|name| alias(message, name))
        && !names.contains(&target)
    {
        names.push(target);
    }
    names
}

fn alias(message: &Message, name: &Name) -> Option<Name> {
    message.answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some(target.0.clone()),
        _ => None,
    })
}

fn addresses(message: &Message, name: &Name, record_type: RecordType) -> Vec<IpAddr> {
    let fitting = message
        .answers
        .iter()
        .filter(|record| record.name == *name && record.record_type() == record_type);
    let mut addresses = Vec::new();
    for record in fitting {
        let address = match &record.data {
            RData::A(a) => IpAddr::V4(a.0),
            RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
            _ => continue,
        };
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("well-formed")
    }

    fn answer(code: ResponseCode, records: &[(&str, &str)]) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        for (owner, value) in records {
            let data = match value.parse() {
                Ok(ip) => RData::A(A(ip)),
                Err(_) => RData::CNAME(CNAME(name(value))),
            };
            message.add_answer(Record::from_rdata(name(owner), 60, data));
        }
        message
    }

    fn follow(code: ResponseCode, records: &[(&str, &str)]) -> Result<Step, Failure> {
        Aliases::of(name("a.")).follow(&answer(code, records), RecordType::A)
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn aliases_are_followed_inside_the_answer_in_any_order() {
        for records in [
            &[("a.", "192.0.2.1")][..],
            &[("a.", "b."), ("b.", "192.0.2.1")],
            &[("c.", "192.0.2.1"), ("b.", "c."), ("A.", "B.")],
            &[("a.", "192.0.2.1"), ("a.", "192.0.2.1"), ("x.", "192.0.2.9")],
        ] {
            let step = follow(ResponseCode::NoError, records);
            assert_eq!(step, Ok(Step::Addresses(ips(&["192.0.2.1"]))), "{records:?}");
        }
    }

    #[test]
    fn the_servers_order_stays() {
        let records = [("a.", "192.0.2.2"), ("a.", "192.0.2.1")];
        assert_eq!(
            follow(ResponseCode::NoError, &records),
            Ok(Step::Addresses(ips(&["192.0.2.2", "192.0.2.1"])))
        );
    }

    #[test]
    fn a_chain_that_leaves_the_answer_is_asked_for_again() {
        let mut aliases = Aliases::of(name("a."));
        let step = aliases.follow(&answer(ResponseCode::NoError, &[("a.", "b.")]), RecordType::A);
        assert_eq!(step, Ok(Step::AskAgain));
        assert_eq!(*aliases.current(), name("b."));
        let failure = aliases
            .follow(&answer(ResponseCode::NoError, &[]), RecordType::A)
            .expect_err("nothing there");
        assert_eq!(failure, Failure::new(Cause::DnsNoAddress, "a -> b has no A record"));
    }

    #[test]
    fn failures_are_told_apart() {
        for (code, records, cause) in [
            (ResponseCode::NXDomain, &[][..], Cause::DnsNxdomain),
            (ResponseCode::NXDomain, &[("a.", "b.")], Cause::DnsNxdomain),
            (ResponseCode::NoError, &[], Cause::DnsNoAddress),
            (ResponseCode::NoError, &[("x.", "192.0.2.1")], Cause::DnsNoAddress),
            (ResponseCode::NoError, &[("a.", "b."), ("b.", "a.")], Cause::DnsServfail),
            (ResponseCode::NoError, &[("a.", "a.")], Cause::DnsServfail),
        ] {
            let failure = follow(code, records).expect_err("no address");
            assert_eq!(failure.cause, cause, "{records:?}: {}", failure.detail);
        }
    }

    #[test]
    fn an_endless_chain_is_cut() {
        let names: Vec<_> = (0..40).map(|n| format!("n{n}.")).collect();
        let mut records = vec![("a.", "n0.")];
        records.extend(names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())));
        let failure = follow(ResponseCode::NoError, &records).expect_err("too long");
        assert!(failure.detail.starts_with("the aliases are too many"), "{}", failure.detail);
    }

    #[test]
    fn a_server_that_gives_no_answer_is_passed_over() {
        for (code, cause) in [
            (ResponseCode::NoError, None),
            (ResponseCode::NXDomain, None),
            (ResponseCode::ServFail, Some(Cause::DnsServfail)),
            (ResponseCode::Refused, Some(Cause::DnsRefused)),
            (ResponseCode::NotImp, Some(Cause::DnsServfail)),
        ] {
            let verdict = answered(&answer(code, &[])).err().map(|failure| failure.cause);
            assert_eq!(verdict, cause, "{code}");
        }
    }
}
