//! The story of `crosscheck demo`, told to the real program over HTTP: a carrier is cut, the
//! target breaks, the leader dies, all is healed; one alarm, one recovery, nobody woken besides.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::Value;

/// A step that takes longer has failed: a claimed mail whose sender died waits 90 s for its lease.
const LIMIT: Duration = Duration::from_secs(240);

/// The program, killed if the test ends early.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `Open URL/demo to ..` says.
fn start(temporary: &Path) -> (Program, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crosscheck"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stdout.take().expect("piped"));
    let program = Program(child);
    let mut line = String::new();
    said.read_line(&mut line).expect("it says where the page is");
    let url = line.split_whitespace().find_map(|word| word.strip_suffix("/demo"));
    let url = url.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned();
    // Somebody must go on reading what it tells.
    std::thread::spawn(move || said.lines().map_while(Result::ok).for_each(drop));
    (program, url)
}

/// A visitor with a browser.
struct Visitor {
    client: Client,
    url: String,
    events: Response,
}

impl Visitor {
    async fn come(url: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A browser asks again by itself where the server has just closed a connection that it kept;
        // this visitor keeps none.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0);
        let client = client.build().expect("a client");
        let events = client.get(format!("{url}/demo/events")).send().await.expect("events");
        Self { client, url, events }
    }

    async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await;
        let answer = answer.expect("an answer").error_for_status().expect(path);
        answer.text().await.expect("a body")
    }

    async fn press(&self, form: &str) {
        let request = self.client.post(format!("{}/demo/switch", self.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.to_owned()).send().await.expect("an answer");
        answer.error_for_status().expect(form);
    }

    async fn look(&self) -> Value {
        serde_json::from_str(&self.get("/demo/state").await).expect("JSON")
    }

    /// Waits from change to change until it is so.
    async fn until(&mut self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + LIMIT;
        loop {
            let board = self.look().await;
            if so(&board) {
                return board;
            }
            let left = end.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.events.chunk()).await {
                Ok(chunk) => assert!(chunk.expect("events").is_some(), "the events ended"),
                Err(_) => panic!("{what} did not come: {board:#}"),
            }
        }
    }
}

fn row(board: &Value) -> Option<u64> {
    board["verdict"]["row"].as_u64()
}

fn leader(board: &Value) -> Option<u64> {
    let members = board["coordinators"].as_array().expect("coordinators");
    members.iter().find(|member| member["leads"] == true)?["node"].as_u64()
}

/// `subject of incident`, oldest first.
fn mails(board: &Value) -> Vec<String> {
    let mails = board["mails"].as_array().expect("mails").iter().rev();
    let text = |mail: &Value, key: &str| mail[key].as_str().expect(key).to_owned();
    mails.map(|mail| format!("{} of {}", text(mail, "subject"), text(mail, "incident"))).collect()
}

fn interrupt(mut program: Program) -> ExitStatus {
    let pid = program.0.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().expect("kill runs");
    assert!(sent.success());
    program.0.wait().expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_story() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (program, url) = start(temporary.path());
    let mut visitor = Visitor::come(url).await;

    let board = visitor.until("the first verdict", |board| row(board) == Some(4)).await;
    assert_eq!(board["verdict"]["status"], "up");
    visitor.until("all votes", |board| board["verdict"]["threshold"] == "4 of 5 must agree").await;

    visitor.press("what=carrier&which=china-telecom&to=cut").await;
    let board = visitor.until("the carrier's name", |board| row(board) == Some(5)).await;
    assert_eq!(board["verdict"]["why"], "Fails only from carrier china-telecom");
    assert!(visitor.get("/").await.contains("Fails only from carrier china-telecom"));
    assert_eq!(mails(&board), [""; 0], "nobody is woken");

    visitor.press("what=target&to=errors").await;
    let board = visitor.until("the alarm", |board| !mails(board).is_empty()).await;
    assert_eq!((row(&board), mails(&board)), (Some(3), vec!["[DOWN] shop of 1".to_owned()]));
    assert!(visitor.get("/demo/mails/1").await.contains("DOWN"));

    let killed = leader(&board).expect("a leader");
    visitor.press("what=leader").await;
    let other = |board: &Value| leader(board).is_some_and(|node| node != killed);
    let board = visitor.until("another leader", other).await;
    assert_eq!(row(&board), Some(3), "what was agreed on stays");
    assert!(visitor.get("/").await.contains("shop"), "the page is another's now");

    visitor.press("what=heal").await;
    let board = visitor.until("the recovery", |board| mails(board).len() > 1).await;
    let both = ["[DOWN] shop of 1", "[RECOVERED] shop of 1"];
    assert_eq!(mails(&board), both, "one alarm, one recovery");
    assert_eq!(row(&board), Some(4));
    let living = board["coordinators"].as_array().expect("coordinators").iter();
    assert!(living.map(|member| &member["live"]).all(|live| *live == true));

    for node in [1, 3] {
        visitor.press(&format!("what=coordinator&which={node}&to=cut")).await;
    }
    let unknown = |board: &Value| board["verdict"]["status"] == "unknown";
    let board = visitor.until("the doubt of a coordinator that is left alone", unknown).await;
    assert_eq!(mails(&board), both, "it sends nothing");

    assert_eq!(interrupt(program).code(), Some(0), "it ends well");
    let left = std::fs::read_dir(temporary.path()).expect("readable").count();
    assert_eq!(left, 0, "nothing stays behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_turns_no_switch() {
    let temporary = tempfile::tempdir().expect("a directory");
    let (_program, url) = start(temporary.path());
    let visitor = Visitor::come(url).await;
    for (from, form, status) in [
        ("cross-site", "what=target&to=errors", 403),
        ("same-origin", "what=target&to=explodes", 400),
    ] {
        let request = visitor.client.post(format!("{}/demo/switch", visitor.url));
        let request = request
            .header("sec-fetch-site", from)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{from} {form}");
    }
    assert_eq!(visitor.look().await["target"], "works");
}
