//! Where a passphrase comes from, and that OpenSSL and we read each other's keys.

use std::fs;
use std::path::Path;
use std::process::Command;

use crosscheck_model::Secret;

use super::*;

const WORDS: &str = "a passphrase of the first machine";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).expect("good")
}

/// What `openssl` makes of a file.
fn openssl(arguments: &[&str], file: &Path) -> String {
    let made = Command::new("openssl").args(arguments).arg("-in").arg(file).output();
    let made = made.expect("openssl runs");
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("PEM")
}

#[test]
fn a_passphrase_is_the_settings_or_else_systemds() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().to_str().expect("a path in ASCII").to_owned();
    let variables = [("CREDENTIALS_DIRECTORY", place.as_str()), ("SEAL", WORDS)];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let secrets = Secrets::fixed(variables.map(owned).into());
    let find = |setting: Option<&str>| {
        let setting = setting.map(|text| serde_json::from_value(text.into()).expect("a reference"));
        Passphrase::find(setting.as_ref() as Option<&Secret>, &secrets)
            .map(|found| found.map(|p| p.0))
    };
    assert!(matches!(find(None), Ok(None)), "systemd hands nothing over");
    assert!(matches!(Passphrase::find(None, &Secrets::fixed([].into())), Ok(None)), "no systemd");
    fs::write(directory.path().join(CREDENTIAL), "what systemd hands over\n").expect("written");
    assert_eq!(find(None).expect("found").as_deref(), Some("what systemd hands over"));
    assert_eq!(find(Some("${env:SEAL}")).expect("found").as_deref(), Some(WORDS));
    assert!(matches!(find(Some("${env:NONE}")), Err(PassphraseError::Read(_))));
    let empty = format!("${{file:{place}/empty}}");
    fs::write(directory.path().join("empty"), "\n").expect("written");
    assert!(matches!(find(Some(&empty)), Err(PassphraseError::Short(0))));
}

#[test]
fn what_can_be_guessed_or_is_read_in_part_seals_nothing() {
    let new = |text: &str| Passphrase::new(text.to_owned());
    assert!(matches!(new("letmein"), Err(PassphraseError::Short(7))));
    assert!(matches!(new("                      "), Err(PassphraseError::Short(0))));
    assert!(matches!(new("a passphrase\nof two lines"), Err(PassphraseError::Lines)));
    assert_eq!(format!("{:?}", passphrase(WORDS)), "<secret>");
}

#[test]
fn openssl_reads_what_we_seal_and_we_read_what_it_seals() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("key.pem");
    let made = KeyPair::generate().expect("a key");
    let same = |text: &str, passphrase: Option<&Passphrase>| {
        let (key, sealed) = key(text, passphrase).expect("a key");
        assert_eq!(key.public_key_raw(), made.public_key_raw());
        sealed
    };
    let words = passphrase(WORDS);
    fs::write(&file, words.seal(&made).expect("sealed")).expect("written");
    let opens = format!("pass:{WORDS}");
    let clear = openssl(&["pkey", "-passin", &opens], &file);
    assert!(!same(&clear, None), "in clear");

    fs::write(&file, clear).expect("written");
    for with in [
        &["pkcs8", "-topk8"][..],
        &["pkcs8", "-topk8", "-scrypt"],
        &["pkcs8", "-topk8", "-iter", "100000"],
        &["pkey", "-aes256"],
    ] {
        let sealed = openssl(&[with, &["-passout", &opens]].concat(), &file);
        assert!(same(&sealed, Some(&words)), "{with:?}");
        assert_eq!(key(&sealed, None).err(), Some(Unusable::Sealed), "{with:?}");
        let other = passphrase("a passphrase of another machine");
        assert_eq!(key(&sealed, Some(&other)).err(), Some(Unusable::Passphrase), "{with:?}");
    }
}

#[test]
fn what_is_no_key_says_so() {
    let words = passphrase(WORDS);
    let [other, empty] = [pem("CERTIFICATE", b"one"), pem(SEALED, b"nonsense")];
    for text in ["", "nonsense", &other, &empty] {
        let found = key(text, Some(&words)).err();
        assert!(matches!(found, Some(Unusable::Damaged(_))), "{text}: {found:?}");
    }
}
