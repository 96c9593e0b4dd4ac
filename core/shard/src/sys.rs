//! The `$SYS` topics: what the broker counts, as retained messages, under mosquitto's names where it has
//! one. Shard 0 publishes them; a number that has not changed is not published again.

use ringmq_proto::time::Now;
use ringmq_wire::message::{Message, MessageParts, Payload};
use ringmq_wire::{Properties, Qos};

use crate::Shard;
use crate::aggregate::Origin;
use crate::counters::{Counter, Counters, ShardCounters};
use crate::timer::Timer;

type Pick = fn(&ShardCounters) -> &Counter;

/// Topics below `$SYS/broker/` with what each shows.
const SUMS: &[(&str, Pick)] = &[
    ("bytes/received", |c| &c.bytes_received),
    ("bytes/sent", |c| &c.bytes_sent),
    ("messages/received", |c| &c.packets_received),
    ("messages/sent", |c| &c.packets_sent),
    ("messages/stored", |c| &c.retained),
    ("publish/messages/received", |c| &c.publish_received),
    ("publish/messages/sent", |c| &c.publish_sent),
    ("publish/bytes/received", |c| &c.publish_bytes_received),
    ("publish/bytes/sent", |c| &c.publish_bytes_sent),
    ("clients/total", |c| &c.sessions),
    ("clients/connected", |c| &c.sessions_connected),
    ("clients/active", |c| &c.sessions_connected),
    ("clients/expired", |c| &c.sessions_expired),
    ("subscriptions/count", |c| &c.subscriptions),
    ("shared_subscriptions/count", |c| &c.subscriptions_shared),
    ("retained messages/count", |c| &c.retained),
    ("store/messages/count", |c| &c.queued),
    ("store/messages/bytes", |c| &c.queued_bytes),
    ("connections/total", |c| &c.connections_total),
    ("connections/moved", |c| &c.moved),
    ("memory/bytes", |c| &c.memory_bytes),
    ("memory/rung changes", |c| &c.memory_rung_changes),
    ("memory/clients refused", |c| &c.memory_refused),
    ("memory/messages shed", |c| &c.memory_shed),
    ("connections/refused/too many", |c| &c.connections_refused),
    ("connections/timed out/connect", |c| &c.connect_timeouts),
    ("connections/timed out/keep alive", |c| &c.keep_alive_timeouts),
    ("connections/closed/packet too large", |c| &c.packets_too_large),
    ("connections/closed/receive maximum", |c| &c.receive_maximum_exceeded),
    ("connections/closed/filters", |c| &c.filters_too_many),
    ("clients/refused", |c| &c.sessions_refused),
    ("subscriptions/refused", |c| &c.subscriptions_refused),
    ("connections/unread/bytes", |c| &c.unread_bytes),
    ("connections/unread/closed", |c| &c.unread_closed),
    ("connections/half open/closed", |c| &c.half_open_closed),
    ("connections/refused/too often", |c| &c.connections_too_often),
    ("connections/reads delayed", |c| &c.reads_delayed),
    ("connections/violations", |c| &c.violations),
    ("connections/takeovers", |c| &c.takeovers),
    ("publish/messages/held", |c| &c.publish_held),
    ("publish/messages/refused", |c| &c.publish_refused),
    ("publish/messages/denied", |c| &c.publish_denied),
    ("publish/messages/refused by client", |c| &c.refused_by_client),
    ("retained messages/refused", |c| &c.retained_refused),
];

/// Topics below `$SYS/broker/publish/messages/dropped/`: why a delivery was not made.
const DROPS: &[(&str, Pick)] = &[
    ("queue qos0", |c| &c.dropped_queue_qos0),
    ("queue", |c| &c.dropped_queue),
    ("offline qos0", |c| &c.dropped_offline_qos0),
    ("mesh", |c| &c.dropped_mesh),
    ("too large", |c| &c.dropped_too_large),
    ("expired", |c| &c.dropped_expired),
    ("session ended", |c| &c.dropped_session_ended),
    ("shared", |c| &c.dropped_shared),
];

/// All topics and values of this moment, in a fixed order.
fn values(counters: &Counters, uptime_seconds: u64) -> Vec<(String, String)> {
    let mut out = vec![
        ("version".to_owned(), format!("RingMQ version {}", env!("CARGO_PKG_VERSION"))),
        ("uptime".to_owned(), format!("{uptime_seconds} seconds")),
    ];
    for (name, pick) in SUMS {
        out.push(((*name).to_owned(), counters.sum(pick).to_string()));
    }
    out.push(("memory/rung".to_owned(), (counters.budget.rung() as u8).to_string()));
    let connected = counters.sum(|c| &c.sessions_connected);
    let offline = counters.sum(|c| &c.sessions).saturating_sub(connected).to_string();
    out.push(("clients/disconnected".to_owned(), offline.clone()));
    out.push(("clients/inactive".to_owned(), offline));
    let mut dropped = 0;
    for (name, pick) in DROPS {
        let count = counters.sum(pick);
        dropped += count;
        out.push((format!("publish/messages/dropped/{name}"), count.to_string()));
    }
    out.push(("publish/messages/dropped".to_owned(), dropped.to_string()));
    out
}

impl Shard {
    pub(crate) fn publish_sys(&mut self, now: Now) {
        let interval = u64::from(self.settings.sys_interval_seconds) * 1000;
        self.timers.arm(now.mono.plus(interval), Timer::Sys);
        // With a lane full these can wait for the next time.
        if !self.deferred.is_empty() {
            return;
        }
        let uptime_seconds = now.mono.since(self.started) / 1000;
        for (name, value) in values(&self.common.counters, uptime_seconds) {
            if self.sys_last.get(&name) == Some(&value) {
                continue;
            }
            let topic = format!("$SYS/broker/{name}");
            let message = Message::new(MessageParts {
                topic: &topic,
                qos: Qos::AtMostOnce,
                retain: true,
                properties: Properties::EMPTY,
                payload: Payload::Copy(value.as_bytes()),
                expires_at: None,
                publisher: 0,
                stamp: self.common.stamps.next(),
            });
            self.publish_or_defer(now, self.messages.entered(message), Origin::Nobody, 0);
            self.sys_last.insert(name, value);
        }
    }
}
