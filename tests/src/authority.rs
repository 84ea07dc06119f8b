//! A certificate authority for one test.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use crate::scratch::Scratch;

/// The year in which a sound certificate ends.
const FAR: i32 = 4000;

/// The year in which an expired one ended.
const PAST: i32 = 2020;

/// An authority whose certificate is in a file.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The PEM file of its certificate.
    pub file: PathBuf,
}

/// The PEM files of a certificate and its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// No key can be made, or the file cannot be written.
    pub fn new(scratch: &Scratch) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "A test's authority");
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("signs itself");
        let file = scratch.write("ca.pem", &issuer.pem());
        Self { issuer, file }
    }

    /// A certificate for a name or address.
    pub fn sound(&self, scratch: &Scratch, name: &str) -> Identity {
        self.until(scratch, name, FAR)
    }

    /// A certificate for a name or address that has ended.
    pub fn expired(&self, scratch: &Scratch, name: &str) -> Identity {
        self.until(scratch, name, PAST)
    }

    /// A certificate for a name or address that ends as a year begins.
    ///
    /// # Panics
    /// It is neither a name nor an address, or a file cannot be written.
    pub fn until(&self, scratch: &Scratch, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.not_after = date_time_ymd(year, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("signs");
        Identity {
            certificate: scratch.write(&format!("{name}-{year}.pem"), &certificate.pem()),
            key: scratch.write(&format!("{name}-{year}.key"), &key.serialize_pem()),
        }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
