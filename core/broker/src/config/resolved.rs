//! What is true for the broker that starts: options checked against each other, their ranges and the
//! machine, and turned into what the runtime takes. Opens no port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ringmq_rt::DriverChoice;
use ringmq_shard::Settings;

use super::cores::place;
use super::declaration::DeciderFactory;
use super::machine::Machine;
use super::{Anonymous, ConfigError, KEYS, Options, PartitionKey};

/// A configuration that a broker can start with.
pub(crate) struct Resolved {
    /// Bounds and choices of the shards.
    pub settings: Arc<Settings>,
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Number of shards, 1 to 256.
    pub shards: usize,
    /// CPUs to pin the shards to.
    pub cpus: Option<Vec<usize>>,
    /// Which driver.
    pub driver: DriverChoice,
    /// Places ClientIDs.
    pub partition_key: PartitionKey,
    /// Who decides; nobody means that everybody may.
    pub decider: Option<DeciderFactory>,
}

impl Resolved {
    /// Checks `options` and looks at the machine.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(options: Options) -> Result<Self, ConfigError> {
        Self::on(options, &Machine::look())
    }

    fn on(options: Options, machine: &Machine) -> Result<Self, ConfigError> {
        check_ranges(&options)?;
        check_relations(&options.settings)?;
        let conflict = ConfigError::Conflict;
        let listen = options.bind.resolve(options.port, machine.ipv6);
        let listen = listen.map_err(|text| conflict(format!("bind: {text}")))?;
        check_exposure(&options, &listen)?;
        let placement = place(&options.cores, options.shards, machine).map_err(conflict)?;
        let mut settings = options.settings;
        settings.allow_anonymous = options.anonymous != Anonymous::Nobody;
        Ok(Self {
            settings: Arc::new(settings),
            listen,
            shards: placement.shards,
            cpus: placement.cpus,
            driver: options.driver,
            partition_key: options.partition_key.unwrap_or_else(PartitionKey::random),
            decider: options.decider,
        })
    }
}

/// A program may have put anything into the options; what was typed has been checked already.
fn check_ranges(options: &Options) -> Result<(), ConfigError> {
    match KEYS.iter().find(|key| !key.holds(options)) {
        Some(key) => Err(ConfigError::value(key, &key.text(options), options.source(key))),
        None => Ok(()),
    }
}

fn check_relations(settings: &Settings) -> Result<(), ConfigError> {
    if settings.connect_packet_bytes_max > settings.packet_bytes_max {
        return Err(ConfigError::Conflict(format!(
            "connect_packet_bytes_max = {} is more than packet_bytes_max = {}",
            settings.connect_packet_bytes_max, settings.packet_bytes_max
        )));
    }
    Ok(())
}

fn check_exposure(options: &Options, listen: &[SocketAddr]) -> Result<(), ConfigError> {
    if options.anonymous != Anonymous::Local || options.decider.is_some() {
        return Ok(());
    }
    match listen.iter().find(|address| !is_this_machine(address.ip())) {
        Some(address) => Err(ConfigError::Exposed { address: address.to_string() }),
        None => Ok(()),
    }
}

/// Whether only this machine reaches the address; an IPv4 address written as IPv6 counts as IPv4.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Addresses, Cores, Shards};

    fn machine() -> Machine {
        Machine { cpus: vec![0, 1], quota_cpus: None, ipv6: true }
    }

    fn refused(options: Options) -> String {
        match Resolved::on(options, &machine()) {
            Ok(_) => panic!("it was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_default_is_one_shard_for_this_machine() {
        let resolved = Resolved::on(Options::default(), &machine()).unwrap();
        assert_eq!((resolved.shards, resolved.cpus), (1, None));
        assert_eq!(resolved.listen.len(), 2);
        assert!(resolved.settings.allow_anonymous && resolved.listen.iter().all(|a| a.ip().is_loopback()));
    }

    #[test]
    fn what_other_machines_reach_needs_a_word() {
        for address in ["0.0.0.0", "::", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let options = Options::default().bind(Addresses::from([address]));
            assert!(refused(options.clone()).contains("--allow-anonymous"), "{address}");
            for anonymous in [Anonymous::Everybody, Anonymous::Nobody] {
                let resolved = Resolved::on(options.clone().allow_anonymous(anonymous), &machine()).unwrap();
                assert_eq!(resolved.settings.allow_anonymous, anonymous == Anonymous::Everybody);
            }
        }
        for address in ["127.0.0.1", "127.255.0.1:7", "::1", "[::ffff:127.0.0.1]:1"] {
            let options = Options::default().bind(Addresses::from([address]));
            assert!(Resolved::on(options, &machine()).is_ok(), "{address}");
        }
    }

    #[test]
    fn a_program_cannot_leave_the_ranges() {
        let text = refused(Options::default().queue_messages_max(0));
        assert!(text.contains("queue_messages_max = `0` (from the program's options)"), "{text}");
        let text = refused(Options::default().maximum_qos(3));
        assert!(text.contains("0 to 2"), "{text}");
        let text = refused(Options::default().packet_bytes_max(2048));
        assert!(text.contains("connect_packet_bytes_max"), "{text}");
        assert!(refused(Options::default().shards(Shards::Count(300))).contains("1 to 256"));
        assert!(refused(Options::default().cores(Cores::Set(vec![9]))).contains("CPU 9"));
        assert!(refused(Options::default().bind(Addresses::from(["nowhere:port"]))).contains("nowhere:port"));
    }
}
