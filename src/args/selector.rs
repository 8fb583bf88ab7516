//! Reads a label selector as kubectl's `-l` does. The API server would refuse a wrong one too, but
//! only in the log of a controller that waits for ever.

use kube::core::{Expression, Selector};

use super::name::is_subdomain;

/// Requirements with commas between them: `key`, `!key`, `key=value`, `key!=value`,
/// `key in (a,b)` or `key notin (a,b)`.
pub(super) fn selector(text: &str) -> Result<Selector, String> {
    let mut expressions = Vec::new();
    let mut rest = text;
    loop {
        let (requirement, more) = split(rest);
        let expression = expression(requirement.trim()).ok_or_else(|| {
            format!("{requirement:?} selects nothing: write key=value, key!=value, key, !key, 'key in (a,b)' or 'key notin (a,b)', with commas between them")
        });
        expressions.push(expression?);
        match more {
            Some(more) => rest = more,
            None => return Ok(expressions.into_iter().collect()),
        }
    }
}

/// The first requirement, and what comes after its comma.
fn split(text: &str) -> (&str, Option<&str>) {
    let mut inside = false;
    for (at, character) in text.char_indices() {
        match character {
            '(' => inside = true,
            ')' => inside = false,
            ',' if !inside => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
    }
    (text, None)
}

fn expression(text: &str) -> Option<Expression> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(Expression::DoesNotExist(self::key(key)?));
    }
    if let Some(list) = text.strip_suffix(')') {
        let (head, list) = list.split_once('(')?;
        let values: Option<_> = list.split(',').map(value).collect();
        let (key, operator) = head.trim_end().rsplit_once(' ')?;
        return match operator {
            "in" => Some(Expression::In(self::key(key)?, values?)),
            "notin" => Some(Expression::NotIn(self::key(key)?, values?)),
            _ => None,
        };
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Expression::NotEqual(self::key(key)?, self::value(value)?));
    }
    if let Some((key, value)) = text.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        return Some(Expression::Equal(self::key(key)?, self::value(value)?));
    }
    Some(Expression::Exists(key(text)?))
}

/// A label's key: a name, after the domain that it belongs to and a slash if it has one.
fn key(text: &str) -> Option<String> {
    let text = text.trim();
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, text),
    };
    let valid = domain.is_none_or(is_subdomain) && !name.is_empty() && is_name(name);
    valid.then(|| text.to_owned())
}

fn value(text: &str) -> Option<String> {
    let text = text.trim();
    (text.is_empty() || is_name(text)).then(|| text.to_owned())
}

fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |it: Option<&u8>| it.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| inner(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_of_kubectl_is_read() {
        for (text, read) in [
            ("shard=a", "shard=a"),
            ("shard==a", "shard=a"),
            ("shard!=a", "shard!=a"),
            ("shard", "shard"),
            ("!shard", "!shard"),
            ("shard=", "shard="),
            ("shard in (a, b)", "shard in (a,b)"),
            ("shard notin (a),team", "shard notin (a),team"),
            ("example.com/Team = Blue , !x", "example.com/Team=Blue,!x"),
        ] {
            assert_eq!(selector(text).unwrap().to_string(), read, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ",",
            "a=b,",
            "=a",
            "a b",
            "a in b",
            "a in (b",
            "a at (b)",
            "-a",
            "a=b=c",
            "a=b/c",
            "Ex_ample/a",
            "/a",
            "a>1",
            "!",
            "a in ()x",
        ] {
            assert!(selector(text).is_err(), "{text}");
        }
    }
}
