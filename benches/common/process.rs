//! What the kernel knows of processes and of the machine.

use std::time::Duration;

use anyhow::Context;

/// Ticks of `/proc/PID/stat` a second; Linux tells every program the same.
const TICKS: u64 = 100;

/// The most memory that it ever had in use, in KiB.
pub(crate) fn peak_memory_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The time that it had on a core, in user mode and in the kernel.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may have spaces in it.
    let (_, after_name) = stat.rsplit_once(") ").context("no name")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks = |field: usize| -> anyhow::Result<u64> { Ok(fields.get(field).context("too short")?.parse()?) };
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / TICKS))
}

/// The time that all cores together were not idle, with what the host took for other machines.
pub(crate) fn busy_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = stat.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen] = fields[..] else {
        anyhow::bail!("/proc/stat is too short");
    };
    Ok(Duration::from_millis((user + nice + system + interrupts + soft_interrupts + stolen) * 1000 / TICKS))
}
