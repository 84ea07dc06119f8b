//! A key exchange by elliptic curves, up to where the server has proven its host key (RFC 4253,
//! 7 and 8; RFC 8731; RFC 5656, 4). Nothing is ever encrypted with what was agreed on.

use crosscheck_model::Cause;
use ring::agreement::{
    Algorithm, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::host_key::HostKey;
use super::packet::{self, Fields, broken, put_string, put_unsigned};
use crate::dialogue::Dialogue;
use crate::resolve::Failure;

const KEXINIT: u8 = 20;
const ECDH_INIT: u8 = 30;
const ECDH_REPLY: u8 = 31;

const METHODS: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256";

/// What is offered for the encryption that never begins: something of it every server has.
const CIPHERS: &str = "aes128-ctr,aes256-ctr,aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
                       chacha20-poly1305@openssh.com";
const MACS: &str = "hmac-sha2-256,hmac-sha2-512,hmac-sha2-256-etm@openssh.com,\
                    hmac-sha2-512-etm@openssh.com,hmac-sha1";

/// The server's host key, one of these algorithms, with the proof that the server holds it.
///
/// # Errors
/// There is none of them, or no proof.
pub(super) async fn host_key(
    ours: &str,
    theirs: &str,
    algorithms: &str,
    dialogue: &mut Dialogue,
) -> Result<HostKey, Failure> {
    let random = SystemRandom::new();
    let our_offer = offer(&random, algorithms)?;
    packet::send(&our_offer, dialogue).await?;
    let their_offer = packet::hear(dialogue).await?;
    let (methods, keys) = offered(&their_offer).ok_or_else(early)?;
    let method = common(METHODS, methods, "key exchange")?;
    let agreed = common(algorithms, keys, "host key")?;

    let by: &'static Algorithm =
        if method.starts_with("curve25519") { &X25519 } else { &ECDH_P256 };
    let private = EphemeralPrivateKey::generate(by, &random).map_err(|_| no_random())?;
    let public = private.compute_public_key().map_err(|_| no_random())?;
    let mut init = vec![ECDH_INIT];
    put_string(&mut init, public.as_ref());
    packet::send(&init, dialogue).await?;

    let reply = packet::hear(dialogue).await?;
    let (blob, peer, signature) = answered(&reply).ok_or_else(early)?;
    let secret = agree_ephemeral(private, &UnparsedPublicKey::new(by, peer), <[u8]>::to_vec)
        .map_err(|_| broken("a public key that is on no curve"))?;
    let mut exchanged = Vec::new();
    let said = [ours.as_bytes(), theirs.as_bytes(), &our_offer, &their_offer, blob];
    said.iter().for_each(|part| put_string(&mut exchanged, part));
    put_string(&mut exchanged, public.as_ref());
    put_string(&mut exchanged, peer);
    put_unsigned(&mut exchanged, &secret);
    let hash = digest(&SHA256, &exchanged);
    HostKey::proven(blob, signature, agreed, hash.as_ref()).ok_or_else(|| {
        Failure::new(Cause::HostKey, "the server does not prove that it holds its host key")
    })
}

/// What this end can do.
fn offer(random: &SystemRandom, algorithms: &str) -> Result<Vec<u8>, Failure> {
    let mut cookie = [0; 16];
    random.fill(&mut cookie).map_err(|_| no_random())?;
    let mut payload = vec![KEXINIT];
    payload.extend(cookie);
    let lists = [METHODS, algorithms, CIPHERS, CIPHERS, MACS, MACS, "none", "none", "", ""];
    lists.iter().for_each(|list| put_string(&mut payload, list.as_bytes()));
    payload.extend([0; 5]); // No guess follows; reserved.
    Ok(payload)
}

/// The methods and host key algorithms of the other end.
fn offered(payload: &[u8]) -> Option<(&str, &str)> {
    let (&kind, rest) = payload.split_first()?;
    let mut fields = Fields(rest);
    fields.bytes(16)?;
    let lists = (fields.string()?, fields.string()?);
    (kind == KEXINIT).then_some(())?;
    Some((str::from_utf8(lists.0).ok()?, str::from_utf8(lists.1).ok()?))
}

/// The first of ours that is theirs too.
fn common<'a>(ours: &'a str, theirs: &str, what: &str) -> Result<&'a str, Failure> {
    let found = ours.split(',').find(|name| theirs.split(',').any(|other| other == *name));
    found.ok_or_else(|| {
        let detail = format!("no {what} in common: the server has `{theirs}`, wanted `{ours}`");
        Failure::new(Cause::NotOffered, detail)
    })
}

/// The host key, the other end's public key and the signature.
fn answered(payload: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&kind, rest) = payload.split_first()?;
    let mut fields = Fields(rest);
    (kind == ECDH_REPLY).then_some(())?;
    Some((fields.string()?, fields.string()?, fields.string()?))
}

fn early() -> Failure {
    broken("a key exchange that ends early, or another message in its place")
}

fn no_random() -> Failure {
    Failure::new(Cause::Setup, "this host gives no random numbers")
}
