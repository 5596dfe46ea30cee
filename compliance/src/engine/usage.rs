//! What does a server use? Processor time, memory and block transfers of its process group, as `/proc` tells
//! ([proc_pid_stat](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)).

use std::{fs, ops::AddAssign, path::Path};

/// Clock ticks are hundredths of a second on every Linux that has user space of today.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// The size of a page in user space's view of `/proc`.
const PAGE: u64 = 4096;

/// What one process or several use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub user_ns: u64,
    pub kernel_ns: u64,
    pub memory: u64,
    pub read: u64,
    pub written: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.user_ns += other.user_ns;
        self.kernel_ns += other.kernel_ns;
        self.memory += other.memory;
        self.read += other.read;
        self.written += other.written;
    }
}

/// What the processes of a group use together; a process that ends meanwhile counts for nothing. Group 0, which stands
/// for a container that does not run, is the kernel's own.
pub fn of_group(group: i32) -> Usage {
    let mut total = Usage::default();
    if group == 0 {
        return total;
    }
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(usage) = of_member(&entry.path(), group) {
            total += usage;
        }
    }
    total
}

fn of_member(process: &Path, group: i32) -> Option<Usage> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let usage = in_group(&stat, group)?;
    let io = fs::read_to_string(process.join("io")).unwrap_or_default();
    Some(Usage { read: field(&io, "read_bytes"), written: field(&io, "write_bytes"), ..usage })
}

/// What a line of `stat` says, if the process is of the group.
fn in_group(stat: &str, group: i32) -> Option<Usage> {
    // The name before it may hold anything, brackets and spaces too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let own: i32 = fields.get(2)?.parse().ok()?;
    (own == group).then_some(())?;
    Some(Usage {
        user_ns: number(11)? * NANOSECONDS_PER_TICK,
        kernel_ns: number(12)? * NANOSECONDS_PER_TICK,
        memory: number(21)? * PAGE,
        ..Usage::default()
    })
}

fn field(io: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok();
    io.lines().find_map(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "77 (a (b) c) S 1 70 70 0 -1 0 0 0 0 0 5 7 0 0 20 0 1 0 9 4096 3 0";

    #[test]
    fn a_member_is_known_by_its_group() {
        let usage = in_group(STAT, 70).unwrap();
        assert_eq!((usage.user_ns, usage.kernel_ns), (50_000_000, 70_000_000));
        assert_eq!(usage.memory, 3 * PAGE);
        assert_eq!(in_group(STAT, 77), None);
    }

    #[test]
    fn transfers_are_read_by_name() {
        let io = "rchar: 1\nread_bytes: 20\nwrite_bytes: 30\ncancelled_write_bytes: 4\n";
        assert_eq!((field(io, "read_bytes"), field(io, "write_bytes")), (20, 30));
        assert_eq!(field(io, "nothing"), 0);
    }
}
