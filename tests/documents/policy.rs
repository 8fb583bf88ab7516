//! The IAM policy asks for no more than the client uses.

use serde_json::{Value, json};

use super::support::markdown::page;

const POLICY: &str = include_str!("../../deploy/iam/policy.json");

#[test]
fn the_policy_allows_listing_pools_and_nothing_else() {
    let policy: Value = serde_json::from_str(POLICY).unwrap();
    let statement = json!([{"Effect": "Allow", "Action": ["modelarts:pool:list"]}]);
    assert_eq!(policy["Statement"], statement);
}

#[test]
fn the_page_on_credentials_shows_the_policy_as_it_is() {
    let blocks = page("docs/credentials.md").blocks();
    let shown = blocks.iter().find(|it| it.info == "json");
    assert_eq!(shown.unwrap().text, POLICY);
}
