//! The in-process handles of a script, and that each of their requests is answered exactly once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ringmq_shard::{Input, LocalId, LocalInput, LocalTicket};
use ringmq_wire::Version;

use crate::harness::local::{Basket, Sink};
use crate::harness::world::World;
use crate::script::Letter;
use crate::writing;

/// Handles that one script may have open at once; more is more of the same.
const HANDLES_MAX: usize = 3;
/// Handles that one script may open in all.
pub const OPENED_MAX: u64 = 8;

/// All handles of one broker.
#[derive(Default)]
pub struct Handles {
    places: [Option<Place>; HANDLES_MAX],
    opened: u64,
    tickets: u64,
    asked: BTreeSet<u64>,
}

struct Place {
    local: LocalId,
    shard: usize,
    basket: Arc<Mutex<Basket>>,
}

impl Handles {
    /// Opens a handle where there is none.
    pub fn open(&mut self, world: &mut World, handle: u8, room: u8, queue: u8) {
        let index = usize::from(handle) % HANDLES_MAX;
        if self.places[index].is_some() || self.opened == OPENED_MAX {
            return;
        }
        self.opened += 1;
        let local = LocalId(self.opened);
        let shard = usize::from(handle) % world.shard_count();
        let basket = Arc::new(Mutex::new(Basket { room: usize::from(room) % 8, ..Basket::default() }));
        let queue_messages_max = u32::from(queue) % 4 + 1;
        let sink = Box::new(Sink(Arc::clone(&basket)));
        world.give(shard, Input::Local(LocalInput::Open { local, sink, queue_messages_max }));
        self.places[index] = Some(Place { local, shard, basket });
    }

    fn ask(
        &mut self,
        world: &mut World,
        handle: u8,
        request: impl FnOnce(LocalId, LocalTicket) -> LocalInput,
    ) {
        let Some(place) = &self.places[usize::from(handle) % HANDLES_MAX] else { return };
        self.tickets += 1;
        self.asked.insert(self.tickets);
        world.give(place.shard, Input::Local(request(place.local, LocalTicket(self.tickets))));
    }

    /// Publishes.
    pub fn say(&mut self, world: &mut World, handle: u8, letter: &Letter, hold: u8) {
        self.ask(world, handle, |local, ticket| LocalInput::Publish {
            local,
            ticket,
            topic: writing::topic(letter).to_owned(),
            payload: Bytes::from(vec![b'h'; usize::from(letter.payload_bytes) % 1_500]),
            qos: writing::qos(letter.qos),
            retain: letter.retain,
            properties: writing::publish_properties(&Letter { alias: 0, ..letter.clone() }),
            hold: u64::from(hold),
        });
    }

    /// Subscribes.
    pub fn listen(&mut self, world: &mut World, handle: u8, filter: u8, options: u8) {
        let filter = writing::filter(filter);
        let filters = vec![(filter.to_owned(), writing::subscription_options(Version::V5, filter, options))];
        let subscription_id = (options > 0).then_some(options.into());
        self.ask(world, handle, |local, ticket| LocalInput::Subscribe {
            local,
            ticket,
            filters,
            subscription_id,
        });
    }

    /// Unsubscribes.
    pub fn unlisten(&mut self, world: &mut World, handle: u8, filter: u8) {
        let filters = vec![writing::filter(filter).to_owned()];
        self.ask(world, handle, |local, ticket| LocalInput::Unsubscribe { local, ticket, filters });
    }

    /// Takes what has come, and makes room for more.
    pub fn fetch(&mut self, world: &mut World, handle: u8, room: u8) -> bool {
        let Some(place) = &self.places[usize::from(handle) % HANDLES_MAX] else { return false };
        let had = {
            let mut basket = place.basket.lock().expect("one thread");
            basket.room = usize::from(room) % 8;
            std::mem::take(&mut basket.messages).len()
        };
        world.give(place.shard, Input::Local(LocalInput::Room { local: place.local }));
        had > 0
    }

    /// Closes a handle.
    pub fn shut(&mut self, world: &mut World, handle: u8) {
        let Some(place) = self.places[usize::from(handle) % HANDLES_MAX].take() else { return };
        world.give(place.shard, Input::Local(LocalInput::Close { local: place.local }));
    }

    /// Takes all that there is, of every handle; true when there was anything.
    pub fn fetch_all(&mut self, world: &mut World) -> bool {
        let mut any = false;
        for handle in 0..HANDLES_MAX as u8 {
            any |= self.fetch(world, handle, 7);
        }
        any
    }

    /// No answer came twice or to nothing.
    pub fn take_answers(&mut self, world: &mut World) {
        for (ticket, outcome) in std::mem::take(&mut world.local_done) {
            assert!(self.asked.remove(&ticket.0), "a second answer, or to nothing: {ticket:?} {outcome:?}");
        }
    }

    /// Every request has been answered.
    pub fn assert_answered(&self) {
        assert!(self.asked.is_empty(), "requests of handles without an answer: {:?}", self.asked);
    }
}
