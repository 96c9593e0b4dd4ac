//! `ringmq shard-of`: where ClientIDs live, so that tests can choose names on one shard or on several.
//! It only computes; it never talks to a broker.

use std::io::{self, Write as _};

use super::ExitCode;
use crate::config::PartitionKey;
use ringmq_store::{PartitionTable, partition};

/// Which ClientIDs, and in which broker.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Number of shards of the broker.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: u16,
    /// The broker's partition key: 32 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    partition_key: PartitionKey,
    /// ClientIDs to place.
    #[arg(required = true, value_name = "CLIENTID")]
    client_ids: Vec<String>,
}

impl Args {
    /// Prints one line `CLIENTID SHARD` for each ClientID.
    pub fn run(self) -> ExitCode {
        let table = PartitionTable::even(usize::from(self.shards));
        let mut text = String::new();
        for client_id in &self.client_ids {
            let shard = table.shard(partition(&self.partition_key.0, client_id.as_bytes()));
            text.push_str(&format!("{client_id} {shard}\n"));
        }
        match io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}
