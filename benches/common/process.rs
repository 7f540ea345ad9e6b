//! What the kernel knows of processes and of the machine.

use std::time::Duration;

use anyhow::Context;

/// Ticks of `/proc/PID/stat` a second; Linux tells every program the same.
const TICKS: u64 = 100;

/// The most memory that it ever had in use, in KiB.
pub(crate) fn peak_memory_kib(pid: u32) -> anyhow::Result<u64> {
    of_status(pid, "VmHWM:")
}

/// The memory that it has in use, in KiB.
pub(crate) fn memory_kib(pid: u32) -> anyhow::Result<u64> {
    of_status(pid, "VmRSS:")
}

fn of_status(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// How many descriptors it has open.
pub(crate) fn descriptors(pid: u32) -> anyhow::Result<u64> {
    let open =
        std::fs::read_dir(format!("/proc/{pid}/fd")).context("the descriptors of workhook are for root to see")?;
    Ok(u64::try_from(open.count())?)
}

/// The time that it had on a core, in user mode and in the kernel.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    Ok(of_ticks(fields(pid, [11, 12])?))
}

/// Ticks as a time, all together.
pub(crate) fn of_ticks<const N: usize>(ticks: [u64; N]) -> Duration {
    Duration::from_millis(ticks.iter().sum::<u64>() * 1000 / TICKS)
}

/// Numbers out of `/proc/PID/stat`, by their places after the name, from 0.
pub(crate) fn fields<const N: usize>(pid: u32, places: [usize; N]) -> anyhow::Result<[u64; N]> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may have spaces in it.
    let (_, after_name) = stat.rsplit_once(") ").context("no name")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let mut numbers = [0; N];
    for (number, place) in numbers.iter_mut().zip(places) {
        *number = fields.get(place).context("too short")?.parse()?;
    }
    Ok(numbers)
}

/// The time that all cores together were not idle, with what the host took for other machines.
pub(crate) fn busy_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = stat.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen] = fields[..] else {
        anyhow::bail!("/proc/stat is too short");
    };
    Ok(of_ticks([user, nice, system, interrupts, soft_interrupts, stolen]))
}
