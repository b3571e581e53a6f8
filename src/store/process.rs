//! What the system says about this process: resident memory, page faults, and the limits it runs under.
//!
//! The text formats are parsed by pure functions; systems without them answer `None`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Memory of the process that is resident and not backed by a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Anonymous memory, in bytes.
    pub anon: u64,
    /// Shared memory, in bytes.
    pub shmem: u64,
}

/// The resident memory now.
pub fn resident() -> Option<Resident> {
    static STATUS: OnceLock<Option<File>> = OnceLock::new();
    read_again(&STATUS, "/proc/self/status", parse_resident)
}

/// Minor and major page faults of the process so far.
pub fn page_faults() -> Option<(u64, u64)> {
    static STAT: OnceLock<Option<File>> = OnceLock::new();
    read_again(&STAT, "/proc/self/stat", parse_page_faults)
}

/// The memory the process can use: the machine's, or what the closest control group allows.
pub fn memory_limit() -> Option<u64> {
    let physical = parse_total_memory(&read("/proc/meminfo")?);
    let mut limits = Vec::new();
    for dir in group_dirs("memory") {
        limits.extend(["memory.max", "memory.limit_in_bytes"].map(|file| parse_limit(&read(dir.join(file))?)));
    }
    limits.into_iter().chain([physical]).flatten().min()
}

/// The number of processors the process can use: those it may run on, or what its control group's quota amounts to,
/// rounded up. At least 1.
pub fn cpu_limit() -> usize {
    // The standard library counts them as well, but rounds a quota of 1.5 down to 1.
    let allowed = read("/proc/self/status").and_then(|text| parse_allowed_cpus(&text));
    let Some(allowed) = allowed else {
        return std::thread::available_parallelism().map_or(1, usize::from);
    };
    let mut least = allowed;
    for dir in group_dirs("cpu") {
        let quota = read(dir.join("cpu.max")).and_then(|text| parse_quota(&text)).or_else(|| {
            let (quota, period) = (read(dir.join("cpu.cfs_quota_us"))?, read(dir.join("cpu.cfs_period_us"))?);
            parse_quota(&format!("{} {}", quota.trim(), period.trim()))
        });
        least = least.min(quota.unwrap_or(usize::MAX));
    }
    least.max(1)
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What of the file system is mounted.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// `ext4`, `tmpfs`, `cgroup2`.
    pub kind: String,
    /// Options of the file system itself: the controllers of a version 1 control group are among them.
    pub options: String,
}

impl Mount {
    /// Whether files in it take up memory.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }
}

/// All mounts; none where the system does not tell.
pub(crate) fn mounts() -> Vec<Mount> {
    read("/proc/self/mountinfo").map(|text| parse_mounts(&text)).unwrap_or_default()
}

/// The mount a path lies in.
pub(crate) fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let around = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    // Of two mounts on one point the later one hides the earlier.
    around.max_by_key(|mount| mount.point.components().count())
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(target_os = "linux")]
fn read_again<T>(file: &OnceLock<Option<File>>, path: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    use std::os::unix::fs::FileExt;
    let file = file.get_or_init(|| File::open(path).ok()).as_ref()?;
    // The lines looked for are in the first two thousand bytes.
    let mut buffer = [0; 2048];
    let len = file.read_at(&mut buffer, 0).ok()?;
    parse(&String::from_utf8_lossy(&buffer[..len]))
}

#[cfg(not(target_os = "linux"))]
fn read_again<T>(_: &OnceLock<Option<File>>, _: &str, _: impl Fn(&str) -> Option<T>) -> Option<T> {
    None
}

/// The directories in which limits of a controller can stand: from the group of this process up to the outermost one that
/// can be seen.
fn group_dirs(controller: &str) -> Vec<PathBuf> {
    let groups = read("/proc/self/cgroup").map(|text| parse_groups(&text)).unwrap_or_default();
    groups_to_dirs(controller, &groups, &mounts())
}

fn groups_to_dirs(controller: &str, groups: &[Group], mounts: &[Mount]) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for group in groups {
        let is_unified = group.controllers.is_empty();
        if !is_unified && !group.controllers.iter().any(|name| name == controller) {
            continue;
        }
        let found = mounts.iter().find(|mount| match mount.kind.as_str() {
            "cgroup2" => is_unified,
            "cgroup" => !is_unified && mount.options.split(',').any(|option| option == controller),
            _ => false,
        });
        let Some(mount) = found else { continue };
        // In a container the path can lie outside of what is mounted: the mount point is the group then.
        let below = group.path.strip_prefix(&mount.root).unwrap_or(Path::new(""));
        let innermost = mount.point.join(below);
        dirs.extend(innermost.ancestors().take_while(|dir| dir.starts_with(&mount.point)).map(Path::to_path_buf));
    }
    dirs
}

/// One line of `/proc/self/cgroup`; without controllers it is the one of version 2.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    controllers: Vec<String>,
    path: PathBuf,
}

fn parse_groups(text: &str) -> Vec<Group> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?.split(',').filter(|name| !name.is_empty()).map(String::from).collect();
        Some(Group { controllers, path: PathBuf::from(parts.next()?) })
    };
    text.lines().filter_map(line).collect()
}

fn parse_mounts(text: &str) -> Vec<Mount> {
    // id parent device root point options optional-fields* - kind source super-options
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Mount {
            root: PathBuf::from(unescape(before.next()?)),
            point: PathBuf::from(unescape(before.next()?)),
            kind: after.next()?.to_string(),
            options: after.nth(1).unwrap_or_default().to_string(),
        })
    };
    text.lines().filter_map(line).collect()
}

/// Blanks and backslashes are written as `\040` and the like.
fn unescape(text: &str) -> String {
    let mut out = text.to_string();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    out
}

fn parse_resident(status: &str) -> Option<Resident> {
    Some(Resident { anon: kib_after(status, "RssAnon:")?, shmem: kib_after(status, "RssShmem:")? })
}

fn parse_total_memory(meminfo: &str) -> Option<u64> {
    kib_after(meminfo, "MemTotal:")
}

fn kib_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn parse_page_faults(stat: &str) -> Option<(u64, u64)> {
    // The name of the program comes second, in parentheses, and can contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    Some((fields.nth(7)?.parse().ok()?, fields.nth(1)?.parse().ok()?))
}

/// A limit in bytes; `max` is none.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `quota period` in microseconds, as a number of processors, rounded up. `max` and `-1` are none.
fn parse_quota(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (quota > 0 && period > 0).then(|| usize::try_from(quota.div_ceil(period)).ok())?
}

fn parse_allowed_cpus(status: &str) -> Option<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    let counts = list.split(',').map(|range| match range.split_once('-') {
        Some((from, to)) => to.parse::<usize>().ok()?.checked_sub(from.parse().ok()?).map(|count| count + 1),
        None => range.parse::<usize>().ok().map(|_| 1),
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\ttest\nVmRSS:\t   22000 kB\nRssAnon:\t    1500 kB\nRssFile:\t   20000 kB\nRssShmem:\t     \
                          500 kB\nThreads:\t8\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,8,10-11\n";

    #[test]
    fn status_and_stat() {
        assert_eq!(parse_resident(STATUS), Some(Resident { anon: 1500 << 10, shmem: 500 << 10 }));
        assert_eq!(parse_resident("Name: kernel thread"), None);
        assert_eq!(parse_allowed_cpus(STATUS), Some(7));
        assert_eq!(parse_allowed_cpus("Cpus_allowed_list:\t5\n"), Some(1));
        assert_eq!(parse_allowed_cpus("Cpus_allowed_list:\tx\n"), None);
        let stat = "4711 (a (strange) name) R 1 4711 4711 0 -1 4194304 1234 55 6 77 10 20 0 0 20 0 1 0 999 123 45";
        assert_eq!(parse_page_faults(stat), Some((1234, 6)));
        assert_eq!(parse_page_faults("4711"), None);
        assert_eq!(parse_total_memory("MemTotal:       24684096 kB\nMemFree: 1 kB\n"), Some(24_684_096 << 10));
    }

    #[test]
    fn limits() {
        assert_eq!(parse_limit("1073741824\n"), Some(1 << 30));
        assert_eq!(parse_limit("max\n"), None);
        assert_eq!(parse_quota("150000 100000\n"), Some(2));
        assert_eq!(parse_quota("200000 100000"), Some(2));
        assert_eq!(parse_quota("5000 100000"), Some(1));
        assert_eq!(parse_quota("max 100000"), None);
        assert_eq!(parse_quota("-1 100000"), None);
    }

    const MOUNTS: &str = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n\
        25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw,size=24684096k\n\
        28 27 0:26 /sub /mnt/with\\040blank rw shared:1 master:2 - tmpfs none rw\n\
        35 31 0:35 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        32 31 0:32 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:41 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\nnonsense\n";

    #[test]
    fn mounts_are_found_by_path() {
        let mounts = parse_mounts(MOUNTS);
        assert_eq!(mounts.len(), 6);
        let kind = |path: &str| mount_of(&mounts, Path::new(path)).map(|mount| mount.kind.as_str());
        assert_eq!(kind("/tmp/x"), Some("ext4"));
        assert_eq!(kind("/dev/shm/x"), Some("tmpfs"));
        assert_eq!(kind("/dev/shmem"), Some("ext4"));
        assert!(mount_of(&mounts, Path::new("/mnt/with blank/x")).unwrap().is_memory());
        assert_eq!(mount_of(&[], Path::new("/tmp")), None);
    }

    #[test]
    fn groups_lead_to_directories() {
        let groups = parse_groups("8:pids:/\n4:memory:/docker/abc/inner\n1:cpu,cpuacct:/a/b\n0::/x.slice/y.scope\n");
        assert_eq!(groups.len(), 4);
        let dirs = |controller: &str| {
            let dirs = groups_to_dirs(controller, &groups, &parse_mounts(MOUNTS));
            dirs.iter().map(|dir| dir.display().to_string().replace("/sys/fs/cgroup/", "")).collect::<Vec<_>>()
        };
        let unified = ["unified/x.slice/y.scope", "unified/x.slice", "unified/"];
        let memory = [&["memory/inner", "memory"][..], &unified].concat();
        assert_eq!(dirs("memory"), memory.iter().map(|dir| dir.trim_end_matches('/')).collect::<Vec<_>>());
        assert_eq!(dirs("cpu")[..3], ["cpu,cpuacct/a/b", "cpu,cpuacct/a", "cpu,cpuacct"]);
        // A path outside of what is mounted.
        let groups = parse_groups("4:memory:/elsewhere\n");
        let dirs = groups_to_dirs("memory", &groups, &parse_mounts(MOUNTS));
        assert_eq!(dirs, [PathBuf::from("/sys/fs/cgroup/memory")]);
    }

    #[test]
    fn this_process() {
        assert!(cpu_limit() >= 1);
        if cfg!(target_os = "linux") {
            let before = resident().unwrap();
            let faults = page_faults().unwrap();
            let filled = vec![1u8; 32 << 20];
            assert!(resident().unwrap().anon > before.anon + (20 << 20));
            assert!(page_faults().unwrap().0 > faults.0);
            drop(filled);
            assert!(memory_limit().unwrap() > 1 << 20);
        }
    }
}
