//! Gatus' conditions: `[STATUS] == 200`, `[BODY].user.name == john`, `[RESPONSE_TIME] < 300`.
//!
//! What the fixed words of our kinds cannot say of an answer by HTTP becomes an expression
//! (`expect`).

use std::time::Duration;

use super::super::check::{Check, reference_in};
use super::super::draft::why;
use super::super::time;
use super::super::written::{Out, quoted};
use super::status;

/// A day has so many hours.
const HOURS: u64 = 24;

/// The signs, in the order in which Gatus looks for them.
const SIGNS: [&str; 6] = ["==", "!=", "<=", ">=", ">", "<"];

/// Kinds whose answers may come with a certificate.
const WITH_CERTIFICATE: [&str; 7] = ["http", "tcp", "tls", "smtp", "websocket", "grpc", "dns"];

/// Makes the check want what the condition says.
///
/// # Errors
/// Why it cannot.
pub(super) fn apply(text: &str, check: &mut Check) -> Result<(), String> {
    if let Some(reference) = reference_in(text) {
        return Err(format!("conditions have no variables here; write the value of `{reference}`"));
    }
    let (left, sign, right) = apart(text)?;
    let (left, right) = (left.as_str(), right.as_str());
    let is_http = check.is("http");
    match left {
        "[STATUS]" if is_http => status::apply(sign, right, check),
        "[RESPONSE_TIME]" => response_time(sign, right, check),
        "[CERTIFICATE_EXPIRATION]" => certificate(sign, right, check),
        "[CONNECTED]" => connected(sign, right, check),
        "[DNS_RCODE]" if check.is("dns") && sign == "==" => {
            let codes = any_of(right).unwrap_or_else(|| vec![right.to_owned()]);
            check.set("rcode", Out::texts(codes));
            Ok(())
        }
        "[DNS_RCODE]" if check.is("dns") => Err("write the codes that are wanted".to_owned()),
        "[IP]" => Err("which address answers is not judged; name it in the URL".to_owned()),
        "[DOMAIN_EXPIRATION]" => Err("make a check of kind `domain` of it".to_owned()),
        "[BODY]" if check.is("dns") => answer(sign, right, check),
        "[BODY]" if ["udp", "tcp", "websocket"].iter().any(|kind| check.is(kind)) => {
            message(sign, right, check)
        }
        // It must serve in any case.
        "[BODY].status" if check.is("grpc") && (sign, right) == ("==", "SERVING") => Ok(()),
        _ if !is_http => Err("there is no such condition for this kind".to_owned()),
        _ if left.contains("{{") || right.contains("{{") => {
            Err("answers are not compared with saved values".to_owned())
        }
        "[BODY]" => whole_body(sign, right, check),
        _ => of_value(left, sign, right, check),
    }
}

fn connected(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    match (sign, right) {
        // Every kind here must be connected with.
        ("==", "true") | ("!=", "false") => Ok(()),
        ("==", "false") | ("!=", "true") => {
            check.set("negate", Out::word(true));
            Ok(())
        }
        _ => Err("it is true or false".to_owned()),
    }
}

/// The days before its end from which on a domain's registration is not well.
///
/// # Errors
/// Why there are none.
pub(super) fn domain(text: &str) -> Result<Out, String> {
    let (_, sign, right) = apart(text)?;
    days(sign, &right)
}

/// Both sides of a condition and the sign between them, what is looked at on the left.
fn apart(text: &str) -> Result<(String, &'static str, String), String> {
    let found = SIGNS.iter().find_map(|sign| {
        let (left, right) = text.split_once(&format!(" {sign} "))?;
        Some((left.trim(), *sign, right.trim()))
    });
    let (left, sign, right) = found.ok_or_else(|| "it is not understood".to_owned())?;
    let looks = |side: &str| ["[", "len(", "has("].iter().any(|begin| side.starts_with(begin));
    if !looks(left) && looks(right) {
        let turned = match sign {
            "<=" => ">=",
            ">=" => "<=",
            ">" => "<",
            "<" => ">",
            same => same,
        };
        return Ok((named(right), turned, left.to_owned()));
    }
    Ok((named(left), sign, right.to_owned()))
}

/// Names of what is looked at are the same in small letters.
fn named(side: &str) -> String {
    let ends = side.find('[').zip(side.find(']'));
    match ends.filter(|(begin, end)| begin < end) {
        Some((begin, end)) => {
            let name = side[begin..=end].to_ascii_uppercase();
            format!("{}{name}{}", &side[..begin], &side[end + 1..])
        }
        None => side.to_owned(),
    }
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
    let millis = || right.parse().ok().map(Duration::from_millis);
    let least = time::go(right).or_else(millis).filter(|_| sign.starts_with('>'));
    let least = least.ok_or_else(|| "only a least time can be wanted".to_owned())?;
    Ok(Out::word(least.as_secs().div_ceil(HOURS * 3600).max(1)))
}

fn certificate(sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let days = days(sign, right)?;
    if !WITH_CERTIFICATE.iter().any(|kind| check.is(kind)) {
        return Err("this kind has no certificate".to_owned());
    }
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
    for wanted in any_of(right).unwrap_or_else(|| vec![right.to_owned()]) {
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
    match sign {
        "==" => check.add("body", "matches", Out::text(expression(right))),
        "!=" => match right.strip_prefix("pat(*").and_then(|rest| rest.strip_suffix("*)")) {
            Some(text) if !text.contains('*') => check.add("body", "lacks", Out::text(text)),
            _ => check.expect(format!("!body.matches({})", quoted_always(&expression(right)))),
        },
        _ => return Err(why::EXPRESSION.to_owned()),
    }
    Ok(())
}

/// A value in a JSON body, its length, or whether it is there.
fn of_value(left: &str, sign: &str, right: &str, check: &mut Check) -> Result<(), String> {
    let inside = |function: &str| left.strip_prefix(function)?.strip_suffix(')');
    let path = |of: &str| of.strip_prefix("[BODY]").map(json_path);
    let unknown = || "there is no such condition for this kind".to_owned();
    if let Some(of) = inside("has(") {
        let path = path(of).ok_or_else(unknown)?;
        match (sign, right) {
            ("==", "true") | ("!=", "false") if !check.has_entry("json", &path) => {
                check.put("json", &path, Out::text("exists"));
            }
            ("==", "true") | ("!=", "false") => {} // It is compared with something already.
            ("==", "false") | ("!=", "true") => {
                check.expect(format!("count({}) == 0", quoted_always(&path)));
            }
            _ => return Err("it is true or false".to_owned()),
        }
        return Ok(());
    }
    if let Some(of) = inside("len(") {
        let path = path(of).ok_or_else(unknown)?;
        // Of the whole body it counts signs where that is no list.
        if path == "$" || right.parse::<i64>().is_err() {
            return Err(why::EXPRESSION.to_owned());
        }
        check.expect(format!("size(json({})) {sign} {right}", quoted_always(&path)));
        return Ok(());
    }
    let path = path(left).ok_or_else(unknown)?;
    let value = format!("json({})", quoted_always(&path));
    let not = if sign == "!=" { "!" } else { "" };
    let is_equality = ["==", "!="].contains(&sign);
    match (any_of(right), glob(right), named(right).strip_prefix("[BODY]")) {
        (Some(items), _, _) if is_equality => {
            let items: Vec<String> = items.iter().flat_map(|item| literals(item)).collect();
            let found = format!("{value} in [{}]", items.join(", "));
            check.expect(if sign == "!=" { format!("!({found})") } else { found });
        }
        (_, Some(pattern), _) if is_equality => {
            check.expect(format!("{not}{value}.matches({})", quoted_always(&pattern)));
        }
        (None, None, Some(other)) => {
            let other = quoted_always(&json_path(other));
            check.expect(format!("{value} {sign} json({other})"));
        }
        (None, None, None) if right.is_empty() => {
            check.expect(format!("{value} {sign} \"\""));
        }
        (None, None, None) if check.has_entry("json", &path) => {
            let literal = literals(right).pop().unwrap_or_default();
            check.expect(format!("{value} {sign} {literal}"));
        }
        (None, None, None) => check.put("json", &path, Out::text(format!("{sign} {right}"))),
        _ => return Err(why::EXPRESSION.to_owned()),
    }
    Ok(())
}

/// A text as an expression has it; where it may be a number or a truth as well, that too.
fn literals(text: &str) -> Vec<String> {
    let other = matches!(text, "true" | "false" | "null") || text.parse::<f64>().is_ok();
    let is_number = other && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c));
    let mut all = vec![quoted_always(text)];
    all.extend(is_number.then(|| text.to_owned()));
    all
}

/// A text in quotes.
fn quoted_always(text: &str) -> String {
    let written = quoted(text);
    if written.starts_with('"') { written } else { format!("\"{written}\"") }
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
pub(super) fn any_of(text: &str) -> Option<Vec<String>> {
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
    match any_of(text) {
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
