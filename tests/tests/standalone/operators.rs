//! Tokens and the audit trail, as an administrator uses them.

use crosscheck_tests::command::{Said, crosscheck};
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone};
use rusqlite::Connection;

const CONFIG: &str = "customer: acme\nchecks: [{ name: a, tcp: { address: \"127.0.0.1:1\" } }]\n";

/// The command line of one operator.
struct Operator<'a> {
    url: String,
    token: &'a str,
}

impl Operator<'_> {
    fn says(&self, arguments: &[&str]) -> Said {
        let all = [arguments, &["--url", &self.url]].concat();
        crosscheck(&all, &[("CROSSCHECK_TOKEN", self.token)])
    }
}

/// A token just made.
fn made(said: &Said) -> String {
    assert_eq!(said.status, 0, "{said:?}");
    assert_eq!(said.out.lines().count(), 1, "alone on standard output: {said:?}");
    assert!(said.err.contains("not shown again"), "{said:?}");
    said.out.trim().to_owned()
}

#[tokio::test]
async fn tokens_are_made_used_and_revoked_and_all_of_it_is_on_record() {
    let scratch = Scratch::new();
    let mut running = Standalone::start(&scratch, &format!("{FAST}{CONFIG}")).await;
    let url = running.api.address("");
    let made_by_local = crosscheck(
        &["token", "create", "--name", "root", "--role", "administrator", "--url", &url],
        &[],
    );
    let root = made(&made_by_local);
    let file = scratch.write("token", &format!("{root}\n"));
    let reference = format!("${{file:{}}}", file.display());
    let root = Operator { url: url.clone(), token: &reference };
    let create = ["token", "create", "--name", "desk", "--role", "viewer", "--ttl", "90d"];
    let desk = made(&root.says(&[&create[..], &["--customer", "globex"]].concat()));
    let desk = Operator { url: url.clone(), token: &desk };

    let seen = desk.says(&["status", "--json"]);
    assert_eq!((seen.status, seen.out.trim()), (0, "[]"), "acme's checks are not theirs");
    assert!(root.says(&["status", "--json"]).out.contains("acme/a"));
    let refused = desk.says(&["token", "list"]);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("needs the role administrator"), "{refused:?}");
    let listed = root.says(&["token", "list"]);
    assert!(listed.out.contains("globex") && listed.out.contains("viewer"), "{listed:?}");

    let revoked = root.says(&["token", "revoke", "desk"]);
    assert_eq!(revoked.status, 0, "{revoked:?}");
    let after = desk.says(&["status"]);
    assert!(after.err.contains("the token is not good"), "{after:?}");

    let told = root.says(&["audit"]);
    for words in ["configure", "create token", "revoke token", "files", "local", "root"] {
        assert!(told.out.contains(words), "{words}: {}", told.out);
    }
    let verified = root.says(&["audit", "--verify"]);
    assert!(verified.status == 0 && verified.out.starts_with("whole: 4 entries"), "{verified:?}");
    let end = verified.out.trim().rsplit(' ').next().expect("an end").to_owned();

    // Through a restart it is the same trail, and an old end is still part of it.
    running.process.terminate();
    running.again().await;
    made(&root.says(&["token", "create", "--name", "x", "--role", "viewer"]));
    let verified = root.says(&["audit", "--verify", "--kept", &end]);
    assert!(verified.status == 0 && verified.out.starts_with("whole: 5 entries"), "{verified:?}");

    // Somebody with the disk in hand rewrites what they did.
    running.process.terminate();
    let db = Connection::open(running.data.join("history.db")).expect("opens");
    let changed = db.execute("UPDATE audit SET actor = 'nobody' WHERE idx = 3", []);
    assert_eq!(changed, Ok(1));
    drop(db);
    running.again().await;
    let broken = root.says(&["audit", "--verify"]);
    assert_eq!(broken.status, 1, "{broken:?}");
    assert!(broken.out.contains("entry 3 was changed"), "{broken:?}");
}
