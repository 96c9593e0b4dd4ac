//! What was published and what has arrived: grants room in each publisher's window and finds what was lost,
//! duplicated or reordered. It sees sequence numbers only, never a socket or a clock.
//!
//! A message's place in its publisher's window is its sequence number modulo the window. The place is free again
//! when every reader has the message and the broker has acknowledged it, so a message that is lost stops its
//! publisher within one window and is found by [`Ledger::give_up`].

use ringmq_wire::PacketId;

use crate::Plan;

/// Set in a place while the broker's acknowledgement is outstanding; the lower bits count readers.
const ACK_AWAITED: u32 = 1 << 31;

/// Everything found so far, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Handed to a connection to be sent.
    pub(crate) published: u64,
    /// Arrived at a reader for the first time and in time.
    pub(crate) delivered: u64,
    /// Deliveries given up. One that comes after all stays counted here, and in `late`.
    pub(crate) lost: u64,
    /// Arrived at a reader again.
    pub(crate) duplicated: u64,
    /// Arrived after a later one of the same publisher to the same topic.
    pub(crate) reordered: u64,
    /// Arrived after it was given up, or with a number that was never under way.
    pub(crate) late: u64,
    /// Arrived although this reader must not have it: another run's, another pair's, or not a payload of ours.
    pub(crate) foreign: u64,
    /// Acknowledgements given up.
    pub(crate) acks_lost: u64,
    /// Acknowledgements of a packet that awaited none.
    pub(crate) acks_unexpected: u64,
}

impl Counts {
    /// How many messages had which fault.
    pub(crate) fn faults(&self) -> [(&'static str, u64); 7] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("late", self.late),
            ("foreign", self.foreign),
            ("acks_lost", self.acks_lost),
            ("acks_unexpected", self.acks_unexpected),
        ]
    }
}

/// What an arrival turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Awaited, and others are still.
    Right,
    /// Awaited, and the last of its message: there is room for another.
    Last,
    /// Not awaited; it is counted as what it is.
    Wrong,
}

/// A place in a window.
#[derive(Clone, Copy, Default)]
struct Place {
    sequence: u64,
    awaited: u32,
}

/// The state of all windows and streams of a run.
pub(crate) struct Ledger {
    window: usize,
    /// What a message awaits beside its readers.
    ack: u32,
    /// The next sequence number of each publisher.
    next: Vec<u64>,
    /// `window` places for each publisher.
    places: Vec<Place>,
    /// For each stream and place the number seen last, plus one.
    seen: Vec<u64>,
    /// For each order that is promised the highest number seen, plus one.
    highest: Vec<u64>,
    counts: Counts,
}

impl Ledger {
    /// The ledger of a plan. `orders` is how many sequences of arrivals have to be in order; with one topic for
    /// each publisher there is one for each stream.
    pub(crate) fn new(plan: &Plan, window: usize, orders: usize) -> Ledger {
        let ack = if plan.qos.value() > 0 { ACK_AWAITED } else { 0 };
        Ledger {
            window,
            ack,
            next: vec![0; plan.publishers()],
            places: vec![Place::default(); plan.publishers() * window],
            seen: vec![0; plan.streams() * window],
            highest: vec![0; orders],
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// How many messages somebody still waits for. Looks at every place: for the end of a run, not for each message.
    pub(crate) fn under_way(&self) -> usize {
        self.places.iter().filter(|place| place.awaited != 0).count()
    }

    /// Whether a publisher has no room for another message.
    pub(crate) fn is_full(&self, publisher: usize) -> bool {
        self.places[self.place(publisher, self.next[publisher])].awaited != 0
    }

    /// Whether nobody waits for any of a publisher's messages. Looks at its places until it finds one that is awaited.
    pub(crate) fn is_idle(&self, publisher: usize) -> bool {
        let first = publisher * self.window;
        self.places[first..first + self.window].iter().all(|place| place.awaited == 0)
    }

    /// The number the publisher's next message will have.
    pub(crate) fn next(&self, publisher: usize) -> u64 {
        self.next[publisher]
    }

    /// Takes the publisher's next sequence number, for a message that so many readers are to get; nothing while
    /// its window is full.
    #[inline]
    pub(crate) fn publish(&mut self, publisher: usize, readers: usize) -> Option<u64> {
        let sequence = self.next[publisher];
        let place = self.place(publisher, sequence);
        if self.places[place].awaited != 0 {
            return None;
        }
        self.places[place] = Place { sequence, awaited: readers as u32 | self.ack };
        self.next[publisher] = sequence + 1;
        self.counts.published += 1;
        Some(sequence)
    }

    /// The packet identifier that goes with a sequence number.
    #[inline]
    pub(crate) fn packet_id(&self, sequence: u64) -> PacketId {
        // The window is bounded by the number of identifiers, so the fallback is never taken.
        PacketId::new((sequence % self.window as u64) as u16 + 1).unwrap_or(PacketId::MAX)
    }

    /// Books an arrival on a stream, which must not come behind a later one of the same order.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        stream: usize,
        order: usize,
        publisher: usize,
        sequence: u64,
    ) -> Arrival {
        let place = self.place(publisher, sequence);
        let seen = &mut self.seen[stream * self.window + place % self.window];
        if *seen == sequence + 1 {
            self.counts.duplicated += 1;
            return Arrival::Wrong;
        }
        if self.places[place].sequence != sequence || self.places[place].awaited & !ACK_AWAITED == 0 {
            self.counts.late += 1;
            return Arrival::Wrong;
        }
        *seen = sequence + 1;
        let highest = &mut self.highest[order];
        if sequence < *highest {
            self.counts.reordered += 1;
        }
        *highest = (*highest).max(sequence + 1);
        self.counts.delivered += 1;
        self.places[place].awaited -= 1;
        if self.places[place].awaited == 0 { Arrival::Last } else { Arrival::Right }
    }

    /// Books the broker's last acknowledgement of a message. Whether that made room.
    #[inline]
    pub(crate) fn acknowledge(&mut self, publisher: usize, packet_id: PacketId) -> bool {
        let index = usize::from(packet_id.value()) - 1;
        let place = publisher * self.window + index;
        if index >= self.window || self.places[place].awaited & ACK_AWAITED == 0 {
            self.counts.acks_unexpected += 1;
            return false;
        }
        self.places[place].awaited &= !ACK_AWAITED;
        self.places[place].awaited == 0
    }

    /// Counts all that a publisher still waits for as lost and frees its window.
    pub(crate) fn give_up(&mut self, publisher: usize) {
        for place in &mut self.places[publisher * self.window..(publisher + 1) * self.window] {
            if place.awaited == 0 {
                continue;
            }
            self.counts.lost += u64::from(place.awaited & !ACK_AWAITED);
            self.counts.acks_lost += u64::from(place.awaited & ACK_AWAITED != 0);
            place.awaited = 0;
        }
    }

    /// The place of a message in the windows of all publishers.
    #[inline]
    pub(crate) fn place(&self, publisher: usize, sequence: u64) -> usize {
        publisher * self.window + (sequence % self.window as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use ringmq_wire::Qos;

    use super::*;
    use crate::Scenario;

    fn plan(scenario: Scenario, count: usize, qos: Qos) -> Plan {
        Plan { qos, ..Plan::new(([127, 0, 0, 1], 1883).into(), scenario, count) }
    }

    fn ledger(scenario: Scenario, count: usize, qos: Qos) -> Ledger {
        Ledger::new(&plan(scenario, count, qos), 3, count)
    }

    fn publish(ledger: &mut Ledger, count: u64, readers: usize) {
        let first = ledger.next[0];
        for sequence in first..first + count {
            assert_eq!(ledger.publish(0, readers), Some(sequence));
        }
    }

    #[test]
    fn a_window_grants_no_more_than_its_size() {
        let mut ledger = ledger(Scenario::Pairs, 2, Qos::AtMostOnce);
        publish(&mut ledger, 3, 1);
        assert_eq!(ledger.publish(0, 1), None);
        assert!(ledger.is_full(0) && !ledger.is_full(1));
        assert!(!ledger.is_idle(0) && ledger.is_idle(1));
        assert_eq!(ledger.receive(0, 0, 0, 0), Arrival::Last);
        assert_eq!((ledger.publish(0, 1), ledger.publish(0, 1)), (Some(3), None));
        assert_eq!(ledger.under_way(), 3);
    }

    #[test]
    fn a_message_is_under_way_until_every_reader_has_it_and_the_broker_acknowledged() {
        let mut ledger = ledger(Scenario::FanOut, 2, Qos::AtLeastOnce);
        publish(&mut ledger, 1, 2);
        let id = ledger.packet_id(0);
        assert_eq!(ledger.receive(0, 0, 0, 0), Arrival::Right);
        assert!(!ledger.acknowledge(0, id));
        assert_eq!(ledger.receive(1, 1, 0, 0), Arrival::Last);
        assert!(!ledger.acknowledge(0, id), "acknowledged twice");
        assert_eq!((ledger.counts().delivered, ledger.counts().acks_unexpected), (2, 1));
    }

    /// Arrivals of a publisher that sent 0, 1, 2 with window 3, and what they must be found to be:
    /// delivered, duplicated, reordered, lost after giving up.
    const ARRIVALS: [(&[u64], [u64; 4]); 7] = [
        (&[0, 1, 2], [3, 0, 0, 0]),
        (&[0, 0, 1, 2], [3, 1, 0, 0]),
        (&[0, 1, 2, 0], [3, 1, 0, 0]),
        (&[1, 0, 2], [3, 0, 1, 0]),
        (&[2, 1, 0], [3, 0, 2, 0]),
        (&[0, 2], [2, 0, 0, 1]),
        (&[], [0, 0, 0, 3]),
    ];

    #[test]
    fn every_fault_is_found_and_called_by_its_name() {
        for (arrivals, expected) in ARRIVALS {
            let mut ledger = ledger(Scenario::Pairs, 1, Qos::AtMostOnce);
            publish(&mut ledger, 3, 1);
            for &sequence in arrivals {
                ledger.receive(0, 0, 0, sequence);
            }
            ledger.give_up(0);
            let counts = ledger.counts();
            let found = [counts.delivered, counts.duplicated, counts.reordered, counts.lost];
            assert_eq!(found, expected, "{arrivals:?}");
            assert_eq!((ledger.under_way(), counts.late), (0, 0), "{arrivals:?}");
        }
    }

    #[test]
    fn what_comes_after_it_was_given_up_is_late() {
        let mut ledger = ledger(Scenario::Pairs, 1, Qos::AtLeastOnce);
        publish(&mut ledger, 1, 1);
        ledger.give_up(0);
        assert_eq!(ledger.receive(0, 0, 0, 0), Arrival::Wrong);
        assert_eq!(ledger.receive(0, 0, 0, 77), Arrival::Wrong, "never under way");
        let counts = ledger.counts();
        assert_eq!((counts.lost, counts.acks_lost, counts.late, counts.delivered), (1, 1, 2, 0));
    }
}
