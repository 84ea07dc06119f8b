//! What is wanted of an answer, and whether it is so. Pure: a message in, a failure out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crosscheck_model::Cause;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Record, RecordType};
use schemars::JsonSchema;
use serde::Deserialize;

use super::answers::{Answers, without_dot};
use crate::resolve::{Failure, chain};
use crate::text::{List, Refused, Span, typed_text};

/// Everything that must hold for Up.
pub(super) struct Wanted {
    record_type: RecordType,
    rcode: Vec<Rcode>,
    answers: Option<Answers>,
    sections: Sections,
    ttl: Ttl,
    flags: Flags,
}

/// What is wanted of the sections beside the answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    /// Of the authority section.
    pub(super) authority: Option<Answers>,
    /// Of the additional section.
    pub(super) additional: Option<Answers>,
    /// The server is asked for what it holds itself.
    pub(super) of_zone: bool,
}

impl Wanted {
    pub(super) fn new(
        record_type: RecordType,
        rcode: List<Rcode>,
        answers: Option<Answers>,
        ttl: Ttl,
        flags: Flags,
    ) -> Self {
        let rcode = if rcode.is_empty() { vec![Rcode::NOERROR] } else { rcode.to_vec() };
        Self { record_type, rcode, answers, sections: Sections::default(), ttl, flags }
    }

    pub(super) fn with(mut self, sections: Sections) -> Self {
        self.sections = sections;
        self
    }

    /// Whether the server must be asked to say if it validated.
    pub(super) fn wants_authenticity(&self) -> bool {
        self.flags.authenticated.is_some()
    }

    /// Judges the response code, the flags, the answers and their TTL, in this order.
    ///
    /// # Errors
    /// The first that is not as wanted.
    pub(super) fn judge(&self, message: &Message) -> Result<(), Failure> {
        self.judge_rcode(message.response_code)?;
        self.judge_referral(message)?;
        self.flags.judge(message)?;
        for (name, wanted, records) in [
            ("authority", &self.sections.authority, &message.authorities),
            ("additional", &self.sections.additional, &message.additionals),
        ] {
            if let Some(wanted) = wanted {
                let records: Vec<_> = records.iter().map(whole).collect();
                wanted.judge(&records).map_err(|failure| {
                    let detail = format!("{name} section: {}", failure.detail);
                    Failure::new(failure.cause, detail)
                })?;
            }
        }
        let records: Vec<_> = self.records(message).map(value).collect();
        match &self.answers {
            Some(answers) => answers.judge(&records)?,
            // Where a failure is wanted, as NXDOMAIN, there is nothing to be answered.
            // A referral that is wanted has its records in the other sections.
            None if self.sections.authority.is_some() || self.sections.additional.is_some() => {}
            None if message.response_code == ResponseCode::NoError && records.is_empty() => {
                let cause = match self.record_type {
                    RecordType::A | RecordType::AAAA => Cause::DnsNoAddress,
                    _ => Cause::Answer,
                };
                return Err(Failure::new(cause, format!("no {} record", self.record_type)));
            }
            None => {}
        }
        self.records(message).try_for_each(|record| self.ttl.judge(record.ttl))
    }

    /// `rcode` as its number, `answers`, and the lowest `ttl` in seconds.
    pub(super) fn values(&self, message: &Message) -> BTreeMap<String, f64> {
        let code = f64::from(u16::from(message.response_code));
        let mut values = BTreeMap::from([
            ("rcode".to_owned(), code),
            ("answers".to_owned(), self.records(message).count() as f64),
        ]);
        if let Some(ttl) = self.records(message).map(|record| record.ttl).min() {
            values.insert("ttl".to_owned(), f64::from(ttl));
        }
        values
    }

    fn judge_rcode(&self, code: ResponseCode) -> Result<(), Failure> {
        if self.rcode.iter().any(|wanted| wanted.0 == u16::from(code)) {
            return Ok(());
        }
        let cause = match code {
            ResponseCode::NXDomain => Cause::DnsNxdomain,
            ResponseCode::ServFail => Cause::DnsServfail,
            ResponseCode::Refused => Cause::DnsRefused,
            _ => Cause::Answer,
        };
        let wanted: Vec<_> = self.rcode.iter().map(ToString::to_string).collect();
        let code = Rcode(u16::from(code));
        Err(Failure::new(cause, format!("answered {code}, wanted {}", wanted.join(" or "))))
    }

    /// A server of the zone that points at others does not hold it (RFC 8499: lame delegation).
    fn judge_referral(&self, message: &Message) -> Result<(), Failure> {
        let is_wanted = self.sections.authority.is_some() || self.sections.additional.is_some();
        if !self.sections.of_zone || is_wanted || !is_referral(message) {
            return Ok(());
        }
        let detail = "the server refers to others: it does not hold the zone (lame)";
        Err(Failure::new(Cause::LameServer, detail))
    }

    /// The records of the type asked for, not the aliases that lead to them, nor other names'.
    fn records<'a>(&self, message: &'a Message) -> impl Iterator<Item = &'a Record> {
        let (wanted, names) = (self.record_type, chain::names_answered(message));
        // Only an answer that reports an error may come without its question.
        let fits = move |record: &Record| names.is_empty() || names.contains(&record.name);
        message.answers.iter().filter(move |record| record.record_type() == wanted && fits(record))
    }
}

/// A record's value as people write it: names without their final dot.
fn value(record: &Record) -> String {
    let shown = record.data.to_string();
    if record.record_type() == RecordType::TXT {
        return shown;
    }
    let words: Vec<_> = shown.split(' ').map(without_dot).collect();
    words.join(" ")
}

/// Whether a message answers nothing and names the servers that would.
pub(super) fn is_referral(message: &Message) -> bool {
    message.response_code == ResponseCode::NoError
        && !message.authoritative
        && message.answers.is_empty()
        && message.authorities.iter().any(|record| record.record_type() == RecordType::NS)
}

/// A record of any type as people write it: its name, type and value.
fn whole(record: &Record) -> String {
    let name = record.name.to_ascii();
    format!("{} {} {}", without_dot(&name), record.record_type(), value(record))
}

/// The answer's records for the excerpt, one after the other.
pub(super) fn listing(message: &Message) -> String {
    let sections = [
        ("", &message.answers),
        ("authority ", &message.authorities),
        ("additional ", &message.additionals),
    ];
    let mut lines = vec![Rcode(u16::from(message.response_code)).to_string()];
    for (section, records) in sections {
        lines.extend(records.iter().map(|record| {
            let (name, kind) = (record.name.to_ascii(), record.record_type());
            format!("{section}{name} {} {kind} {}", record.ttl, value(record))
        }));
    }
    lines.join("\n")
}

/// A response code by its name in the IANA registry of DNS RCODEs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rcode(u16);

impl Rcode {
    const NOERROR: Self = Self(0);
}

/// RFC 6895 section 2.3.
const RCODES: [(&str, u16); 12] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("YXRRSET", 7),
    ("NXRRSET", 8),
    ("NOTAUTH", 9),
    ("NOTZONE", 10),
    ("BADVERS", 16),
];

impl FromStr for Rcode {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let found = RCODES.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, code)| Self(code)).ok_or_else(|| {
            let names = RCODES.map(|(name, _)| name).join(", ");
            Refused::new(format!("`{text}` is no response code; write one of {names}"))
        })
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match RCODES.into_iter().find(|(_, code)| *code == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

typed_text!(Rcode, "a response code such as `NOERROR`", {
    "type": "string",
    "enum": ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN",
             "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE", "BADVERS"]
});

/// The bounds of a TTL.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ttl {
    /// The least, such as `60s`.
    min: Option<Span>,
    /// The most, such as `1h`.
    max: Option<Span>,
}

impl Ttl {
    pub(super) fn contradiction(&self) -> Option<Refused> {
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => {
                Some(Refused::new(format!("`min` {min} is more than `max` {max}")))
            }
            _ => None,
        }
    }

    fn judge(&self, seconds: u32) -> Result<(), Failure> {
        let ttl = Span::new(std::time::Duration::from_secs(seconds.into()));
        let detail = match (self.min, self.max) {
            (Some(min), _) if ttl < min => format!("the TTL is {ttl}, less than {min}"),
            (_, Some(max)) if ttl > max => format!("the TTL is {ttl}, more than {max}"),
            _ => return Ok(()),
        };
        Err(Failure::new(Cause::Answer, detail))
    }
}

/// The header's flags (RFC 1035 section 4.1.1, RFC 4035 section 3.2.3); those left out may be
/// either way.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Flags {
    /// AA: the server holds the zone.
    authoritative: Option<bool>,
    /// RA: the server would ask others.
    recursion_available: Option<bool>,
    /// AD: the server validated the answer with DNSSEC.
    authenticated: Option<bool>,
}

impl Flags {
    fn judge(&self, message: &Message) -> Result<(), Failure> {
        for (wanted, is, name) in [
            (self.authoritative, message.authoritative, "authoritative (AA)"),
            (self.recursion_available, message.recursion_available, "recursion available (RA)"),
            (self.authenticated, message.authentic_data, "authenticated (AD)"),
        ] {
            if wanted.is_some_and(|wanted| wanted != is) {
                let not = if is { "is" } else { "is not" };
                let detail = format!("the answer {not} marked {name}");
                return Err(Failure::new(Cause::Answer, detail));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::{A, CNAME, MX, TXT};
    use serde_json::json;

    use super::*;
    use crate::resolve::scripted::{record, reply};

    fn name(text: &str) -> hickory_proto::rr::Name {
        hickory_proto::rr::Name::from_ascii(text).expect("a name")
    }

    fn message(code: ResponseCode, records: Vec<RData>) -> Message {
        let query = Message::new(
            1,
            hickory_proto::op::MessageType::Query,
            hickory_proto::op::OpCode::Query,
        );
        let mut message = reply(&query, code);
        message.add_answers(records.into_iter().map(|data| record("a.example.", data)));
        message
    }

    fn a(text: &str) -> RData {
        RData::A(A(text.parse().expect("an address")))
    }

    fn wanted(record_type: RecordType, answers: serde_json::Value) -> Wanted {
        let answers = serde_json::from_value(answers).expect("well-formed");
        Wanted::new(record_type, List::default(), answers, Ttl::default(), Flags::default())
    }

    #[test]
    fn answers_are_compared_by_condition() {
        let records = || vec![a("192.0.2.1"), a("192.0.2.2")];
        for (answers, fits) in [
            (json!(null), true),
            (json!({ "any": "192.0.2.1" }), true),
            (json!({ "any": ["192.0.2.9", "192.0.2.2"] }), true),
            (json!({ "any": ["192.0.2.9"] }), false),
            (json!({ "all": ["192.0.2.2", "192.0.2.1"] }), true),
            (json!({ "all": ["192.0.2.1"] }), true),
            (json!({ "all": ["192.0.2.1", "192.0.2.9"] }), false),
            (json!({ "only": ["192.0.2.1"] }), false),
            (json!({ "only": [{ "matches": "^192\\.0\\.2\\." }] }), true),
            (json!({ "none": ["192.0.2.2"] }), false),
            (json!({ "none": [{ "matches": "^10\\." }] }), true),
            (json!({ "any": "192.0.2.1", "none": "192.0.2.2" }), false),
        ] {
            let judged = wanted(RecordType::A, answers.clone())
                .judge(&message(ResponseCode::NoError, records()));
            assert_eq!(judged.is_ok(), fits, "{answers}: {judged:?}");
            if let Err(failure) = judged {
                assert_eq!(failure.cause, Cause::Answer);
            }
        }
    }

    #[test]
    fn values_are_compared_as_their_type_is_meant() {
        let mx = RData::MX(MX::new(10, name("Mail.Example.COM.")));
        let txt = RData::TXT(TXT::new(vec!["v=spf1 ".to_owned(), "-all".to_owned()]));
        for (record_type, data, answers, fits) in [
            (RecordType::MX, mx.clone(), json!({ "any": "10 mail.example.com" }), true),
            (RecordType::MX, mx.clone(), json!({ "any": "10 mail.example.com." }), true),
            (RecordType::MX, mx.clone(), json!({ "any": "20 mail.example.com" }), false),
            (
                RecordType::MX,
                mx,
                json!({ "any": { "matches": "(?i)mail\\.example\\.com$" } }),
                true,
            ),
            (RecordType::TXT, txt.clone(), json!({ "any": "v=spf1 -all" }), true),
            (RecordType::TXT, txt, json!({ "any": "v=spf1" }), false),
        ] {
            let judged = wanted(record_type, answers.clone())
                .judge(&message(ResponseCode::NoError, vec![data]));
            assert_eq!(judged.is_ok(), fits, "{answers}: {judged:?}");
        }
    }

    #[test]
    fn an_alias_is_no_answer() {
        let alias = RData::CNAME(CNAME(name("b.example.")));
        let failure = wanted(RecordType::A, json!(null))
            .judge(&message(ResponseCode::NoError, vec![alias.clone()]))
            .expect_err("no address");
        assert_eq!(failure.cause, Cause::DnsNoAddress);
        let asked = wanted(RecordType::CNAME, json!({ "any": "b.example" }));
        assert_eq!(asked.judge(&message(ResponseCode::NoError, vec![alias])), Ok(()));
    }

    #[test]
    fn the_response_code_must_be_the_one_wanted() {
        for (is, wants, cause) in [
            (ResponseCode::NoError, None, Some(Cause::DnsNoAddress)),
            (ResponseCode::NXDomain, None, Some(Cause::DnsNxdomain)),
            (ResponseCode::ServFail, None, Some(Cause::DnsServfail)),
            (ResponseCode::Refused, None, Some(Cause::DnsRefused)),
            (ResponseCode::NotImp, None, Some(Cause::Answer)),
            (ResponseCode::NXDomain, Some("nxdomain"), None),
            (ResponseCode::Refused, Some("REFUSED"), None),
            (ResponseCode::ServFail, Some("REFUSED"), Some(Cause::DnsServfail)),
        ] {
            let rcode = wants.map(|text| vec![text.parse().expect("a code")]).unwrap_or_default();
            let wanted =
                Wanted::new(RecordType::A, rcode.into(), None, Ttl::default(), Flags::default());
            let judged = wanted.judge(&message(is, Vec::new()));
            assert_eq!(judged.err().map(|failure| failure.cause), cause, "{is} {wants:?}");
        }
    }

    #[test]
    fn ttl_and_flags_are_judged() {
        let judge = |ttl: serde_json::Value, flags: serde_json::Value| {
            let ttl = serde_json::from_value(ttl).expect("well-formed");
            let flags = serde_json::from_value(flags).expect("well-formed");
            let wanted = Wanted::new(RecordType::A, List::default(), None, ttl, flags);
            wanted.judge(&message(ResponseCode::NoError, vec![a("192.0.2.1")]))
        };
        for (ttl, flags, detail) in [
            (json!({ "min": "300s", "max": "5m" }), json!({}), None),
            (json!({ "min": "301s" }), json!({}), Some("the TTL is 5m, less than 5m1s")),
            (json!({ "max": "1m" }), json!({}), Some("the TTL is 5m, more than 1m")),
            (json!({}), json!({ "recursion_available": true, "authoritative": false }), None),
            (
                json!({}),
                json!({ "authoritative": true }),
                Some("the answer is not marked authoritative (AA)"),
            ),
            (
                json!({}),
                json!({ "recursion_available": false }),
                Some("the answer is marked recursion available (RA)"),
            ),
        ] {
            let judged = judge(ttl, flags).err().map(|failure| failure.detail);
            assert_eq!(judged.as_deref(), detail);
        }
    }

    #[test]
    fn numbers_are_reported() {
        let values = wanted(RecordType::A, json!(null))
            .values(&message(ResponseCode::NoError, vec![a("192.0.2.1"), a("192.0.2.2")]));
        let expected = [("answers", 2.0), ("rcode", 0.0), ("ttl", 300.0)];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }
}
