//! A model of two candidates on one API server: each has a clock of its own that starts anywhere and
//! runs a little too fast or too slow, each is paused anywhere for any time, and every request may
//! take any time, get lost, or be done without its answer being heard of.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::*;

fn candidate() -> Candidate {
    Candidate::new("me".to_owned())
}

fn held_by(holder: &str, version: &str) -> Option<Record> {
    Some(Record {
        holder: Some(holder.to_owned()),
        duration: DURATION,
        version: version.to_owned(),
    })
}

#[test]
fn a_lease_that_is_not_there_is_created() {
    assert_eq!(candidate().decide(None, Instant::now()), Action::Create);
}

#[test]
fn a_lease_that_was_given_up_is_taken_at_once() {
    let given_up = held_by("", "1").map(|it| Record { holder: None, ..it });
    assert_eq!(
        candidate().decide(given_up, Instant::now()),
        Action::Acquire
    );
}

#[test]
fn a_lease_of_another_is_taken_once_it_has_not_changed_for_its_duration_as_seen_here() {
    let (mut me, now) = (candidate(), Instant::now());
    assert_eq!(me.decide(held_by("other", "1"), now), Action::Wait);
    let later = now + DURATION - Duration::from_millis(1);
    assert_eq!(me.decide(held_by("other", "1"), later), Action::Wait);
    assert_eq!(
        me.decide(held_by("other", "1"), now + DURATION),
        Action::Acquire
    );
    assert_eq!(
        me.decide(held_by("other", "2"), now + DURATION),
        Action::Wait
    );
}

#[test]
fn a_lease_that_somebody_deleted_is_not_created_while_its_holder_may_go_on() {
    let (mut me, now) = (candidate(), Instant::now());
    assert_eq!(me.decide(held_by("other", "1"), now), Action::Wait);
    assert_eq!(me.decide(None, now + DURATION / 2), Action::Wait);
    assert_eq!(me.decide(None, now + DURATION), Action::Create);
}

#[test]
fn a_lease_of_mine_is_renewed() {
    let now = Instant::now();
    assert_eq!(
        candidate().decide(held_by("me", "1"), now + 9 * DURATION),
        Action::Renew
    );
}

/// What happens next in the model; the times are in milliseconds of true time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u64),
    /// The candidate reads, decides, and sends its write.
    Look(usize),
    /// One of the writes on their way reaches the API server.
    Land(usize),
    /// The answer to its last write reaches the candidate.
    Hear(usize),
    /// It stops and gives up the Lease.
    Release(usize),
}

struct Actor {
    candidate: Candidate,
    base: Instant,
    /// Its clock's speed in thousandths.
    speed: u64,
    /// Its last write: which one, and when it was begun.
    sent: Option<(usize, Instant)>,
    gate: Instant,
}

/// A write to the Lease; most are done long after they were sent, or never.
struct Write {
    who: usize,
    /// The version it names.
    version: u64,
    landed: Option<bool>,
}

struct Model {
    now: u64,
    holder: Option<String>,
    version: u64,
    writes: Vec<Write>,
    actors: [Actor; 2],
}

impl Actor {
    fn clock(&self, now: u64) -> Instant {
        self.base + Duration::from_micros(now * self.speed)
    }

    fn is_open(&self, now: u64) -> bool {
        self.clock(now) < self.gate
    }
}

impl Model {
    fn new(skew: u64, speeds: [u64; 2]) -> Self {
        let base = Instant::now();
        let actor = |name: &str, skew: u64, speed| {
            let base = base + Duration::from_millis(skew);
            Actor {
                candidate: Candidate::new(name.to_owned()),
                base,
                speed,
                sent: None,
                gate: base,
            }
        };
        Self {
            now: 0,
            holder: None,
            version: 0,
            writes: Vec::new(),
            actors: [actor("a", 0, speeds[0]), actor("b", skew, speeds[1])],
        }
    }

    fn read(&self) -> Option<Record> {
        (self.version > 0).then(|| Record {
            holder: self.holder.clone(),
            duration: DURATION,
            version: self.version.to_string(),
        })
    }

    fn leaders(&self) -> usize {
        let leaders = self.actors.iter().filter(|it| it.is_open(self.now));
        leaders.count()
    }

    /// A look, and its write and answer without delay.
    fn take(&mut self, who: usize) {
        for event in [Event::Look(who), Event::Land(0), Event::Hear(who)] {
            self.step(event);
        }
    }

    fn step(&mut self, event: Event) {
        let read = self.read();
        match event {
            Event::Pass(time) => self.now += time,
            Event::Look(who) => {
                let actor = &mut self.actors[who];
                let begun = actor.clock(self.now);
                if actor.candidate.decide(read, begun) != Action::Wait {
                    actor.sent = Some((self.writes.len(), begun));
                    self.writes.push(Write {
                        who,
                        version: self.version,
                        landed: None,
                    });
                }
            }
            Event::Land(which) => {
                let waiting = self.writes.iter_mut().filter(|it| it.landed.is_none());
                let mut waiting: Vec<&mut Write> = waiting.collect();
                if waiting.is_empty() {
                    return;
                }
                let count = waiting.len();
                let write = &mut waiting[which % count];
                let done = write.version == self.version;
                write.landed = Some(done);
                if done {
                    self.version += 1;
                    self.holder = Some(self.actors[write.who].candidate.me().to_owned());
                }
            }
            Event::Hear(who) => {
                let actor = &mut self.actors[who];
                if let Some((which, begun)) = actor.sent
                    && self.writes[which].landed == Some(true)
                {
                    actor.gate = begun + HOLD;
                }
            }
            Event::Release(who) => {
                let actor = &mut self.actors[who];
                let now = actor.clock(self.now);
                (actor.gate, actor.sent) = (now, None);
                if actor.candidate.decide(read, now) == Action::Renew {
                    self.version += 1;
                    self.holder = None;
                }
            }
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let who = 0..2usize;
    let event = prop_oneof![
        4 => prop_oneof![4 => 0..3_000u64, 1 => 0..20_000u64].prop_map(Event::Pass),
        4 => who.clone().prop_map(Event::Look),
        4 => any::<usize>().prop_map(Event::Land),
        4 => who.clone().prop_map(Event::Hear),
        1 => who.prop_map(Event::Release),
    ];
    proptest::collection::vec(event, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn two_candidates_never_both_have_an_open_gate(
        events in events(),
        skew in 0..1_000_000u64,
        speeds in prop::array::uniform2(850..1_150u64),
    ) {
        let mut model = Model::new(skew, speeds);
        for event in events {
            model.step(event);
            prop_assert!(model.leaders() < 2, "both at {} ms", model.now);
        }
    }
}

#[test]
fn the_model_lets_both_candidates_lead_one_after_the_other() {
    let mut model = Model::new(5_000, [1_000, 1_000]);
    model.take(0);
    assert!(model.actors[0].is_open(model.now));
    model.take(1);
    assert!(!model.actors[1].is_open(model.now), "it is held");
    model.step(Event::Pass(15_000));
    model.take(1);
    assert!(model.actors[1].is_open(model.now));
    assert!(!model.actors[0].is_open(model.now));
}
