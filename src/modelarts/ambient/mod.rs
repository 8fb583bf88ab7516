//! The controller's own identity, for sources that name no Secret: the first of the places below
//! that is configured.
//!
//! ```text
//! environment → CCE Pod Identity → OIDC (STS v5, then ID token) → profile file → ECS metadata
//! ```
//!
//! A place that is *not configured* is passed over; one that is *configured but fails* is an error
//! that names it, because the next one would be somebody else's identity. Which place it is, is
//! decided once, from the variables; what files and services say is asked for at use. Nothing here
//! knows who may use this identity, or shows a key, a token or an answer to anybody.

mod cache;
mod environment;
mod exchange;
mod files;
mod metadata;
mod oidc;
mod parse;
mod pod_identity;
mod profile;
#[cfg(test)]
mod stub;
#[cfg(test)]
mod tests;

use anyhow::Context as _;
use k8s_openapi::jiff::Timestamp;

use self::cache::Cache;
use self::exchange::Http;
use self::metadata::Metadata;
use self::oidc::{IdToken, Sts};
use self::pod_identity::PodIdentity;
use self::profile::{Content, Profile};
use super::{Class, Credentials, Endpoint, Endpoints, PollError, Trust};

/// The controller's own identity.
#[derive(Debug)]
pub struct Ambient {
    /// In the order of trying. A configured one is the last, because nothing comes behind it.
    places: Vec<Place>,
    http: Http,
    cache: Cache,
}

#[derive(Debug)]
enum Place {
    Environment(Credentials),
    PodIdentity(PodIdentity),
    Sts(Sts),
    IdToken(IdToken),
    Profile(Profile),
    Metadata(Metadata),
}

/// Looks a variable up; an empty one is none.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Ambient {
    /// Finds out from the variables which place is configured. Services of the cloud are
    /// reached as `endpoints` and `trust` say, the metadata service at `metadata`.
    ///
    /// # Errors
    /// Where a place is configured by half: names the variable and what to write.
    pub fn configured(
        variable: impl Fn(&str) -> Option<String>,
        endpoints: Endpoints,
        trust: &Trust,
        metadata: Endpoint,
    ) -> anyhow::Result<Self> {
        let variable = |name: &str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        Ok(Self {
            places: places(&variable, metadata)?,
            http: Http::new(endpoints, trust)?,
            cache: Cache::default(),
        })
    }

    /// The credentials to use in a region.
    ///
    /// # Errors
    /// `CredentialsMissing` where no place is configured or a file of it is missing; otherwise the
    /// failure of the configured place, once its last credentials have expired.
    pub async fn credentials(
        &self,
        region: &str,
        now: Timestamp,
    ) -> Result<Credentials, PollError> {
        let http = &self.http;
        let cached = |source, region: &str| (source, region.to_owned());
        for place in &self.places {
            match place {
                Place::Environment(credentials) => return Ok(credentials.clone()),
                Place::PodIdentity(it) => {
                    let key = cached(pod_identity::NAME, "");
                    return self.cache.get(key, now, it.issue(http)).await;
                }
                Place::Sts(it) => {
                    let key = cached(oidc::STS, region);
                    return self.cache.get(key, now, it.issue(http, region)).await;
                }
                Place::IdToken(it) => {
                    let key = cached(oidc::ID_TOKEN, region);
                    return self.cache.get(key, now, it.issue(http, region)).await;
                }
                Place::Profile(it) => match it.read()? {
                    None => {}
                    Some(Content::Keys(credentials)) => return Ok(credentials),
                    Some(Content::IdToken(it)) => {
                        let key = cached(profile::NAME, region);
                        return self.cache.get(key, now, it.issue(http, region)).await;
                    }
                },
                Place::Metadata(it) => {
                    let key = cached(metadata::NAME, "");
                    return self.cache.get(key, now, it.issue(http, now)).await;
                }
            }
        }
        Err(none_configured())
    }

    /// Takes note that the cloud refused credentials of this identity. True where asking for
    /// credentials again gives others, so that one more try is worth it; never for keys that
    /// nobody issues anew.
    pub fn refused(&self, credentials: &Credentials, now: Timestamp) -> bool {
        self.cache.refused(credentials, now)
    }
}

fn places(variable: Variable<'_>, metadata: Endpoint) -> anyhow::Result<Vec<Place>> {
    let iam = template(variable, "HUAWEICLOUD_SDK_IAM_ENDPOINT")?;
    if let Some(credentials) = environment::configured(variable)? {
        return Ok(vec![Place::Environment(credentials)]);
    }
    if let Some(it) = PodIdentity::configured(variable)? {
        return Ok(vec![Place::PodIdentity(it)]);
    }
    if let Some(it) = Sts::configured(variable)? {
        return Ok(vec![Place::Sts(it)]);
    }
    if let Some(it) = IdToken::configured(variable, iam.clone())? {
        return Ok(vec![Place::IdToken(it)]);
    }
    let profile = Profile::configured(variable, iam).map(Place::Profile);
    let metadata = Place::Metadata(Metadata::at(metadata));
    Ok(profile.into_iter().chain([metadata]).collect())
}

/// The endpoint in a variable, with `{region}` where a region belongs.
fn template(variable: Variable<'_>, name: &str) -> anyhow::Result<Option<String>> {
    let set = variable(name);
    if let Some(template) = &set {
        Endpoint::parse(&template.replace("{region}", "cn-north-4"))
            .with_context(|| name.to_owned())?;
    }
    Ok(set)
}

/// Two variables that only make sense together.
fn both(
    variable: Variable<'_>,
    (one, what_one): (&str, &str),
    (two, what_two): (&str, &str),
) -> anyhow::Result<Option<(String, String)>> {
    let half = |set: &str, missing: &str, what: &str| {
        anyhow::anyhow!("{set} is set without {missing}: set {missing} to {what}, or unset {set}")
    };
    match (variable(one), variable(two)) {
        (None, None) => Ok(None),
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (Some(_), None) => Err(half(one, two, what_two)),
        (None, Some(_)) => Err(half(two, one, what_one)),
    }
}

/// A failure of a place. Its detail is stable and in our own words, so people see it.
fn failed(place: &'static str, class: Class, detail: impl Into<String>) -> PollError {
    PollError::new(place, class, detail).shown()
}

fn none_configured() -> PollError {
    failed(
        "no credentials",
        Class::CredentialsMissing,
        "name a Secret in the source's spec.credentials.secretRef, or give this program an identity \
         of its own: HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK in the environment, a CCE Pod \
         Identity, an OIDC provider, a profile file or an ECS agency",
    )
}
