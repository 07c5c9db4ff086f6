//! The CPU of groups of processes, and of all others, from `/proc`.

use crate::stack::TICKS_PER_SECOND;
use anyhow::Context;
use std::{collections::HashSet, path::Path};

/// A process: what `/proc/PID/stat` says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    id: u32,
    parent: u32,
    /// The CPU time of the process, and of its children that have ended and for which it has waited.
    ticks: u64,
}

/// The CPU of every process at one time.
///
/// A process that ends adds its CPU to its parent's, so that the CPU of a process with its descendants never decreases.
/// (The kernel's own figures in `/proc/stat` are samples, which miss work shorter than a tick.)
#[derive(Clone, Debug)]
pub(crate) struct Snapshot(Vec<Process>);

impl Snapshot {
    /// Reads every process.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let folder = entry?.path();
            if id_of(&folder).is_none() {
                continue;
            }
            // A process may end meanwhile.
            all.extend(std::fs::read_to_string(folder.join("stat")).ok().and_then(|stat| process(&stat)));
        }
        Ok(Self(all))
    }

    /// Returns the CPU seconds of these processes and all their descendants.
    pub(crate) fn families_s(&self, roots: &[u32]) -> f64 {
        let mut members: HashSet<u32> = roots.iter().copied().collect();
        loop {
            let known = members.len();
            members.extend(
                self.0
                    .iter()
                    .filter(|process| members.contains(&process.parent))
                    .map(|process| process.id)
                    .collect::<Vec<_>>(),
            );
            if members.len() == known {
                break;
            }
        }
        self.seconds(|process| members.contains(&process.id))
    }

    /// Returns the CPU seconds of one process, without its running descendants.
    pub(crate) fn alone_s(&self, id: u32) -> f64 {
        self.seconds(|process| process.id == id)
    }

    /// Returns the CPU seconds of all processes.
    pub(crate) fn all_s(&self) -> f64 {
        self.seconds(|_| true)
    }

    fn seconds(&self, counted: impl Fn(&Process) -> bool) -> f64 {
        let ticks: u64 = self.0.iter().filter(|process| counted(process)).map(|process| process.ticks).sum();
        ticks as f64 / TICKS_PER_SECOND
    }
}

/// Returns the process that listens on `port`, whose name must begin with one of `names`.
///
/// # Errors
/// Fails if none does, for example because it runs on another machine.
pub(crate) fn listening_on(port: u16, names: &[&str]) -> anyhow::Result<u32> {
    let mut sockets = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(listeners(&std::fs::read_to_string(table).unwrap_or_default(), port));
    }
    let holds = |folder: &Path| {
        let files = std::fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|file| sockets.contains(&*file.to_string_lossy()))
    };
    let folders = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
    let mut ids: Vec<_> = folders.filter_map(|folder| holds(&folder).then(|| id_of(&folder)).flatten()).collect();
    // A child that holds its parent's socket started later.
    ids.sort_unstable();
    let id =
        *ids.first().with_context(|| format!("no process of this machine that may be read listens on port {port}"))?;
    let name = std::fs::read_to_string(format!("/proc/{id}/comm"))?;
    anyhow::ensure!(names.iter().any(|known| name.starts_with(known)), "{:?} listens on port {port}", name.trim());
    Ok(id)
}

fn id_of(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

/// Reads the text of `/proc/PID/stat`.
fn process(stat: &str) -> Option<Process> {
    // The second field is the name in parentheses, which may contain anything.
    let (id, _) = stat.split_once(' ')?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Process { id: id.parse().ok()?, parent: fields.get(1)?.parse().ok()?, ticks })
}

/// Returns the sockets that listen on `port`, as `/proc/PID/fd` names them, from the text of `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> impl Iterator<Item = String> {
    const LISTENING: &str = "0A";
    table.lines().filter_map(move |line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        let is_listening = *fields.get(3)? == LISTENING && u16::from_str_radix(local, 16).ok()? == port;
        is_listening.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a process's line, with a name that looks like further fields.
    fn stat(id: u32, parent: u32, ticks: [u64; 4]) -> String {
        let [user, system, ended_user, ended_system] = ticks;
        format!(
            "{id} (a) S 1 (b) S {parent} 1 1 0 -1 4194560 9 8 7 6 {user} {system} {ended_user} {ended_system} 20 0 1 0 5"
        )
    }

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let expected = Process { id: 42, parent: 7, ticks: 10 };
        assert_eq!(process(&stat(42, 7, [1, 2, 3, 4])), Some(expected));
        assert_eq!(process("42 (cut"), None);
    }

    #[test]
    fn a_family_is_its_root_and_all_descendants() {
        let lines = [(1, 0, 1000), (9, 8, 100), (8, 5, 30), (5, 1, 7), (6, 1, 400)];
        let processes = lines.map(|(id, parent, ticks)| process(&stat(id, parent, [ticks, 0, 0, 0])).unwrap());
        let snapshot = Snapshot(processes.to_vec());
        let near = |seconds: f64, expected: f64| (seconds - expected).abs() < 1e-9;
        assert!(near(snapshot.families_s(&[5]), 1.37));
        assert!(near(snapshot.families_s(&[5, 6]), 5.37));
        assert!(near(snapshot.alone_s(5), 0.07));
        assert!(near(snapshot.all_s(), 15.37));
    }

    #[test]
    fn only_a_listening_socket_of_the_port_is_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 1111 1 0 100 0 0 10 0
   1: 0100007F:1538 0100007F:A001 01 00000000:00000000 00:00000000 00000000   101        0 2222 1 0 20 4 30 10 -1
   2: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3333 1 0 100 0 0 10 0";
        assert_eq!(listeners(table, 5432).collect::<Vec<_>>(), ["socket:[1111]"]);
        assert_eq!(listeners(table, 6379).collect::<Vec<_>>(), ["socket:[3333]"]);
        assert_eq!(listeners(table, 80).count(), 0);
    }

    #[test]
    fn the_process_that_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(port, &[""]).unwrap(), std::process::id());
        assert!(listening_on(port, &["postgres"]).is_err());
    }
}
