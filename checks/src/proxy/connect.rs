//! The CONNECT method of an HTTP proxy (RFC 9110 9.3.6).

use std::io;

use crosscheck_model::Cause;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Account, Refusal};

/// The most that a proxy's head of an answer may have.
const HEAD_LIMIT_BYTES: usize = 16 << 10;

/// Asks for a tunnel. What comes after the proxy's consent is left in the stream.
pub(super) async fn ask(
    stream: &mut TcpStream,
    (host, port): (&str, u16),
    account: Option<&Account>,
) -> Result<(), Refusal> {
    let place = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    let login = account.map(|account| format!("Proxy-Authorization: {}\r\n", account.basic()));
    let login = login.unwrap_or_default();
    let agent = concat!("crosscheck/", env!("CARGO_PKG_VERSION"));
    let request =
        format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {agent}\r\n{login}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let head = head(stream).await?;
    judge(&head, account.is_some())
}

/// The answer's head, and not a byte more: what follows is the target's.
async fn head(stream: &mut TcpStream) -> Result<String, Refusal> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let seen = stream.peek(&mut buffer).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let before = head.len();
        head.extend_from_slice(&buffer[..seen]);
        let from = before.saturating_sub(3);
        let end = head[from..].windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            head.truncate(from + end + 4);
        }
        let taken = head.len() - before;
        stream.read_exact(&mut buffer[..taken]).await?;
        if end.is_some() {
            return Ok(String::from_utf8_lossy(&head).into_owned());
        }
        if head.len() > HEAD_LIMIT_BYTES {
            return Err(Refusal::Broken("its answer's head does not end".to_owned()));
        }
    }
}

fn judge(head: &str, logs_in: bool) -> Result<(), Refusal> {
    let line = head.lines().next().unwrap_or_default();
    let code = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse::<u16>().ok());
    let Some(code) = code else {
        return Err(Refusal::Broken("it does not speak HTTP".to_owned()));
    };
    let said = line.split_once(' ').map_or("", |(_, said)| said.trim());
    match code {
        200..=299 => Ok(()),
        407 if logs_in => {
            Err(Refusal::Refuses(format!("{said}; it does not accept the user and password")))
        }
        407 => Err(Refusal::Refuses(format!("{said}; it wants a user and password"))),
        504 => Err(Refusal::Target(Cause::ConnectTimeout, said.to_owned())),
        // Most likely the target is not there; it might be the proxy's own trouble, and no status
        // tells the one from the other.
        500..=599 => Err(Refusal::Target(Cause::ServerError, said.to_owned())),
        _ => Err(Refusal::Refuses(said.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_apart_from_a_target_that_is_not_there() {
        let refuses = |why: &str| Err(Refusal::Refuses(why.to_owned()));
        let target = |cause, why: &str| Err(Refusal::Target(cause, why.to_owned()));
        for (head, logs_in, wanted) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", false, Ok(())),
            ("HTTP/1.0 204 x\r\n\r\n", false, Ok(())),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", false, refuses("403 Forbidden")),
            ("HTTP/1.1 407 Who\r\n\r\n", false, refuses("407 Who; it wants a user and password")),
            (
                "HTTP/1.1 407 Who\r\n\r\n",
                true,
                refuses("407 Who; it does not accept the user and password"),
            ),
            ("HTTP/1.1 502 Bad\r\n\r\n", false, target(Cause::ServerError, "502 Bad")),
            ("HTTP/1.1 504 Late\r\n\r\n", false, target(Cause::ConnectTimeout, "504 Late")),
        ] {
            assert_eq!(judge(head, logs_in), wanted, "{head}");
        }
        for head in ["SSH-2.0-x", "", "HTTP/1.1", "HTTP/1.1 abc"] {
            assert!(matches!(judge(head, false), Err(Refusal::Broken(_))), "{head}");
        }
    }
}
