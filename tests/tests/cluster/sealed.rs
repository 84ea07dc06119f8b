//! The authority's key is on each coordinator's disk, and on no disk in clear: with the real
//! programs, and with OpenSSL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use aho_corasick::AhoCorasick;
use crosscheck_checks::clock;
use crosscheck_coordinator::access::{Authority, Passphrase, Request};
use crosscheck_core::identity::{CERTIFICATE_LIFETIME, Certified};
use crosscheck_model::join::Joined;
use crosscheck_probe::identity::Identity;
use crosscheck_tests::cluster::coordinator::Coordinator;
use crosscheck_tests::cluster::{Cluster, NODES, Plan, SETTLED, SITES, run};
use crosscheck_tests::eventually::eventually;
use crosscheck_tests::markers::Markers;

/// All probes.
const ALL: usize = SITES.len();

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where a coordinator's passphrase is: not in its data directory.
fn words_file(coordinator: &Coordinator) -> PathBuf {
    coordinator.settings().with_file_name("passphrase")
}

/// Gives a coordinator a passphrase of its own, for its next start.
fn give_passphrase(coordinator: &Coordinator, words: &str) {
    let file = words_file(coordinator);
    fs::write(&file, format!("{words}\n")).expect("written");
    let line = format!("authority_passphrase: \"${{file:{}}}\"\n", file.display());
    coordinator.add_settings(&line);
}

fn passphrase(coordinator: &Coordinator) -> Passphrase {
    let words = fs::read_to_string(words_file(coordinator)).expect("there");
    Passphrase::new(words.trim_end().to_owned()).expect("good")
}

fn file(coordinator: &Coordinator) -> PathBuf {
    coordinator.data().join("authority.pem")
}

/// The authority, as a coordinator with a passphrase keeps it.
fn authority(coordinator: &Coordinator) -> Authority {
    let text = fs::read_to_string(file(coordinator)).expect("there");
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    Authority::open(&coordinator.data(), Some(&passphrase(coordinator))).expect("it opens")
}

/// Whether one of these bytes in a row is in a file somewhere below.
fn holds(directory: &Path, wanted: &AhoCorasick) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").path()).find_map(|path| match path.is_dir() {
        true => holds(&path, wanted),
        false => wanted.is_match(&fs::read(&path).unwrap_or_default()).then_some(path),
    })
}

/// The private number itself, as bytes, and the line of a file in clear that has it.
fn number(authority: &Authority, line: &str) -> AhoCorasick {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    let key = PrivateKeyDer::from_pem_slice(authority.reveal().as_bytes()).expect("a key");
    // PKCS #8 of a key on P-256: it stands behind 36 bytes that all such keys have.
    AhoCorasick::new([&key.secret_der()[36..68], line.as_bytes()]).expect("bytes")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// As if the probe had joined four of seven days ago: when it starts, it renews its certificate.
fn age(cluster: &Cluster, probe: &str) -> Identity {
    let before = Identity::load(&cluster.probe(probe).data()).expect("it has joined");
    let from = clock::wall().minus(4 * DAY);
    let until = from.plus(CERTIFICATE_LIFETIME);
    let certified = Certified { probe: probe.into(), site: probe.into(), serial: 9, from, until };
    let request = Request::parse(&before.request().expect("a request")).expect("a request");
    let ours = authority(cluster.coordinator(1));
    let certificate = ours.issue_probe(&request, &certified).expect("signs");
    let joined = Joined { certificate, authority: ours.certificate_pem(), until, now: from };
    let aged = before.renewed(&joined).expect("for this key");
    aged.save().expect("kept");
    aged
}

#[test]
fn a_cluster_seals_its_keys_and_works_as_before() {
    run(Plan::USUAL, async |cluster| {
        let clear = Authority::open(&cluster.coordinator(1).data(), None).expect("an authority");
        let line = clear.reveal().lines().nth(1).expect("the key's first line").to_owned();
        let (markers, number) = (Markers::new([line.clone()]), number(&clear, &line));
        assert!(holds(&cluster.coordinator(1).data(), &number).is_some(), "in clear so far");
        assert!(cluster.coordinator(1).log().contains("in clear"), "and it says so");

        // One after the other gets a passphrase and starts anew.
        for node in NODES {
            let coordinator = cluster.coordinator_mut(node);
            coordinator.stop().await;
            give_passphrase(coordinator, &format!("the words of machine {node}"));
            coordinator.start();
            cluster.ready(&NODES).await;
            let sealed = authority(cluster.coordinator(node));
            assert_eq!(sealed.fingerprint(), clear.fingerprint());
        }
        let place = cluster.another();
        let newcomer = cluster.coordinator(place);
        give_passphrase(newcomer, "the words of the newcomer");
        let numbered = newcomer.join(cluster.coordinator(2), &cluster.coordinator(1).token());
        assert_eq!(numbered, 4);
        assert_eq!(authority(newcomer).fingerprint(), clear.fingerprint());
        cluster.coordinator_mut(place).start();
        cluster.ready(&cluster.members()).await;

        enrols_and_renews(cluster).await;
        let kept = cluster.directory("kept");
        let backup = kept.join("monday.backup");
        let first = cluster.coordinator(1);
        first.operate(&["backup", "--out", backup.to_str().expect("a path in ASCII")]);
        for directory in cluster.members().iter().map(|node| cluster.coordinator(*node).data()) {
            markers.assert_untold_below(&directory, &[]);
            assert_eq!(holds(&directory, &number), None);
        }
        markers.assert_untold_below(&kept, &[]);
        assert_eq!(holds(&kept, &number), None);

        wrong_words_harm_nothing(cluster).await;
        openssl_changes_the_words(cluster).await;
        a_lost_cluster_is_restored(cluster, &backup).await;
    });
}

async fn enrols_and_renews(cluster: &mut Cluster) {
    for site in ["b2", "g1"] {
        cluster.probe_mut(site).stop();
    }
    let old = age(cluster, "b2").until();
    let named = ["probe", "token", "create", "--site", "g1", "--name", "g1"];
    let token = cluster.coordinator(3).operate(&named).trim().to_owned();
    cluster.probe("g1").join(&token);
    for site in ["b2", "g1"] {
        cluster.probe_mut(site).start();
    }
    let data = cluster.probe("b2").data();
    eventually(SETTLED, "a certificate that ends later", || async {
        let now = Identity::load(&data).map_err(|error| error.to_string())?.until();
        if now > old.plus(2 * DAY) { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    cluster.shows(1, "up", "up", ALL).await;
}

async fn wrong_words_harm_nothing(cluster: &mut Cluster) {
    let third = cluster.coordinator_mut(3);
    third.stop().await;
    let (file, words) = (file(third), words_file(third));
    let (kept, right) = (fs::read(&file).expect("there"), fs::read(&words).expect("there"));
    for (wrong, complaint) in
        [("the words of somebody else", "does not open the key in"), ("", "has 0 characters")]
    {
        fs::write(&words, wrong).expect("written");
        let mut command = third.crosscheck();
        command.args(["coordinator", "--config"]).arg(third.settings());
        let ended = command.output().expect("it runs");
        assert_eq!(ended.status.code(), Some(2), "starting it again would not help");
        assert!(said(&ended).contains(complaint), "{}", said(&ended));
    }
    assert_eq!(fs::read(&file).expect("there"), kept);
    fs::write(&words, right).expect("written");
    third.start();
    cluster.ready(&cluster.members()).await;
}

/// As the manual says.
async fn openssl_changes_the_words(cluster: &mut Cluster) {
    let second = cluster.coordinator_mut(2);
    second.stop().await;
    let words = words_file(second);
    let new = words.with_extension("new");
    fs::write(&new, "other words of machine 2\n").expect("written");
    let change = "(openssl pkcs8 -topk8 -scrypt -in authority.pem -passin file:$OLD -passout file:$NEW && \
                  openssl x509 -in authority.pem) > new.pem && \
                  chown --reference=authority.pem new.pem && chmod 600 new.pem && \
                  mv new.pem authority.pem";
    let mut shell = Command::new("sh");
    shell.args(["-c", change]).current_dir(second.data()).env("OLD", &words).env("NEW", &new);
    let changed = shell.output().expect("it runs");
    assert!(changed.status.success(), "{}", said(&changed));
    fs::rename(&new, &words).expect("moved");
    authority(second);
    second.start();
    cluster.ready(&cluster.members()).await;
}

/// With the file of a coordinator that had other words than the one that goes on.
async fn a_lost_cluster_is_restored(cluster: &mut Cluster, backup: &Path) {
    for node in cluster.members() {
        cluster.coordinator_mut(node).kill();
    }
    let [first, second] = [1, 2].map(|node| cluster.coordinator(node));
    let was = authority(first).fingerprint();
    fs::remove_dir_all(first.data()).expect("it had data");
    let its = format!("${{file:{}}}", words_file(second).display());
    let restore = |more: &[&str]| {
        let mut command = first.crosscheck();
        command.args(["restore", "--config"]).arg(first.settings()).arg("--authority");
        command.arg(file(second)).args(more).arg(backup).output().expect("it runs")
    };
    let refused = restore(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("does not open the key in"), "{}", said(&refused));
    let done = restore(&["--authority-passphrase", &its]);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(authority(first).fingerprint(), was);
    cluster.coordinator_mut(1).start();
    assert_eq!(cluster.ready(&[1]).await, 1);
    cluster.shows(1, "up", "up", ALL).await;
}
