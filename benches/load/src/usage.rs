//! What processes have used so far, all their threads: processor time and resident memory, from `/proc`.

use std::io;

/// Clock ticks in a second of `/proc/⟨pid⟩/stat`: 100 on every Linux that programs see.
const TICKS_PER_SECOND: f64 = 100.0;

/// What processes have used, summed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Seconds in their own code.
    pub(crate) user: f64,
    /// Seconds in the kernel on their behalf.
    pub(crate) system: f64,
    /// Resident memory in KiB.
    pub(crate) resident: u64,
}

impl Usage {
    /// Reads what processes have used.
    ///
    /// # Errors
    /// When one of them is gone: a server that died has no figures.
    pub(crate) fn of(pids: &[u32]) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let stat = read(*pid, "stat")?;
            // the command's name stands in brackets and may hold spaces
            let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let mut fields = after_name.split(' ').skip(11).map(str::parse::<f64>);
            let (Some(Ok(user)), Some(Ok(system))) = (fields.next(), fields.next()) else {
                return Err(io::Error::other(format!("/proc/{pid}/stat is not as expected")));
            };
            sum.user += user / TICKS_PER_SECOND;
            sum.system += system / TICKS_PER_SECOND;
            sum.resident += resident(&read(*pid, "status")?).unwrap_or(0);
        }
        Ok(sum)
    }

    /// Returns the seconds of both kinds.
    pub(crate) fn seconds(&self) -> f64 {
        self.user + self.system
    }
}

fn read(pid: u32, file: &str) -> io::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .map_err(|error| io::Error::other(format!("process {pid}: {error}")))
}

/// Returns the resident KiB of a process; one that is ending has none.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}
