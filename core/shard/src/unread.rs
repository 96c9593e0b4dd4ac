//! What clients have sent and the shard cannot use yet: packets whose end is missing, and packets that wait for their
//! turn. Each connection has bounds of its own for that; here is the bound of all together, so that many clients that
//! each send most of a large packet take no more than a few would.

use ringmq_proto::time::Now;

use crate::fault;
use crate::input::ConnId;
use crate::links::Link;
use crate::{LogLevel, Shard};

/// Above this part of the bound, in quarters, who waits is not read any more: what is left is for packets whose end
/// is on its way.
const READ_ON_QUARTERS: usize = 3;
/// Once over the bound, this part of it is made free, so that looking for who has to go is rare.
const RELIEF_PART: usize = 8;

/// The room that parked packets get beyond what they need is this part of it: a buffer that doubles would take in one
/// step what many clients have together.
const SPARE_PART: usize = 4;

/// Appends a packet to those that wait.
pub fn park(parked: &mut Vec<u8>, packet: &[u8]) {
    if parked.capacity() - parked.len() < packet.len() {
        parked.reserve_exact(packet.len() + parked.len() / SPARE_PART);
    }
    parked.extend_from_slice(packet);
}

/// Gives memory back once most of what waited goes on.
pub fn trim(parked: &mut Vec<u8>) {
    if parked.len() < parked.capacity() / 2 {
        parked.shrink_to_fit();
    }
}

impl Link {
    /// Bytes of memory that what it cannot use yet takes.
    #[inline]
    const fn takes(&self) -> u32 {
        let connect = match &self.login {
            Some(login) => login.connect.len(),
            None => 0,
        };
        // Far below 4 GiB: one packet has 256 MiB at most, and what waits has a bound too.
        (self.conn.inbox.capacity() + self.parked.capacity() + connect) as u32
    }

    /// Whether that has changed since it was last looked at.
    #[inline]
    pub const fn holds_other_than_noted(&self) -> bool {
        self.takes() != self.unread_bytes
    }
}

impl Shard {
    /// Follows what a connection holds, after something of it has changed.
    pub(crate) fn note_unread(&mut self, now: Now, id: ConnId) {
        let Some(link) = self.links.at_mut(id) else { return };
        let (before, takes) = (link.unread_bytes, link.takes());
        if takes == before {
            return;
        }
        // A packet was complete: what stands there now began behind it.
        if before == 0 || link.conn.keep_alive.last_packet == now.mono {
            link.unread_since = now.mono;
        }
        link.unread_bytes = takes;
        self.counters().unread_bytes.follow(before.into(), takes.into());
    }

    /// A connection has given up what it held.
    pub(crate) fn forget_unread(&self, link: &mut Link) {
        let before = std::mem::take(&mut link.unread_bytes);
        self.counters().unread_bytes.follow(before.into(), 0);
    }

    /// Whether clients whose packets wait are to be read no further, however little each of them has sent.
    pub(crate) fn is_short_of_room(&self) -> bool {
        self.unread_bytes() > self.unread_bytes_max() / 4 * READ_ON_QUARTERS
    }

    /// Over the bound, those go whose packet has been incomplete for longest, and of them first those that hold more
    /// than others: who sends a packet in one go is through before it is its turn. Packets that wait go last, as they
    /// wait for somebody else.
    pub(crate) fn relieve_unread(&mut self, now: Now) {
        let bytes_max = self.unread_bytes_max();
        if self.unread_bytes() <= bytes_max {
            return;
        }
        let holders: Vec<ConnId> = self
            .links
            .ids()
            .into_iter()
            .filter(|&id| self.links.at(id).is_some_and(|link| link.unread_bytes > 0))
            .collect();
        let average = self.unread_bytes() / holders.len().max(1);
        let mut order: Vec<_> = holders
            .into_iter()
            .filter_map(|id| {
                let link = self.links.at(id)?;
                Some((link.waits(), (link.unread_bytes as usize) < average, link.unread_since, id))
            })
            .collect();
        order.sort_unstable();
        let mut closed = 0;
        for (_, _, _, id) in order {
            if self.unread_bytes() <= bytes_max - bytes_max / RELIEF_PART {
                break;
            }
            self.fault(now, id, fault::UNREAD_FULL);
            closed += 1;
        }
        self.counters().unread_closed.add(closed);
        self.log(LogLevel::Warning, || {
            format!(
                "{closed} clients were disconnected because incomplete packets took more than {bytes_max} bytes \
                 (unread_bytes_max)."
            )
        });
    }

    fn unread_bytes(&self) -> usize {
        self.counters().unread_bytes.value() as usize
    }
}
