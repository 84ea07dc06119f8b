//! Mails of last resort: what stands in them, whatever the names.

use crosscheck_model::Timestamp;
use serde_json::json;

use super::*;

fn mail() -> DirectMail {
    let settings = json!({
        "mail": ["ops@example.com"], "smtp": "smtp://mail.example.com", "from": "x@example.com",
        "user": "x", "password": "${env:SMTP_PASSWORD}",
    });
    DirectMail::parse(&settings).expect("good settings")
}

fn composed(seer: &Seer, since: u64, word: Word) -> String {
    let at = Timestamp::from_millis;
    let letter = Letter { word, since: at(since), decided: at(1_800_000_000_000) };
    let bytes = message(seer, &letter, &mail()).compose();
    String::from_utf8(bytes).expect("ASCII").replace("\r\n ", " ").replace("\r\n\t", " ")
}

fn field<'a>(mail: &'a str, name: &str) -> &'a str {
    let start = format!("{name}: ");
    mail.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().trim()
}

fn probe(name: &str) -> Seer {
    Seer::Probe { name: name.to_owned(), site: "bj-ct".to_owned() }
}

#[test]
fn no_name_adds_a_field_or_a_receiver() {
    let mail = composed(&probe("p1\r\nBcc: all@example.com\r\n\r\n\u{202e}x"), 1, Word::Lost);
    let head = mail.split("\r\n\r\n").next().unwrap_or_default();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    // In words of RFC 2047, which are folded between each other.
    let subject = field(&mail, "Subject").replace("?= =?us-ascii?Q?", "").replace('_', " ");
    assert!(subject.contains("p1 Bcc: all@example.com"), "{head}");
}

#[test]
fn long_names_make_no_long_boundary() {
    let mail = composed(&probe(&"long-name".repeat(20)), 1, Word::Lost);
    let (_, rest) = mail.split_once("boundary=\"").expect("a boundary");
    let (boundary, _) = rest.split_once('"').expect("its end");
    assert!(boundary.len() <= 70, "RFC 2046, 5.1.1: {boundary}");
}

#[test]
fn one_silence_has_one_identity_and_its_end_belongs_under_it() {
    let id = |name: &str, since, word| {
        field(&composed(&probe(name), since, word), "Message-ID").to_owned()
    };
    let lost = id("p1", 1, Word::Lost);
    assert_eq!(lost, id("p1", 1, Word::Lost), "every copy is the same");
    let back = composed(&probe("p1"), 1, Word::Back);
    assert_eq!(field(&back, "In-Reply-To"), lost);
    for other in [id("p2", 1, Word::Lost), id("p1", 2, Word::Lost), id("p1", 1, Word::Back)] {
        assert_ne!(lost, other);
    }
}

#[test]
fn no_secret_and_no_target_stands_in_it() {
    for seer in [probe("p1"), Seer::Coordinator { name: "1 (https://10.0.1.1:7401)".to_owned() }] {
        let mail = composed(&seer, 1, Word::Lost);
        assert!(!mail.contains("SMTP_PASSWORD") && !mail.contains("mail.example.com"), "{mail}");
        assert!(mail.contains("This says nothing about any target"), "{mail}");
    }
}
