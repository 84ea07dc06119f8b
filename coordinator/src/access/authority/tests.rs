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
    assert!(matches!(Authority::open(data), Err(AuthorityError::Missing(_))));
    let made = Authority::create(data, clock::wall()).expect("made");
    assert!(matches!(Authority::create(data, clock::wall()), Err(AuthorityError::Exists(_))));
    let mode = fs::metadata(data.join(FILE)).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let opened = Authority::open(data).expect("opens");
    assert_eq!(opened.fingerprint(), made.fingerprint());
}

#[test]
fn only_the_authority_that_the_token_names_is_taken_over() {
    let here = tempfile::tempdir().expect("a directory");
    let ours = Authority::create(here.path(), clock::wall()).expect("made");
    let elsewhere = tempfile::tempdir().expect("a directory");
    let other = Authority::create(elsewhere.path(), clock::wall()).expect("made");
    let there = tempfile::tempdir().expect("a directory");
    let install = |text: &str| {
        Authority::install(there.path(), text.to_owned(), &ours.fingerprint()).map(|_| ())
    };
    assert!(matches!(install(other.reveal()), Err(AuthorityError::Foreign(_))));
    let mixed = format!("{}{}", other.issuer.key().serialize_pem(), ours.certificate_pem());
    assert!(matches!(install(&mixed), Err(AuthorityError::Foreign(_))), "another's key");
    assert!(install("nonsense").is_err());
    assert!(!there.path().join(FILE).exists());
    install(ours.reveal()).expect("taken over");
    assert!(matches!(install(ours.reveal()), Err(AuthorityError::Exists(_))));
}

#[test]
fn names_come_from_us_and_never_from_the_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::create(directory.path(), clock::wall()).expect("made");
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
    let authority = Authority::create(directory.path(), clock::wall()).expect("made");
    let key = MemberKey::generate().expect("a key");
    let time = (certified().from, certified().until);
    let (chain, _) = authority.issue_node(3, &key, time).expect("signs");
    let wanted = Peer::Member { node: 3, key: key.fingerprint() };
    assert_eq!(Peer::of(Some(&chain), &authority.fingerprint()), Some(wanted));
    let other = Fingerprint([1; 32]);
    assert_eq!(Peer::of(Some(&chain), &other), None, "a member of another installation");
    assert_eq!(Peer::of(None, &other), Some(Peer::Stranger));
}
