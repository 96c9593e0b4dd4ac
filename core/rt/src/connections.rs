//! The table from a shard's connection numbers to sockets. It decides nothing.

use ringmq_net::Layers;
use ringmq_shard::ConnId;

/// A connection as the runtime knows it.
pub(crate) struct Connection<S> {
    pub(crate) id: ConnId,
    pub(crate) socket: S,
    pub(crate) layers: Layers,
    /// The shard wants no more bytes for now.
    pub(crate) paused: bool,
    /// Its address has sent so much that it has to wait.
    pub(crate) delayed: bool,
    /// The kernel takes no more bytes for now.
    pub(crate) blocked: bool,
    /// No more bytes will come, and the shard knows.
    pub(crate) ended: bool,
    /// The other end has sent its last: it was told, and will not be told again.
    pub(crate) hung_up: bool,
    /// A write of it stands in a batch that is being made.
    pub(crate) sending: bool,
}

impl<S> Connection<S> {
    pub(crate) fn new(id: ConnId, socket: S, layers: Layers) -> Self {
        Self {
            id,
            socket,
            layers,
            paused: false,
            delayed: false,
            blocked: false,
            ended: false,
            hung_up: false,
            sending: false,
        }
    }

    /// Whether the shard takes bytes of it.
    pub(crate) fn takes_bytes(&self) -> bool {
        !self.paused && !self.ended
    }

    /// Whether it is to be read as soon as there is something.
    pub(crate) fn wants_bytes(&self) -> bool {
        self.takes_bytes() && !self.delayed
    }
}

/// Connections of one chunk: a table that doubles would hold twice the memory while it grows, and keep it.
const CHUNK: usize = 64;

/// All connections of a shard, by slot.
pub(crate) struct Connections<S> {
    chunks: Vec<Box<[Option<Connection<S>>; CHUNK]>>,
    /// Former users of slots that were given out anew before their closing was carried out.
    displaced: Vec<Connection<S>>,
    count: usize,
}

impl<S> Connections<S> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), displaced: Vec::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn insert(&mut self, connection: Connection<S>) {
        let slot = connection.id.slot as usize;
        while slot >= self.chunks.len() * CHUNK {
            self.chunks.push(Box::new(std::array::from_fn(|_| None)));
        }
        self.count += 1;
        self.displaced.extend(self.chunks[slot / CHUNK][slot % CHUNK].replace(connection));
    }

    #[inline]
    pub(crate) fn find(&mut self, id: ConnId) -> Option<&mut Connection<S>> {
        let slot = id.slot as usize;
        match self.chunks.get_mut(slot / CHUNK).map(|chunk| &mut chunk[slot % CHUNK]) {
            Some(Some(connection)) if connection.id == id => Some(connection),
            _ => self.displaced.iter_mut().find(|connection| connection.id == id),
        }
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Connection<S>> {
        let slot = id.slot as usize;
        let slot = &mut self.chunks.get_mut(slot / CHUNK)?[slot % CHUNK];
        let removed = match slot.take_if(|connection| connection.id == id) {
            Some(connection) => Some(connection),
            None => {
                let index = self.displaced.iter().position(|connection| connection.id == id);
                index.map(|index| self.displaced.swap_remove(index))
            }
        };
        self.count -= usize::from(removed.is_some());
        removed
    }

    /// Takes all of them out, in the order of their slots.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Connection<S>> + use<S> {
        self.count = 0;
        let chunks = std::mem::take(&mut self.chunks);
        let slots = chunks.into_iter().flat_map(|chunk| *chunk).flatten();
        slots.chain(std::mem::take(&mut self.displaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32, generation: u32) -> ConnId {
        ConnId { slot, generation }
    }

    #[test]
    fn a_slot_given_out_anew_keeps_its_former_user_until_that_is_closed() {
        let mut connections = Connections::new();
        connections.insert(Connection::new(id(1, 1), "old", Layers::Plain));
        connections.insert(Connection::new(id(1, 2), "new", Layers::Plain));
        assert_eq!(connections.len(), 2);
        assert_eq!(connections.find(id(1, 1)).unwrap().socket, "old");
        assert_eq!(connections.remove(id(1, 1)).unwrap().socket, "old");
        assert!(connections.remove(id(1, 1)).is_none() && connections.find(id(9, 1)).is_none());
        assert_eq!(connections.find(id(1, 2)).unwrap().socket, "new");
        assert_eq!(connections.take_all().count(), 1);
        assert_eq!(connections.len(), 0);
    }
}
