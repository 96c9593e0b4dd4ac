//! CPU time and memory of processes and of the machine, as the kernel counts them under /proc.

use std::fs;
use std::io;

/// How far the time in ticks and the scheduler's exact time may lie apart, in seconds: user and system time are
/// each up to a tick of 10 ms behind, at both ends. Further apart means that a thread has ended, with its exact time.
const TICKS_BEHIND_SECONDS: f64 = 0.04;

/// CPU time used so far, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    /// In ticks of 10 ms.
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    /// What the scheduler counted for the threads there are, to the nanosecond, where it tells.
    running_seconds: Option<f64>,
    /// How often those threads were put on a CPU, where the scheduler tells.
    pub(crate) starts: Option<u64>,
}

impl CpuTime {
    /// User and system time as exactly as they are known.
    pub(crate) fn total_seconds(self) -> f64 {
        let ticks = self.user_seconds + self.system_seconds;
        let exact = self.running_seconds.filter(|exact| {
            let apart = (exact - ticks).abs();
            apart <= TICKS_BEHIND_SECONDS + ticks / 50.0
        });
        exact.unwrap_or(ticks)
    }

    pub(crate) fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            user_seconds: self.user_seconds - earlier.user_seconds,
            system_seconds: self.system_seconds - earlier.system_seconds,
            running_seconds: self.running_seconds.zip(earlier.running_seconds).map(|(now, then)| now - then),
            // A thread that has ended took its count along.
            starts: self.starts.zip(earlier.starts).map(|(now, then)| now.saturating_sub(then)),
        }
    }
}

/// User and system time of a process with all its threads.
pub(crate) fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let time = parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::Error::other("/proc/PID/stat has another form than known"))?;
    let (running_seconds, starts) = running(pid).unzip();
    Ok(CpuTime { running_seconds, starts, ..time })
}

/// The time all threads of a process were running, and how often they began to; nothing when the kernel does not tell.
fn running(pid: u32) -> Option<(f64, u64)> {
    let (mut nanoseconds, mut starts) = (0, 0);
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        // A thread that ends just now has no file any more.
        let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        let mut fields = text.split_ascii_whitespace().map_while(|field| field.parse::<u64>().ok());
        nanoseconds += fields.next()?;
        starts += fields.nth(1)?;
    }
    Some((nanoseconds as f64 / 1e9, starts))
}

/// The time the threads of this name have been running, in seconds; only what the kernel counts in nanoseconds.
pub(crate) fn threads_seconds(pid: u32, name: &str) -> io::Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = thread?.path();
        // A thread that ends just now has no files any more.
        let Ok(comm) = fs::read_to_string(path.join("comm")) else { continue };
        let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
        if comm.trim_end() == name {
            let first = text.split_ascii_whitespace().next().and_then(|field| field.parse::<u64>().ok());
            nanoseconds += first.unwrap_or(0);
        }
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages = text.split_ascii_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/PID/statm has another form than known"))?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Bytes of a process's memory in huge pages. An allocator that uses them makes 2 MiB resident for any first byte,
/// and memory that it gave back stays resident with the rest of its page.
pub(crate) fn huge_page_bytes(pid: u32) -> io::Result<u64> {
    parse_huge(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?)
        .ok_or_else(|| io::Error::other("/proc/PID/smaps_rollup has another form than known"))
}

/// Time all CPUs of the machine were busy so far, and time the host took away, in seconds.
pub(crate) fn machine_seconds() -> io::Result<(f64, f64)> {
    parse_machine(&fs::read_to_string("/proc/stat")?)
        .ok_or_else(|| io::Error::other("/proc/stat has another form than known"))
}

/// Fields 14 and 15. The name in field 2 may hold anything, so counting starts behind its closing bracket.
fn parse_stat(text: &str) -> Option<CpuTime> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut seconds = || fields.next()?.parse::<u64>().ok().map(seconds_of_ticks);
    Some(CpuTime { user_seconds: seconds()?, system_seconds: seconds()?, ..CpuTime::default() })
}

fn parse_huge(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// The first line: user, nice, system, idle, iowait, irq, softirq, steal.
fn parse_machine(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else { return None };
    Some((seconds_of_ticks(user + nice + system + irq + softirq), seconds_of_ticks(steal)))
}

fn seconds_of_ticks(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let text = "7 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 300 100 13 14";
        let time = parse_stat(text).unwrap();
        let tick = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((time.user_seconds, time.system_seconds), (300.0 / tick, 100.0 / tick));
        assert!(parse_stat("7 (a) R 1 2").is_none());
    }

    #[test]
    fn exact_time_counts_unless_a_thread_took_its_own_with_it() {
        let time = |user_seconds, running_seconds| CpuTime {
            user_seconds,
            system_seconds: 0.01,
            running_seconds,
            starts: None,
        };
        let rows = [
            (0.01, Some(0.034), 0.034),
            (0.99, Some(1.05), 1.05),
            (0.99, Some(0.5), 1.0),
            (0.04, None, 0.05),
        ];
        for (user, running, expected) in rows {
            assert_eq!(time(user, running).total_seconds(), expected, "{user} {running:?}");
        }
        let later = time(0.5, Some(0.53)).since(time(0.3, Some(0.32)));
        assert!((later.running_seconds.unwrap() - 0.21).abs() < 1e-9);
    }

    #[test]
    fn busy_leaves_out_idle_waiting_and_stolen_time() {
        let tick = rustix::param::clock_ticks_per_second() as f64;
        let text = "cpu  1 2 3 1000 1000 4 5 6 0 0\ncpu0 9 9 9\n";
        assert_eq!(parse_machine(text), Some((15.0 / tick, 6.0 / tick)));
    }

    #[test]
    fn huge_pages_are_found_among_the_lines() {
        let text = "5-7 ---p 0 00:00 0 [rollup]\nRss:  900 kB\nAnonHugePages:      4096 kB\nSwap: 0 kB\n";
        assert_eq!(parse_huge(text), Some(4 << 20));
        assert_eq!(parse_huge("Rss: 1 kB\n"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        let time = cpu_time(pid).unwrap();
        assert!(time.total_seconds() >= 0.0 && time.starts.is_none_or(|starts| starts > 0));
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(huge_page_bytes(pid).unwrap() <= resident_bytes(pid).unwrap());
        assert!(machine_seconds().unwrap().0 > 0.0);
    }
}
