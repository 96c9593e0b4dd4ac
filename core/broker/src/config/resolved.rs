//! What is true for the broker that starts: options checked against each other, their ranges and the
//! machine, and turned into what the runtime takes. Opens no port.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringmq_rt::DriverChoice;
use ringmq_shard::{Offer, Settings};

use super::cores::{Placement, place};
use super::declaration::{DeciderFactory, HooksFactory};
use super::listener::{ClientCertificate, Identity, ListenerOptions, LookUp, resolve, system};
use super::machine::Machine;
use crate::guard::{DoorRules, GuardOptions};

use super::{Anonymous, ConfigError, ConfigErrors, KEYS, Options, PartitionKey, Source, key};

/// A configuration that a broker can start with.
pub(crate) struct Resolved {
    /// Bounds and choices of the shards.
    pub settings: Arc<Settings>,
    /// Where to listen and how; port 0 takes a free one.
    pub listeners: Vec<ListenerOptions>,
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
    /// Who sees what goes on.
    pub hooks: Option<HooksFactory>,
    /// What the server's own decider is made of, where there is something to decide.
    pub guard: Option<GuardOptions>,
}

impl Resolved {
    /// Checks `options` and looks at the machine.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn new(options: Options) -> Result<Self, ConfigErrors> {
        Self::on(options, &Machine::look())
    }

    fn on(options: Options, machine: &Machine) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let listeners = listeners(&options, machine.ipv6, &system, &mut errors);
        errors.extend(check_one_decides(&options, &listeners));
        let placement = place(&options.cores, options.shards, machine);
        let placement = placement.unwrap_or_else(|text| {
            errors.push(ConfigError::Conflict(text));
            Placement { shards: 1, cpus: None }
        });
        ConfigErrors::none_of(errors, ())?;
        let guard = guard(&options, &listeners, placement.shards);
        let mut settings = options.settings;
        settings.listeners = listeners.iter().map(|listener| listener.offer.clone()).collect();
        Ok(Self {
            settings: Arc::new(settings),
            listeners,
            shards: placement.shards,
            cpus: placement.cpus,
            driver: options.driver,
            partition_key: options.partition_key.unwrap_or_else(PartitionKey::random),
            decider: options.decider,
            hooks: options.hooks,
            guard,
        })
    }
}

/// The listeners of `options`, with everything that is wrong about them and about values of the whole broker.
fn listeners(
    options: &Options,
    ipv6: bool,
    look_up: &LookUp<'_>,
    errors: &mut Vec<ConfigError>,
) -> Vec<ListenerOptions> {
    errors.extend(check_ranges(options));
    errors.extend(check_relations(options));
    errors.extend(options.roles().err());
    let listeners = resolve(options, ipv6, look_up).unwrap_or_else(|more| {
        errors.extend(more);
        Vec::new()
    });
    errors.extend(check_roles_named(options, &listeners));
    let whole = options.settings.offer.packet_bytes_max;
    let differing = listeners.iter().filter(|own| own.offer.packet_bytes_max != whole);
    errors.extend(differing.filter_map(|own| never_complete(&options.settings, &own.offer, &own.source)));
    errors.extend(listeners.iter().filter_map(|listener| exposed(options, listener)));
    listeners
}

impl Options {
    /// The listeners that a broker with these options has, with all addresses resolved.
    ///
    /// # Errors
    /// Everything that is wrong with listeners and values; not what this version or this machine cannot serve.
    pub fn listeners(&self) -> Result<Vec<ListenerOptions>, ConfigErrors> {
        self.listeners_with(Machine::look().ipv6, &system)
    }
    /// The same on a machine with IPv6 or without it, with somebody else who knows names.
    ///
    /// # Errors
    /// As [`Options::listeners`].
    pub fn listeners_with(
        &self,
        ipv6: bool,
        look_up: &LookUp<'_>,
    ) -> Result<Vec<ListenerOptions>, ConfigErrors> {
        let mut errors = Vec::new();
        let listeners = listeners(self, ipv6, look_up, &mut errors);
        ConfigErrors::none_of(errors, listeners)
    }
    /// Checks everything that can be checked without opening a port or a file.
    ///
    /// # Errors
    /// Everything that is wrong, what this version or this machine cannot serve included.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        Resolved::new(self.clone()).map(|_| ())
    }
}

/// A program may have put anything into the options; what was typed has been checked already.
fn check_ranges(options: &Options) -> impl Iterator<Item = ConfigError> {
    let outside = KEYS.iter().filter(|key| !key.holds(options));
    outside
        .map(|key| ConfigError::value(key.name, key.range, key.unit, &key.text(options), options.source(key)))
}

/// Bounds of the whole broker that must fit each other. A listener may have a smaller packet than the first one: it
/// is told in CONNACK, and CONNECT comes before that.
fn check_relations(options: &Options) -> Vec<ConfigError> {
    let settings = &options.settings;
    let (first, whole) = (settings.connect_packet_bytes_max, settings.offer.packet_bytes_max);
    let source = key("packet_bytes_max").map(|key| options.source(key)).unwrap_or_default();
    let text = format!("connect_packet_bytes_max = {first} is more than packet_bytes_max = {whole}");
    let first = (first > whole).then(|| ConfigError::at(&source, text));
    first.into_iter().chain(never_complete(settings, &settings.offer, &source)).collect()
}

/// Tokens that name roles where there is none: their bearers would be let do everything.
fn check_roles_named(options: &Options, listeners: &[ListenerOptions]) -> Option<ConfigError> {
    let named = listeners.iter().find(|listener| listener.jwt.roles_claim.is_some());
    let listener = named.filter(|_| options.roles.is_empty())?;
    let text = "jwt_roles_claim names a claim with roles, and there is no [[role]]: add one, or leave it out";
    Some(ConfigError::at(&listener.source, text))
}

/// Whether a packet that is allowed could never arrive.
fn never_complete(settings: &Settings, offer: &Offer, source: &Source) -> Option<ConfigError> {
    let (whole, all) = (offer.packet_bytes_max, settings.unread_bytes_max);
    let text = format!(
        "packet_bytes_max = {whole} is more than unread_bytes_max = {all}: such a packet would never be complete"
    );
    (whole as usize > all).then(|| ConfigError::at(source, text))
}

/// Whether other machines reach the listener and its clients need not say who they are, without anybody having
/// said so.
fn exposed(options: &Options, listener: &ListenerOptions) -> Option<ConfigError> {
    let silent = listener.allow_anonymous.unwrap_or(options.anonymous) == Anonymous::Local;
    let named =
        listener.client_certificate == ClientCertificate::Required && listener.identity != Identity::None;
    let decided = options.decider.is_some()
        || rules(options, listener).knows_users()
        || options.http.auth_url.is_some();
    let exposed = silent && !named && !decided && listener.address.is_beyond_this_machine();
    exposed.then(|| ConfigError::Exposed {
        address: listener.address.to_string(),
        source: listener.source.clone(),
    })
}

/// A program's own decider and the files would each decide alone.
fn check_one_decides(options: &Options, listeners: &[ListenerOptions]) -> Option<ConfigError> {
    options.decider.as_ref()?;
    if listeners.iter().any(|listener| !listener.client_ids.is_empty()) {
        let text = "the program has a decider of its own, so it judges ClientIDs too: leave client_id_from_user, \
                    client_id_prefixes and client_ids_denied out";
        return Some(ConfigError::Conflict(text.to_owned()));
    }
    if let Some(role) = options.roles.first() {
        let name = &role.role.name;
        let text = format!(
            "the program has a decider of its own, so nobody would ask for role {name:?}: leave one of them out"
        );
        return Some(ConfigError::at(&role.source, text));
    }
    if let Some(url) = &options.http.auth_url {
        return Some(ConfigError::Conflict(format!(
            "the program has a decider of its own, so {url} would never be asked: leave one of them out"
        )));
    }
    let rules = listeners.iter().map(|listener| rules(options, listener));
    let file = rules.into_iter().find_map(|rules| {
        let token = rules.jwt.files().next().map(|(_, path)| path.clone());
        let url = rules.jwt.keys_url.map(|url| PathBuf::from(url.to_string()));
        rules.password_file.or(rules.acl_file).or(token).or(url)
    })?;
    Some(ConfigError::Conflict(format!(
        "the program has a decider of its own, so {} would be read by nobody: leave one of them out",
        file.display()
    )))
}

/// Who may come in at a listener, and what they may do.
fn rules(options: &Options, listener: &ListenerOptions) -> DoorRules {
    let password_file = listener.password_file.clone().or_else(|| options.password_file.clone());
    let allow_anonymous = match listener.allow_anonymous.unwrap_or(options.anonymous) {
        Anonymous::Local => {
            password_file.is_none() && !listener.jwt.takes_tokens() && options.http.auth_url.is_none()
        }
        Anonymous::Everybody => true,
        Anonymous::Nobody => false,
    };
    let acl_file = listener.acl_file.clone().or_else(|| options.acl_file.clone());
    let (jwt, client_ids) = (listener.jwt.clone(), listener.client_ids.clone());
    DoorRules { password_file, acl_file, jwt, client_ids, allow_anonymous }
}

/// What the server's own decider is made of; nothing where the program decides.
fn guard(options: &Options, listeners: &[ListenerOptions], shards: usize) -> Option<GuardOptions> {
    let all: Vec<DoorRules> = listeners.iter().map(|listener| rules(options, listener)).collect();
    options.decider.is_none().then(|| GuardOptions {
        // A listener that is not known here is none of this configuration.
        rules: DoorRules::default(),
        listeners: all.into_iter().map(Some).collect(),
        http: options.http.clone(),
        // What is wrong with them has been told.
        roles: options.roles().ok().flatten(),
        shards,
        decision_timeout: Duration::from_millis(options.settings.decision_timeout),
        partition_key: options.partition_key,
        reload_kicks: options.reload_kicks,
    })
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

    fn anybody_may(resolved: &Resolved) -> bool {
        let guard = resolved.guard.as_ref().expect("the program decides nothing");
        guard
            .listeners
            .iter()
            .flatten()
            .all(|rules| *rules == DoorRules { allow_anonymous: true, ..DoorRules::default() })
    }

    #[test]
    fn the_default_is_one_shard_for_this_machine() {
        let resolved = Resolved::on(Options::default(), &machine()).unwrap();
        assert_eq!((resolved.shards, &resolved.cpus), (1, &None));
        assert_eq!(resolved.listeners.len(), 2);
        assert!(anybody_may(&resolved));
        assert!(resolved.listeners.iter().all(|l| !l.address.is_beyond_this_machine()));
    }

    #[test]
    fn what_other_machines_reach_needs_a_word() {
        for address in ["0.0.0.0", "::", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let options = Options::default().bind(Addresses::from([address]));
            assert!(refused(options.clone()).contains("--allow-anonymous"), "{address}");
            for anonymous in [Anonymous::Everybody, Anonymous::Nobody] {
                let resolved = Resolved::on(options.clone().allow_anonymous(anonymous), &machine()).unwrap();
                assert_eq!(anybody_may(&resolved), anonymous == Anonymous::Everybody, "{address}");
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
            ("certificate=a", "certificate is for tls:// and wss:// alone"),
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
        let smaller = Addresses::from(["127.0.0.1?packet_bytes_max=2048"]);
        assert!(Resolved::on(Options::default().bind(smaller), &machine()).is_ok());
        let text = refused(Options::default().unread_bytes_max(1 << 20));
        assert!(text.contains("packet_bytes_max = 268435460 is more than unread_bytes_max"), "{text}");
        assert!(refused(Options::default().shards(Shards::Count(300))).contains("1 to 256"));
        assert!(refused(Options::default().cores(Cores::Set(vec![9]))).contains("CPU 9"));
        assert!(refused(Options::default().bind(Addresses::from(["nowhere:port"]))).contains("nowhere:port"));
    }
}
