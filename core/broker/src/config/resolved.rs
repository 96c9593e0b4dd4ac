//! What is true for the broker that starts: options checked against each other, their ranges and the
//! machine, and turned into what the runtime takes. Opens no port.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ringmq_rt::DriverChoice;
use ringmq_shard::{Offer, Settings};

use super::cores::place;
use super::declaration::DeciderFactory;
use super::machine::Machine;
use crate::guard::{DoorRules, GuardOptions};

use super::{Anonymous, ConfigError, KEYS, Options, PartitionKey, Source, key};

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
    /// What the server's own decider is made of, where there is something to decide.
    pub guard: Option<GuardOptions>,
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
        let offers = listen.iter().map(|(_, own)| offer(&options, own)).collect::<Result<Vec<_>, _>>()?;
        let listen: Vec<SocketAddr> = listen.into_iter().map(|(address, _)| address).collect();
        check_exposure(&options, &listen)?;
        check_one_decides(&options)?;
        let placement = place(&options.cores, options.shards, machine).map_err(conflict)?;
        let guard = guard(&options, placement.shards);
        let mut settings = options.settings;
        settings.listeners = offers;
        settings.allow_anonymous = options.anonymous != Anonymous::Nobody;
        Ok(Self {
            settings: Arc::new(settings),
            listen,
            shards: placement.shards,
            cpus: placement.cpus,
            driver: options.driver,
            partition_key: options.partition_key.unwrap_or_else(PartitionKey::random),
            decider: options.decider,
            guard,
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

/// What one listener offers: what holds everywhere, but for what is said behind its address.
fn offer(options: &Options, own: &str) -> Result<Offer, ConfigError> {
    let mut here = options.clone();
    for pair in own.split('&').filter(|pair| !pair.is_empty()) {
        let source = Source::Flag(format!("bind ...?{own}"));
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            ConfigError::Conflict(format!("bind: `{pair}` behind an address names no value: write KEY=VALUE"))
        })?;
        let key = key(name).map_err(|nearest| ConfigError::UnknownKey {
            name: name.to_owned(),
            nearest,
            source: source.clone(),
        })?;
        if !key.is_per_listener() {
            let keys: Vec<_> = KEYS.iter().filter(|key| key.is_per_listener()).map(|key| key.name).collect();
            return Err(ConfigError::Conflict(format!(
                "bind: {name} cannot differ between listeners; these can: {}",
                keys.join(", ")
            )));
        }
        if !((key.parse_into)(&mut here, text) && key.holds(&here)) {
            return Err(ConfigError::value(key, text, source));
        }
    }
    Ok(here.settings.offer)
}

fn check_relations(settings: &Settings) -> Result<(), ConfigError> {
    if settings.connect_packet_bytes_max > settings.offer.packet_bytes_max {
        return Err(ConfigError::Conflict(format!(
            "connect_packet_bytes_max = {} is more than packet_bytes_max = {}",
            settings.connect_packet_bytes_max, settings.offer.packet_bytes_max
        )));
    }
    Ok(())
}

/// A program's own decider and the files would each decide alone.
fn check_one_decides(options: &Options) -> Result<(), ConfigError> {
    let file = options.password_file.as_ref().or(options.acl_file.as_ref());
    match file.filter(|_| options.decider.is_some()) {
        None => Ok(()),
        Some(file) => Err(ConfigError::Conflict(format!(
            "the program has a decider of its own, so {} would be read by nobody: leave one of them out",
            file.display()
        ))),
    }
}

/// What the server's own decider is made of; nothing where everybody may everything, or the program decides.
fn guard(options: &Options, shards: usize) -> Option<GuardOptions> {
    let Options { password_file, acl_file, anonymous, .. } = options;
    let allow_anonymous = match anonymous {
        Anonymous::Local => password_file.is_none(),
        Anonymous::Everybody => true,
        Anonymous::Nobody => false,
    };
    let decides = password_file.is_some() || acl_file.is_some() || !allow_anonymous;
    (decides && options.decider.is_none()).then(|| GuardOptions {
        rules: DoorRules {
            password_file: password_file.clone(),
            acl_file: acl_file.clone(),
            allow_anonymous,
        },
        listeners: Vec::new(),
        shards,
        decision_timeout: Duration::from_millis(options.settings.decision_timeout),
    })
}

fn check_exposure(options: &Options, listen: &[SocketAddr]) -> Result<(), ConfigError> {
    let somebody_decides = options.decider.is_some() || options.password_file.is_some();
    if options.anonymous != Anonymous::Local || somebody_decides {
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
    fn what_stands_behind_an_address_holds_there_alone() {
        let bind: Addresses =
            "127.0.0.1,127.0.0.1:2?maximum_qos=1&versions=3.1+3.1.1,[::1]?retain-available=no"
                .parse()
                .unwrap();
        let options = Options::default().bind(bind).receive_maximum(7);
        let settings = Resolved::on(options, &machine()).unwrap().settings;
        let found: Vec<_> = (0..4)
            .map(|listener| settings.offer_at(listener))
            .map(|offer| {
                let versions = offer.versions.to_string();
                (versions, offer.maximum_qos, offer.retain_available, offer.receive_maximum)
            })
            .collect();
        let everywhere = (String::from("all"), 2, true, 7);
        let old = (String::from("3.1+3.1.1"), 1, true, 7);
        let no_retain = (String::from("all"), 2, false, 7);
        assert_eq!(found, [everywhere.clone(), old, no_retain, everywhere]);
    }

    #[test]
    fn what_cannot_stand_behind_an_address_is_named() {
        for (own, expected) in [
            ("maximum_qos", "names no value"),
            ("maximum_qso=1", "did you mean `maximum_qos`?"),
            ("maximum_qos=3", "0 to 2"),
            ("versions=4", "like 3.1.1+5.0"),
            ("queue_messages_max=5", "maximum_qos"),
        ] {
            let bind = Addresses::from([format!("127.0.0.1?{own}")]);
            let text = refused(Options::default().bind(bind));
            assert!(text.contains(expected), "{own}: {text}");
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
