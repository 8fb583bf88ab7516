//! Names of Kubernetes objects, checked where they are typed.

/// A namespace: a DNS label.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    is_label(text).then(|| text.to_owned()).ok_or_else(|| {
        "write a namespace's name: at most 63 lower-case letters, digits and -".to_owned()
    })
}

/// An object's name: DNS labels with dots between them.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    is_subdomain(text).then(|| text.to_owned()).ok_or_else(|| {
        "write an object's name: lower-case letters, digits, - and dots, with a letter or digit at both ends".to_owned()
    })
}

pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    let letter = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.first().is_some_and(letter)
        && bytes.last().is_some_and(letter)
        && bytes.iter().all(|byte| letter(byte) || *byte == b'-')
}
