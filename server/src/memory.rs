//! How much memory the process may take, and the defaults of limits that follow from it.
//!
//! Limits are made for 16 GiB. Where there is less, those that nobody has set become smaller in proportion, so that overload
//! ends in refusals and not in a process that the system kills.

use std::path::Path;

use demarc_ingest::IngestConfig;
use demarc_query::QueryConfig;
use demarc_store::StoreConfig;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

/// How much memory the process may take.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemoryConfig {
    /// Bytes that limits are made to fit into; 0 for what the system gives: the memory of the machine, or less where its
    /// control group (a container's) or its resource limits (`ulimit -v`, `-d`) say so.
    pub(crate) limit_bytes: u64,
}

impl MemoryConfig {
    /// Beyond so many bytes queries are ended, the oldest first.
    pub(crate) fn relief_bytes(&self) -> u64 {
        match self.limit_bytes {
            0 => u64::MAX,
            limit => limit / 10 * 8,
        }
    }
}

/// One part in so many of the memory has to have been taken lately before a query is ended for it.
pub(crate) const QUERIES_PART: u64 = 20;

/// The least that the process held lately. Queries come and go: what stays is not theirs, and ending them gives none of it back.
#[derive(Debug)]
pub(crate) struct Floor {
    before: u64,
    now: u64,
    notes: u32,
}

impl Default for Floor {
    fn default() -> Self {
        Self {
            before: u64::MAX,
            now: u64::MAX,
            notes: 0,
        }
    }
}

impl Floor {
    /// Notes of a turn; the last turn and the one that goes on are looked back over.
    const TURN: u32 = 240;

    /// Notes what is held, and says what the least was.
    pub(crate) fn note(&mut self, held: u64) -> u64 {
        if self.notes == Self::TURN {
            (self.before, self.now, self.notes) = (self.now, u64::MAX, 0);
        }
        self.now = self.now.min(held);
        self.notes += 1;
        self.now.min(self.before)
    }
}

/// Least memory that limits are made for.
const MIN_BYTES: u64 = 256 << 20;

/// A setting whose default depends on memory.
struct Share {
    section: &'static str,
    key: &'static str,
    default: usize,
    /// One part in so many of the memory is the most that it may be. What it stands for may be more than its value: the
    /// head takes up to four times `flush_bytes`, a series about a kilobyte.
    part: u64,
}

fn shares() -> [Share; 10] {
    let query = QueryConfig::default();
    let store = StoreConfig::default();
    let ingest = IngestConfig::default();
    [
        ("query", "total_memory_bytes", query.total_memory_bytes, 4),
        ("query", "max_bytes", query.max_bytes, 16),
        ("query", "memory_bytes", query.memory_bytes, 16),
        ("query", "results_bytes", query.results_bytes, 256),
        ("store", "recent_bytes", store.recent_bytes, 40),
        ("store", "decoded_bytes", store.decoded_bytes, 128),
        ("store", "flush_bytes", store.flush_bytes, 64),
        (
            "ingest",
            "max_inflight_bytes",
            ingest.max_inflight_bytes,
            64,
        ),
        ("ingest", "max_body_bytes", ingest.max_body_bytes, 256),
        ("ingest", "max_series", ingest.max_series, 4096),
    ]
    .map(|(section, key, default, part)| Share {
        section,
        key,
        default,
        part,
    })
}

/// Lays limits that fit into the memory that there is under those that were set.
pub(crate) fn fit(settings: &mut toml::Table, system_bytes: u64) {
    // What is wrong with what was set is said when all of it is read.
    let Some(memory) = section(settings, "memory") else {
        return;
    };
    let told = memory.get("limit_bytes").map(toml::Value::as_integer);
    let limit = match told {
        None | Some(Some(0)) => system_bytes,
        Some(Some(bytes)) => u64::try_from(bytes).unwrap_or(system_bytes),
        Some(None) => return,
    };
    memory.insert("limit_bytes".to_owned(), integer(limit));
    for share in shares() {
        let most = (limit.max(MIN_BYTES) / share.part).min(share.default as u64);
        if let Some(section) = section(settings, share.section) {
            section.entry(share.key).or_insert(integer(most));
        }
    }
}

fn section<'a>(settings: &'a mut toml::Table, name: &str) -> Option<&'a mut toml::Table> {
    let section = settings.entry(name);
    section
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
}

fn integer(value: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Bytes that this process holds for itself. Source: `proc(5)`, `/proc/pid/status`.
pub(crate) fn held() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    kib(&text, "RssAnon:").map(|kib| kib << 10)
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// The bytes that the system lets this process have.
pub(crate) fn of_system() -> u64 {
    let limits = [
        of_machine(),
        of_control_group(),
        of_resource(Resource::RLIMIT_AS),
        of_resource(Resource::RLIMIT_DATA),
    ];
    limits.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// Source: `proc(5)`, `/proc/meminfo`.
fn of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    kib(&text, "MemTotal:").map(|kib| kib << 10)
}

/// The least limit of the group and of those that it is in, in either version of the interface. Source: `cgroups(7)`.
fn of_control_group() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = text.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // Within a container its own group is the root, whatever its path is outside.
        let paths = Path::new(path.trim_start_matches('/')).ancestors();
        let files = paths.map(|path| Path::new(root).join(path).join(file));
        let limits =
            files.filter_map(|file| std::fs::read_to_string(file).ok()?.trim().parse().ok());
        limits.min()
    });
    limits.min()
}

/// Addresses are taken that memory is never written to: half of a limit of addresses is counted on.
fn of_resource(resource: Resource) -> Option<u64> {
    let (soft, _) = getrlimit(resource).ok()?;
    (soft != RLIM_INFINITY).then_some(soft / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(text: &str, system_bytes: u64) -> toml::Table {
        let mut settings = text.parse().unwrap();
        fit(&mut settings, system_bytes);
        settings
    }

    #[test]
    fn what_stays_is_the_floor_after_two_turns_at_most() {
        let mut floor = Floor::default();
        assert_eq!(floor.note(10), 10);
        let mut notes = 0;
        while floor.note(50) == 10 {
            notes += 1;
        }
        assert!((Floor::TURN..2 * Floor::TURN).contains(&notes), "{notes}");
        assert_eq!(floor.note(90), 50);
    }

    #[test]
    fn a_small_machine_has_small_limits_and_a_large_one_the_usual() {
        let small = fitted("", 1 << 30);
        assert_eq!(small["query"]["total_memory_bytes"], integer(256 << 20));
        assert_eq!(small["memory"]["limit_bytes"], integer(1 << 30));
        let large = fitted("", 1 << 40);
        let usual = integer(QueryConfig::default().total_memory_bytes as u64);
        assert_eq!(large["query"]["total_memory_bytes"], usual);
    }

    #[test]
    fn what_is_set_stays_and_what_is_wrong_is_left_for_the_reader() {
        let own = fitted(
            "[query]\nmax_bytes = 7\n[memory]\nlimit_bytes = 2147483648",
            1 << 30,
        );
        assert_eq!(own["query"]["max_bytes"], integer(7));
        assert_eq!(own["query"]["total_memory_bytes"], integer(512 << 20));
        assert_eq!(fitted("memory = 3", 1 << 30).len(), 1);
        assert_eq!(fitted("query = 3", 1 << 30)["query"], integer(3));
    }
}
