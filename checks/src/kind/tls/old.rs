//! Whether a server still accepts a version of TLS that is out of use (RFC 8996). The library for
//! TLS does not speak them, and need not: the server's first answer to a hello says it.

use crosscheck_model::{Cause, Phase};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::settings::Old;
use crate::dial::Timer;
use crate::resolve::Failure;

/// Cipher suites of those versions, whatever the server's key is: with ECDHE, DHE and RSA, by
/// AES, 3DES and RC4; and the word that a renegotiation would be a safe one (RFC 5746).
const SUITES: [u16; 17] = [
    0xc00a, 0xc009, 0xc014, 0xc013, 0x0039, 0x0033, 0x0035, 0x002f, 0xc008, 0xc012, 0x0016, 0x000a,
    0xc007, 0xc011, 0x0005, 0x0004, 0x00ff,
];

/// x25519, secp256r1, secp384r1 and secp521r1 (RFC 8422).
const GROUPS: [u16; 4] = [0x001d, 0x0017, 0x0018, 0x0019];

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;

/// Says hello in this version; whether the server accepts it.
pub(super) async fn is_accepted(
    mut stream: TcpStream,
    version: Old,
    name: &ServerName<'_>,
    timer: &mut Timer,
) -> Result<bool, Failure> {
    let hello = hello(version, name, &rand::random());
    let talk = async {
        stream.write_all(&hello).await?;
        let mut answer = [0; 11];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timer.phase(Phase::Tls, talk).await? {
        Ok(answer) => Ok(is_server_hello(&answer, version)),
        // An alert is shorter than that; and many close without one.
        Err(error) if is_refusal(&error) => Ok(false),
        Err(error) => {
            let detail = format!("while TLS {} was offered: {error}", version.as_str());
            Err(Failure::new(Cause::TlsHandshake, detail))
        }
    }
}

fn is_refusal(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

/// Record header (5 bytes), message header (4), and the version that the server has chosen.
fn is_server_hello(answer: &[u8; 11], version: Old) -> bool {
    answer[0] == HANDSHAKE && answer[5] == SERVER_HELLO && answer[9..] == version.code()
}

/// A ClientHello (RFC 4346 7.4.1.2) in a record.
fn hello(version: Old, name: &ServerName<'_>, random: &[u8; 32]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(version.code());
    body.extend(random);
    body.push(0); // No session to resume.
    body.extend(sized::<2>(&numbers(&SUITES)));
    body.extend([1, 0]); // No compression.
    body.extend(sized::<2>(&extensions(name)));
    let mut message = vec![CLIENT_HELLO];
    message.extend(sized::<3>(&body));
    let mut record = vec![HANDSHAKE, 3, 1];
    record.extend(sized::<2>(&message));
    record
}

fn extensions(name: &ServerName<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |kind: u16, content: Vec<u8>| {
        bytes.extend(kind.to_be_bytes());
        bytes.extend(sized::<2>(&content));
    };
    if let ServerName::DnsName(name) = name {
        // server_name (RFC 6066 section 3): a list of one host name.
        let entry = [&[0][..], &sized::<2>(name.as_ref().as_bytes())].concat();
        add(0, sized::<2>(&entry));
    }
    add(10, sized::<2>(&numbers(&GROUPS)));
    add(11, vec![1, 0]); // Points are not compressed.
    bytes
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// The content with its length before it, in so many bytes.
fn sized<const BYTES: usize>(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - BYTES..], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_has_the_form_of_the_standard() {
        let name = ServerName::try_from("a.test").expect("a name");
        let hello = hello(Old::Tls11, &name, &[7; 32]);
        assert_eq!(hello[..3], [22, 3, 1]);
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(hello[5], 1);
        assert_eq!(hello[9..11], [3, 2]);
        assert!(hello.windows(6).any(|part| part == b"a.test"));
    }

    #[test]
    fn only_a_hello_of_that_version_is_consent() {
        let answer = |kind, message, version: [u8; 2]| {
            [kind, 3, 1, 0, 50, message, 0, 0, 46, version[0], version[1]]
        };
        assert!(is_server_hello(&answer(22, 2, [3, 1]), Old::Tls10));
        assert!(!is_server_hello(&answer(22, 2, [3, 3]), Old::Tls10));
        assert!(!is_server_hello(&answer(21, 2, [3, 1]), Old::Tls10));
        assert!(!is_server_hello(&answer(22, 11, [3, 1]), Old::Tls10));
    }
}
