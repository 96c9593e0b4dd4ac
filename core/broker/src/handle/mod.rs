//! Publishing and subscribing from inside the program that runs the broker. A handle and a subscription are
//! sessions like those of clients, each on one shard; other threads reach them through that shard's bounded
//! inlet. Nothing here waits without a deadline, and nothing here holds a lock while it waits.

mod answers;
mod entrance;
mod publisher;
mod queue;
mod receipts;
mod subscription;

pub(crate) use answers::Answers;
pub(crate) use entrance::Entrance;
pub use publisher::{
    BATCH_COPIED_BYTES_MAX, BATCH_MAX, Handle, OpenError, PendingPublish, PublishError, PublishOptions,
    Published,
};
pub use queue::ReceivedMessage;
pub use subscription::{Messages, RecvError, SubscribeError, SubscribeOptions, Subscription};
