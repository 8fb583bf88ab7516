//! Small files that are read anew for each use, because they rotate. Never keeps, logs or quotes
//! what they hold.

use std::io::{self, Read as _};
use std::path::Path;

use secrecy::SecretString;

use super::failed;
use crate::modelarts::{Class, PollError};

/// A token takes a few kilobytes, a profile file less.
const MAX_FILE: u64 = 1 << 20;

/// The text of a file. Reading blocks, for as long as a small local file takes.
///
/// # Errors
/// Where it cannot be read, is no text or is too large to be meant.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.take(MAX_FILE + 1).read_to_string(&mut text)? as u64 > MAX_FILE {
        return Err(io::Error::other("the file is too large"));
    }
    Ok(text)
}

/// The token in a file, trimmed.
///
/// # Errors
/// `CredentialsMissing`, naming the file.
pub(super) fn token(place: &'static str, path: &Path) -> Result<SecretString, PollError> {
    let missing = |what: &str| {
        let detail = format!("the token file {} {what}", path.display());
        failed(place, Class::CredentialsMissing, detail)
    };
    let text = read(path).map_err(|error| missing("cannot be read").caused_by(error))?;
    let token = text.trim();
    // It goes into a header or into JSON; a token is visible ASCII in every format there is.
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(missing("holds no token"));
    }
    Ok(token.into())
}
