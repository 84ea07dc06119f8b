//! What is kept, what is handed over, and what a request cannot get.

use std::os::unix::fs::PermissionsExt;

use crosscheck_checks::clock;
use rcgen::string::Ia5String;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::*;
use crate::access::Peer;

fn certified() -> Certified {
    let from = clock::wall();
    Certified {
        probe: "p".into(),
        site: "here".into(),
        serial: 7,
        from,
        until: from.plus(Duration::from_secs(3600)),
    }
}

#[test]
fn an_authority_is_made_once_and_only_its_owner_reads_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    assert!(matches!(Authority::open(data, None), Err(AuthorityError::Missing(_))));
    let made = Authority::create(data, None, clock::wall()).expect("made");
    assert!(matches!(Authority::create(data, None, clock::wall()), Err(AuthorityError::Exists(_))));
    let mode = fs::metadata(data.join(FILE)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let opened = Authority::open(data, None).expect("opens");
    assert_eq!(opened.fingerprint(), made.fingerprint());
}

#[test]
fn only_the_authority_that_the_token_names_is_taken_over() {
    let here = tempfile::tempdir().expect("a directory");
    let ours = Authority::create(here.path(), None, clock::wall()).expect("made");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let other = Authority::create(elsewhere.path(), None, clock::wall()).expect("made");
    let there = tempfile::tempdir().expect("a directory");
    let install =
        |text: &str| Authority::install(there.path(), None, text, &ours.fingerprint()).map(|_| ());
    assert!(matches!(install(&other.reveal()), Err(AuthorityError::Foreign(_))));
    let mixed = format!("{}{}", other.issuer.key().serialize_pem(), ours.certificate_pem());
    assert!(matches!(install(&mixed), Err(AuthorityError::Foreign(_))), "another's key");
    assert!(install("nonsense").is_err());
    assert!(!there.path().join(FILE).exists());
    install(&ours.reveal()).expect("taken over");
    assert!(matches!(install(&ours.reveal()), Err(AuthorityError::Exists(_))));
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).expect("good")
}

/// The file in this directory, which has no line of the key in clear.
fn sealed(data: &Path, authority: &Authority) -> String {
    let text = fs::read_to_string(data.join(FILE)).expect("there");
    let clear = authority.issuer.key().serialize_pem();
    assert!(clear.lines().skip(1).all(|line| line.starts_with('-') || !text.contains(line)));
    let mode = fs::metadata(data.join(FILE)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(data).expect("a directory").count(), 1, "nothing lies beside it");
    text
}

#[test]
fn a_sealed_key_opens_by_its_passphrase_alone_and_stays_as_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    let (words, other) = (passphrase("of the first machine"), passphrase("of another machine"));
    let made = Authority::create(data, Some(&words), clock::wall()).expect("made");
    let text = sealed(data, &made);
    let open = |words| Authority::open(data, words).map(|opened| opened.fingerprint());
    let error = open(Some(&other)).expect_err("sealed").to_string();
    assert!(error.contains("does not open") && error.contains("cluster join"), "{error}");
    let error = open(None).expect_err("sealed").to_string();
    assert!(error.contains("`authority_passphrase`"), "{error}");
    assert_eq!(open(Some(&words)).expect("opens"), made.fingerprint());
    assert_eq!(sealed(data, &made), text, "not written anew");
}

#[test]
fn a_key_in_clear_is_sealed_as_soon_as_there_is_a_passphrase() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, words) = (directory.path(), passphrase("of the first machine"));
    let made = Authority::create(data, None, clock::wall()).expect("made");
    let open = |words| Authority::open(data, words).map(|opened| opened.fingerprint());
    assert_eq!(open(None).expect("opens"), made.fingerprint());
    assert_eq!(open(Some(&words)).expect("opens"), made.fingerprint());
    sealed(data, &made);
    assert_eq!(open(Some(&words)).expect("opens"), made.fingerprint());
    assert!(matches!(open(None), Err(AuthorityError::Sealed(_))));
}

#[test]
fn each_machine_seals_by_its_own_passphrase_what_another_hands_over() {
    let [here, there, after] = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let (ours, theirs) = (passphrase("of the first machine"), passphrase("of another machine"));
    let made = Authority::create(here.path(), Some(&ours), clock::wall()).expect("made");
    let handed = made.reveal();
    Authority::install(there.path(), Some(&theirs), &handed, &made.fingerprint()).expect("kept");
    sealed(there.path(), &made);
    assert!(Authority::open(there.path(), Some(&theirs)).is_ok());

    let adopt = |its| {
        let kept = there.path().join(FILE);
        Authority::adopt(after.path(), Some(&ours), &kept, its).map(|taken| taken.fingerprint())
    };
    assert!(matches!(adopt(Some(&ours)), Err(AuthorityError::Passphrase(_))));
    assert!(!after.path().join(FILE).exists(), "it can be tried again");
    assert_eq!(adopt(Some(&theirs)).expect("taken over"), made.fingerprint());
    sealed(after.path(), &made);
    assert!(Authority::open(after.path(), Some(&ours)).is_ok());
}

#[test]
fn names_come_from_us_and_never_from_the_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::create(directory.path(), None, clock::wall()).expect("made");
    let key = KeyPair::generate().expect("a key");
    // It asks to be another probe, a member and an authority.
    let mut wish = CertificateParams::new(vec![
        node_name(&authority.fingerprint(), 1),
        coordinator_name(&authority.fingerprint()),
    ])
    .expect("names");
    wish.distinguished_name.push(DnType::CommonName, "admin");
    let other = Ia5String::try_from(probe_uri(&"q".into(), &"there".into())).expect("a URI");
    wish.subject_alt_names.push(SanType::URI(other));
    wish.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pem = wish.serialize_request(&key).expect("a request").pem().expect("PEM");
    let request = Request::parse(&pem).expect("its signature is right");
    let issued = authority.issue_probe(&request, &certified()).expect("signs");
    let der = CertificateDer::from_pem_slice(issued.as_bytes()).expect("PEM");
    let (_, read) = X509Certificate::from_der(&der).expect("a certificate");
    let subject: Vec<_> = read.subject().iter_common_name().map(|n| n.as_str()).collect();
    assert_eq!(subject, [Ok("p")]);
    let names = read.subject_alternative_name().expect("parses").expect("there");
    let [GeneralName::URI(uri)] = names.value.general_names[..] else {
        panic!("{:?}", names.value)
    };
    assert_eq!(uri, probe_uri(&"p".into(), &"here".into()));
    assert!(!read.is_ca());
    let usage = read.extended_key_usage().expect("parses").expect("there").value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert_eq!(read.raw_serial(), [7]);
    let peer = Peer::of(Some(std::slice::from_ref(&der)), &authority.fingerprint());
    let wanted = Peer::Probe { probe: "p".into(), site: "here".into(), key: request.key() };
    assert_eq!(peer, Some(wanted));
    assert_eq!(request.key(), trust::fingerprint(read.public_key().raw));
}

#[test]
fn a_request_that_its_key_did_not_sign_is_refused() {
    let key = KeyPair::generate().expect("a key");
    let request = CertificateParams::default().serialize_request(&key).expect("a request");
    let mut der = request.der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    for bad in [pem("CERTIFICATE REQUEST", &der), String::new(), "nonsense".to_owned()] {
        assert!(matches!(Request::parse(&bad), Err(JoinRefusal::BadRequest(_))), "{bad}");
    }
    assert!(Request::parse(&request.pem().expect("PEM")).is_ok());
}

#[test]
fn a_members_certificate_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::create(directory.path(), None, clock::wall()).expect("made");
    let key = MemberKey::generate().expect("a key");
    let time = (certified().from, certified().until);
    let (chain, _) = authority.issue_node(3, &key, time).expect("signs");
    let wanted = Peer::Member { node: 3, key: key.fingerprint() };
    assert_eq!(Peer::of(Some(&chain), &authority.fingerprint()), Some(wanted));
    let other = Fingerprint([1; 32]);
    assert_eq!(Peer::of(Some(&chain), &other), None, "a member of another installation");
    assert_eq!(Peer::of(None, &other), Some(Peer::Stranger));
}
