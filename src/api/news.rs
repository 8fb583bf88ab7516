//! What is said once, when it happens: the content of an event, without the object it is about.

/// One transition worth telling people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether somebody should look.
    pub weight: Weight,
    /// One CamelCase word for programs.
    pub reason: String,
    /// One sentence for people, without secrets.
    pub note: String,
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Good to know.
    Normal,
    /// Somebody should look.
    Warning,
}

impl News {
    /// Good to know.
    pub fn normal(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            weight: Weight::Normal,
            reason: reason.into(),
            note: note.into(),
        }
    }

    /// Somebody should look.
    pub fn warning(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            reason: reason.into(),
            note: note.into(),
        }
    }
}
