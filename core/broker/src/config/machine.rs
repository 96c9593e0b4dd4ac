//! What this process may use of its machine: CPUs by affinity mask, CPU time by cgroup quota, IPv6.
//! It only reads; where something cannot be read there is no limit.

use std::fs;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// CPUs of the affinity mask, ascending, at least one.
    pub cpus: Vec<usize>,
    /// Whole CPUs of the tightest cgroup quota; `None` without a quota.
    pub quota_cpus: Option<usize>,
    /// Whether the loopback interface has an IPv6 address.
    pub ipv6: bool,
}

impl Machine {
    /// Looks.
    pub fn look() -> Self {
        let ipv6 = fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| has_loopback_ipv6(&text));
        Self { cpus: affinity(), quota_cpus: quota_cpus(Path::new("/")), ipv6 }
    }
}

fn affinity() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec![0] };
    let cpus: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    if cpus.is_empty() { vec![0] } else { cpus }
}

fn has_loopback_ipv6(if_inet6: &str) -> bool {
    if_inet6.lines().any(|line| line.starts_with("00000000000000000000000000000001 "))
}

/// The tightest quota of the process's cgroup and those around it, rounded down. `root` is `/` but for tests.
fn quota_cpus(root: &Path) -> Option<usize> {
    let memberships = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    memberships.lines().filter_map(|line| quota_of(root, line)).min()
}

/// The quota for one line of /proc/self/cgroup: `0::PATH` for version 2, `N:CONTROLLERS:PATH` for version 1.
fn quota_of(root: &Path, line: &str) -> Option<usize> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
    if controllers.is_empty() {
        return tightest(root, "sys/fs/cgroup", path, |folder| {
            let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            whole_cpus(quota, period)
        });
    }
    if !controllers.split(',').any(|controller| controller == "cpu") {
        return None;
    }
    let mounts = [format!("sys/fs/cgroup/{controllers}"), String::from("sys/fs/cgroup/cpu")];
    mounts.iter().find_map(|mount| {
        tightest(root, mount, path, |folder| {
            let quota = fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok()?;
            let period = fs::read_to_string(folder.join("cpu.cfs_period_us")).ok()?;
            whole_cpus(&quota, &period)
        })
    })
}

/// The least quota from the cgroup's own folder up to the mount. In a container the path may be one of the
/// host that is not visible inside; then the mount itself is the container's cgroup.
fn tightest(root: &Path, mount: &str, path: &str, quota: impl Fn(&Path) -> Option<usize>) -> Option<usize> {
    let mount = root.join(mount);
    let own: PathBuf = mount.join(path);
    own.ancestors().take_while(|folder| folder.starts_with(&mount)).filter_map(quota).min()
}

/// `max` and -1 are no quota.
fn whole_cpus(quota: &str, period: &str) -> Option<usize> {
    let quota: usize = quota.trim().parse().ok()?;
    let period: usize = period.trim().parse().ok()?;
    quota.checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("ringmq-machine-{name}-{}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn check(name: &str, files: &[(&str, &str)], expected: Option<usize>) {
        let root = tree(name, files);
        let found = quota_cpus(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn quotas_of_both_cgroup_versions_are_found() {
        check("none", &[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/cpu.max", "max 100000\n")], None);
        check(
            "v2",
            &[("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/cpu.max", "250000 100000\n")],
            Some(2),
        );
        check(
            "v2-outer",
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/cpu.max", "300000 100000\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ],
            Some(3),
        );
        check(
            "v1",
            &[
                ("proc/self/cgroup", "3:memory:/x\n4:cpu,cpuacct:/x\n"),
                ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "50000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n"),
            ],
            Some(0),
        );
        check(
            "v1-container",
            &[
                ("proc/self/cgroup", "4:cpu:/docker/1234\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ],
            Some(4),
        );
        check(
            "v1-unlimited",
            &[
                ("proc/self/cgroup", "4:cpu:/\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ],
            None,
        );
    }

    #[test]
    fn this_machine_has_a_cpu() {
        assert!(!Machine::look().cpus.is_empty());
    }

    #[test]
    fn loopback_is_told_from_other_addresses() {
        assert!(has_loopback_ipv6("00000000000000000000000000000001 01 80 10 80       lo\n"));
        assert!(!has_loopback_ipv6("fe800000000000000000000000000001 02 40 20 80     eth0\n"));
        assert!(!has_loopback_ipv6(""));
    }
}
