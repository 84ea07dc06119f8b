//! Sections, lame servers, truncation and the times of signatures.

use hickory_proto::dnssec::Algorithm;
use hickory_proto::dnssec::rdata::sig::SigInput;
use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::rr::SerialNumber;
use hickory_proto::rr::rdata::NS;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a name")
}

fn ns(text: &str) -> RData {
    RData::NS(NS(name(text)))
}

/// A referral to the servers of example.com, with one's address.
fn referral(query: &Message) -> Message {
    let mut message = reply(query, ResponseCode::NoError);
    message.add_authority(record("example.com.", ns("ns1.example.com.")));
    message.add_authority(record("example.com.", ns("ns2.example.com.")));
    message.add_additional(record("ns1.example.com.", RData::A(A([192, 0, 2, 53].into()))));
    message
}

#[tokio::test]
async fn each_section_is_judged_by_its_own_conditions() {
    let server = NameServer::answering(referral).await;
    for (more, cause) in [
        (json!({ "authority": { "any": "example.com NS NS1.example.com." } }), None),
        (
            json!({ "authority": { "all": ["example.com NS ns1.example.com",
                                           { "matches": " NS ns2[.]" }] } }),
            None,
        ),
        (json!({ "authority": { "none": { "matches": "ns2" } } }), Some(Cause::Answer)),
        (json!({ "authority": { "only": { "matches": "ns1" } } }), Some(Cause::Answer)),
        (json!({ "additional": { "any": "ns1.example.com A 192.0.2.53" } }), None),
        (json!({ "additional": { "any": "ns1.example.com A 192.0.2.54" } }), Some(Cause::Answer)),
        (
            json!({ "authority": { "any": { "matches": "NS" } }, "answers": { "any": "192.0.2.1" } }),
            Some(Cause::Answer),
        ),
        (json!({}), Some(Cause::DnsNoAddress)),
        (json!({ "recursion": false }), Some(Cause::LameServer)),
        (json!({ "recursion": false, "authority": { "any": { "matches": "NS" } } }), None),
    ] {
        let outcome = run(&settings(server.address, more.clone()), PLENTY).await;
        assert_eq!(outcome.cause, cause, "{more}: {outcome:?}");
    }
    let more = json!({ "additional": { "none": { "matches": "192" } } });
    let outcome = run(&settings(server.address, more), PLENTY).await;
    let detail = "additional section: `ns1.example.com A 192.0.2.53` must not be answered";
    assert_eq!(outcome.detail, detail);
    assert!(outcome.excerpt.contains("additional ns1.example.com."), "{}", outcome.excerpt);
}

#[tokio::test]
async fn what_is_truncated_and_not_to_be_had_over_tcp_says_so() {
    let server = NameServer::scripted(|query, over| match over {
        Transport::Udp => {
            let mut message = with_address(query);
            message.metadata.truncation = true;
            vec![framed(&message, over)]
        }
        Transport::Tcp => Vec::new(),
    })
    .await;
    let outcome = run(&settings(server.address, json!({})), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::DnsTruncated), "{outcome:?}");
    assert!(outcome.detail.contains("truncated over UDP, and over TCP: "), "{}", outcome.detail);
}

const DAY: u32 = 86_400;

/// An answer whose signature holds from and until so many days from now.
fn signed(query: &Message, from: i64, until: i64) -> Message {
    let at = |days: i64| {
        let seconds = i64::from(seconds_now()) + days * i64::from(DAY);
        SerialNumber::new(u32::try_from(seconds).expect("this century"))
    };
    let input = SigInput {
        type_covered: RecordType::A,
        algorithm: Algorithm::ECDSAP256SHA256,
        num_labels: 3,
        original_ttl: 300,
        sig_expiration: at(until),
        sig_inception: at(from),
        key_tag: 7,
        signer_name: name("example.com."),
    };
    let rrsig = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, vec![1; 64])));
    let mut message = with_address(query);
    message.add_answer(record("www.example.com.", rrsig));
    message
}

#[tokio::test]
async fn signatures_must_be_there_and_of_this_time() {
    let plain = NameServer::answering(with_address).await;
    let outcome = run(&settings(plain.address, json!({ "dnssec": {} })), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::DnssecUnsigned), "{outcome:?}");
    for (from, until, cause, words) in [
        (-1, 10, None, ""),
        (-1, 2, Some(Cause::DnssecExpiring), "a signature expires in 2.0 days"),
        (-9, -2, Some(Cause::DnssecBogus), "the signature of key 7 expired 2.0 days ago"),
        (3, 9, Some(Cause::DnssecBogus), "the signature of key 7 begins in 3.0 days"),
    ] {
        let server = NameServer::answering(move |query| {
            let wants = query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
            assert!(wants && !query.checking_disabled, "signatures are asked for");
            signed(query, from, until)
        })
        .await;
        let more = json!({ "dnssec": { "expires_within": "3d" } });
        let outcome = run(&settings(server.address, more), PLENTY).await;
        assert_eq!(outcome.cause, cause, "{outcome:?}");
        assert!(outcome.detail.contains(words), "{}", outcome.detail);
        let days = outcome.values["signature_days"];
        assert!((days - until as f64).abs() < 0.01, "{days}");
    }
    // Validated, it is worth nothing: the zone has no keys.
    let server = NameServer::answering(|query| signed(query, -1, 10)).await;
    let more = json!({ "dnssec": { "validate": true } });
    let outcome = run(&settings(server.address, more), PLENTY).await;
    assert_eq!(outcome.cause, Some(Cause::DnssecBogus), "{outcome:?}");
    assert!(outcome.detail.contains("has no keys (DNSKEY)"), "{}", outcome.detail);
}

#[test]
fn settings_that_do_not_fit_are_told() {
    for (more, path, message) in [
        (json!({ "transport": "tls" }), "transport", "needs a `server`"),
        (json!({ "ca": "a.pem" }), "ca", "without `transport: tls`"),
        (json!({ "path": "/x" }), "path", "without `transport: https`"),
        (
            json!({ "transport": "https", "server": "a", "path": "x y" }),
            "path",
            "write `/dns-query`",
        ),
        (json!({ "authority": {} }), "authority", "no condition"),
        (json!({ "dnssec": { "anchors": "x" } }), "dnssec.anchors", "is no DS record"),
        (
            json!({ "dnssec": { "validate": true, "anchors": "a 1 13 9 00" } }),
            "dnssec.anchors",
            "of no known type",
        ),
        (
            json!({ "dnssec": { "anchors": "a 1 13 2 00" } }),
            "dnssec.anchors",
            "without `validate: true`",
        ),
        (json!({ "soa_agreement": true, "type": "MX" }), "type", "beside `soa_agreement`"),
        (json!({ "soa_agreement": true, "dnssec": {} }), "dnssec", "beside `soa_agreement`"),
    ] {
        let mut settings = json!({ "name": "a.example" });
        let object = settings.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        let errors = refusals(settings.clone());
        assert_eq!(errors[0].0, path, "{settings}: {errors:?}");
        assert!(errors[0].1.contains(message), "{settings}: {}", errors[0].1);
    }
}
