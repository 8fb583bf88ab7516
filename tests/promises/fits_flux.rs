//! The example for Flux consists of what Flux' own types know.

use super::verdict::verdict;

#[test]
fn every_field_of_the_example_is_one_that_flux_knows() {
    let kinds = |file: &str| verdict(&["manifests", &format!("deploy/gitops/flux/{file}")], &[]);
    assert_eq!(kinds("controller.yaml"), ["OCIRepository", "HelmRelease"]);
    assert_eq!(kinds("pools.yaml"), ["Kustomization"]);
}
