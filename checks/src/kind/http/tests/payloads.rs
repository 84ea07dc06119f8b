//! What is sent: forms and JSON, with secrets encoded as values of their own.

use crosscheck_model::{Cause, Status};
use serde_json::json;

use super::*;

#[tokio::test]
async fn forms_and_json_carry_any_secret_whole() {
    let secret = "a\"b&c=d é";
    let env = env_with(&[("PW", secret)], Resolver::new(Vec::new()));
    let (server, heard) = server(ok(""), Then::Close).await;
    let form = json!({ "form": { "user": "li", "password": "${env:PW}" } });
    assert_up(&run_in(&env, &at(&server, "/", form), AMPLE).await);
    let tree = json!({ "a": ["${env:PW}", 5, null], "${env:PW}": true });
    assert_up(&run_in(&env, &at(&server, "/", json!({ "send_json": tree })), AMPLE).await);
    let [form, sent] = &heard.all()[..] else { panic!("two requests") };
    assert!(form.starts_with("POST / ") && sent.starts_with("POST / "));
    assert!(form.contains("content-type: application/x-www-form-urlencoded\r\n"), "{form}");
    assert!(form.ends_with("\r\n\r\npassword=a%22b%26c%3Dd+%C3%A9&user=li"), "{form}");
    assert!(sent.contains("content-type: application/json\r\n"), "{sent}");
    let body = sent.split("\r\n\r\n").nth(1).expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    // A key is no text: it stands as written.
    assert_eq!(body, json!({ "a": [secret, 5, null], "${env:PW}": true }));
}

#[tokio::test]
async fn an_encoded_secret_is_blotted_out_too() {
    let env = env_with(&[("PW", "two\"words &more")], Resolver::new(Vec::new()));
    for settings in
        [json!({ "form": { "p": "${env:PW}" } }), json!({ "send_json": { "p": "${env:PW}" } })]
    {
        let echo = |request: &str| {
            let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
            ok(body).replace("200 OK", "500 Broken")
        };
        let (server, _) = server_to(echo).await;
        let outcome = run_in(&env, &at(&server, "/", settings), AMPLE).await;
        assert!(outcome.excerpt.contains("<redacted>"), "{}", outcome.excerpt);
        assert!(!outcome.excerpt.contains("words"), "{}", outcome.excerpt);
    }
}

#[tokio::test]
async fn what_people_say_of_the_type_counts() {
    let (server, heard) = server(ok(""), Then::Close).await;
    let settings = json!({ "send_json": [1], "headers": { "content-type": "application/x" } });
    assert_up(&run(&at(&server, "/", settings)).await);
    assert!(heard.one().contains("content-type: application/x\r\n"), "{}", heard.one());
    assert!(!heard.one().contains("application/json"), "{}", heard.one());
}

#[test]
fn two_bodies_are_refused() {
    let settings = json!({ "url": "http://h/", "send": "x", "form": { "a": "b" } });
    let errors = Http.parse(&settings).err().expect("is refused");
    assert_eq!(errors[0].path, ["form"]);
    let settings = json!({ "url": "http://h/", "send_json": { "a": ["${nope}"] } });
    let errors = Http.parse(&settings).err().expect("is refused");
    assert_eq!(errors[0].path, ["send_json", "a", "0"]);
}

#[tokio::test]
async fn files_are_sent_where_the_probe_allows_it() {
    let scratch = tempfile::tempdir().expect("a directory");
    let file = scratch.path().join("photo.png");
    std::fs::write(&file, "\u{89}PNG").expect("a file");
    let (server, heard) = server(ok(""), Then::Close).await;
    let sends = [
        json!({ "send_file": file }),
        json!({ "multipart": { "note": "${env:NOTE}", "photo": { "file": file, "type": "image/png" } } }),
    ];
    let closed = env_with(&[("NOTE", "from the probe")], Resolver::new(Vec::new()));
    for settings in &sends {
        let outcome = run_in(&closed, &at(&server, "/", settings.clone()), AMPLE).await;
        assert_eq!((outcome.status, outcome.cause), (Status::Unknown, Some(Cause::Setup)));
        assert!(outcome.detail.contains("files: { allow: ["), "{}", outcome.detail);
    }
    assert!(heard.all().is_empty());
    let programs = Programs::default().with_files(&[scratch.path().to_owned()]);
    let env = Env { programs, ..closed };
    for settings in sends {
        assert_up(&run_in(&env, &at(&server, "/", settings), AMPLE).await);
    }
    let [plain, parts] = &heard.all()[..] else { panic!("two requests") };
    assert!(plain.starts_with("POST / ") && plain.ends_with("\r\n\r\n\u{89}PNG"), "{plain}");
    assert!(plain.contains("content-type: application/octet-stream\r\n"), "{plain}");
    let boundary = parts.split("boundary=").nth(1).and_then(|rest| rest.split("\r\n").next());
    let boundary = boundary.expect("a boundary");
    let body = parts.split_once("\r\n\r\n").expect("a body").1;
    let wanted = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nfrom the probe\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"photo.png\"\r\n\
         Content-Type: image/png\r\n\r\n\u{89}PNG\r\n--{boundary}--\r\n"
    );
    assert_eq!(body, wanted);
}
