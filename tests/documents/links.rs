//! Links lead somewhere.

use std::path::Path;

use super::support::markdown::{page, pages};

#[test]
fn every_relative_link_leads_to_a_file_and_to_a_heading_of_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for from in pages() {
        for link in from.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let dir = Path::new(&from.path).parent().unwrap();
            let target = match file {
                "" => from.path.clone(),
                file => dir.join(file).to_str().unwrap().to_owned(),
            };
            let there = root.join(&target).exists();
            let headed = anchor.is_empty() || there && page(&target).anchors().contains(anchor);
            if !there || !headed {
                broken.push(format!("{}: {link}", from.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
