//! Files of this repository that are made from others.

use std::path::Path;

/// Compares a generated file with the one in the repository. Where `command`, which is what makes it
/// anew, sets `WRITE_GENERATED`, it is written first.
pub fn assert_generated(file: &Path, generated: &str, command: &str) {
    if std::env::var_os("WRITE_GENERATED").is_some() {
        std::fs::write(file, generated).unwrap();
    }
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    let differs = stored.lines().zip(generated.lines()).find(|(a, b)| a != b);
    let file = file.display();
    assert!(
        stored == generated,
        "{file} is not up to date: run {command} (first difference: {differs:?})"
    );
}
