//! Filters and topics as a large installation has them: four levels, 35 bytes, 90 % of the filters without
//! wildcards, 8 % with `+` and 2 % with `#`.

use std::cell::RefCell;
use std::rc::Rc;

use fastrand::Rng;

use crate::Prepared;

/// Numbers that are the same on each run.
pub fn random(seed: u64) -> Rng {
    Rng::with_seed(seed)
}

/// A topic out of a range that grows with `count`, so that about as many wildcard filters match one topic in a
/// small world as in a large one.
fn topic(random: &mut Rng, count: usize) -> String {
    let plants = (count / 4_000).max(2);
    format!(
        "region{:02}/plant{:03}/device{:05}/item{}",
        random.u32(..64),
        random.usize(..plants),
        random.u32(..1_000),
        random.u32(..8)
    )
}

/// `count` filters in a random order, and the topics of those without wildcards, in another.
pub fn filters(count: usize) -> (Vec<String>, Vec<String>) {
    let mut random = random(1);
    let mut topics = Vec::new();
    let filters = (0..count)
        .map(|_| {
            let topic = topic(&mut random, count);
            match random.u32(..100) {
                0..90 => {
                    topics.push(topic.clone());
                    topic
                }
                90..98 => with_plus(&topic, random.usize(1..4)),
                _ => with_all(&topic, random.usize(2..4)),
            }
        })
        .collect();
    random.shuffle(&mut topics);
    (filters, topics)
}

/// `count` different topics that no filter of [`filters`] spells.
pub fn new_topics(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("region99/plant{:03}/device{number:05}/item0", number % 512)).collect()
}

fn with_plus(topic: &str, place: usize) -> String {
    let mut levels: Vec<&str> = topic.split('/').collect();
    levels[place] = "+";
    levels.join("/")
}

fn with_all(topic: &str, kept: usize) -> String {
    let mut levels: Vec<&str> = topic.split('/').take(kept).collect();
    levels.push("#");
    levels.join("/")
}

/// A workload over the next `count` topics at each run, which are copied to one place before it.
pub(crate) fn taking_turns(
    topics: Vec<String>,
    count: usize,
    mut run: impl FnMut(&[String]) + 'static,
) -> Prepared {
    let now = Rc::new(RefCell::new(topics[..count].to_vec()));
    let (next, mut place) = (Rc::clone(&now), 0);
    let take_next = move || {
        place = if place + 2 * count > topics.len() { 0 } else { place + count };
        for (now, topic) in next.borrow_mut().iter_mut().zip(&topics[place..]) {
            topic.clone_into(now);
        }
    };
    Prepared::restored(count, move || run(&now.borrow()), take_next)
}
