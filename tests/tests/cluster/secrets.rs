//! Secrets of a whole cluster are used, and told to nobody: not by disks, backups, logs, mails,
//! pages, the API, metrics, commands or command lines (invariant S2).

use std::fs;
use std::path::PathBuf;

use crosscheck_tests::authority::Authority;
use crosscheck_tests::cluster::network::HUB;
use crosscheck_tests::cluster::{Cluster, NODES, Plan, SETTLED, SITES, run};
use crosscheck_tests::echo::Echo;
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::mailbox::{Mailbox, Sink};
use crosscheck_tests::markers::Markers;
use crosscheck_tests::scratch::Scratch;

const WEB_PORT: u16 = 8001;
const SERVICE_PORT: u16 = 8002;
const MAIL_PORT: u16 = 2587;
const METRICS_PORT: u16 = 9464;

/// Secrets in variables of the probes.
const OF_PROBES: [(&str, &str); 3] = [
    ("BEARER", "marker-bearer-7Qx/+\"&"),
    ("BODY", "marker body=6Wm%&"),
    ("JOURNEY", "marker-journey-3Tz ä"),
];

/// And of the coordinators: whichever leads mails.
const MAIL_PASSWORD: &str = "marker-mail-4Hd!";

/// Secrets in files.
const IN_FILES: [(&str, &str); 3] = [
    ("basic", "marker:basic-9Vt"),
    ("header", "marker-header-2Lp+/"),
    ("redis", "marker-redis-8Rk"),
];

/// The checks, all of which fail.
const CHECKS: [&str; 6] = ["bearer", "basic", "header", "body", "journey", "redis"];

fn configuration(files: &[PathBuf; 3], authority: &Authority) -> String {
    let [basic, header, redis] = files.each_ref().map(|path| path.display().to_string());
    let site =
        |(site, region, carrier)| format!("  {site}: {{ region: {region}, carrier: {carrier} }}\n");
    let web = format!("http://{HUB}:{WEB_PORT}");
    format!(
        "sites:\n{}\
         defaults: {{ interval: 1s, retry_interval: 1s, timeout: 1s, attempt_gap: 1s, \
         recovery_hold: 2s, severity: disaster, after: 1 }}\n\
         contacts: {{ ops: {{ mail: [ops@example.com], apart: true }} }}\n\
         channels:\n  mail: {{ smtp: \"smtp://{HUB}:{MAIL_PORT}\", tls: required, ca: {ca}, \
         from: \"crosscheck@example.com\", user: crosscheck, password: \"${{env:MAIL}}\" }}\n\
         routes: [ {{ to: [ops] }} ]\n\
         checks:\n\
         - {{ name: bearer, http: {{ url: \"{web}/bearer\", bearer: \"${{env:BEARER}}\" }} }}\n\
         - {{ name: basic, http: {{ url: \"{web}/basic\", \
           basic: {{ user: probe, password: \"${{file:{basic}}}\" }} }} }}\n\
         - {{ name: header, http: {{ url: \"{web}/header\", \
           headers: {{ X-Key: \"Token ${{file:{header}}}\" }} }} }}\n\
         - {{ name: body, http: {{ url: \"{web}/body\", send: \"p=${{env:BODY}}\" }} }}\n\
         - {{ name: journey, journey: {{ base: \"{web}\", steps: [ {{ url: /login, \
           form: {{ user: probe, password: \"${{env:JOURNEY}}\" }} }} ] }} }}\n\
         - {{ name: redis, redis: {{ address: \"{HUB}:{SERVICE_PORT}\", \
           password: \"${{file:{redis}}}\" }} }}\n",
        SITES.map(site).concat(),
        ca = authority.file.display(),
    )
}

/// What every program was given on its command line.
fn command_lines() -> Vec<u8> {
    let processes = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let ours = lines.filter(|line| String::from_utf8_lossy(line).contains("crosscheck"));
    let ours: Vec<Vec<u8>> = ours.collect();
    assert!(ours.len() >= NODES.len() + SITES.len(), "{} processes", ours.len());
    ours.concat()
}

/// The secret parts of tokens and keys that the cluster has made.
fn made(cluster: &Cluster) -> Vec<String> {
    let first = cluster.coordinator(1);
    let token = ["token", "create", "--name", "ci", "--role", "administrator"];
    let operator = first.operate(&token).trim().to_owned();
    let secret = |token: &str, between: char| {
        let parts = token.split(between).filter(|part| part.len() >= 40);
        parts.map(str::to_owned).next().expect("a secret")
    };
    let mut made = vec![secret(&operator, '_')];
    made.extend([first.token(), first.probe_token("a1")].map(|token| secret(&token, '-')));
    let key = |path: PathBuf| {
        let text = fs::read_to_string(path).expect("a key");
        text.lines().nth(1).expect("the key's first line").to_owned()
    };
    made.extend(["authority.pem", "member-key.pem"].map(|file| key(first.data().join(file))));
    made.extend(cluster.probes().iter().map(|probe| key(probe.data().join("identity.pem"))));
    made
}

#[test]
fn a_clusters_secrets_are_used_and_told_to_nobody() {
    run(Plan::USUAL, async |cluster| {
        let scratch = Scratch::new();
        let authority = Authority::new(&scratch);
        let identity = authority.sound(&scratch, &HUB.to_string());
        let mails = Sink::secure_at(HUB, MAIL_PORT, &identity).await;
        let web = Echo::start(HUB, WEB_PORT).await;
        let service = Echo::start(HUB, SERVICE_PORT).await;
        let files = IN_FILES.map(|(name, secret)| scratch.write(name, &format!("{secret}\n")));
        give_secrets(cluster).await;
        let text = configuration(&files, &authority);
        cluster.coordinator(1).apply(&scratch.write("secrets.yaml", &text));
        mails.holds(2 * SETTLED, CHECKS.len()).await;

        // They were all used.
        let heard = web.heard() + &service.heard() + &mails.logins().join("\n");
        for used in
            ["Bearer marker-bearer", "p=marker body", "password=marker-journey", "marker-redis"]
        {
            assert!(heard.contains(used), "{used}: {heard}");
        }
        let given = OF_PROBES.iter().chain(&IN_FILES).map(|(_, secret)| *secret);
        let given = given.chain([MAIL_PASSWORD]).map(str::to_owned);
        let markers = Markers::new(given.chain(made(cluster)));

        look_everywhere(cluster, &markers).await;
        for arrival in mails.arrivals() {
            let letter = arrival.letter;
            for part in [&letter.raw, &letter.text, &letter.html] {
                markers.assert_untold("a mail", part.as_bytes());
            }
        }
        for node in NODES {
            cluster.coordinator_mut(node).stop().await;
        }
        look_at_disks(cluster, &markers);
    });
}

/// Gives programs their variables; they log all that they can.
async fn give_secrets(cluster: &mut Cluster) {
    for node in NODES {
        let coordinator = cluster.coordinator_mut(node);
        coordinator.set_variables(&[("MAIL", MAIL_PASSWORD), ("RUST_LOG", "trace")]);
        coordinator.stop().await;
        coordinator.start();
        cluster.ready(&NODES).await;
    }
    for (site, _, _) in SITES {
        let probe = cluster.probe_mut(site);
        let address = probe.host().address();
        probe.set_variables(&[&OF_PROBES[..], &[("RUST_LOG", "trace")]].concat());
        probe.restart_with(&format!("metrics: {address}:{METRICS_PORT}\n"));
    }
    cluster.shows(1, "up", "up", SITES.len()).await;
}

async fn look_everywhere(cluster: &Cluster, markers: &Markers) {
    let first = cluster.coordinator(1);
    eventually(SETTLED, "each check has an observation", || async {
        for check in CHECKS {
            let rows = first.api.list(&format!("/api/v1/checks/{check}/observations")).await?;
            let excerpt = rows.first().map(|row| row["excerpt"].to_string()).unwrap_or_default();
            if !excerpt.contains("<redacted>") {
                return Err(format!("{check}: {rows:?}"));
            }
        }
        Ok(())
    })
    .await;
    for node in NODES {
        markers.assert_untold_by(&cluster.coordinator(node).api, &CHECKS).await;
        let (_, page) = cluster.coordinator(node).page.get("/").await.expect("a page");
        markers.assert_untold("the page", page.as_bytes());
    }
    for probe in cluster.probes() {
        let url = format!("http://{}:{METRICS_PORT}", probe.host().address());
        let api = crosscheck_tests::api::Api::at(url, None);
        let (status, metrics) = api.get("/metrics").await.expect("metrics");
        assert_eq!(status, 200);
        markers.assert_untold("metrics", metrics.as_bytes());
    }
    for what in [
        &["status"][..],
        &["status", "--json"],
        &["incidents"],
        &["incidents", "--json"],
        &["token", "list"],
        &["audit", "--json"],
        &["probe", "list", "--json"],
        &["cluster", "status", "--json"],
    ] {
        let said = first.operation(what).output().expect("it runs");
        assert!(!said.stdout.is_empty(), "{what:?}: {said:?}");
        markers.assert_untold("what a command prints", &said.stdout);
        markers.assert_untold("what a command notes", &said.stderr);
    }
    let backup = cluster.directory("kept").join("backup");
    first.operate(&["backup", "--out", backup.to_str().expect("a path in ASCII")]);
    markers.assert_untold("the backup", &fs::read(&backup).expect("a backup"));
    markers.assert_untold("command lines", &command_lines());
    look_at_disks(cluster, markers);
}

/// The keys' own files apart, which only their owner reads.
fn look_at_disks(cluster: &Cluster, markers: &Markers) {
    for node in NODES {
        let coordinator = cluster.coordinator(node);
        let keys = ["authority.pem", "member-key.pem"];
        let files = markers.assert_untold_below(&coordinator.data(), &keys);
        assert!(files >= 3, "{files} files");
        markers.assert_untold("a coordinator's log", coordinator.log().as_bytes());
    }
    for probe in cluster.probes() {
        markers.assert_untold_below(&probe.data(), &["identity.pem"]);
        markers.assert_untold("a probe's log", probe.log().as_bytes());
    }
}
