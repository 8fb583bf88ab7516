//! Mutated answers of the cloud, from its bytes to the status of a mirror. Runs a fixed number of
//! cases with the tests; `PROPTEST_CASES=1000000 cargo test --lib fuzz` looks longer.

use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;

use super::{ListAnswer, QueryKey, Snapshot, read_page};
use crate::mirror::project;

const SEEDS: [&str; 2] = [
    include_str!("../../../tests/fixtures/vendor-list.json"),
    include_str!("../../../tests/fixtures/stress-list.json"),
];

/// What the cloud, a proxy or an attacker may put where something else was expected.
const ODDITIES: [&str; 16] = [
    "null",
    "[]",
    "{}",
    "-1",
    "1e400",
    "9223372036854775808",
    "\"3\"",
    "2.0",
    "\"\\u0000\\u202e\\u001b[31m\"",
    "\"\\ud800\"",
    "[null]",
    "[[[[[[[[]]]]]]]]",
    "{\"metadata\":{}}",
    "true",
    "\"Running\"",
    "<html>",
];

#[derive(Clone, Debug)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    /// Puts an oddity in the place of the value behind some colon.
    Replace(prop::sample::Index, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        1 => (at(), 1..40_usize).prop_map(|(at, length)| Mutation::Cut(at, length)),
        1 => (at(), 1..200_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        6 => (at(), 0..ODDITIES.len()).prop_map(|(at, odd)| Mutation::Replace(at, odd)),
    ]
}

fn mutate(body: &mut Vec<u8>, mutation: &Mutation) {
    if body.is_empty() {
        return;
    }
    let end = |start: usize, length: usize| (start + length).min(body.len());
    match mutation {
        Mutation::Flip(at, byte) => {
            let at = at.index(body.len());
            body[at] ^= byte;
        }
        Mutation::Cut(at, length) => {
            let at = at.index(body.len());
            body.drain(at..end(at, *length));
        }
        Mutation::Repeat(at, length) => {
            let at = at.index(body.len());
            let piece = body[at..end(at, *length)].to_vec();
            body.splice(at..at, piece);
        }
        Mutation::Replace(at, odd) => {
            let colons: Vec<usize> = (0..body.len()).filter(|at| body[*at] == b':').collect();
            if colons.is_empty() {
                return;
            }
            let start = colons[at.index(colons.len())] + 1;
            let value = value_end(&body[start..]);
            body.splice(start..start + value, ODDITIES[*odd].bytes());
        }
    }
}

/// The length of the JSON value that bytes begin with, brackets and all.
fn value_end(bytes: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    bytes.len()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_ends_in_a_panic_or_in_an_object_that_kubernetes_refuses(
        seed in 0..SEEDS.len(),
        mutations in proptest::collection::vec(mutation(), 0..12),
    ) {
        let mut body = SEEDS[seed].as_bytes().to_vec();
        for mutation in &mutations {
            mutate(&mut body, mutation);
        }
        let Ok((items, _)) = read_page("fuzz", &body) else {
            return Ok(());
        };
        let answers = vec![ListAnswer { items, of_failed: false }];
        let now = Timestamp::UNIX_EPOCH;
        let snapshot = Snapshot::complete(QueryKey::example(), answers, now);
        for listed in snapshot.pools().values() {
            let status = serde_json::to_string(&project(listed, &[], now)).unwrap();
            prop_assert!(status.len() < 1 << 20);
            prop_assert!(!status.contains("\\u0000") && !status.contains("\\u001b"), "{}", status);
        }
    }
}
