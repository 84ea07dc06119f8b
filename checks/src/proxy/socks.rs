//! SOCKS version 5 (RFC 1928) with a user and password (RFC 1929).

use std::net::IpAddr;

use crosscheck_model::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Account, Place, Refusal};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

/// Asks for a connection.
pub(super) async fn ask(
    stream: &mut TcpStream,
    (place, port): (Place<'_>, u16),
    account: Option<&Account>,
) -> Result<(), Refusal> {
    let request = request(place, port)?;
    let methods: &[u8] = match account {
        Some(_) => &[VERSION, 2, NO_LOGIN, USER_AND_PASSWORD],
        None => &[VERSION, 1, NO_LOGIN],
    };
    stream.write_all(methods).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen, account) {
        ([VERSION, NO_LOGIN], _) => {}
        ([VERSION, USER_AND_PASSWORD], Some(account)) => log_in(stream, account).await?,
        ([VERSION, _], Some(_)) => {
            return Err(Refusal::Refuses("it takes no user and password".to_owned()));
        }
        ([VERSION, _], None) => {
            return Err(Refusal::Refuses("it wants a user and password".to_owned()));
        }
        _ => return Err(Refusal::Broken("it does not speak SOCKS5".to_owned())),
    }
    stream.write_all(&request).await?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    judge(reply)?;
    // The address that the proxy uses, and its port: of no interest, but in the way.
    let rest = match reply[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(Refusal::Broken("its reply has no address".to_owned())),
    };
    let mut bound = [0; 257];
    stream.read_exact(&mut bound[..rest + 2]).await?;
    Ok(())
}

fn request(place: Place<'_>, port: u16) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![VERSION, 1, 0];
    match place {
        Place::Address(IpAddr::V4(ip)) => {
            bytes.push(1);
            bytes.extend(ip.octets());
        }
        Place::Address(IpAddr::V6(ip)) => {
            bytes.push(4);
            bytes.extend(ip.octets());
        }
        Place::Name(name) => {
            let length = u8::try_from(name.len());
            let length = length.map_err(|_| Refusal::Broken("the name is too long".to_owned()))?;
            bytes.extend([3, length]);
            bytes.extend(name.as_bytes());
        }
    }
    bytes.extend(port.to_be_bytes());
    Ok(bytes)
}

async fn log_in(stream: &mut TcpStream, account: &Account) -> Result<(), Refusal> {
    let mut bytes = vec![1];
    for text in [&account.user, &account.password] {
        let length = u8::try_from(text.len()).map_err(|_| {
            Refusal::Refuses("a user or password of more than 255 bytes (RFC 1929)".to_owned())
        })?;
        bytes.push(length);
        bytes.extend(text.as_bytes());
    }
    stream.write_all(&bytes).await?;
    let mut verdict = [0; 2];
    stream.read_exact(&mut verdict).await?;
    match verdict[1] {
        0 => Ok(()),
        _ => Err(Refusal::Refuses("it does not accept the user and password".to_owned())),
    }
}

/// RFC 1928 section 6.
fn judge(reply: [u8; 4]) -> Result<(), Refusal> {
    let target = |cause, what: &str| Err(Refusal::Target(cause, what.to_owned()));
    let turned_away = |cause, what: &str| Err(Refusal::TurnedAway(cause, what.to_owned()));
    if reply[0] != VERSION {
        return Err(Refusal::Broken("it does not speak SOCKS5".to_owned()));
    }
    match reply[1] {
        0 => Ok(()),
        2 => Err(Refusal::Refuses("its rules do not allow the connection".to_owned())),
        // Where the proxy has lost its own network, it says the same.
        3 => target(Cause::Unreachable, "network unreachable"),
        4 => turned_away(Cause::Unreachable, "host unreachable"),
        5 => turned_away(Cause::Refused, "connection refused"),
        6 => target(Cause::ConnectTimeout, "TTL expired"),
        7 | 8 => Err(Refusal::Refuses(format!("it cannot do that (reply {})", reply[1]))),
        // Most say this of a name that does not exist too.
        1 => target(Cause::ServerError, "general failure"),
        code => target(Cause::ServerError, &format!("reply {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_form_of_the_standard() {
        let v4 = Place::Address(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(request(v4, 443), Ok(vec![5, 1, 0, 1, 192, 0, 2, 1, 1, 187]));
        let v6 = request(Place::Address("2001:db8::1".parse().expect("an address")), 80);
        assert_eq!(v6.expect("fits").len(), 4 + 16 + 2);
        assert_eq!(request(Place::Name("a.b"), 80), Ok(b"\x05\x01\x00\x03\x03a.b\x00P".to_vec()));
        assert!(request(Place::Name(&"a".repeat(256)), 80).is_err());
    }

    #[test]
    fn every_reply_is_told_apart() {
        for (reply, cause, proves) in [
            (1, Some(Cause::ServerError), false),
            (2, None, false),
            (3, Some(Cause::Unreachable), false),
            (4, Some(Cause::Unreachable), true),
            (5, Some(Cause::Refused), true),
            (6, Some(Cause::ConnectTimeout), false),
            (7, None, false),
            (99, Some(Cause::ServerError), false),
        ] {
            let refusal = judge([5, reply, 0, 1]).expect_err("refused");
            match (cause, refusal) {
                (Some(cause), Refusal::Target(told, _)) if !proves => assert_eq!(told, cause),
                (Some(cause), Refusal::TurnedAway(told, _)) if proves => assert_eq!(told, cause),
                (None, Refusal::Refuses(_)) => {}
                (_, refusal) => panic!("{reply}: {refusal:?}"),
            }
        }
        assert_eq!(judge([5, 0, 0, 1]), Ok(()));
        assert!(matches!(judge([b'H', b'T', b'T', b'P']), Err(Refusal::Broken(_))));
    }
}
