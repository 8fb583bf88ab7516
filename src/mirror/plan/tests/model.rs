//! Every state that two sources with the same two pools can reach in a few steps, by any order of
//! polls, restarts, stale passes and changes of the cloud (a failed poll changes nothing, which is
//! a law of its own). What must never happen is checked at each step, and that all is well in the
//! end from each state.

use std::collections::{BTreeSet, VecDeque};

use super::*;

const POOLS: [&str; 2] = ["a", "b"];
const CONFIRMATIONS: i32 = 2;

/// Enough for a mirror to appear, to vanish, to be confirmed as gone and to come back.
const STEPS: usize = 6;

/// A pool in the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cloud {
    Absent,
    Running,
    Deleting,
    /// Listed, but its item does not decode.
    Garbled,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Turn(usize, Cloud),
    Poll(usize),
    Restart(usize),
    GoStale(usize),
}

#[derive(Clone)]
struct World {
    cloud: [Cloud; 2],
    store: Store,
    absences: [Option<Absences>; 2],
    /// The model's own count, beside that of the code: how many complete lists in a row have
    /// missed each pool since the source's process began.
    missed: [[i32; 2]; 2],
}

impl World {
    fn owner(source: usize) -> Owner {
        owner(["one", "two"][source], ["uid-one", "uid-two"][source])
    }

    fn list(&self) -> Value {
        let pools = POOLS.iter().zip(self.cloud);
        pools
            .filter_map(|(name, cloud)| match cloud {
                Cloud::Absent => None,
                Cloud::Running => Some(item(name, "Running")),
                Cloud::Deleting => Some(item(name, "Deleting")),
                Cloud::Garbled => Some(json!({"metadata": {"name": name}, "spec": 7})),
            })
            .collect()
    }

    /// What tells states apart: not times and versions, and no count beyond what matters.
    fn key(&self) -> String {
        let mirror = |object: &ModelArtsPool| {
            let mirror = Mirror::of(object);
            let ready = mirror.mark("Ready").cloned();
            let ready = ready.map(|it| (it.status, it.reason));
            (mirror.source, mirror.phase, ready)
        };
        let mirrors: Vec<_> = self.store.objects.values().map(mirror).collect();
        let counts = |absences: &Option<Absences>| {
            let missed = absences.as_ref().map(|it| it.missed.clone());
            missed.map(|it| {
                let capped = it.into_iter();
                capped
                    .map(|(name, missed)| (name, missed.min(CONFIRMATIONS)))
                    .collect::<Vec<_>>()
            })
        };
        let counts = self.absences.each_ref().map(counts);
        let missed = self
            .missed
            .map(|it| it.map(|missed| missed.min(CONFIRMATIONS)));
        format!("{:?}", (self.cloud, mirrors, counts, missed))
    }

    fn poll(&mut self, source: usize) -> Plan {
        let now = Timestamp::from_second(1_780_000_000).unwrap();
        let snapshot = Snapshot::of_json(QueryKey::example(), &self.list(), &json!([]));
        let policy = Policy {
            prune: &prune(CONFIRMATIONS, 30),
            confirmed: None,
            pace: Pace::Regular,
        };
        let (owner, previous) = (Self::owner(source), self.absences[source].as_ref());
        let mirrors = self.store.mirrors();
        let plan = plan(&mirrors, &snapshot, &owner, policy, previous, now);
        for (pool, cloud) in self.cloud.iter().enumerate() {
            let missed = &mut self.missed[source][pool];
            *missed = if *cloud == Cloud::Absent {
                *missed + 1
            } else {
                0
            };
        }
        self.check(source, &plan);
        self.store.apply(&owner, &plan.changes, now);
        self.absences[source] = Some(plan.absences.clone());
        plan
    }

    /// What no plan may ever do.
    fn check(&self, source: usize, plan: &Plan) {
        let own = |name: &str| {
            let object = self.store.objects.get(name);
            object.is_none_or(|it| it.spec.source.name == Self::owner(source).name)
        };
        let expected = |name: &str| {
            let phase = self.store.status(name).phase.as_deref();
            phase == Some("Deleting")
        };
        let mine: Vec<&str> = POOLS
            .into_iter()
            .filter(|name| self.store.objects.contains_key(*name) && own(name))
            .collect();
        let mut lost = 0;
        for change in &plan.changes {
            let pool = POOLS.iter().position(|name| *name == change.name).unwrap();
            assert!(own(&change.name), "the other source's mirror is written");
            if matches!(change.action, Action::Delete(_)) {
                assert!(
                    self.missed[source][pool] >= CONFIRMATIONS,
                    "deleted unconfirmed"
                );
                assert!(self.absences[source].is_some(), "deleted by a first poll");
                lost += usize::from(!expected(&change.name));
            }
        }
        let whole = mine.iter().filter(|name| !expected(name)).count();
        assert!(
            lost <= 1 && (lost == 0 || lost < whole),
            "deleted in a mass"
        );
    }

    fn step(&self, step: Step) -> Self {
        let mut world = self.clone();
        match step {
            Step::Turn(pool, cloud) => world.cloud[pool] = cloud,
            Step::Poll(source) => drop(world.poll(source)),
            Step::Restart(source) => {
                world.absences[source] = None;
                world.missed[source] = [0, 0];
            }
            Step::GoStale(source) => {
                let owner = Self::owner(source);
                let now = Timestamp::from_second(1_780_000_000).unwrap();
                let changes = plan_stale(&world.store.mirrors(), &owner, Some(now));
                let before = world.store.objects.len();
                world.store.apply(&owner, &changes, now);
                assert_eq!(world.store.objects.len(), before, "stale deletes nothing");
            }
        }
        world
    }

    /// Once nothing changes any more, a few polls settle everything.
    fn settles(&self) {
        let mut world = self.clone();
        for _ in 0..=CONFIRMATIONS {
            world.poll(0);
            world.poll(1);
        }
        assert!(world.poll(0).changes.is_empty() && world.poll(1).changes.is_empty());
        for (name, cloud) in POOLS.iter().zip(world.cloud) {
            let mirrored = world.store.objects.contains_key(*name);
            let listed = matches!(cloud, Cloud::Running | Cloud::Deleting);
            assert!(mirrored || !listed, "{name} is listed and not mirrored");
        }
    }
}

#[test]
fn no_order_of_events_deletes_a_mirror_by_mistake_and_every_state_settles() {
    let clouds = [
        Cloud::Absent,
        Cloud::Running,
        Cloud::Deleting,
        Cloud::Garbled,
    ];
    let turns = (0..2).flat_map(|pool| clouds.map(|cloud| Step::Turn(pool, cloud)));
    let others = (0..2).flat_map(|it| [Step::Poll(it), Step::Restart(it), Step::GoStale(it)]);
    let steps: Vec<Step> = turns.chain(others).collect();

    let start = World {
        cloud: [Cloud::Running; 2],
        store: Store::default(),
        absences: [None, None],
        missed: [[0; 2]; 2],
    };
    let mut seen = BTreeSet::from([start.key()]);
    let mut open = VecDeque::from([(start, 0)]);
    while let Some((world, depth)) = open.pop_front() {
        world.settles();
        if depth == STEPS {
            continue;
        }
        for step in &steps {
            let next = world.step(*step);
            if seen.insert(next.key()) {
                open.push_back((next, depth + 1));
            }
        }
    }
    assert!(seen.len() > 1_000, "the model explores next to nothing");
}
