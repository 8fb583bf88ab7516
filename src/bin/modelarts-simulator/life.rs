//! What happens to a fleet as time goes by: pools are ordered, scaled, upgraded, break, are
//! repaired and go. Drawn from a seed, so the same seed tells the same story. It never touches the
//! vendor's sample pool, nor a pool that is not simply running.

use fastrand::Rng;
use serde_json::Value;

use crate::{
    accounts::Project,
    catalogue, changes,
    fleet::{self, Pool, merge},
};

/// The story of one project's fleet.
#[derive(Debug)]
pub struct Life {
    rng: Rng,
    project: Project,
    /// The size the fleet is kept around.
    size: usize,
    /// The one pool that is off limits.
    untouched: Option<String>,
    step: u64,
    ordered: usize,
    under_way: Vec<UnderWay>,
}

/// Something that has begun and will end.
#[derive(Debug)]
struct UnderWay {
    due: u64,
    name: String,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Running,
    Failed,
    Gone,
}

/// How many steps the record of a failed creation is kept; the real service keeps it for three
/// days.
const FAILURE_KEPT: u64 = 12;

impl Life {
    /// Takes over a fleet as it stands: a pool that is being created will get there, and the record
    /// of a failed one will go.
    pub fn new(rng: Rng, project: Project, pools: &[Pool], untouched: Option<String>) -> Self {
        let begun = pools.iter().filter_map(|pool| {
            let (due, end) = match pool.phase()? {
                "Creating" => (2, End::Running),
                "CreationFailed" => (FAILURE_KEPT, End::Gone),
                _ => return None,
            };
            Some(UnderWay {
                due,
                name: pool.name()?.to_owned(),
                end,
            })
        });
        let under_way = begun.collect();
        Self {
            rng,
            project,
            size: pools.len(),
            untouched,
            step: 0,
            ordered: pools.len(),
            under_way,
        }
    }

    /// Ends what is due, then begins one new thing. `now` stamps a pool that is ordered in this
    /// step.
    pub fn step(&mut self, pools: &mut Vec<Pool>, now: &str) {
        self.step += 1;
        let step = self.step;
        let due: Vec<_> = self
            .under_way
            .extract_if(.., |event| event.due <= step)
            .collect();
        for event in due {
            self.end(pools, &event);
        }
        self.begin(pools, now);
    }

    fn begin(&mut self, pools: &mut Vec<Pool>, now: &str) {
        let candidates: Vec<_> = (0..pools.len())
            .filter(|index| self.may_change(&pools[*index]))
            .collect();
        let chosen = self.rng.choice(candidates);
        let Some(chosen) = chosen.filter(|_| pools.len() >= self.size) else {
            if pools.len() <= self.size {
                self.order(pools, now);
            }
            return;
        };
        let pool = &pools[chosen];
        let name = pool.name().unwrap_or_default().to_owned();
        let (patch, steps, end) = match self.rng.u8(..10) {
            _ if pools.len() > self.size + 1 => (changes::deleting(&pool.body), 2, End::Gone),
            0..3 => self.scale(&pool.body),
            3..5 => self.upgrade(&pool.body),
            5..8 => (changes::broken(&pool.body), 3, End::Running),
            8 => (changes::deleting(&pool.body), 2, End::Gone),
            _ => return self.order(pools, now),
        };
        merge(&mut pools[chosen].body, patch);
        self.under_way.push(UnderWay {
            due: self.step + steps,
            name,
            end,
        });
    }

    /// A logical pool has no nodes of its own, and a restricted one takes no orders.
    fn may_change(&self, pool: &Pool) -> bool {
        let Some(name) = pool.name() else {
            return false;
        };
        let wants = |field: &str| pool.body.pointer(&format!("/spec/{field}"));
        wants("type").is_some_and(|kind| kind == "Dedicate")
            && wants("controlMode").is_none_or(|mode| mode == 0)
            && pool.phase() == Some("Running")
            && self.untouched.as_deref() != Some(name)
            && !self.under_way.iter().any(|event| event.name == name)
    }

    /// One creation in four fails.
    fn order(&mut self, pools: &mut Vec<Pool>, now: &str) {
        let pool = Pool::from(catalogue::draw(
            &self.project,
            self.ordered,
            now,
            &mut self.rng,
        ));
        self.ordered += 1;
        let end = if self.rng.u8(..4) == 0 {
            End::Failed
        } else {
            End::Running
        };
        let name = pool.name().unwrap_or_default().to_owned();
        self.under_way.push(UnderWay {
            due: self.step + 3,
            name,
            end,
        });
        pools.push(pool);
    }

    fn scale(&mut self, pool: &Value) -> (Value, u64, End) {
        let count = changes::first_count(pool);
        let step = self.rng.u64(1..=4);
        let wanted = if count > step && self.rng.bool() {
            count - step
        } else {
            count + step
        };
        (
            changes::scaled(pool, wanted, &mut self.rng),
            2,
            End::Running,
        )
    }

    /// A pool without an accelerator has no driver to upgrade and is scaled instead.
    fn upgrade(&mut self, pool: &Value) -> (Value, u64, End) {
        match changes::next_driver(pool) {
            Some((kind, version)) => (changes::driver(kind, version, "Upgrading"), 3, End::Running),
            None => self.scale(pool),
        }
    }

    /// A pool that a person removed in the meantime is left alone.
    fn end(&mut self, pools: &mut Vec<Pool>, event: &UnderWay) {
        let Some(pool) = fleet::find(pools, &event.name) else {
            return;
        };
        match event.end {
            End::Running => {
                let patch = changes::running(&pool.body);
                merge(&mut pool.body, patch);
            }
            End::Failed => {
                let patch = changes::creation_failed(&pool.body);
                merge(&mut pool.body, patch);
                let due = self.step + FAILURE_KEPT;
                self.under_way.push(UnderWay {
                    due,
                    name: event.name.clone(),
                    end: End::Gone,
                });
            }
            End::Gone => pools.retain(|pool| pool.name() != Some(event.name.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn project() -> Project {
        Project {
            id: "0123456789abcdef0123456789abcdef".into(),
            name: "cn-north-4".into(),
        }
    }

    fn start(size: usize) -> (Life, Vec<Pool>) {
        let mut rng = Rng::with_seed(3);
        let sample = json!({"metadata": {"name": "sample"}, "spec": {"type": "Dedicate"}, "status": {"phase": "Running"}});
        let pools = catalogue::seed(Some(&sample), &project(), size, &mut rng);
        (
            Life::new(rng, project(), &pools, Some("sample".into())),
            pools,
        )
    }

    #[test]
    fn the_same_seed_tells_the_same_story() {
        let tell = || {
            let (mut life, mut pools) = start(12);
            (0..200).for_each(|_| life.step(&mut pools, "now"));
            pools
        };
        assert_eq!(tell(), tell());
    }

    #[test]
    fn no_two_steps_in_a_row_pass_quietly_and_the_sample_is_never_touched() {
        let (mut life, mut pools) = start(12);
        let sample = pools[0].clone();
        for step in 0..200 {
            let before = pools.clone();
            life.step(&mut pools, "now");
            life.step(&mut pools, "now");
            assert!(pools != before, "step {step}");
            assert!(pools[0] == sample);
        }
    }

    #[test]
    fn a_pool_that_was_being_created_when_life_began_gets_there() {
        let (mut life, mut pools) = start(12);
        let creating = |pools: &[Pool]| {
            pools
                .iter()
                .find(|pool| pool.phase() == Some("Creating"))
                .cloned()
        };
        let name = creating(&pools).unwrap().name().unwrap().to_owned();
        (0..2).for_each(|_| life.step(&mut pools, "now"));
        assert_ne!(
            fleet::find(&mut pools, &name).unwrap().phase(),
            Some("Creating")
        );
    }

    #[test]
    fn the_fleet_keeps_about_its_size() {
        let (mut life, mut pools) = start(12);
        for _ in 0..500 {
            life.step(&mut pools, "now");
            assert!((10..=15).contains(&pools.len()), "{}", pools.len());
        }
    }

    #[test]
    fn two_hundred_steps_show_every_kind_of_event() {
        let (mut life, mut pools) = start(12);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            life.step(&mut pools, "now");
            for pool in &pools {
                seen.extend(pool.phase().map(str::to_owned));
                let resources = pool
                    .body
                    .pointer("/status/resources")
                    .and_then(Value::as_object);
                seen.extend(
                    resources
                        .into_iter()
                        .flat_map(|states| states.keys().cloned()),
                );
                let driver = pool
                    .body
                    .pointer("/status/driver/npu/state")
                    .and_then(Value::as_str);
                seen.extend(driver.map(|state| format!("driver {state}")));
            }
        }
        for event in [
            "Creating",
            "CreationFailed",
            "Deleting",
            "creating",
            "deleting",
            "abnormal",
            "driver Upgrading",
        ] {
            assert!(seen.contains(event), "{event} in {seen:?}");
        }
    }

    #[test]
    fn a_fleet_of_nothing_but_the_sample_still_lives() {
        let (mut life, mut pools) = start(1);
        life.step(&mut pools, "now");
        assert_eq!(pools.len(), 2);
    }
}
