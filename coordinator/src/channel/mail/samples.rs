//! Notices of every sort, and what their mails look like.

use crosscheck_checks::mail::address::{Address, Mailbox};
use crosscheck_core::outbox::{Edge, Key, Notice, Owed, Progress, SiteOpinion};
use crosscheck_model::{
    Cause, CheckId, ContactId, IncidentId, Severity, SiteId, Status, Timestamp,
};

use super::compose::compose;
use super::digest::Digest;
use super::letter::Letter;

/// 2026-11-22 10:02:13 UTC.
const SINCE: Timestamp = Timestamp::from_millis(1_795_341_733_000);

fn later(seconds: u64) -> Timestamp {
    SINCE.plus(std::time::Duration::from_secs(seconds))
}

fn opinion(site: &str, place: (&str, &str), cause: Option<Cause>, detail: &str) -> SiteOpinion {
    SiteOpinion {
        site: SiteId::new(site),
        region: place.0.to_owned(),
        carrier: place.1.to_owned(),
        status: if cause.is_some() { Status::Down } else { Status::Up },
        cause,
        detail: detail.to_owned(),
        duration_us: if cause == Some(Cause::ConnectTimeout) { 10_000_000 } else { 182_000 },
        at: later(38),
    }
}

fn alarm() -> Notice {
    let refused = "connect to 198.51.100.7:443 refused";
    Notice {
        incident: IncidentId(17),
        edge: Edge::Alarm(Status::Down),
        severity: Severity::Disaster,
        check: Some(CheckId::new("acme/shop home")),
        target: "https://shop.example.com/".to_owned(),
        summary: "down at 4 of 5 sites, for different causes".to_owned(),
        finding: Some(
            "all of carrier china-telecom stops after hop 6 (10.0.6.1): the path, not the target"
                .to_owned(),
        ),
        since: SINCE,
        decided: later(40),
        ended: None,
        sites: vec![
            opinion("bj-ct", ("cn-north", "china-telecom"), Some(Cause::Refused), refused),
            opinion(
                "fra-dt",
                ("eu-central", "dtag"),
                Some(Cause::ConnectTimeout),
                "no answer from 198.51.100.7:443",
            ),
            opinion("sh-cu", ("cn-east", "china-unicom"), Some(Cause::Refused), refused),
            opinion("sin-st", ("sg", "singtel"), Some(Cause::Refused), refused),
            opinion("tyo-ntt", ("jp-east", "ntt"), None, ""),
        ],
        dependents: None,
        runbook: Some(
            "Restart the web service on shop-1, then shop-2.\nhttps://wiki.example.com/shop"
                .to_owned(),
        ),
        link: Some("https://status.example.com/incidents/17".to_owned()),
        thread: Some(KEY),
        alarm_was_lost: false,
        flapping: false,
        drill: false,
    }
}

fn recovery() -> Notice {
    let mut notice = alarm();
    notice.edge = Edge::Recovery;
    notice.summary = "up".to_owned();
    notice.decided = later(252);
    notice.ended = Some(later(192));
    for opinion in &mut notice.sites {
        opinion.status = Status::Up;
        opinion.cause = None;
        opinion.detail = String::new();
        opinion.duration_us = 95_000;
    }
    notice.runbook = None;
    notice
}

const KEY: Key = Key([0xa7; 16]);
const LATER_KEY: Key = Key([0xb8; 16]);

fn owed(key: Key, notice: Notice) -> Owed {
    Owed {
        key,
        contact: ContactId::new("ops"),
        channel: "mail".to_owned(),
        notice,
        progress: Progress::Queued,
        attempts: 0,
        ambiguous: 0,
        reached: Vec::new(),
        bounced: std::collections::BTreeSet::new(),
        created: SINCE,
        after: Vec::new(),
        last_error: None,
        rerouted: false,
        told_in: None,
        tells: Vec::new(),
    }
}

/// Every sort of notice with its name.
fn sorts() -> Vec<(&'static str, Notice)> {
    let lost = Notice { alarm_was_lost: true, thread: None, ..recovery() };
    let over_midnight =
        Notice { since: SINCE.minus(std::time::Duration::from_secs(86_400)), ..lost.clone() };
    let mut fleet = alarm();
    fleet.finding = None;
    fleet.summary = "down at 23 of 25 sites, for different causes".to_owned();
    fleet.sites = (0..25)
        .map(|at| {
            let cause = [Some(Cause::Status), Some(Cause::TlsExpired), None]
                [usize::from(at >= 17) + usize::from(at >= 23)];
            let detail = match cause {
                Some(Cause::Status) => "status 502, wanted 200",
                Some(_) => "certificate expired on 2026-11-20",
                None => "",
            };
            opinion(&format!("site-{at:02}"), ("cn-north", "china-telecom"), cause, detail)
        })
        .collect();
    let mut slow = Notice {
        edge: Edge::Alarm(Status::Degraded),
        severity: Severity::High,
        summary: "fails from 4 of 5 sites in different networks".to_owned(),
        finding: None,
        dependents: None,
        runbook: Some("https://wiki.example.com/slow".to_owned()),
        ..alarm()
    };
    slow.sites[2].detail = "connect to 203.0.113.9:443 refused".to_owned();
    slow.sites[4].status = Status::Unknown;
    slow.sites[4].cause = Some(Cause::ProbeUnfit);
    slow.sites[4].duration_us = 0;
    let removed = Notice {
        edge: Edge::Removed,
        summary: "the check was removed from the configuration".to_owned(),
        sites: Vec::new(),
        ..recovery()
    };
    vec![
        ("alarm", alarm()),
        ("recovery", recovery()),
        ("coalesced", lost),
        ("coalesced_over_midnight", over_midnight),
        ("fleet", fleet),
        (
            "dependents",
            Notice { dependents: Some("shop login, shop search".to_owned()), ..alarm() },
        ),
        ("no_runbook", Notice { runbook: None, ..alarm() }),
        ("degraded", slow),
        (
            "flapping",
            Notice {
                flapping: true,
                finding: None,
                summary: "comes and goes; now: the connection was refused, from 4 of 5 sites"
                    .into(),
                ..alarm()
            },
        ),
        ("removed", removed),
    ]
}

/// The same for the installation's own trouble.
fn own_sorts() -> Vec<(&'static str, Notice)> {
    let own = Notice {
        edge: Edge::Alarm(Status::Unknown),
        severity: Severity::Average,
        check: None,
        target: "carrier china-telecom".to_owned(),
        summary: "fails only from carrier china-telecom: shop home, order api".to_owned(),
        finding: None,
        sites: Vec::new(),
        dependents: None,
        runbook: None,
        link: None,
        ..alarm()
    };
    let site = Notice {
        edge: Edge::Alarm(Status::Unknown),
        severity: Severity::Warning,
        check: None,
        target: "reports from site bj-ct".to_owned(),
        summary: "site bj-ct is blind: probe bj-ct-1, probe bj-ct-2 are not heard; too few sites \
                  are left to judge order api"
            .to_owned(),
        decided: later(180),
        finding: None,
        sites: Vec::new(),
        dependents: None,
        runbook: Some("Look whether the probe's machine runs and reaches the coordinators.".into()),
        ..alarm()
    };
    let site_back = Notice {
        edge: Edge::Recovery,
        summary: "all are heard again".to_owned(),
        ended: Some(later(400)),
        alarm_was_lost: true,
        thread: None,
        dependents: None,
        runbook: None,
        ..site.clone()
    };
    let drill = Notice {
        edge: Edge::Alarm(Status::Down),
        target: "shop home".to_owned(),
        summary: "a drill: nothing is down; like this you would be told if it were (as planned)"
            .to_owned(),
        decided: site.since,
        runbook: Some(
            "There is nothing to mend. That this has arrived is what was to be found out; \
             `crosscheck incidents` shows whom it has reached."
                .to_owned(),
        ),
        drill: true,
        ..site.clone()
    };
    let drill_over = Notice {
        edge: Edge::Recovery,
        summary: "the drill is over: 3 of 3 told, the last after 2 s".to_owned(),
        ended: Some(later(3)),
        runbook: None,
        ..drill.clone()
    };
    vec![
        ("own_trouble", own),
        ("site_silent", site),
        ("site_back_coalesced", site_back),
        ("drill", drill),
        ("drill_over", drill_over),
    ]
}

#[test]
fn mails_read_well() {
    for (name, notice) in sorts().into_iter().chain(own_sorts()) {
        let letter = Letter::of(&notice);
        insta::assert_snapshot!(format!("{name}_text"), letter.text().expect("renders"));
        insta::assert_snapshot!(format!("{name}_html"), letter.html().expect("renders"));
    }
}

/// An outage of several checks, and its end.
fn several() -> [(&'static str, Notice, Vec<Notice>); 2] {
    let finding = || Some("refused at all 5 sites: the service is down".to_owned());
    let mut first = Notice { finding: finding(), runbook: None, ..alarm() };
    for opinion in &mut first.sites {
        (opinion.status, opinion.cause) = (Status::Down, Some(Cause::Refused));
    }
    let other = |number: u64, name: &str, runbook: Option<&str>| Notice {
        incident: IncidentId(17 + number),
        check: Some(CheckId::new(name)),
        target: format!("https://{number}.example.com/"),
        since: later(number),
        decided: later(40 + number),
        runbook: runbook.map(str::to_owned),
        link: Some(format!("https://status.example.com/incidents/{}", 17 + number)),
        ..first.clone()
    };
    let others = vec![
        other(1, "acme/shop cart", Some("https://wiki.example.com/cart")),
        other(2, "acme/shop search", Some("Restart search-1.\nThen search-2.")),
    ];
    let end = |notice: &Notice| Notice {
        edge: Edge::Recovery,
        summary: "up".to_owned(),
        finding: None,
        decided: later(252),
        ended: Some(later(192)),
        alarm_was_lost: notice.incident == IncidentId(18),
        ..notice.clone()
    };
    let ends = others.iter().map(end).collect();
    [("several", first.clone(), others), ("several_recovered", end(&first), ends)]
}

#[test]
fn mails_about_several_checks_read_well() {
    for (name, first, others) in several() {
        let all: Vec<&Notice> = std::iter::once(&first).chain(&others).collect();
        let digest = Digest::of(&all);
        insta::assert_snapshot!(format!("{name}_text"), digest.text().expect("renders"));
        insta::assert_snapshot!(format!("{name}_html"), digest.html().expect("renders"));
    }
}

#[test]
fn a_mail_about_several_checks_names_the_first_and_counts_the_rest() {
    let [(_, first, others), _] = several();
    let others: Vec<Owed> = others.into_iter().map(|other| owed(LATER_KEY, other)).collect();
    let mail = composed_with(&owed(KEY, first), &others);
    let want = [
        ("Subject", "[DOWN] acme/shop home and 2 more"),
        ("Message-ID", "<a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7@example.com>"),
        ("X-Crosscheck-Incident", "17"),
        ("X-Crosscheck-Incidents", "17, 18, 19"),
        ("X-Crosscheck-Check", "acme/shop home"),
    ];
    for (name, value) in want {
        assert_eq!(field(&mail, name).as_deref(), Some(value), "{mail}");
    }
}

#[test]
fn a_mail_about_very_many_checks_stays_within_the_limits() {
    let [(_, first, _), _] = several();
    let other = owed(LATER_KEY, first.clone());
    let others = vec![other; crosscheck_core::grouping::MOST_IN_ONE - 1];
    let mail = composed_with(&owed(KEY, first), &others);
    assert!(mail.split("\r\n").all(|line| line.len() <= 998));
    assert!(mail.is_ascii());
    assert_eq!(field(&mail, "Subject").as_deref(), Some("[DOWN] acme/shop home and 499 more"));
}

fn sender() -> Mailbox {
    Mailbox::parse("Acme alarms <alarms@example.com>").expect("a mailbox")
}

fn recipients() -> Vec<Address> {
    ["ops@example.com", "boss@example.org"].map(|it| Address::parse(it).expect(it)).into()
}

fn composed(owed: &Owed) -> String {
    composed_with(owed, &[])
}

fn composed_with(owed: &Owed, others: &[Owed]) -> String {
    let bytes = compose(owed, others, &sender(), &recipients()).expect("composes");
    String::from_utf8(bytes).expect("a mail is ASCII")
}

/// The header fields, unfolded.
fn fields(mail: &str) -> Vec<(String, String)> {
    let (head, _) = mail.split_once("\r\n\r\n").expect("a header and a body");
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let pair = |line: &str| line.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned()));
    unfolded.split("\r\n").map(|line| pair(line).expect(line)).collect()
}

fn field(mail: &str, name: &str) -> Option<String> {
    fields(mail).into_iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

#[test]
fn every_copy_is_the_same() {
    for (name, notice) in sorts().into_iter().chain(own_sorts()) {
        let owed = owed(KEY, notice);
        let retried = Owed {
            attempts: 3,
            ambiguous: 1,
            last_error: Some("421 later".to_owned()),
            progress: Progress::Retry { at: later(600) },
            ..owed.clone()
        };
        // On another thread, as another node would.
        let again = std::thread::spawn(move || composed(&retried)).join().expect("composes");
        assert_eq!(composed(&owed), again, "{name}");
    }
}

#[test]
fn the_header_says_what_machines_want_to_know() {
    let mail = composed(&owed(KEY, alarm()));
    let want = [
        ("From", "\"Acme alarms\" <alarms@example.com>"),
        ("To", "<ops@example.com>, <boss@example.org>"),
        ("Subject", "[DOWN] acme/shop home"),
        ("Date", "Sun, 22 Nov 2026 10:02:53 +0000"),
        ("Message-ID", "<a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7@example.com>"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Crosscheck-Incident", "17"),
        ("X-Crosscheck-Event", "alarm"),
        ("X-Crosscheck-Check", "acme/shop home"),
        ("MIME-Version", "1.0"),
    ];
    for (name, value) in want {
        assert_eq!(field(&mail, name).as_deref(), Some(value), "{mail}");
    }
    assert_eq!(field(&mail, "In-Reply-To"), None, "an alarm replies to nothing");
    let mail = composed(&owed(LATER_KEY, recovery()));
    let first = Some("<a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7@example.com>");
    assert_eq!(field(&mail, "In-Reply-To").as_deref(), first);
    assert_eq!(field(&mail, "References").as_deref(), first);
    assert_eq!(field(&mail, "Subject").as_deref(), Some("[RECOVERED] acme/shop home"));
    assert_eq!(field(&mail, "X-Crosscheck-Event").as_deref(), Some("recovery"));
    for (status, word) in [(Status::Degraded, "DEGRADED"), (Status::Unknown, "UNKNOWN")] {
        let notice = Notice { edge: Edge::Alarm(status), check: None, ..alarm() };
        let mail = composed(&owed(KEY, notice));
        let subject = format!("[{word}] https://shop.example.com/");
        assert_eq!(field(&mail, "Subject"), Some(subject));
        assert_eq!(field(&mail, "X-Crosscheck-Check"), None);
    }
}

#[test]
fn nothing_that_a_target_or_a_configuration_says_forges_the_mail() {
    let evil = "x\r\nBcc: all@example.net\r\n\r\n.\r\nMAIL FROM:<e@vil>\0\u{202e}\u{2028}--=_a7a7";
    let mut notice = alarm();
    notice.check = Some(CheckId::new(evil));
    notice.target = evil.to_owned();
    notice.summary = format!("{evil}<script>alert(1)</script>");
    notice.runbook = Some(format!("javascript:alert(1)//{evil}"));
    notice.link = Some("https://e.vil/\" onclick=\"alert(1)".to_owned());
    for opinion in &mut notice.sites {
        opinion.detail = evil.to_owned();
        opinion.region = evil.to_owned();
    }
    let mail = composed(&owed(KEY, notice.clone()));
    let names: Vec<String> = fields(&mail).into_iter().map(|(name, _)| name).collect();
    let honest = composed(&owed(KEY, alarm()));
    let want: Vec<String> = fields(&honest).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, want);
    assert!(mail.is_ascii() && !mail.contains('\0'), "{mail}");
    assert!(mail.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() <= 998));
    assert!(!mail.contains("\r\n."), "a line that could end the mail: {mail}");
    let boundaries = |mail: &str| mail.matches("\r\n--=_").count();
    assert_eq!(boundaries(&mail), boundaries(&honest), "a part was forged");
    let html = Letter::of(&notice).html().expect("renders");
    assert!(!html.contains("<script>") && !html.contains("href=\"javascript"), "{html}");
    assert!(!html.contains("\" onclick"), "{html}");
}

#[test]
fn a_long_or_foreign_name_stays_within_the_limits() {
    for name in ["店铺首页".repeat(40), "shop ".repeat(400), "x".repeat(5000)] {
        let notice = Notice { check: Some(CheckId::new(name.as_str())), ..alarm() };
        let mail = composed(&owed(KEY, notice));
        assert!(mail.split("\r\n").all(|line| line.len() <= 998), "{mail}");
        assert!(mail.is_ascii());
    }
}

/// The text part, decoded by the rules of RFC 2045, 6.7.
fn text_part(mail: &str) -> String {
    let part = mail.split("\r\n--=_").nth(1).expect("a first part");
    let (_, body) = part.split_once("\r\n\r\n").expect("a head and a body");
    let mut bytes = Vec::new();
    let mut rest = body.replace("=\r\n", "").into_bytes().into_iter();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
            let digits = std::str::from_utf8(&digits).expect("ASCII");
            bytes.push(u8::from_str_radix(digits, 16).expect("a number"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8").replace("\r\n", "\n")
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_arrives_and_nothing_else(
        name in "(?s).{0,200}", summary in "(?s).{0,300}", detail in "(?s).{0,300}", runbook in "(?s).{0,300}",
    ) {
        let mut notice = alarm();
        notice.check = Some(CheckId::new(name.as_str()));
        notice.summary = summary;
        notice.runbook = Some(runbook);
        notice.sites[0].detail = detail;
        let letter = Letter::of(&notice);
        let mail = composed(&owed(KEY, notice));
        proptest::prop_assert!(mail.is_ascii());
        for line in mail.split("\r\n") {
            proptest::prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']));
        }
        let names = |mail: &str| fields(mail).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        proptest::prop_assert_eq!(names(&mail), names(&composed(&owed(KEY, alarm()))));
        let (got, said) = (text_part(&mail), letter.text().expect("renders"));
        proptest::prop_assert_eq!(got.trim_end(), said.trim_end());
    }
}
