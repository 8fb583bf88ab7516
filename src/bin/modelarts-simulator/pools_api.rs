//! `GET /v2/{project_id}/pools` with its three documented parameters, and the paging that older
//! documents hint at. It only reads the fleet, and ignores parameters nobody documented, as the
//! real service does.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    exchange::{Answer, Incoming},
    fleet::{Class, Pool},
    selector::Selector,
};

/// Answers with the pools that the query asks for, in the fleet's order; with a page size, a page
/// at a time.
pub fn list(pools: &[Pool], incoming: &Incoming, page_size: Option<usize>) -> Answer {
    match select(pools, incoming) {
        Ok(selected) => page(&selected, incoming, page_size),
        Err(message) => bad_request(&message),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PoolList<'a> {
    kind: &'static str,
    api_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    items: Vec<&'a Value>,
}

fn select<'a>(pools: &'a [Pool], incoming: &Incoming) -> Result<Vec<&'a Value>, String> {
    let workspace = incoming
        .parameter("workspaceId")
        .filter(|id| !id.is_empty())
        .unwrap_or("0");
    let selector = Selector::parse(incoming.parameter("labelSelector").unwrap_or_default())?;
    let classes: &[Class] = match incoming.parameter("status") {
        // The default list leaves out failed creations, which is why a client must ask for them.
        None | Some("") => &[Class::Created, Class::Creating],
        Some("created") => &[Class::Created],
        Some("creating") => &[Class::Creating],
        Some("failed") => &[Class::Failed],
        Some(other) => return Err(format!("invalid status {other:?}")),
    };
    let selected = pools
        .iter()
        .filter(|pool| classes.contains(&pool.class()))
        .filter(|pool| pool.is_in_workspace(workspace) && selector.matches(pool.labels()));
    Ok(selected.map(|pool| &pool.body).collect())
}

fn page(selected: &[&Value], incoming: &Incoming, page_size: Option<usize>) -> Answer {
    let Some(size) = page_size else {
        return answer(selected, None);
    };
    let token = incoming
        .parameter("continue")
        .filter(|token| !token.is_empty());
    let start = match token.map(|token| {
        token
            .strip_prefix("after-")
            .unwrap_or(token)
            .parse::<usize>()
    }) {
        None => 0,
        Some(Ok(start)) => start.min(selected.len()),
        Some(Err(_)) => return bad_request("invalid continue token"),
    };
    let end = selected.len().min(start.saturating_add(size.max(1)));
    let remaining = selected.len() - end;
    let metadata = match remaining {
        0 => json!({}),
        _ => json!({"continue": format!("after-{end}"), "remainingItemCount": remaining}),
    };
    answer(&selected[start..end], Some(metadata))
}

fn answer(items: &[&Value], metadata: Option<Value>) -> Answer {
    let list = PoolList {
        kind: "PoolList",
        api_version: "v2",
        metadata,
        items: items.to_vec(),
    };
    // Plain JSON values always serialise.
    Answer::text(200, serde_json::to_vec(&list).unwrap_or_default())
}

fn bad_request(message: &str) -> Answer {
    Answer::service_error(
        400,
        "ModelArts.50004000",
        &format!("Bad request: {message}"),
    )
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Bytes,
        http::{HeaderMap, Method},
    };

    use super::*;
    use crate::exchange::decode_query;

    fn fleet() -> Vec<Pool> {
        let pool = |name: &str, phase: &str, workspace: Value| {
            let labels = json!({"os.modelarts/name": name, "os.modelarts/workspace.id": workspace});
            Pool::from(
                json!({"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}),
            )
        };
        vec![
            pool("running", "Running", json!("0")),
            pool("creating", "Creating", json!(0)),
            pool("failed", "CreationFailed", json!("0")),
            pool("elsewhere", "Running", json!("ws-1")),
            Pool::from(json!({"metadata": {"name": "bare"}})),
        ]
    }

    fn ask(query: &str, page_size: Option<usize>) -> (u16, Value) {
        let incoming = Incoming {
            method: Method::GET,
            path: "/v2/p/pools".into(),
            query: decode_query(query),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            request_id: String::new(),
        };
        let answer = list(&fleet(), &incoming, page_size);
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    fn names(query: &str) -> Vec<String> {
        let (status, body) = ask(query, None);
        assert_eq!(status, 200);
        let items = body["items"].as_array().unwrap();
        items
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_default_list_holds_created_and_creating_pools_of_the_default_workspace() {
        assert_eq!(names(""), ["running", "creating", "bare"]);
    }

    #[test]
    fn each_status_is_a_list_of_its_own() {
        assert_eq!(names("status=created"), ["running", "bare"]);
        assert_eq!(names("status=creating"), ["creating"]);
        assert_eq!(names("status=failed"), ["failed"]);
    }

    #[test]
    fn another_workspace_is_another_list() {
        assert_eq!(names("workspaceId=ws-1"), ["elsewhere"]);
    }

    #[test]
    fn a_label_selector_narrows_the_list() {
        assert_eq!(
            names("labelSelector=os.modelarts%2Fname%3Drunning"),
            ["running"]
        );
    }

    #[test]
    fn unknown_parameters_are_ignored() {
        assert_eq!(names("limit=1&pool_name=x").len(), 3);
    }

    #[test]
    fn a_wrong_status_or_selector_is_a_bad_request() {
        for query in ["status=running", "labelSelector=a%20in%20%28b%29"] {
            let (status, body) = ask(query, None);
            assert_eq!(
                (status, &body["error_code"]),
                (400, &json!("ModelArts.50004000")),
                "{query}"
            );
        }
    }

    #[test]
    fn pages_carry_a_token_until_the_last() {
        let (_, first) = ask("", Some(2));
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        assert_eq!(
            first["metadata"],
            json!({"continue": "after-2", "remainingItemCount": 1})
        );
        let (_, last) = ask("continue=after-2", Some(2));
        assert_eq!(last["items"][0]["metadata"]["name"], "bare");
        assert_eq!(last["metadata"], json!({}));
        assert_eq!(ask("continue=nonsense", Some(2)).0, 400);
    }
}
