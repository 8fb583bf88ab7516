//! Names of Kubernetes objects, checked where they are typed.

use crate::mirror::is_dns1123;

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
    is_dns1123(text) && text.split('.').all(|label| label.len() <= 63)
}

fn is_label(text: &str) -> bool {
    is_subdomain(text) && !text.contains('.')
}
