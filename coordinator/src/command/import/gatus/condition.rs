//! Gatus' conditions: `[STATUS] == 200`, `[BODY].user.name == john`, `[RESPONSE_TIME] < 300`.

use std::time::Duration;

use super::super::draft::{Check, why};
use super::super::time;
use super::super::written::Out;

/// A day has so many hours.
const HOURS: u64 = 24;

/// The signs, the longer ones first.
const SIGNS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

/// Makes the check want what the condition says.
///
/// # Errors
/// Why it cannot.
pub(super) fn apply(text: &str, check: &mut Check) -> Result<(), String> {
    let (left, sign, right) = apart(text)?;
    let is_http = check.is("http");
    match left {
        "[STATUS]" if is_http && check.has("status") => {
            Err("the status is judged by one list: write the codes that both want".to_owned())
        }
        "[STATUS]" if is_http => status(sign, right, check),
        "[RESPONSE_TIME]" => response_time(sign, right, check),
        "[CERTIFICATE_EXPIRATION]" => certificate(sign, right, check),
        // Every kind here must be connected with.
        "[CONNECTED]" if (sign, right) == ("==", "true") => Ok(()),
        "[CONNECTED]" if (sign, right) == ("==", "false") => {
            check.set("negate", Out::word(true));
            Ok(())
        }
        "[DNS_RCODE]" if check.is("dns") && sign == "==" => {
            check.set("rcode", Out::text(right));
            Ok(())
        }
        "[IP]" => Err("which address answers is not judged; name it in the URL".to_owned()),
        "[DOMAIN_EXPIRATION]" => Err("make a check of kind `domain` of it".to_owned()),
        "[BODY]" if check.is("dns") => answer(sign, right, check),
        "[BODY]" if ["udp", "tcp", "websocket"].iter().any(|kind| check.is(kind)) => {
            message(sign, right, check)
        }
        // It must serve in any case.
        "[BODY].status" if check.is("grpc") && (sign, right) == ("==", "SERVING") => Ok(()),
        "[BODY]" if is_http => whole_body(sign, right, check),
        _ if is_http && left.starts_with("[BODY]") => body_value(left, sign, right, check),
        _ if is_http && left.starts_with("has([BODY]") => {
            let path = left.trim_start_matches("has([BODY]").trim_end_matches(')');
            if (sign, right) != ("==", "true") {
                return Err(why::EXPRESSION.to_owned());
            }
            check.put("json", &json_path(path), Out::text("exists"));
            Ok(())
        }
        _ if is_http && left.starts_with("len(") => Err(why::EXPRESSION.to_owned()),
        _ => Err("there is no such condition for this kind".to_owned()),
    }
}

/// Where no condition is about the status, any will do.
pub(super) fn any_status(check: &mut Check) {
    if check.is("http") && !check.has("status") {
        check.set("status", Out::texts(["100-599"]));
    }
}

/// The days before its end from which on a domain's registration is not well.
///
/// # Errors
/// Why there are none.
pub(super) fn domain(text: &str) -> Result<Out, String> {
    let (_, sign, right) = apart(text)?;
    days(sign, right)
}

/// Both sides of a condition, and the sign between them.
fn apart(text: &str) -> Result<(&str, &str, &str), String> {
    let found = SIGNS.iter().find_map(|sign| {
        let (left, right) = text.split_once(&format!(" {sign} "))?;
        Some((left.trim(), *sign, right.trim()))
    });
    found.ok_or_else(|| "it is not understood".to_owned())
}

fn status(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let number = || right.parse::<u16>().map_err(|_| format!("`{right}` is no status"));
    let wanted = match sign {
        "==" => match any(right) {
            Some(all) => all.into_iter().map(Out::word).collect(),
            None => vec![Out::word(number()?)],
        },
        "<" => vec![Out::text(format!("100-{}", number()?.saturating_sub(1)))],
        "<=" => vec![Out::text(format!("100-{}", number()?))],
        ">" => vec![Out::text(format!("{}-599", number()?.saturating_add(1)))],
        ">=" => vec![Out::text(format!("{}-599", number()?))],
        _ => return Err("write the status codes that are wanted".to_owned()),
    };
    check.set("status", Out::List(wanted));
    Ok(())
}

fn response_time(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let limit = right.parse().ok().map(Duration::from_millis).or_else(|| time::go(right));
    let Some(limit) = limit.filter(|_| sign.starts_with('<')) else {
        return Err("only a longest time can be wanted".to_owned());
    };
    check.set("slower_than", time::ours(limit));
    Err("carried over as `slower_than`: slower is degraded here, not down".to_owned())
}

/// A least time as days.
fn days(sign: &str, right: &str) -> Result<Out, String> {
    let least = time::go(right).filter(|_| sign.starts_with('>'));
    let least = least.ok_or_else(|| "only a least time can be wanted".to_owned())?;
    Ok(Out::word(least.as_secs().div_ceil(HOURS * 3600).max(1)))
}

fn certificate(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let days = days(sign, right)?;
    if check.is("tls") {
        check.set("warn_days", days);
    } else {
        check.set("certificate", Out::map([("warn_days", days)]));
    }
    Err("carried over as `warn_days`: near its end a certificate is degraded here, not down"
        .to_owned())
}

fn answer(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let key = match sign {
        "==" => "any",
        "!=" => "none",
        _ => return Err("answers are not compared by size".to_owned()),
    };
    for wanted in any(right).unwrap_or_else(|| vec![right.to_owned()]) {
        let wanted = match glob(&wanted) {
            Some(pattern) => Out::map([("matches", Out::text(pattern))]),
            None => Out::text(wanted),
        };
        check.add("answers", key, wanted);
    }
    Ok(())
}

/// A datagram, a message, or what comes over a connection.
fn message(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    if sign != "==" {
        return Err("only what an answer must be can be wanted".to_owned());
    }
    if check.has("expect") {
        return Err("an answer is judged by one expression; the first was taken".to_owned());
    }
    check.set("expect", Out::text(expression(right)));
    Ok(())
}

fn whole_body(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    match (sign, any(right)) {
        ("==", _) => check.add("body", "matches", Out::text(expression(right))),
        ("!=", None) => {
            match right.strip_prefix("pat(*").and_then(|rest| rest.strip_suffix("*)")) {
                Some(text) if !text.contains('*') => check.add("body", "lacks", Out::text(text)),
                _ => return Err(why::EXPRESSION.to_owned()),
            }
        }
        _ => return Err(why::EXPRESSION.to_owned()),
    }
    Ok(())
}

fn body_value(left: &str, sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let path = json_path(left.trim_start_matches("[BODY]"));
    if any(right).is_some() || glob(right).is_some() {
        return Err(why::EXPRESSION.to_owned());
    }
    check.put("json", &path, Out::text(format!("{sign} {right}")));
    Ok(())
}

/// Gatus leaves the `$` out.
pub(super) fn json_path(path: &str) -> String {
    if path.is_empty() || path.starts_with(['.', '[']) {
        format!("${path}")
    } else {
        format!("$.{path}")
    }
}

/// `any(a, b)`.
fn any(text: &str) -> Option<Vec<String>> {
    let inner = text.strip_prefix("any(")?.strip_suffix(')')?;
    Some(inner.split(',').map(|item| item.trim().to_owned()).collect())
}

/// `pat(*x*)` as an expression.
fn glob(text: &str) -> Option<String> {
    let inner = text.strip_prefix("pat(")?.strip_suffix(')')?;
    let parts: Vec<_> = inner.split('*').map(escaped).collect();
    Some(format!("^{}$", parts.join(".*")))
}

/// An expression for a whole body, which may be one of several.
fn expression(text: &str) -> String {
    match any(text) {
        Some(all) => all.iter().map(|text| whole(text)).collect::<Vec<_>>().join("|"),
        None => whole(text),
    }
}

/// An expression for a whole body, over its lines.
fn whole(text: &str) -> String {
    let expression = glob(text).unwrap_or_else(|| format!("^{}$", escaped(text)));
    let inner = expression.trim_start_matches('^').trim_end_matches('$');
    match inner.strip_prefix(".*").and_then(|rest| rest.strip_suffix(".*")) {
        Some(middle) if glob(text).is_some() => middle.to_owned(),
        _ => format!("(?s)^{inner}\\s*$"),
    }
}

/// The text with nothing in it that means something to an expression.
fn escaped(text: &str) -> String {
    let means = |c: char| r"\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().flat_map(|c| means(c).then_some('\\').into_iter().chain([c])).collect()
}
