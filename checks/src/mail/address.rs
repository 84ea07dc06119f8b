//! Mail addresses that are safe to put into SMTP commands and header fields.
//!
//! Stricter than RFC 5321: no quoted local parts, no comments, ASCII only. What is let through
//! contains no blank, bracket, quote or control character, so it can end neither a command nor a
//! header field.

use std::fmt;

/// An address, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

/// RFC 5321, 4.5.3.1.3: a path has at most 256 octets, its two angle brackets included.
const ADDRESS_LIMIT_BYTES: usize = 254;

impl Address {
    /// Takes the address, refusing what is none.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (local, domain) = text.rsplit_once('@').ok_or("an address needs an `@`")?;
        if text.len() > ADDRESS_LIMIT_BYTES {
            return Err("an address has at most 254 bytes");
        }
        if !text.is_ascii() {
            return Err("an address is ASCII; write its domain in `xn--` form");
        }
        if local.is_empty() || !local.bytes().all(is_local) {
            return Err("the part before the `@` has a character that no address has");
        }
        let labels_hold = domain.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        if !labels_hold {
            return Err("the part after the `@` is not a domain name");
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 5322 `atext` and the dot.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte)
}

/// An address with the name shown before it: `Acme alarms <alarms@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The name, without control characters.
    pub name: Option<String>,
    /// The address.
    pub address: Address,
}

impl Mailbox {
    /// Takes `name <address>` or a bare address.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((name, rest)) = text.split_once('<') else {
            return Ok(Self { name: None, address: Address::parse(text.trim())? });
        };
        let bare = rest.trim_end().strip_suffix('>').ok_or("a `<` without its `>`")?;
        let name = name.trim();
        if name.chars().any(|char| char.is_control() || char == '"') {
            return Err("the name has a quote or a control character");
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { name, address: Address::parse(bare)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_ends_a_command_or_a_header_is_an_address() {
        for good in ["ops@example.com", "o.p+s@mail.example.com", "root@localhost", "a@xn--fsq.cn"]
        {
            assert_eq!(Address::parse(good).map(|it| it.0), Ok(good.to_owned()));
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "ops",
            "@example.com",
            "ops@",
            "ops@example..com",
            "ops@example.com\r\nBcc: all@example.com",
            "ops@example.com\nDATA",
            "ops\0@example.com",
            "ops@example.com>\r\nRCPT TO:<x@example.com",
            "o ps@example.com",
            "\"o ps\"@example.com",
            "ops@example.com, x@example.com",
            "<ops@example.com>",
            "ops@[127.0.0.1]",
            "öps@example.com",
            &long,
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_mailbox_may_carry_a_name() {
        let named = Mailbox::parse("Acme alarms <a@example.com>").expect("a mailbox");
        assert_eq!(named.name.as_deref(), Some("Acme alarms"));
        assert_eq!(named.address.as_str(), "a@example.com");
        assert_eq!(named.address.domain(), "example.com");
        assert_eq!(Mailbox::parse(" a@example.com ").expect("a mailbox").name, None);
        for bad in ["Acme <a@example.com", "Ac\r\nme <a@example.com>", "\"A\" <a@example.com>", ""]
        {
            assert!(Mailbox::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
