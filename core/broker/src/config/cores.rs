//! How many shards, and on which CPUs: what was asked for, and what the machine makes of it.

use std::str::FromStr;

use ringmq_shard::limits::SHARDS_MAX;

use super::machine::Machine;

/// On which CPUs the shards run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Wherever the system puts them.
    Unpinned,
    /// On every CPU this process may use, one shard each, but no more shards than its CPU quota carries.
    All,
    /// On this many CPUs, the first that this process may use.
    Count(usize),
    /// On exactly these CPUs.
    Set(Vec<usize>),
}

/// How many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// As many as the choice of CPUs says; one when that says nothing.
    Auto,
    /// This many, 1 to 256.
    Count(u16),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Number of shards.
    pub shards: usize,
    /// Shard `i` is pinned to CPU `cpus[i % len]`; `None` pins none.
    pub cpus: Option<Vec<usize>>,
}

/// Places the shards.
///
/// # Errors
/// A text naming the CPUs that this process may not use, or the excess of shards.
pub(super) fn place(cores: &Cores, shards: Shards, machine: &Machine) -> Result<Placement, String> {
    let usable = &machine.cpus;
    let quota = machine.quota_cpus.map_or(usize::MAX, |quota| quota.max(1));
    let chosen: Option<Vec<usize>> = match cores {
        Cores::Unpinned => None,
        Cores::All => Some(usable.clone()),
        Cores::Count(count) if *count > usable.len() => return Err(too_many(*count, usable)),
        Cores::Count(count) => Some(usable[..*count].to_vec()),
        Cores::Set(set) => match set.iter().find(|cpu| !usable.contains(cpu)) {
            Some(cpu) => {
                return Err(format!("cores: this process may not use CPU {cpu}, only {}", ranges(usable)));
            }
            None => Some(set.clone()),
        },
    };
    let natural = match (&chosen, cores) {
        (None, _) => 1,
        (Some(chosen), Cores::All) => chosen.len().min(quota).min(SHARDS_MAX),
        (Some(chosen), _) => chosen.len(),
    };
    let shards = match shards {
        Shards::Auto => natural,
        Shards::Count(count) => usize::from(count),
    };
    if shards == 0 || shards > SHARDS_MAX {
        return Err(format!("shards: {shards} is not possible: 1 to {SHARDS_MAX}"));
    }
    Ok(Placement { shards, cpus: chosen.filter(|chosen| pinned(cores, shards, chosen.len())) })
}

/// Shards are pinned when each has a CPU of its own. With fewer shards than CPUs and no word about which,
/// the system places them better than a fixed choice: several brokers would all choose the first CPUs.
fn pinned(cores: &Cores, shards: usize, cpus: usize) -> bool {
    match cores {
        Cores::All => shards == cpus,
        _ => shards <= cpus,
    }
}

fn too_many(count: usize, usable: &[usize]) -> String {
    format!(
        "cores: {count} is not possible: this process may use {} ({}); --shards {count} runs more shards than CPUs",
        usable.len(),
        ranges(usable)
    )
}

/// CPUs as `0-3,7`.
fn ranges(cpus: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => parts.push((cpu, cpu)),
        }
    }
    let text = |(first, last): &(usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    parts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// CPUs from `0,2-5`; ascending, each once. Numbers end at 4095: no Linux has more.
fn parse_set(text: &str) -> Option<Vec<usize>> {
    const CPU_MAX: usize = 4095;
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > CPU_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

impl FromStr for Cores {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "all" => return Ok(Self::All),
            "unpinned" => return Ok(Self::Unpinned),
            _ => {}
        }
        if let Ok(count) = text.parse::<usize>() {
            return if (1..=SHARDS_MAX).contains(&count) { Ok(Self::Count(count)) } else { Err(()) };
        }
        parse_set(text.strip_suffix(',').unwrap_or(text)).map(Self::Set).ok_or(())
    }
}

impl std::fmt::Display for Cores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unpinned => f.write_str("unpinned"),
            Self::All => f.write_str("all"),
            Self::Count(count) => write!(f, "{count}"),
            // A comma tells the set of one CPU from a number of CPUs.
            Self::Set(set) if set.len() == 1 => write!(f, "{},", set[0]),
            Self::Set(set) => f.write_str(&ranges(set)),
        }
    }
}

impl FromStr for Shards {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::Count).map_err(|_| ()),
        }
    }
}

impl std::fmt::Display for Shards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        cores: &str,
        shards: &str,
        quota_cpus: Option<usize>,
        expected: Result<(usize, Option<&[usize]>), &str>,
    ) {
        let machine = Machine { cpus: vec![0, 1, 4, 5], quota_cpus, ipv6: true };
        let found = place(&cores.parse().unwrap(), shards.parse().unwrap(), &machine);
        match (found, expected) {
            (Ok(found), Ok((shards, cpus))) => {
                assert_eq!((found.shards, found.cpus.as_deref()), (shards, cpus));
            }
            (Err(text), Err(part)) => assert!(text.contains(part), "{text}"),
            (found, expected) => panic!("{cores} {shards}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn shards_are_placed_by_what_was_asked_and_what_there_is() {
        check("all", "auto", None, Ok((4, Some(&[0, 1, 4, 5]))));
        check("all", "auto", Some(2), Ok((2, None)));
        check("all", "auto", Some(0), Ok((1, None)));
        check("all", "auto", Some(9), Ok((4, Some(&[0, 1, 4, 5]))));
        check("all", "1", None, Ok((1, None)));
        check("all", "4", None, Ok((4, Some(&[0, 1, 4, 5]))));
        check("all", "8", None, Ok((8, None)));
        check("unpinned", "auto", None, Ok((1, None)));
        check("unpinned", "3", None, Ok((3, None)));
        check("2", "auto", None, Ok((2, Some(&[0, 1]))));
        check("2", "1", None, Ok((1, Some(&[0, 1]))));
        check("2", "4", None, Ok((4, None)));
        check("1,4-5", "auto", None, Ok((3, Some(&[1, 4, 5]))));
        check("4,", "auto", None, Ok((1, Some(&[4]))));
        check("5", "auto", None, Err("may use 4 (0-1,4-5)")); // five CPUs
        check("2-3", "auto", None, Err("CPU 2"));
        check("all", "257", None, Err("1 to 256"));
        check("all", "0", None, Err("1 to 256"));
    }

    #[test]
    fn texts_go_there_and_back() {
        for text in ["all", "unpinned", "3", "0-2,7", "4,"] {
            assert_eq!(text.parse::<Cores>().unwrap().to_string(), text);
        }
        for wrong in ["", "0", "257", "a", "3-1", "1,,2", "0-5000", "-1"] {
            assert!(wrong.parse::<Cores>().is_err(), "{wrong}");
        }
    }
}
