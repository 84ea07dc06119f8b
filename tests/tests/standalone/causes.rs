//! What is wrong with a target is told as what it is.

use std::time::Duration;

use crosscheck_model::Cause;
use crosscheck_tests::authority::Authority;
use crosscheck_tests::mailbox::{Letter, Mailbox, Sink};
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::port;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::silent::Silent;
use crosscheck_tests::standalone::{FAST, Standalone, Wanted, mail_through};
use crosscheck_tests::unbound::Unbound;

const SOON: Duration = Duration::from_secs(30);

/// The settings of checks, each with what must be found; `None`: all is well.
fn checks(nginx: &Nginx, silent: &Silent) -> Vec<(&'static str, String, Option<Cause>)> {
    let [sound, expired, other_name] = nginx.tls_ports[..] else { panic!("three identities") };
    let held = port::Closed::hold();
    let (plain, closed, silent) = (nginx.port, held.port, silent.port);
    vec![
        ("well", format!("http://web.test:{plain}/"), None),
        ("well over tls", format!("https://web.test:{sound}/"), None),
        ("closed port", format!("http://web.test:{closed}/"), Some(Cause::Refused)),
        ("error page", format!("http://web.test:{plain}/broken"), Some(Cause::Status)),
        ("other page", format!("http://web.test:{plain}/other"), Some(Cause::Body)),
        ("expired", format!("https://web.test:{expired}/"), Some(Cause::TlsExpired)),
        ("other name", format!("https://web.test:{other_name}/"), Some(Cause::TlsName)),
        ("no such name", format!("http://nowhere.test:{plain}/"), Some(Cause::DnsNxdomain)),
        ("silent", format!("http://web.test:{silent}/"), Some(Cause::FirstByteTimeout)),
    ]
}

#[tokio::test]
async fn each_failure_has_its_own_cause_in_the_api_and_in_the_mail() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let sound = authority.sound(&scratch, "web.test");
    let expired = authority.expired(&scratch, "web.test");
    let other_name = authority.sound(&scratch, "another.test");
    let nginx = Nginx::start(&scratch, &[&sound, &expired, &other_name]).await;
    let unbound = Unbound::start(&scratch, &["web.test"]).await;
    let silent = Silent::start().await;
    let sink = Sink::start(None).await;
    let checks = checks(&nginx, &silent);
    let ca = authority.file.display();
    let listed: String = checks
        .iter()
        .map(|(name, url, _)| {
            let ca = if url.starts_with("https") { format!("ca: {ca}, ") } else { String::new() };
            format!(
                "- {{ name: {name}, http: {{ url: \"{url}\", {ca}family: v4, \
                 body: {{ contains: Welcome }} }} }}\n"
            )
        })
        .collect();
    let config = format!("{FAST}{}checks:\n{listed}", mail_through(sink.port, None));
    let wanted = Wanted { name_server: Some(unbound.address), ..Wanted::default() };
    let crosscheck = Standalone::start_as(&scratch, &config, wanted).await;

    let failing = checks.iter().filter(|(_, _, cause)| cause.is_some()).count();
    let letters = sink.holds(SOON, failing).await;
    for (name, _, cause) in &checks {
        let status = if cause.is_some() { "down" } else { "up" };
        let check = crosscheck.api.becomes(SOON, name, status).await;
        let word = cause.map(Cause::as_str);
        assert_eq!(check["sites"][0]["cause"].as_str(), word, "{check}");
        let told: Vec<&Letter> =
            letters.iter().filter(|letter| letter.check() == Some(*name)).collect();
        assert_eq!(told.len(), usize::from(cause.is_some()), "{name}: {told:?}");
        if let (Some(cause), [letter]) = (cause, told.as_slice()) {
            assert!(letter.subject().starts_with("[DOWN]"), "{}", letter.subject());
            assert!(letter.text.contains(cause.explain()), "{name}: {}", letter.text);
        }
    }
}
