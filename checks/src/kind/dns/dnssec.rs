//! Signatures of answers (RFC 4034, RFC 4035): that they are there, how long they hold, and whether
//! they hold at all, by a chain of trust from an anchor.
//!
//! What is validated is that the records are those that the zone's owner has signed. That a name
//! or type does not exist is proved by records (NSEC, NSEC3) whose signatures are validated, but
//! whose reasoning is not followed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crosscheck_model::Cause;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS, RRSIG};
use hickory_proto::dnssec::{Algorithm, DigestType, TrustAnchors, Verifier};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::resolve::Failure;
use crate::text::{Hex, List, Refused, Span, typed_text};

/// What is wanted of signatures, as people write it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DnssecWords {
    /// Degraded when a signature expires within this time, such as `3d`.
    expires_within: Option<Span>,
    /// Whether the signatures are validated, up to a trust anchor. Left out, they must be there
    /// and be of this time.
    #[serde(default)]
    validate: bool,
    /// Keys to trust, written as DS records: `example.com 12345 13 2 49FD46E6..`. Left out: those
    /// of the root, for which the server must be one that asks others.
    #[serde(default)]
    anchors: List<Anchor>,
}

/// What is wanted of signatures.
#[derive(Default)]
pub(super) struct Dnssec {
    expires_within_seconds: Option<u64>,
    pub(super) validate: bool,
    anchors: Vec<Anchor>,
}

impl DnssecWords {
    /// Without anything left to parse.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub(super) fn into_dnssec(self) -> Result<Dnssec, (Vec<String>, Refused)> {
        if !self.anchors.is_empty() && !self.validate {
            let refused = Refused::new("`anchors` without `validate: true`");
            return Err((vec!["anchors".to_owned()], refused));
        }
        Ok(Dnssec {
            expires_within_seconds: self.expires_within.map(|span| span.get().as_secs()),
            validate: self.validate,
            anchors: self.anchors.to_vec(),
        })
    }
}

/// A key of a zone to trust, by its digest (RFC 4034 section 5).
#[derive(Clone, Debug)]
struct Anchor {
    zone: Name,
    ds: DS,
}

impl FromStr for Anchor {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let form = || {
            let form = "example.com 12345 13 2 49FD46E6C4B45C55D4AC..";
            Refused::new(format!("`{text}` is no DS record; write `{form}`"))
        };
        let words: Vec<&str> =
            text.split_whitespace().filter(|word| !matches!(*word, "IN" | "DS")).collect();
        let [zone, tag, algorithm, digest_type, digest @ ..] = words.as_slice() else {
            return Err(form());
        };
        let mut zone = Name::from_str_relaxed(zone).map_err(|_| form())?;
        zone.set_fqdn(true);
        let algorithm = Algorithm::from_u8(algorithm.parse().map_err(|_| form())?);
        let digest_type = DigestType::from(digest_type.parse::<u8>().map_err(|_| form())?);
        if !digest_type.is_supported() {
            return Err(Refused::new(format!(
                "the digest of `{text}` is of no known type; write 2"
            )));
        }
        let digest: Hex = digest.concat().parse().map_err(|_| form())?;
        let tag = tag.parse().map_err(|_| form())?;
        let ds = DS::new(tag, algorithm, digest_type, digest.bytes().to_vec());
        Ok(Self { zone, ds })
    }
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.zone, self.ds)
    }
}

typed_text!(Anchor, "a DS record such as `example.com 12345 13 2 49FD46E6..`", {
    "type": "string",
    "description": "a key of a zone to trust, as a DS record: `example.com 12345 13 2 49FD46E6..`"
});

/// Gets the records of a name and type with their signatures.
pub(super) type Fetch<'a> =
    &'a (dyn Fn(Name, RecordType) -> BoxFuture<'a, Result<Message, Failure>> + Sync);

/// The most that one answer's chain may ask for: two questions a label, for deep names too.
const FETCH_LIMIT: usize = 24;

/// The most signatures tried over one set, so that a zone cannot keep the probe computing
/// (CVE-2023-50387).
const TRIED_LIMIT: usize = 8;

impl Dnssec {
    /// Judges the signatures of an answer; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// None is there, one does not hold, or one expires soon.
    pub(super) async fn judge(
        &self,
        message: &Message,
        now: u32,
        fetch: Fetch<'_>,
    ) -> Result<(), Failure> {
        let section =
            if message.answers.is_empty() { &message.authorities } else { &message.answers };
        let sets = sets(section);
        let signed = sets.keys().filter(|(name, _)| signatures_at(section, name).next().is_some());
        if signed.count() == 0 {
            let detail = "the answer carries no signature (RRSIG)";
            return Err(Failure::new(Cause::DnssecUnsigned, detail));
        }
        let mut chain =
            Chain { anchors: &self.anchors, now, fetch, keys: BTreeMap::new(), asked: 0 };
        for ((name, record_type), records) in &sets {
            // A referral's NS set is not the parent's to sign (RFC 4035 section 2.2).
            if *record_type == RecordType::NS && message.answers.is_empty() {
                continue;
            }
            if self.validate {
                chain.hold(name, *record_type, records, section).await?;
            } else {
                in_time(name, *record_type, section, now)?;
            }
        }
        let days = seconds_left(message, now);
        match (self.expires_within_seconds, days) {
            (Some(within), Some(left)) if left < i64::try_from(within).unwrap_or(i64::MAX) => {
                let days = left as f64 / 86_400.0;
                let detail = format!("a signature expires in {days:.1} days");
                Err(Failure::new(Cause::DnssecExpiring, detail))
            }
            _ => Ok(()),
        }
    }
}

/// Until the first of an answer's signatures expires; below 0 when it has.
pub(super) fn seconds_left(message: &Message, now: u32) -> Option<i64> {
    let records = message.answers.iter().chain(&message.authorities);
    records.filter_map(signature).map(|rrsig| left(rrsig, now)).min()
}

/// In serial number arithmetic (RFC 4034 section 3.1.5).
fn left(rrsig: &RRSIG, now: u32) -> i64 {
    i64::from(rrsig.input().sig_expiration.get().wrapping_sub(now).cast_signed())
}

fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => Some(rrsig),
        _ => None,
    }
}

fn signatures_at<'a>(
    section: &'a [Record],
    name: &'a Name,
) -> impl Iterator<Item = &'a RRSIG> + 'a {
    section.iter().filter(move |record| record.name == *name).filter_map(signature)
}

fn covering<'a>(section: &'a [Record], name: &'a Name, record_type: RecordType) -> Vec<&'a RRSIG> {
    signatures_at(section, name).filter(|rrsig| rrsig.input().type_covered == record_type).collect()
}

/// The records by name and type, without signatures.
fn sets(section: &[Record]) -> BTreeMap<(Name, RecordType), Vec<&Record>> {
    let mut sets = BTreeMap::<_, Vec<_>>::new();
    for record in section.iter().filter(|record| signature(record).is_none()) {
        sets.entry((record.name.clone(), record.record_type())).or_default().push(record);
    }
    sets
}

fn unsigned(name: &Name, record_type: RecordType) -> Failure {
    let detail = format!("{name} {record_type} carries no signature (RRSIG)");
    Failure::new(Cause::DnssecUnsigned, detail)
}

fn bogus(detail: String) -> Failure {
    Failure::new(Cause::DnssecBogus, detail)
}

/// One of the signatures over a set must be of this time.
fn in_time(
    name: &Name,
    record_type: RecordType,
    section: &[Record],
    now: u32,
) -> Result<(), Failure> {
    let signatures = covering(section, name, record_type);
    if signatures.is_empty() {
        return Err(unsigned(name, record_type));
    }
    let why: Vec<String> = signatures.iter().filter_map(|rrsig| out_of_time(rrsig, now)).collect();
    if why.len() < signatures.len() {
        return Ok(());
    }
    Err(bogus(format!("{name} {record_type}: {}", why.join("; "))))
}

fn out_of_time(rrsig: &RRSIG, now: u32) -> Option<String> {
    let input = rrsig.input();
    let days = |seconds: i64| seconds as f64 / 86_400.0;
    let until = left(rrsig, now);
    let since = i64::from(now.wrapping_sub(input.sig_inception.get()).cast_signed());
    let tag = input.key_tag;
    if until < 0 {
        return Some(format!("the signature of key {tag} expired {:.1} days ago", days(-until)));
    }
    (since < 0).then(|| format!("the signature of key {tag} begins in {:.1} days", days(-since)))
}

/// Walks from a signature to an anchor.
struct Chain<'s, 'a> {
    anchors: &'s [Anchor],
    now: u32,
    fetch: Fetch<'a>,
    /// Trusted keys by zone.
    keys: BTreeMap<Name, Vec<DNSKEY>>,
    asked: usize,
}

impl Chain<'_, '_> {
    /// A set of records must be signed by a trusted key of a zone at or above its name.
    async fn hold(
        &mut self,
        name: &Name,
        record_type: RecordType,
        records: &[&Record],
        section: &[Record],
    ) -> Result<(), Failure> {
        let signatures = covering(section, name, record_type);
        if signatures.is_empty() {
            return Err(unsigned(name, record_type));
        }
        let mut last = String::new();
        for rrsig in signatures.into_iter().take(TRIED_LIMIT) {
            let signer = &rrsig.input().signer_name;
            if !signer.zone_of(name) {
                last = format!("`{signer}` signs what is not below it");
                continue;
            }
            if let Some(why) = out_of_time(rrsig, self.now) {
                last = why;
                continue;
            }
            let keys = self.trusted(signer.clone()).await?;
            match verified(rrsig, name, records, &keys) {
                Ok(()) => return Ok(()),
                Err(why) => last = why,
            }
        }
        Err(bogus(format!("{name} {record_type}: {last}")))
    }

    /// The keys of a zone, which an anchor or the zone above vouches for.
    fn trusted(&mut self, zone: Name) -> BoxFuture<'_, Result<Vec<DNSKEY>, Failure>> {
        async move {
            if let Some(keys) = self.keys.get(&zone) {
                return Ok(keys.clone());
            }
            let message = self.get(zone.clone(), RecordType::DNSKEY).await?;
            let sets = sets(&message.answers);
            let records = sets.get(&(zone.clone(), RecordType::DNSKEY));
            let Some(records) = records else {
                return Err(bogus(format!("`{zone}` signs, but has no keys (DNSKEY)")));
            };
            let keys: Vec<DNSKEY> = records.iter().filter_map(|record| key(record)).collect();
            let entries = self.entries(&zone, &keys).await?;
            let signatures = covering(&message.answers, &zone, RecordType::DNSKEY);
            let held = signatures.into_iter().take(TRIED_LIMIT).any(|rrsig| {
                out_of_time(rrsig, self.now).is_none()
                    && rrsig.input().signer_name == zone
                    && verified(rrsig, &zone, records, &entries).is_ok()
            });
            if !held {
                let detail = format!("the keys of `{zone}` are not signed by the one to trust");
                return Err(bogus(detail));
            }
            self.keys.insert(zone, keys.clone());
            Ok(keys)
        }
        .boxed()
    }

    /// Those of a zone's keys that an anchor or the zone above names.
    async fn entries(&mut self, zone: &Name, keys: &[DNSKEY]) -> Result<Vec<DNSKEY>, Failure> {
        let anchors: Vec<DS> = self
            .anchors
            .iter()
            .filter(|anchor| anchor.zone == *zone)
            .map(|anchor| anchor.ds.clone())
            .collect();
        let named = if !anchors.is_empty() {
            keys.iter().filter(|key| is_named(&anchors, zone, key)).cloned().collect()
        } else if zone.is_root() {
            let root = TrustAnchors::default();
            keys.iter().filter(|key| root.contains(key.public_key())).cloned().collect()
        } else {
            let message = self.get(zone.clone(), RecordType::DS).await?;
            let sets = sets(&message.answers);
            let Some(records) = sets.get(&(zone.clone(), RecordType::DS)) else {
                let detail = format!("the zone above names no key of `{zone}` (DS)");
                return Err(bogus(detail));
            };
            let listed: Vec<DS> = records.iter().filter_map(|record| digest(record)).collect();
            self.hold_above(zone, records, &message.answers).await?;
            keys.iter().filter(|key| is_named(&listed, zone, key)).cloned().collect::<Vec<_>>()
        };
        if named.is_empty() {
            return Err(bogus(format!("none of the keys of `{zone}` is the one to trust")));
        }
        Ok(named)
    }

    /// A DS set is signed by the zone above; its own zone's signature would prove nothing.
    async fn hold_above(
        &mut self,
        zone: &Name,
        records: &[&Record],
        section: &[Record],
    ) -> Result<(), Failure> {
        let own = |record: &Record| {
            signature(record).is_some_and(|rrsig| rrsig.input().signer_name == *zone)
        };
        let section: Vec<Record> = section.iter().filter(|record| !own(record)).cloned().collect();
        self.hold(zone, RecordType::DS, records, &section).await
    }

    async fn get(&mut self, name: Name, record_type: RecordType) -> Result<Message, Failure> {
        self.asked += 1;
        if self.asked > FETCH_LIMIT {
            return Err(bogus(format!(
                "the chain of trust is longer than {FETCH_LIMIT} questions"
            )));
        }
        let answered = (self.fetch)(name.clone(), record_type).await;
        let usable = answered.and_then(|message| match message.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(message),
            ResponseCode::Refused => Err(Failure::new(Cause::DnsRefused, "answered REFUSED")),
            code => Err(Failure::new(Cause::DnsServfail, format!("answered {code}"))),
        });
        usable.map_err(|failure| {
            let detail = format!("chain of trust: {name} {record_type}: {}", failure.detail);
            Failure::new(failure.cause, detail)
        })
    }
}

fn key(record: &Record) -> Option<DNSKEY> {
    match &record.data {
        // A revoked key is none (RFC 5011 section 2.1).
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) if key.zone_key() && !key.revoke() => {
            Some(key.clone())
        }
        _ => None,
    }
}

fn digest(record: &Record) -> Option<DS> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::DS(ds)) => Some(ds.clone()),
        _ => None,
    }
}

fn is_named(list: &[DS], zone: &Name, key: &DNSKEY) -> bool {
    let tag = key.calculate_key_tag().ok();
    list.iter().any(|ds| {
        Some(ds.key_tag()) == tag
            && ds.algorithm() == Verifier::algorithm(key)
            && ds.covers(zone, key).unwrap_or(false)
    })
}

/// Whether one of the keys has made the signature.
fn verified(
    rrsig: &RRSIG,
    name: &Name,
    records: &[&Record],
    keys: &[DNSKEY],
) -> Result<(), String> {
    let input = rrsig.input();
    let fitting = keys.iter().filter(|key| {
        Verifier::algorithm(*key) == input.algorithm
            && key.calculate_key_tag().ok() == Some(input.key_tag)
    });
    let mut why = format!("`{}` has no trusted key {}", input.signer_name, input.key_tag);
    for key in fitting.take(TRIED_LIMIT) {
        let records = records.iter().copied();
        match key.verify_rrsig(name, DNSClass::IN, rrsig, records) {
            Ok(()) => return Ok(()),
            Err(error) => why = format!("the signature of key {} is false: {error}", input.key_tag),
        }
    }
    Err(why)
}
