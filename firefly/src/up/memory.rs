//! How much memory the host has left.

/// Bytes that could be used without swapping, as the kernel reckons; `None` if it does not say.
pub fn available() -> Option<u64> {
    read(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn read(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let meminfo = "MemTotal:       24689764 kB\nMemFree: 1 kB\nMemAvailable:   22000000 kB\n";
        assert_eq!(read(meminfo), Some(22_000_000 * 1024));
        assert_eq!(read("MemTotal: 1 kB"), None);
        assert!(available().is_some());
    }
}
