//! Secrets are used, and told to nobody.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crosscheck_tests::authority::{Authority, Identity};
use crosscheck_tests::command::crosscheck;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::markers::Markers;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone, Wanted};

const SOON: Duration = Duration::from_secs(30);

/// Variables with secrets in them.
const VARIABLES: [(&str, &str); 4] = [
    ("BEARER", "marker-bearer-7Qx"),
    ("KEY", "marker-key-2Lp"),
    ("BASIC", "marker-basic-9Vt"),
    ("BODY", "marker-body-6Wm"),
];

/// The checks whose targets say back what they were sent, and the two that do not.
const CHECKS: [&str; 6] = ["token", "bearer", "key", "basic", "body", "mutual"];

/// What stands in the file of the mail server's password.
const MAIL_PASSWORD: &str = "marker-mail-4Hd";

/// What stands in the file of a token that is sent within a header.
const TOKEN: &str = "marker-token-5Zk";

/// The secrets of the configuration, and those in the clothes they travel in.
fn configured() -> Vec<String> {
    let plain = VARIABLES.iter().map(|(_, value)| *value).chain([MAIL_PASSWORD, TOKEN]);
    let login = STANDARD.encode(format!("\0crosscheck\0{MAIL_PASSWORD}"));
    let basic = STANDARD.encode("probe:marker-basic-9Vt");
    plain.map(str::to_owned).chain([login, basic]).collect()
}

/// Every target answers with what it was sent, and every answer is wrong: so all of it is told.
fn config(
    scratch: &Scratch,
    authority: &Authority,
    client: &Identity,
    sink: &Sink,
    nginx: &Nginx,
) -> String {
    let password = scratch.write("mail-password", &format!("{MAIL_PASSWORD}\n"));
    let token = scratch.write("token", TOKEN);
    let echo = format!("http://127.0.0.1:{}/echo", nginx.port);
    format!(
        "{FAST}contacts: {{ ops: {{ mail: [ops@example.com], apart: true }} }}\n\
         routes: [{{ to: [ops] }}]\n\
         channels: {{ mail: {{ smtp: \"smtp://127.0.0.1:{mail}\", tls: required, ca: {ca}, \
           from: \"crosscheck@example.com\", user: crosscheck, \
           password: \"${{file:{password}}}\" }} }}\n\
         checks:\n\
         - {{ name: token, http: {{ url: \"{echo}\", \
           headers: {{ X-Key: \"Token ${{file:{token}}}\" }} }} }}\n\
         - {{ name: bearer, http: {{ url: \"{echo}\", bearer: \"${{env:BEARER}}\" }} }}\n\
         - {{ name: key, http: {{ url: \"{echo}\", headers: {{ X-Key: \"${{env:KEY}}\" }} }} }}\n\
         - {{ name: basic, http: {{ url: \"{echo}\", \
           basic: {{ user: probe, password: \"${{env:BASIC}}\" }} }} }}\n\
         - {{ name: body, http: {{ url: \"{echo}\", method: POST, \
           send: \"password=${{env:BODY}}\" }} }}\n\
         - {{ name: mutual, http: {{ url: \"https://127.0.0.1:{tls}/echo\", ca: {ca}, \
           client: {{ certificate: {certificate}, key: {key} }} }} }}\n",
        tls = nginx.tls_ports[0],
        certificate = client.certificate.display(),
        key = client.key.display(),
        mail = sink.port,
        ca = authority.file.display(),
        password = password.display(),
        token = token.display(),
    )
}

#[tokio::test]
async fn secrets_reach_their_servers_and_appear_nowhere_else() {
    let scratch = Scratch::new();
    let authority = Authority::new(&scratch);
    let identity = authority.sound(&scratch, "127.0.0.1");
    let sink = Sink::start(Some(&identity)).await;
    let nginx = Nginx::start(&scratch, &[&identity]).await;
    let client = authority.sound(&scratch, "probe.example.com");
    let config = config(&scratch, &authority, &client, &sink, &nginx);
    let mut variables = VARIABLES.to_vec();
    variables.push(("RUST_LOG", "trace"));
    let wanted = Wanted { variables: &variables, ..Wanted::default() };
    let mut running = Standalone::start_as(&scratch, &config, wanted).await;
    let letters = sink.holds(SOON, CHECKS.len()).await;
    running.api.all_settled(SOON).await;

    let path = running.config().to_str().expect("a path in ASCII").to_owned();
    let run = crosscheck(&["run", "--json", &path], &variables);
    assert_eq!(run.status, 1, "{run:?}");
    let drawn = crosscheck(&["run", &path], &variables);
    let validated = crosscheck(&["validate", &path], &variables);
    assert_eq!(validated.status, 0, "{validated:?}");
    // They were all used, and what could came back.
    let planted = configured();
    let (requests, logins) = (nginx.requests(), sink.logins().join("\n"));
    for marker in &planted {
        let used = requests.contains(marker) || logins.contains(marker);
        let unseen = [MAIL_PASSWORD, "marker-basic-9Vt", "marker-body-6Wm"];
        assert!(used || unseen.contains(&marker.as_str()), "{marker}");
    }
    assert_eq!(run.out.matches("<redacted>").count(), 4, "{}", run.out);
    let key = fs::read_to_string(&client.key).expect("a key");
    let lines = key.lines().filter(|line| !line.starts_with("---"));
    let token = operate(&running);
    let made = lines.chain(token.rsplit('_').next()).map(str::to_owned);
    let markers = Markers::new(planted.into_iter().chain(made));

    let url = running.api.address("");
    for what in [&["status"][..], &["incidents"], &["token", "list"], &["audit"]] {
        let arguments = [what, &["--json", "--url", &url]].concat();
        let said = crosscheck(&arguments, &[("CROSSCHECK_TOKEN", &token)]);
        assert!(said.out.starts_with(['[', '{']), "{what:?}: {said:?}");
        markers.assert_untold("what an operator prints", said.out.as_bytes());
        markers.assert_untold("what an operator is told", said.err.as_bytes());
    }
    for said in [&run, &drawn, &validated] {
        markers.assert_untold("what a command prints", said.out.as_bytes());
        markers.assert_untold("what a command notes", said.err.as_bytes());
    }
    for letter in &letters {
        for part in [&letter.raw, &letter.text, &letter.html] {
            markers.assert_untold("a mail", part.as_bytes());
        }
    }
    eventually(SOON, "each check has an observation", || async {
        let rows = running.api.list("/api/v1/checks/basic/observations").await?;
        if rows.is_empty() { Err("none".to_owned()) } else { Ok(()) }
    })
    .await;
    markers.assert_untold_by(&running.api, &CHECKS).await;
    assert!(markers.assert_untold_below(&running.data, &[]) > 3);
    running.process.terminate();
    markers.assert_untold_below(&running.data, &[]);
    markers.assert_untold("the log", running.process.log().as_bytes());
}

/// Makes a token and uses it, well and badly.
fn operate(running: &Standalone) -> String {
    let url = running.api.address("");
    let made = ["token", "create", "--name", "ci", "--role", "administrator", "--url", &url];
    let token = crosscheck(&made, &[]).out.trim().to_owned();
    let used = crosscheck(&["status", "--url", &url, "--token", &token], &[]);
    assert_eq!(used.status, 1, "something is down: {used:?}");
    let bad = format!("{}x", token);
    let refused = crosscheck(&["status", "--url", &url, "--token", &bad], &[]);
    assert!(refused.err.contains("the token is not good"), "{refused:?}");
    token
}
