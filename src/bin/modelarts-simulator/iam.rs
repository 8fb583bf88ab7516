//! The one call of IAM that a poller needs: looking up a project's id by its name.
//! It shows an account its own projects and nothing else.

use serde_json::json;

use crate::{
    accounts::Account,
    exchange::{Answer, Incoming},
};

/// `GET /v3/projects?name=…`; without a name, every project of the account.
pub fn list_projects(account: &Account, incoming: &Incoming) -> Answer {
    let name = incoming.parameter("name");
    let own = format!(
        "http://{}{}",
        incoming.header("host").unwrap_or_default(),
        incoming.path
    );
    let projects: Vec<_> = account
        .projects
        .iter()
        .filter(|project| name.is_none_or(|name| name == project.name))
        .map(|project| {
            json!({
                "id": project.id,
                "name": project.name,
                "domain_id": DOMAIN,
                "parent_id": DOMAIN,
                "enabled": true,
                "is_domain": false,
                "description": "",
                "links": {"self": format!("{own}/{}", project.id)},
            })
        })
        .collect();
    Answer::json(
        200,
        &json!({"projects": projects, "links": {"self": own, "previous": null, "next": null}}),
    )
}

/// Every simulated project belongs to one account domain.
const DOMAIN: &str = "d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0";
