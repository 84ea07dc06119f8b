//! A journey through a real application: a form with a token, a login, a query, a logout.

use std::time::Duration;

use crosscheck_tests::command::crosscheck;
use crosscheck_tests::django::{Django, PASSWORD, USER};
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{Standalone, Wanted, mail_through};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

/// Logging in with the password of this variable, looking at the users, logging out, and finding
/// the door closed.
fn journey(name: &str, port: u16, password: &str) -> String {
    format!(
        r#"
  - name: {name}
    interval: 10s
    timeout: 10s
    journey:
      base: "http://127.0.0.1:{port}/admin"
      steps:
        - name: form
          url: /login/?next=/admin/auth/user/
          save: {{ csrf: {{ matches: 'name="csrfmiddlewaretoken" value="([^"]+)"' }} }}
        - name: log in
          url: /login/?next=/admin/auth/user/
          form: {{ username: {USER}, password: "${{env:{password}}}", csrfmiddlewaretoken: "{{{{csrf}}}}" }}
          status: [302]
          save: {{ home: {{ header: location }}, session: {{ cookie: sessionid }} }}
        - name: query
          url: "{{{{home}}}}"
          body: {{ contains: ["probe@example.com", "1 user"] }}
          save: {{ csrf: {{ matches: 'name="csrfmiddlewaretoken" value="([^"]+)"' }} }}
        - name: log out
          url: /logout/
          form: {{ csrfmiddlewaretoken: "{{{{csrf}}}}" }}
          body: {{ lacks: "probe@example.com" }}
          always: true
        - name: closed door
          url: /auth/user/
          status: [302]
          header: {{ location: {{ matches: "/admin/login/" }} }}
"#
    )
}

#[tokio::test]
async fn it_logs_in_queries_and_logs_out() {
    let scratch = Scratch::new();
    let django = Django::start(&scratch).await;
    let config = format!("checks:\n{}", journey("users", django.port, "PROBE_PASSWORD"));
    let file = scratch.write("journey.yaml", &config);
    let file = file.display().to_string();
    let variables = [("PROBE_PASSWORD", PASSWORD)];
    let said = crosscheck(&["validate", &file], &variables);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    let said = crosscheck(&["run", &file, "--json"], &variables);
    assert_eq!(said.status, 0, "{}{}", said.out, said.err);
    let line: Value = serde_json::from_str(said.out.trim()).expect("JSON");
    assert_eq!(line["values"]["steps_passed"], 5.0, "{line}");
    for step in 1..=5 {
        assert!(line["values"][format!("step_{step}_ms")].as_f64() > Some(0.0), "{line}");
    }
    let requests = django.requests();
    let seen: Vec<(&str, &str)> = requests
        .iter()
        .map(|line| {
            let mut words = line.split('"').skip(1);
            let request = words.next().unwrap_or_default().trim_end_matches(" HTTP/1.1");
            (request, words.next().unwrap_or_default().trim().split(' ').next().unwrap_or_default())
        })
        .collect();
    let login = "/admin/login/?next=/admin/auth/user/";
    let wanted = [
        (format!("GET {login}"), "200"),
        (format!("POST {login}"), "302"),
        ("GET /admin/auth/user/".to_owned(), "200"),
        ("POST /admin/logout/".to_owned(), "200"),
        ("GET /admin/auth/user/".to_owned(), "302"),
    ];
    let wanted: Vec<(&str, &str)> = wanted.iter().map(|(line, code)| (&**line, *code)).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn the_step_that_fails_is_named_in_the_mail_and_nothing_secret_is() {
    let scratch = Scratch::new();
    let django = Django::start(&scratch).await;
    let sink = Sink::start(None).await;
    let config = format!(
        "defaults: {{ retry_interval: 10s, attempt_gap: 1s, recovery_hold: 2s }}\n{}checks:\n{}{}",
        mail_through(sink.port, None),
        journey("users", django.port, "PROBE_PASSWORD"),
        journey("locked out", django.port, "OLD_PASSWORD"),
    );
    let variables = [("PROBE_PASSWORD", PASSWORD), ("OLD_PASSWORD", "the-one-before")];
    let wanted = Wanted { variables: &variables, ..Wanted::default() };
    let crosscheck = Standalone::start_as(&scratch, &config, wanted).await;
    crosscheck.api.becomes(SOON, "users", "up").await;
    let check = crosscheck.api.becomes(SOON, "locked out", "down").await;
    assert_eq!(check["sites"][0]["cause"], "status", "{check}");
    let letters = sink.holds(SOON, 1).await;
    let letter = &letters[0];
    assert_eq!(letter.check(), Some("locked out"));
    let words = "step 2 `log in`: status 200, wanted 302";
    assert!(letter.text.contains(words), "{}", letter.text);
    for secret in [PASSWORD, "the-one-before", "csrfmiddlewaretoken\" value=\""] {
        assert!(!letter.text.contains(secret), "{}", letter.text);
        assert!(!crosscheck.process.log().contains(secret));
    }
}
