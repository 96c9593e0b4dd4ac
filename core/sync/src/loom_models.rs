//! The protocols of this crate under loom, which runs every interleaving and every value that the memory model
//! lets a load return. loom treats SeqCst accesses as acquire and release, so only the fences are counted on.

use crate::{CoreMask, MaskTable, SleepFlag, Stamps};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// Runs a model with at most this many forced switches per run; unbounded, the larger ones do not end.
fn model(switches_max: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches_max);
    builder.max_branches = 100_000;
    builder.check(run);
}

fn mask(table: &MaskTable, hash: u64) -> CoreMask {
    let mut mask = CoreMask::new();
    table.or_into(hash, &mut mask);
    mask
}

/// Hashes of one stripe, all with the same first slot.
fn hash(number: u64) -> u64 {
    number << 40
}

#[test]
fn no_wake_up_is_lost() {
    loom::model(|| {
        let flag = Arc::new(SleepFlag::new());
        let ring = Arc::new(AtomicU64::new(0));
        let rung = Arc::new(AtomicBool::new(false));
        let producer = {
            let (flag, ring, rung) = (Arc::clone(&flag), Arc::clone(&ring), Arc::clone(&rung));
            thread::spawn(move || {
                ring.store(1, Ordering::Release);
                if flag.should_wake() {
                    rung.store(true, Ordering::Release);
                }
            })
        };
        flag.announce();
        let sleeps = ring.load(Ordering::Acquire) == 0;
        if !sleeps {
            flag.awake();
        }
        producer.join().unwrap();
        assert!(!sleeps || rung.load(Ordering::Acquire), "asleep with a message in the ring");
    });
}

#[test]
fn one_of_two_producers_rings() {
    loom::model(|| {
        let flag = Arc::new(SleepFlag::new());
        flag.announce();
        let other = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || flag.should_wake())
        };
        let mine = flag.should_wake();
        assert!(mine ^ other.join().unwrap());
    });
}

#[test]
fn stamps_are_given_once() {
    loom::model(|| {
        let stamps = Arc::new(Stamps::default());
        let other = {
            let stamps = Arc::clone(&stamps);
            thread::spawn(move || stamps.next())
        };
        let mine = stamps.next();
        assert_eq!(mine + other.join().unwrap(), 3);
    });
}

/// The cores under a key, to be compared.
fn cores(table: &MaskTable, hash: u64) -> std::vec::Vec<usize> {
    mask(table, hash).iter().collect()
}

/// Runs `write` on the model's own thread while another reads key 1, which core 0 has set before.
///
/// The writer is the first to run on purpose: loom keeps one last access per atomic, so a reader that ran
/// before a writer which itself loads and then stores would not be taken for a rival, and nothing explored.
fn read_while(slots_first: usize, prepare: fn(&MaskTable), write: fn(&MaskTable)) -> Arc<MaskTable> {
    let table = Arc::new(MaskTable::with_stripes(2, 1, slots_first));
    prepare(&table);
    table.set(hash(1), 0);
    let reader = {
        let table = Arc::clone(&table);
        thread::spawn(move || assert!(mask(&table, hash(1)).contains(0), "a set bit was not seen"))
    };
    write(&table);
    reader.join().unwrap();
    assert_eq!(cores(&table, hash(1)), [0]);
    table
}

#[test]
fn two_cores_set_and_clear_one_key() {
    model(3, || {
        let table = Arc::new(MaskTable::with_stripes(2, 1, 2));
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.set(hash(1), 1);
                table.clear(hash(1), 1);
            })
        };
        table.set(hash(1), 0);
        assert!(mask(&table, hash(1)).contains(0));
        other.join().unwrap();
        assert_eq!(cores(&table, hash(1)), [0]);
    });
}

#[test]
fn a_set_bit_is_seen_throughout_growth() {
    model(3, || {
        let table = read_while(2, |_| {}, |table| table.set(hash(2), 1));
        assert_eq!((table.slots(), cores(&table, hash(2))), (4, [1].into()));
    });
}

#[test]
fn a_set_bit_is_seen_while_empty_keys_are_dropped() {
    model(3, || {
        let come_and_go = |table: &MaskTable| {
            for number in 2..=3 {
                table.set(hash(number), 1);
                table.clear(hash(number), 1);
            }
        };
        // Lays the four slots out anew: key 1 moves to the first place, which key 2 had.
        let table = read_while(4, come_and_go, |table| table.set(hash(4), 1));
        assert_eq!((table.slots(), cores(&table, hash(4))), (4, [1].into()));
        assert!(!table.contains_any(hash(2)) && !table.contains_any(hash(3)));
    });
}

#[test]
fn a_new_key_is_seen_once_its_set_has_returned() {
    model(3, || {
        let table = Arc::new(MaskTable::with_stripes(2, 1, 4));
        table.set(hash(2), 1);
        let said = Arc::new(AtomicBool::new(false));
        let reader = {
            let (table, said) = (Arc::clone(&table), Arc::clone(&said));
            thread::spawn(move || {
                let told = said.load(Ordering::Acquire);
                let found = mask(&table, hash(1)).contains(0);
                assert!(found || !told, "the set had returned");
            })
        };
        table.set(hash(1), 0);
        said.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn two_cores_grow_the_table_at_once() {
    model(2, || {
        let table = Arc::new(MaskTable::with_stripes(2, 1, 2));
        table.set(hash(1), 0);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                table.set(hash(2), 1);
                assert!(mask(&table, hash(2)).contains(1));
            })
        };
        table.set(hash(3), 0);
        assert!(mask(&table, hash(3)).contains(0));
        other.join().unwrap();
        for (number, core) in [(1, 0), (2, 1), (3, 0)] {
            assert_eq!(cores(&table, hash(number)), [core]);
        }
    });
}

/// A ring between two cores as the other side sees it: the highest stamp whose tail is published.
struct Ring(AtomicU64);

impl Ring {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn push(&self, stamp: u64) {
        self.0.store(stamp, Ordering::Release);
    }

    fn drain(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

struct Retained {
    table: MaskTable,
    updates: [Ring; 2],
    query: AtomicBool,
}

impl Retained {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            table: MaskTable::with_stripes(2, 1, 2),
            updates: [Ring::new(), Ring::new()],
            query: AtomicBool::new(false),
        })
    }

    /// The publisher: update to the owner, fence, mask. Says whether the subscriber gets it live.
    fn publish(&self, ring: usize, stamp: u64) -> bool {
        self.updates[ring].push(stamp);
        fence(Ordering::SeqCst);
        mask(&self.table, hash(1)).contains(0)
    }

    /// The subscriber: bit, then query.
    fn subscribe(&self) {
        self.table.set(hash(1), 0);
        self.query.store(true, Ordering::Release);
    }

    /// The owner: reads the query, drains every ring again, answers with the highest stamp.
    fn answer(&self) -> Option<u64> {
        let asked = self.query.load(Ordering::Acquire);
        let kept = self.updates.iter().map(Ring::drain).max();
        kept.filter(|_| asked)
    }
}

#[test]
fn a_publish_reaches_a_new_subscriber_live_or_retained() {
    model(3, || {
        let state = Retained::new();
        let publisher = {
            let state = Arc::clone(&state);
            thread::spawn(move || state.publish(0, 7))
        };
        let owner = {
            let state = Arc::clone(&state);
            thread::spawn(move || state.answer())
        };
        state.subscribe();
        let answer = owner.join().unwrap();
        let live = publisher.join().unwrap();
        // An owner that did not see the query answers in a later turn, by then with everything.
        let retained = answer.or_else(|| state.answer());
        assert!(live || retained == Some(7), "the publish was missed both ways");
    });
}

#[test]
fn two_publishers_on_one_topic_leave_the_newer() {
    model(2, || {
        let state = Retained::new();
        let first = {
            let state = Arc::clone(&state);
            thread::spawn(move || state.publish(0, 1))
        };
        let second = {
            let state = Arc::clone(&state);
            thread::spawn(move || state.publish(1, 2))
        };
        state.subscribe();
        let retained = state.answer();
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert!(second || retained == Some(2), "the newest was missed both ways");
        assert!(first || retained >= Some(1), "the older was missed both ways");
    });
}

#[test]
fn an_update_that_did_not_fit_is_not_sent() {
    model(3, || {
        // The ring has room for one update and holds another topic's. The publisher must not look at the mask
        // before its own update stands in the ring, so it waits in this model by trying again after the owner.
        let state = Retained::new();
        let full = Arc::new(AtomicBool::new(true));
        let publisher = {
            let (state, full) = (Arc::clone(&state), Arc::clone(&full));
            thread::spawn(move || (!full.load(Ordering::Acquire)).then(|| state.publish(0, 7)))
        };
        let subscriber = {
            let state = Arc::clone(&state);
            thread::spawn(move || state.subscribe())
        };
        full.store(false, Ordering::Release);
        let answer = state.answer();
        subscriber.join().unwrap();
        let live = publisher.join().unwrap().unwrap_or_else(|| state.publish(0, 7));
        let retained = answer.or_else(|| state.answer());
        assert!(live || retained == Some(7), "the parked publish was missed both ways");
    });
}
