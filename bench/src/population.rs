//! The filters and topics of the scenario with many subscriptions, by calculation: who subscribes to what, and who
//! must get a message, without a matcher of its own that could err the same way as the broker's.
//!
//! Client `c` of `n` filters holds exact ones below its own branch `c`, `+` below that of the client before it and
//! `#` below that of the client before that one. So a message meets each client through one filter at most, and
//! one publish through up to three. Below a branch are `x/y`; there are as many `x` as filters with `#`.

use crate::Plan;

/// The smallest number of clients: with fewer, one client would meet a message twice.
pub(crate) const CLIENTS_MIN: usize = 3;
/// Topics that are published to, at most: each costs the load its packet. With more exact filters than this every
/// so many-th is taken.
const TOPICS_MAX: usize = 1 << 16;

/// Who subscribes to what.
#[derive(Clone, Debug)]
pub(crate) struct Population {
    topics: String,
    clients: usize,
    exact: usize,
    plus: usize,
    hash: usize,
    published: usize,
}

impl Population {
    /// The population of a plan; nothing when it has too few clients or filters.
    pub(crate) fn new(plan: &Plan) -> Option<Population> {
        let each = plan.subscriptions / plan.count.max(1);
        let (plus, hash) = (each * 8 / 100, (each / 50).max(1));
        let exact = each.checked_sub(plus + hash).filter(|exact| *exact > 0)?;
        let published = (exact * plan.count).min(TOPICS_MAX);
        (plan.count >= CLIENTS_MIN).then(|| Population {
            topics: plan.topics(),
            clients: plan.count,
            exact,
            plus,
            hash,
            published,
        })
    }

    /// How many filters there are.
    pub(crate) fn subscriptions(&self) -> usize {
        self.clients * (self.exact + self.plus + self.hash)
    }

    /// The filters of one client.
    pub(crate) fn filters(&self, client: usize) -> impl Iterator<Item = String> {
        let branch = move |back: usize| (client + self.clients - back) % self.clients;
        let exact = (0..self.exact).map(move |number| {
            format!("{}/{client}/{}/{}", self.topics, number % self.hash, number / self.hash)
        });
        let plus = (0..self.plus).map(move |y| format!("{}/{}/+/{y}", self.topics, branch(1)));
        let hash = (0..self.hash).map(move |x| format!("{}/{}/{x}/#", self.topics, branch(2)));
        exact.chain(plus).chain(hash)
    }

    /// How many topics are published to.
    pub(crate) fn published(&self) -> usize {
        self.published
    }

    /// One of the topics.
    pub(crate) fn topic(&self, number: usize) -> String {
        let (client, x, y) = self.place(number);
        format!("{}/{client}/{x}/{y}", self.topics)
    }

    /// The topic that a message of this number goes to: all alike often, in no order a cache could follow.
    #[inline]
    pub(crate) fn topic_of(&self, sequence: u64) -> usize {
        // The finalizer of SplitMix64.
        let mut mixed = sequence.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % self.published as u64) as usize
    }

    /// How many clients get a message to this topic.
    #[inline]
    pub(crate) fn readers(&self, topic: usize) -> usize {
        2 + usize::from(self.place(topic).2 < self.plus)
    }

    /// How many pairs of a topic and one that gets it there can be; a message must not overtake in each of them
    /// (clause 4.6), while messages to different topics may.
    pub(crate) fn orders(&self) -> usize {
        self.published * CLIENTS_MIN
    }

    /// Which of those an arrival belongs to; `client` reads `topic`.
    #[inline]
    pub(crate) fn order(&self, client: usize, topic: usize) -> usize {
        let (branch, _, _) = self.place(topic);
        topic * CLIENTS_MIN + (client + self.clients - branch) % self.clients
    }

    /// Whether a client gets a message to this topic.
    #[inline]
    pub(crate) fn reads(&self, client: usize, topic: usize) -> bool {
        let (branch, _, y) = self.place(topic);
        match (client + self.clients - branch) % self.clients {
            0 | 2 => true,
            1 => y < self.plus,
            _ => false,
        }
    }

    fn place(&self, number: usize) -> (usize, usize, usize) {
        let spread = number * (self.exact * self.clients) / self.published;
        let (client, number) = (spread / self.exact, spread % self.exact);
        (client, number % self.hash, number / self.hash)
    }
}

#[cfg(test)]
mod tests {
    use ringmq_wire::topic_matches;

    use super::*;
    use crate::Scenario;

    fn population(clients: usize, subscriptions: usize) -> Option<Population> {
        let broker = ([127, 0, 0, 1], 1883).into();
        Population::new(&Plan { subscriptions, ..Plan::new(broker, Scenario::Subscriptions, clients) })
    }

    #[test]
    fn who_gets_a_message_is_what_the_filters_say_and_nobody_is_met_twice() {
        for (clients, subscriptions) in [(3, 9), (3, 300), (5, 2000), (7, 700)] {
            let population = population(clients, subscriptions).unwrap();
            let filters: Vec<Vec<String>> =
                (0..clients).map(|client| population.filters(client).collect()).collect();
            assert_eq!(filters.iter().map(Vec::len).sum::<usize>(), population.subscriptions());
            let mut orders = std::collections::HashSet::new();
            for number in 0..population.published() {
                let topic = population.topic(number);
                let mut met = 0;
                for (client, filters) in filters.iter().enumerate() {
                    let matching = filters.iter().filter(|filter| topic_matches(filter, &topic)).count();
                    assert_eq!(matching, usize::from(population.reads(client, number)), "{client} {topic}");
                    met += matching;
                    if matching > 0 {
                        assert!(orders.insert(population.order(client, number)), "{client} {topic}");
                    }
                }
                assert_eq!(met, population.readers(number), "{topic}");
            }
            assert!(orders.iter().all(|order| *order < population.orders()));
        }
    }

    #[test]
    fn the_shares_are_those_promised_and_messages_go_everywhere() {
        let population = population(10, 10_000).unwrap();
        assert_eq!((population.exact, population.plus, population.hash), (900, 80, 20));
        let met: std::collections::HashSet<_> =
            (0..100_000).map(|sequence| population.topic_of(sequence)).collect();
        assert_eq!(met.len(), population.published());
    }

    #[test]
    fn too_few_of_anything_is_no_population() {
        assert!(population(2, 1000).is_none() && population(3, 3).is_none());
    }
}
