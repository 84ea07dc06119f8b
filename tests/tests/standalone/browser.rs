//! The status page in a real browser, on a telephone and on a desk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crosscheck_tests::binary;
use crosscheck_tests::nginx::Nginx;
use crosscheck_tests::scratch::Scratch;
use crosscheck_tests::standalone::{FAST, Standalone};

const SOON: Duration = Duration::from_secs(30);

/// Opens pages on a telephone and on a desk; everything that is wrong with them.
async fn look(pages: Vec<String>) -> Result<(), String> {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    assert!(
        tool.join("node_modules").is_dir(),
        "the browser checks are not installed\nhint: `tests/run` installs what the tests need"
    );
    let mut command = Command::new("node");
    command.current_dir(&tool).arg("check.mjs").args(pages);
    let ended = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic");
    let output = ended.expect("node starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// The page's addresses in every state that its fixtures know, and what serves them.
fn all_states() -> (Vec<String>, Child) {
    let mut served = Command::new(binary::show_page())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let lines = BufReader::new(served.stdout.take().expect("piped")).lines();
    let mut pages = Vec::new();
    for line in lines {
        let line = line.expect("text");
        match line.split_once(' ') {
            Some((_, address)) => pages.push(format!("{address}/")),
            None => break,
        }
    }
    (pages, served)
}

#[tokio::test]
async fn a_browser_finds_nothing_wrong_with_the_page_in_any_state() {
    let (pages, mut served) = all_states();
    assert!(pages.len() >= 9, "{pages:?}");
    let found = look(pages).await;
    // Its input closes, and it ends.
    drop(served.stdin.take());
    served.wait().expect("it ends");
    assert_eq!(found, Ok(()));
}

#[tokio::test]
async fn a_browser_finds_nothing_wrong_with_the_pages_of_an_outage_and_after_it() {
    let scratch = Scratch::new();
    let mut nginx = Nginx::start(&scratch, &[]).await;
    let config = format!(
        "{FAST}pages: {{ public: {{ title: \"Shop status\", checks: [\"shop*\"], access: public }} }}\n\
         checks:\n\
         - {{ name: shop home, http: {{ url: \"http://127.0.0.1:{}/\" }} }}\n\
         - {{ name: broken, http: {{ url: \"http://127.0.0.1:{}/broken\" }} }}\n",
        nginx.port, nginx.port
    );
    let crosscheck = Standalone::start(&scratch, &config).await;
    let address = |path: &str| crosscheck.api.address(path);
    crosscheck.api.becomes(SOON, "shop home", "up").await;
    nginx.stop();
    let check = crosscheck.api.becomes(SOON, "shop home", "down").await;
    let story = address(&format!("/incidents/{}", check["incident"]));
    let shop = address("/checks/shop%20home");
    let pages = vec![address("/"), address("/pages/public"), shop, story.clone()];
    assert_eq!(look(pages).await, Ok(()));

    nginx.run().await;
    crosscheck.api.becomes(SOON, "shop home", "up").await;
    assert_eq!(look(vec![story]).await, Ok(()));
    // That it can find something: there is no such check.
    let none = look(vec![address("/checks/nothing")]).await;
    assert!(none.is_err_and(|said| said.contains("status 404")));
}
