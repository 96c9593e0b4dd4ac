//! What was published, acknowledged and received, and what of it must not have happened. It sees numbers only,
//! never a socket or a clock.
//!
//! A lane is one stream (what one publisher sends at one QoS) at one subscriber. The messages of a lane arrive for
//! the first time in the order of their numbers and, above QoS 0, without a gap. What may come again, and where a
//! gap is lawful, follows from the QoS of the publish and of the subscription and from whether the subscriber's
//! session survives its connections.

use std::collections::{BTreeSet, HashMap};

use ringmq_wire::Qos;

use super::parcel::Parcel;

/// Connections are counted from here; lanes are opened before it or on it.
const FIRST_CONNECTION: u64 = 1;
/// The first faults are kept in words, the rest only counted.
const WORDS_MAX: usize = 20;

/// What happens on a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Promise {
    /// QoS of the publishes.
    pub(crate) published: Qos,
    /// QoS of the subscription.
    pub(crate) subscribed: Qos,
    /// Whether the subscriber's session survives its connections.
    pub(crate) kept: bool,
}

impl Promise {
    fn delivered(self) -> Qos {
        self.published.min(self.subscribed)
    }
}

struct Lane {
    promise: Promise,
    /// The number that comes next for the first time.
    next: u64,
    /// Numbers below `next` that have not come and must.
    missing: BTreeSet<u64>,
    /// The subscriber's connection on which the last message came.
    connection: u64,
    /// Numbers below it were published to a session that has ended.
    since: u64,
}

/// Everything counted so far, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) published: [u64; 3],
    pub(crate) acknowledged: u64,
    /// First arrivals by the QoS of delivery.
    pub(crate) delivered: [u64; 3],
    /// Lawful: QoS 0, or a session that ended with its connection.
    pub(crate) missed: u64,
    /// Lawful: QoS 1 again.
    pub(crate) again: u64,
    /// Faults from here on.
    pub(crate) twice: u64,
    pub(crate) out_of_order: u64,
    pub(crate) foreign: u64,
    pub(crate) wrong_qos: u64,
    /// Faults of the protocol that a client's session has seen.
    pub(crate) protocol: u64,
}

/// The books of a storm.
#[derive(Default)]
pub(crate) struct Account {
    run_id: u32,
    published: Vec<u64>,
    lanes: HashMap<(usize, u32), Lane>,
    counts: Counts,
    words: Vec<String>,
}

impl Account {
    pub(crate) fn new(run_id: u32) -> Self {
        Self { run_id, ..Self::default() }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The first faults in words.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// Opens a stream and returns its number.
    pub(crate) fn stream(&mut self) -> u32 {
        self.published.push(0);
        self.published.len() as u32 - 1
    }

    /// A subscriber will get what is published on a stream from now on.
    pub(crate) fn lane(&mut self, subscriber: usize, stream: u32, promise: Promise) {
        let next = self.published[stream as usize];
        let lane =
            Lane { promise, next, missing: BTreeSet::new(), connection: FIRST_CONNECTION, since: next };
        self.lanes.insert((subscriber, stream), lane);
    }

    /// A subscriber is connected with a session that did not exist before: what was published until now is not
    /// owed to it.
    pub(crate) fn began(&mut self, subscriber: usize, streams: impl IntoIterator<Item = u32>) {
        for stream in streams {
            if let Some(lane) = self.lanes.get_mut(&(subscriber, stream)) {
                lane.since = self.published[stream as usize];
            }
        }
    }

    /// Messages of these streams above QoS 0 that are on their way to a subscriber or wait for it in its session.
    pub(crate) fn waiting(&self, subscriber: usize, streams: impl IntoIterator<Item = u32>) -> u64 {
        let waits = |stream: u32| match self.lanes.get(&(subscriber, stream)) {
            Some(lane) if lane.promise.delivered() != Qos::AtMostOnce => {
                self.published[stream as usize].saturating_sub(lane.next.max(lane.since))
            }
            _ => 0,
        };
        streams.into_iter().map(waits).sum()
    }

    /// Takes the next number of a stream.
    pub(crate) fn publish(&mut self, stream: u32, qos: Qos) -> u64 {
        self.counts.published[usize::from(qos.value())] += 1;
        let next = &mut self.published[stream as usize];
        *next += 1;
        *next - 1
    }

    pub(crate) fn acknowledged(&mut self) {
        self.counts.acknowledged += 1;
    }

    /// A fault that a client's session has seen.
    pub(crate) fn protocol(&mut self, who: &str, what: &str) {
        self.counts.protocol += 1;
        self.say(|| format!("{who}: {what}"));
    }

    /// Books an arrival at a subscriber on its `connection`-th connection.
    pub(crate) fn arrived(
        &mut self,
        subscriber: usize,
        connection: u64,
        parcel: Parcel,
        qos: Qos,
        dup: bool,
    ) {
        let published = self.published.get(parcel.stream as usize).copied().unwrap_or(0);
        let ours = parcel.run_id == self.run_id && parcel.sequence < published;
        let Some(lane) = self.lanes.get_mut(&(subscriber, parcel.stream)).filter(|_| ours) else {
            self.counts.foreign += 1;
            return self.say(|| format!("subscriber {subscriber} got {parcel:?}"));
        };
        let promise = lane.promise;
        let same_session = promise.kept || lane.connection == connection;
        lane.connection = connection;
        if qos != promise.delivered() {
            self.counts.wrong_qos += 1;
            return self.say(|| format!("subscriber {subscriber} got {parcel:?} at {qos:?} by {promise:?}"));
        }
        if parcel.sequence < lane.next {
            return self.arrived_behind(subscriber, parcel, dup);
        }
        let gap = lane.next..parcel.sequence;
        lane.next = parcel.sequence + 1;
        self.counts.delivered[usize::from(qos.value())] += 1;
        if qos == Qos::AtMostOnce || !same_session {
            self.counts.missed += gap.end - gap.start;
        } else {
            lane.missing.extend(gap);
        }
    }

    /// A number that was passed already: late, again, or twice.
    fn arrived_behind(&mut self, subscriber: usize, parcel: Parcel, dup: bool) {
        let Some(lane) = self.lanes.get_mut(&(subscriber, parcel.stream)) else { return };
        let promise = lane.promise;
        if lane.missing.remove(&parcel.sequence) {
            self.counts.out_of_order += 1;
            self.counts.delivered[usize::from(promise.delivered().value())] += 1;
            return self.say(|| format!("subscriber {subscriber} got {parcel:?} too late"));
        }
        // A publisher that resumes may publish again what the broker has routed; at QoS 2 the broker knows it.
        let by_publisher = promise.published == Qos::AtLeastOnce && promise.delivered() != Qos::ExactlyOnce;
        let by_broker = promise.delivered() == Qos::AtLeastOnce && dup;
        if by_publisher || by_broker {
            self.counts.again += 1;
        } else {
            self.counts.twice += 1;
            self.say(|| format!("subscriber {subscriber} got {parcel:?} again, DUP {dup}, by {promise:?}"));
        }
    }

    /// Messages above QoS 0 that a subscriber must have and has not, over all lanes.
    pub(crate) fn outstanding(&self) -> u64 {
        let owed = |((_, stream), lane): (&(usize, u32), &Lane)| match lane.promise.delivered() {
            Qos::AtMostOnce => 0,
            _ => lane.missing.len() as u64 + self.published[*stream as usize] - lane.next,
        };
        self.lanes.iter().map(owed).sum()
    }

    /// What is outstanding at the end, by QoS of delivery: lost.
    pub(crate) fn lost(&mut self) -> [u64; 3] {
        let mut lost = [0; 3];
        let mut words = Vec::new();
        for ((subscriber, stream), lane) in &self.lanes {
            let behind = self.published[*stream as usize] - lane.next;
            let count = lane.missing.len() as u64 + behind;
            lost[usize::from(lane.promise.delivered().value())] += count;
            if count > 0 && lane.promise.delivered() != Qos::AtMostOnce {
                let missing: Vec<u64> = lane.missing.iter().copied().take(5).collect();
                words.push(format!(
                    "subscriber {subscriber} lacks {count} of stream {stream}: {missing:?} and {behind} from {}",
                    lane.next
                ));
            }
        }
        words.sort();
        words.into_iter().for_each(|word| self.say(|| word));
        lost
    }

    /// Faults so far; what is lost is known only at the end.
    pub(crate) fn faults(&self) -> u64 {
        let counts = &self.counts;
        counts.twice + counts.out_of_order + counts.foreign + counts.wrong_qos + counts.protocol
    }

    fn say(&mut self, word: impl FnOnce() -> String) {
        if self.words.len() < WORDS_MAX {
            self.words.push(word());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

    /// Arrivals as (number, connection, DUP) of a stream of five messages.
    type Arrivals = &'static [(u64, u64, bool)];

    /// Published and subscribed QoS, whether kept, arrivals; then lost above QoS 0, missed, again, twice, out of
    /// order.
    #[rustfmt::skip]
    const ROWS: &[(usize, usize, bool, Arrivals, [u64; 5])] = &[
        (0, 2, true, &[(0, 1, false), (1, 1, false), (2, 1, false), (3, 1, false), (4, 1, false)], [0; 5]),
        (0, 2, true, &[(0, 1, false), (4, 2, false)], [0, 3, 0, 0, 0]),
        (0, 2, true, &[(4, 1, false), (1, 1, false)], [0, 4, 0, 1, 0]),
        (1, 2, true, &[(0, 1, false), (1, 1, false), (1, 2, true), (2, 2, false), (3, 2, false), (4, 2, false)],
         [0, 0, 1, 0, 0]),
        (1, 2, true, &[(0, 1, false), (2, 1, false), (3, 1, false), (4, 1, false)], [1, 0, 0, 0, 0]),
        (1, 2, true, &[(0, 1, false), (2, 1, false), (1, 1, false), (3, 1, false), (4, 1, false)], [0, 0, 0, 0, 1]),
        (1, 2, true, &[(0, 1, false), (1, 1, false)], [3, 0, 0, 0, 0]),
        (1, 2, false, &[(0, 1, false), (3, 2, false), (4, 2, false)], [0, 2, 0, 0, 0]),
        (1, 2, false, &[(0, 1, false), (3, 1, false), (4, 1, false)], [2, 0, 0, 0, 0]),
        (1, 2, false, &[(2, 2, false), (3, 2, false), (4, 2, false)], [0, 2, 0, 0, 0]),
        (1, 2, false, &[(2, 1, false), (3, 1, false), (4, 1, false)], [2, 0, 0, 0, 0]),
        (2, 2, true, &[(0, 1, false), (1, 1, false), (1, 2, true), (2, 2, false), (3, 2, false), (4, 2, false)],
         [0, 0, 0, 1, 0]),
        (2, 1, true, &[(0, 1, false), (0, 1, false), (1, 1, false), (2, 1, false), (3, 1, false), (4, 1, false)],
         [0, 0, 0, 1, 0]),
        (2, 1, true, &[(0, 1, false), (0, 2, true), (1, 2, false), (2, 2, false), (3, 2, false), (4, 2, false)],
         [0, 0, 1, 0, 0]),
        (2, 0, true, &[(0, 1, false), (0, 1, false), (4, 1, false)], [0, 3, 0, 1, 0]),
        (1, 0, true, &[(0, 1, false), (0, 1, false), (4, 1, false)], [0, 3, 1, 0, 0]),
    ];

    fn parcel(stream: u32, sequence: u64) -> Parcel {
        Parcel { run_id: 3, stream, sequence, due_nanos: 0, bytes: 32 }
    }

    #[test]
    fn every_fault_is_found_and_nothing_lawful_is_called_one() {
        for (row, &(published, subscribed, kept, arrivals, expected)) in ROWS.iter().enumerate() {
            let promise = Promise { published: QOS[published], subscribed: QOS[subscribed], kept };
            let mut account = Account::new(3);
            let stream = account.stream();
            account.lane(9, stream, promise);
            for _ in 0..5 {
                account.publish(stream, QOS[published]);
            }
            for &(sequence, connection, dup) in arrivals {
                account.arrived(9, connection, parcel(stream, sequence), promise.delivered(), dup);
            }
            let lost = account.lost();
            let counts = account.counts();
            let found = [lost[1] + lost[2], counts.missed, counts.again, counts.twice, counts.out_of_order];
            assert_eq!(found, expected, "row {row}: {:?}", account.words());
            assert_eq!(account.outstanding(), lost[1] + lost[2], "row {row}");
        }
    }

    #[test]
    fn what_waits_for_a_subscriber_is_what_it_is_owed_above_qos_0_since_its_session_began() {
        let mut account = Account::new(3);
        let streams = [account.stream(), account.stream()];
        for (stream, qos) in streams.into_iter().zip([1, 0]) {
            let promise = Promise { published: QOS[qos], subscribed: Qos::ExactlyOnce, kept: false };
            account.lane(9, stream, promise);
            for _ in 0..5 {
                account.publish(stream, QOS[qos]);
            }
        }
        assert_eq!(account.waiting(9, streams), 5);
        account.arrived(9, 1, parcel(streams[0], 2), Qos::AtLeastOnce, false);
        assert_eq!(account.waiting(9, streams), 2);
        account.began(9, streams);
        assert_eq!(account.waiting(9, streams), 0);
        account.publish(streams[0], Qos::AtLeastOnce);
        assert_eq!(account.waiting(9, streams), 1);
        assert_eq!(account.waiting(8, streams), 0);
    }

    #[test]
    fn what_no_subscription_explains_is_foreign() {
        let mut account = Account::new(3);
        let stream = account.stream();
        let promise = Promise { published: Qos::AtLeastOnce, subscribed: Qos::AtMostOnce, kept: true };
        account.lane(1, stream, promise);
        account.publish(stream, Qos::AtLeastOnce);
        let other_run = Parcel { run_id: 4, ..parcel(stream, 0) };
        for (subscriber, parcel) in
            [(2, parcel(stream, 0)), (1, parcel(stream, 1)), (1, parcel(7, 0)), (1, other_run)]
        {
            account.arrived(subscriber, 1, parcel, Qos::AtMostOnce, false);
        }
        account.arrived(1, 1, parcel(stream, 0), Qos::AtLeastOnce, false);
        assert_eq!((account.counts().foreign, account.counts().wrong_qos), (4, 1));
        assert_eq!(account.faults(), 5);
    }
}
