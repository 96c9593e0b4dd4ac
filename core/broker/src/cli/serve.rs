//! `ringmq serve`: runs the broker until a signal says stop. The flags are made from the declarations of the
//! configuration keys; nothing about a key is said here.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::ExitCode;
use crate::config::raw::Raw;
use crate::config::{KEYS, Key, LogFormat, LogLevel, Range, Source, file, key};
use crate::{Broker, ConfigErrors, Cores, Options, ReloadReport, StartError};
use clap::{Arg, ArgAction, ArgMatches, Command};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::EXIT_CONFIGURATION;
use super::log_format;
use super::log_queue::LogQueue;
use super::named_files::named_files;
use super::pid_file::PidFile;
use super::watch::Watch;

/// How long a slow reader of the log may take for the last lines.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often the broker is asked whether it still works.
const WATCH: Duration = Duration::from_millis(200);

/// What was typed, not yet judged.
#[derive(Debug)]
pub struct Args {
    file: Option<PathBuf>,
    flags: Raw,
    list_keys: bool,
}

impl Args {
    /// Runs the broker on the whole machine, or on what was typed.
    pub fn run(self) -> ExitCode {
        self.run_over(base())
    }
    /// Runs the broker with `base`, changed by what was typed.
    pub fn run_over(self, base: Options) -> ExitCode {
        if self.list_keys {
            return list_keys();
        }
        let log = match LogQueue::start(io::stderr()) {
            Ok(log) => log,
            Err(error) => {
                // A program started by another may find its stderr closed; then there is nobody to tell.
                let _ = writeln!(io::stderr(), "ringmq: cannot start the log's thread: {error}");
                return ExitCode::FAILURE;
            }
        };
        let code = self.run_with(base, &log);
        log.drain(LAST_WORDS);
        code
    }

    fn run_with(self, base: Options, log: &LogQueue) -> ExitCode {
        let format = Cell::new(LogFormat::Human);
        let say = |text: &str| log.push(log_format::own_line(format.get(), text).as_bytes());
        let mut watch = Watch::new(self.file.iter().cloned().collect(), Instant::now());
        let raw = self.typed();
        for warning in raw.warnings() {
            say(&format!("warning: {warning}"));
        }
        let options = match raw.over(base.clone()) {
            Ok(options) => options,
            Err(errors) => return refuse(&say, &StartError::Config(errors)),
        };
        format.set(options.log_format_wanted());
        log.limit_lines_per_second(options.log_lines_per_second_wanted());
        let packets = packets_wanted(&options);
        let filter = log_format::install(options.log_level_wanted(), packets, format.get(), log);
        let signals = match listen_to_signals() {
            Ok(signals) => signals,
            Err(error) => {
                let error = ringmq_rt::StartError::System { doing: "listening to signals", error };
                return refuse(&say, &StartError::Runtime(error));
            }
        };
        watch.follow(followed(self.file.as_deref(), &options));
        let again = || {
            let raw = self.typed();
            raw.warnings().iter().for_each(|warning| say(&format!("warning: {warning}")));
            raw.over(base.clone())
        };
        let set_level = |level: &LogLevel| filter.set(level, packets);
        match Broker::start(options) {
            Ok(broker) => {
                let file = self.file.as_deref();
                serve(broker, &signals, &say, &Again { read: &again, set_level: &set_level, file }, watch)
            }
            Err(error) => refuse(&say, &error),
        }
    }
    /// Everything that was typed: in the file, in the environment, on the command line. Read anew each time.
    fn typed(&self) -> Raw {
        let mut raw = self.file.as_ref().map(|file| file::read(file)).unwrap_or_default();
        let text = |text: OsString| text.to_string_lossy().into_owned();
        raw.add_environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))));
        raw.append(self.flags.clone());
        raw
    }
}

/// What SIGHUP needs.
struct Again<'a> {
    /// Reads everything that was typed anew.
    read: &'a dyn Fn() -> Result<Options, ConfigErrors>,
    /// Goes on with this log level.
    set_level: &'a dyn Fn(&LogLevel),
    /// The configuration file.
    file: Option<&'a Path>,
}

/// The files that are followed where that is wanted: the configuration file and what it names.
fn followed(file: Option<&Path>, options: &Options) -> Vec<PathBuf> {
    let file = file.map(Path::to_owned);
    if !options.watch_files_wanted() {
        return file.into_iter().collect();
    }
    let listeners = options.listeners().unwrap_or_default();
    let named = named_files(options, &listeners).into_iter().map(|named| named.path);
    file.into_iter().chain(named).collect()
}

/// What `serve` runs with when nothing is said: the whole machine.
pub fn base() -> Options {
    Options::default().cores(Cores::All)
}

fn packets_wanted(options: &Options) -> bool {
    key("log_packets").is_ok_and(|key| key.text(options) == "true")
}

fn refuse(say: &impl Fn(&str), error: &StartError) -> ExitCode {
    for line in error.to_string().lines() {
        say(line);
    }
    match error {
        StartError::Config(_) | StartError::Guard(_) => ExitCode::from(EXIT_CONFIGURATION),
        _ => ExitCode::FAILURE,
    }
}

fn serve(
    mut broker: Broker,
    signals: &Receiver<i32>,
    say: &impl Fn(&str),
    again: &Again<'_>,
    mut watch: Watch,
) -> ExitCode {
    let _pid_file = match broker.options().pid_file_wanted().map(PidFile::write).transpose() {
        Ok(file) => file,
        Err(error) => {
            say(&format!("pid_file: {error}"));
            return ExitCode::FAILURE;
        }
    };
    announce(&broker, say);
    tell_manager(&[NotifyState::Ready]);
    let signal = loop {
        match signals.recv_timeout(WATCH) {
            Ok(SIGHUP) => {
                watch.renew();
                reload("SIGHUP", &mut broker, say, (again, &mut watch));
            }
            Ok(signal) => break signal,
            Err(RecvTimeoutError::Timeout) => {
                if broker.options().watch_files_wanted() && watch.has_changed(Instant::now()) {
                    // What is wrong with them is said once; then they are followed as they are.
                    reload("watch_files: files have changed", &mut broker, say, (again, &mut watch));
                }
            }
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(WATCH),
        }
        if let Some(failure) = broker.failed() {
            say(&format!("the broker has failed: {failure}"));
            return ExitCode::FAILURE;
        }
    };
    tell_manager(&[NotifyState::Stopping]);
    let name = signal_hook::low_level::signal_name(signal).unwrap_or("signal");
    say(&format!("{name}: stopping; once more ends at once"));
    let report = broker.stop();
    if report.failed {
        say("the broker has failed while it stopped, its log says why");
        return ExitCode::FAILURE;
    }
    match report.left {
        0 => say("stopped, nothing left"),
        left => say(&format!("stopped at the deadline, {left} clients were not served to the end")),
    }
    ExitCode::SUCCESS
}

/// Reads everything anew and goes on with it, or says what is wrong and goes on as before.
fn reload(why: &str, broker: &mut Broker, say: &impl Fn(&str), (again, watch): (&Again<'_>, &mut Watch)) {
    say(&format!("{why}: reading the configuration and its files anew"));
    if let Ok(reloading) = NotifyState::monotonic_usec_now() {
        tell_manager(&[NotifyState::Reloading, reloading]);
    }
    let result = (again.read)().map_err(StartError::Config).and_then(|options| {
        // What is named now is followed before it is read, and goes on to be when something is wrong with it.
        let mut paths = followed(again.file, broker.options());
        paths.extend(followed(again.file, &options));
        watch.follow(paths);
        let level = options.log_level_wanted().clone();
        broker.reload(options).map(|report| (report, level))
    });
    match result {
        Ok((report, level)) => {
            (again.set_level)(&level);
            watch.follow(followed(again.file, broker.options()));
            tell_report(&report, say);
        }
        Err(error) => {
            error.to_string().lines().for_each(say);
            say("nothing was changed, the broker goes on as before");
        }
    }
    tell_manager(&[NotifyState::Ready]);
}

fn tell_report(report: &ReloadReport, say: &impl Fn(&str)) {
    report.opened.iter().for_each(|url| say(&format!("listening on {url}")));
    report.closed.iter().for_each(|url| say(&format!("no longer listening on {url}")));
    if !report.at_next_start.is_empty() {
        say(&format!("takes effect at the next start: {}", report.at_next_start.join(", ")));
    }
    let changed = if report.changed.is_empty() { "no key" } else { &report.changed.join(", ") };
    say(&format!("reloaded; changed: {changed}; files were read anew"));
}

/// Tells the service manager, if there is one that wants to know (sd_notify(3)).
fn tell_manager(states: &[NotifyState<'_>]) {
    let abstract_name = std::env::var_os("NOTIFY_SOCKET").filter(|name| name.as_bytes().starts_with(b"@"));
    let told = match abstract_name {
        Some(name) => tell_abstract(&name.as_bytes()[1..], states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = told {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

/// A name that begins with `@` is no path but one in Linux's abstract namespace; the crate takes paths alone.
fn tell_abstract(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.send(lines.as_bytes()).map(drop)
}

/// One line per listener, one about shards and driver, one about how to stop.
fn announce(broker: &Broker, say: &impl Fn(&str)) {
    for url in broker.urls() {
        say(&format!("listening on {url}"));
    }
    let shards = match broker.shards() {
        1 => String::from("1 shard"),
        shards => format!("{shards} shards"),
    };
    say(&format!("{shards}, driver {} ({})", broker.driver().name(), broker.driver_reason()));
    say("ready; Ctrl-C or SIGTERM stops, SIGHUP reads the configuration anew");
}

/// SIGHUP is handed on, and the first signal that says stop; the second ends the process at once, whatever the stop
/// is doing.
fn listen_to_signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let (sender, receiver) = channel();
    std::thread::Builder::new().name(String::from("signals")).spawn(move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if stopping && signal != SIGHUP {
                std::process::exit(128 + signal);
            }
            stopping |= signal != SIGHUP;
            let _ = sender.send(signal);
        }
    })?;
    Ok(receiver)
}

/// All keys with everything that is declared about them.
fn list_keys() -> ExitCode {
    let base = base();
    let mut text = String::new();
    for key in KEYS {
        let default = key.text(&base);
        text.push_str(&format!(
            "{}\n    {}\n    accepts {}; default {}; a change takes effect: {}\n",
            key.name,
            key.doc,
            key.accepts(),
            if default.is_empty() { "none" } else { &default },
            key.change.name(),
        ));
    }
    super::print(&text)
}

impl clap::Args for Args {
    fn augment_args(command: Command) -> Command {
        let base = base();
        let command = command.after_help(EXAMPLES).args(KEYS.iter().map(|key| argument(key, &base)));
        command
            .args(KEYS.iter().filter_map(switch))
            .arg(
                Arg::new("config")
                    .short('c')
                    .long("config")
                    .value_name("FILE")
                    .value_parser(clap::value_parser!(PathBuf))
                    .help(
                        "Reads a configuration file: TOML (see `ringmq config example`), or a mosquitto.conf",
                    ),
            )
            .arg(
                Arg::new("set")
                    .long("set")
                    .value_name("KEY=VALUE")
                    .action(ArgAction::Append)
                    .help("Sets any configuration key; --list-keys shows them all"),
            )
            .arg(
                Arg::new("list-keys")
                    .long("list-keys")
                    .action(ArgAction::SetTrue)
                    .help("Prints every configuration key with unit, range and default, and ends"),
            )
    }
    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Args {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            file: matches.get_one("config").cloned(),
            flags: typed(matches),
            list_keys: matches.get_flag("list-keys"),
        })
    }
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const EXAMPLES: &str = "\
Numbers take suffixes of their unit: 5s, 250ms, 2min, 64KiB, 16MiB.

Examples:
  ringmq serve                                    this machine only, port 1883, every CPU
  ringmq serve -p 0                               a free port; the first lines say which
  ringmq serve --bind 0.0.0.0 --allow-anonymous   everybody who reaches this machine
  ringmq serve --bind 0.0.0.0 --password-file passwords --acl-file acl
                                                  those who have a password, and what the rules let them
  ringmq serve -c /etc/ringmq.toml                what the file says; `ringmq check` reads it without starting
  RINGMQ_CONFIG_QUEUE_POLICY=end ringmq serve     any key as a variable

Flags go before variables, variables before the file, the file before defaults. --bind replaces all listeners of
the file.

  ringmq serve --cores 0,2-5 --queue-policy end --set queue_messages_max=100

Exit codes: 0 stopped as told, 1 could not start or failed, 2 wrong configuration.";

/// The flag of a key.
fn argument(key: &'static Key, base: &Options) -> Arg {
    let default = key.text(base);
    let default = if default.is_empty() { String::new() } else { format!("; default {default}") };
    let argument = Arg::new(key.name)
        .long(key.flag)
        .action(ArgAction::Append)
        .help(format!("{} [{}{default}]", key.doc, key.accepts()))
        .value_name(value_name(key));
    let argument = match key.short {
        Some(short) if key.switch.is_none() => argument.short(short),
        _ => argument,
    };
    let yes = matches!(key.range, Range::Bool) || key.name == "allow_anonymous";
    if yes { argument.num_args(0..=1).require_equals(true).default_missing_value("true") } else { argument }
}

fn value_name(key: &Key) -> &'static str {
    match key.range {
        Range::Number(..) | Range::WordOrNumber(..) => "N",
        Range::Bool => "BOOL",
        Range::Words(_) => "WORD",
        Range::Form(_) => "VALUE",
        Range::List(_) => "ADDRESS",
        Range::Path(_) => "FILE",
        Range::Paths(_) => "FILES",
    }
}

/// The flag without a value that stands for one value of a key.
fn switch(key: &'static Key) -> Option<Arg> {
    let switch = key.switch?;
    let argument = Arg::new(switch.long)
        .long(switch.long)
        .action(ArgAction::Append)
        .num_args(0)
        .default_missing_value(switch.value)
        .help(format!("The same as --{}={}", key.flag, switch.value));
    Some(match key.short {
        Some(short) => argument.short(short),
        None => argument,
    })
}

/// All that was typed, in the order in which it stood.
fn typed(matches: &ArgMatches) -> Raw {
    let mut found: Vec<(usize, &'static Key, &str, String)> = Vec::new();
    for key in KEYS {
        found.extend(values(matches, key.name).map(|(at, text)| (at, key, text, format!("--{}", key.flag))));
        if let Some(switch) = key.switch {
            let values = values(matches, switch.long);
            found.extend(values.map(|(at, _)| (at, key, switch.value, format!("--{}", switch.long))));
        }
    }
    found.sort_by_key(|(at, ..)| *at);
    let mut pairs = values(matches, "set").peekable();
    let mut raw = Raw::default();
    for (at, key, text, flag) in found {
        while let Some((_, pair)) = pairs.next_if(|(pair_at, _)| *pair_at < at) {
            raw.set_pair(pair);
        }
        raw.set(key.name, text, Source::Flag(flag));
    }
    pairs.for_each(|(_, pair)| raw.set_pair(pair));
    raw
}

/// The values of one argument with their places on the command line.
fn values<'a>(matches: &'a ArgMatches, id: &str) -> impl Iterator<Item = (usize, &'a str)> {
    let places = matches.indices_of(id).into_iter().flatten();
    let texts = matches.get_many::<String>(id).into_iter().flatten();
    places.zip(texts.map(String::as_str))
}
