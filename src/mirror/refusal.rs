//! Why the API server does not want a write: what is not mended by repeating it. Pure; what is
//! done about it is decided by who wrote.

use kube::core::Status;

/// A reason for which a mirror is not stored until somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// A ResourceQuota of the namespace is used up.
    QuotaExceeded,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// An admission policy, or rights that are missing.
    Forbidden,
    /// An admission policy, or a schema other than this program's.
    Invalid,
    /// More bytes than the API server takes.
    TooLarge,
    /// The installed CRD has no status subresource.
    NoStatus,
}

impl Refusal {
    /// The refusal that an answer is, if it is one.
    pub fn of(status: &Status) -> Option<Self> {
        let terminating = || {
            let details = status.details.iter();
            let mut causes = details.flat_map(|it| &it.causes);
            causes.any(|cause| cause.reason == "NamespaceTerminating")
        };
        match status.code {
            403 if terminating() => Some(Self::NamespaceTerminating),
            // Nothing but its text tells this one from the others.
            403 if status.message.contains("exceeded quota") => Some(Self::QuotaExceeded),
            403 => Some(Self::Forbidden),
            400 | 422 => Some(Self::Invalid),
            413 => Some(Self::TooLarge),
            _ => None,
        }
    }

    /// Whether no other mirror can be created in this namespace either.
    pub fn concerns_every_create(self) -> bool {
        matches!(self, Self::QuotaExceeded | Self::NamespaceTerminating)
    }

    /// The reason on the source's conditions.
    pub fn reason(self) -> &'static str {
        match self {
            Self::QuotaExceeded => "QuotaExceeded",
            Self::NamespaceTerminating => "NamespaceTerminating",
            Self::Forbidden => "WriteForbidden",
            Self::Invalid => "WriteInvalid",
            Self::TooLarge => "WriteTooLarge",
            Self::NoStatus => "NoStatusSubresource",
        }
    }

    /// What happened and what to do, to be followed by the mirrors' names.
    pub fn message(self) -> &'static str {
        match self {
            Self::QuotaExceeded => {
                "a ResourceQuota of this namespace leaves no room for these mirrors; raise it"
            }
            Self::NamespaceTerminating => {
                "this namespace is being deleted and takes no more mirrors"
            }
            Self::Forbidden => {
                "the API server forbids to write these mirrors; look for an admission policy, or for missing rights of the controller"
            }
            Self::Invalid => {
                "the API server calls these mirrors invalid; look for an admission policy, or apply the CRDs of this version"
            }
            Self::TooLarge => {
                "these mirrors are larger than the API server takes; look for an admission policy, or for a proxy in front of it"
            }
            Self::NoStatus => {
                "the installed CRD of ModelArtsPools has no status subresource; apply the one of this version. Without it nothing can be said of these pools"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(code: u16, message: &str, cause: &str) -> Option<Refusal> {
        let status = json!({
            "status": "Failure", "code": code, "message": message,
            "details": {"causes": [{"reason": cause}]},
        });
        Refusal::of(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn an_answer_is_a_refusal_where_repeating_the_write_would_not_help() {
        for (code, message, cause, refusal) in [
            (
                403,
                "x is forbidden: exceeded quota: q, used: 2",
                "",
                Refusal::QuotaExceeded,
            ),
            (
                403,
                "being terminated",
                "NamespaceTerminating",
                Refusal::NamespaceTerminating,
            ),
            (403, "denied request", "", Refusal::Forbidden),
            (400, "strict decoding error", "", Refusal::Invalid),
            (
                422,
                "spec: Invalid value",
                "FieldValueInvalid",
                Refusal::Invalid,
            ),
            (413, "limit is 3145728", "", Refusal::TooLarge),
        ] {
            assert_eq!(of(code, message, cause), Some(refusal), "{code} {message}");
        }
        for code in [401, 404, 409, 429, 500, 503, 504] {
            assert_eq!(
                of(code, "exceeded quota", "NamespaceTerminating"),
                None,
                "{code}"
            );
        }
    }

    #[test]
    fn only_what_holds_for_the_namespace_speaks_for_mirrors_that_were_not_tried() {
        assert!(Refusal::QuotaExceeded.concerns_every_create());
        assert!(Refusal::NamespaceTerminating.concerns_every_create());
        for one in [
            Refusal::Forbidden,
            Refusal::Invalid,
            Refusal::TooLarge,
            Refusal::NoStatus,
        ] {
            assert!(!one.concerns_every_create());
        }
    }
}
