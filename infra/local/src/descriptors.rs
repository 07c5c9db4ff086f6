//! The file descriptors of the process. They are divided among their uses before anything is opened. A connection, request or
//! lookup beyond its share waits. Without shares, it would fail for lack of a descriptor.

use endpoint::Bounds;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are neither for the API nor for receivers: the database with its log and lock, the standard streams, the
/// listener, and those of tokio. About 20 are in use. The rest is room for SQLite's temporary files and for second sockets: a
/// connection to a host with IPv4 and IPv6 may try both for a moment.
const RESERVED: usize = 48;
/// The most connections to the API. More would only wait for each other.
const API_CONNECTIONS_MAX: usize = 4_096;
/// The most requests to receivers under way. The pollers hand out fewer: 512 and 128 batches of 10.
const REQUESTS_MAX: usize = 8_192;
/// The most connections to receivers that are kept alive.
const IDLE_CONNECTIONS_MAX: usize = 4_096;
/// The most lookups at once. Each has a thread.
const LOOK_UPS_MAX: usize = 128;
/// Descriptors of one lookup: its socket, and a file of the system's resolver.
const PER_LOOK_UP: usize = 2;
/// The limit to assume if the number of descriptors is not limited.
const UNLIMITED: usize = 1 << 20;

/// How much may be open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Connections to the API.
    pub(crate) api_connections: usize,
    /// Requests, connections and lookups for receivers.
    pub(crate) endpoints: Bounds,
}

/// Raises the limit of the process as far as possible, and divides it.
pub(crate) fn divide() -> Share {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // This fails on macOS beyond its own limit. The old limit stays then.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let share = Share::of(limit.map_or(UNLIMITED, |limit| usize::try_from(limit).unwrap_or(UNLIMITED)));
    tracing::info!(?limit, ?share, "file descriptors");
    share
}

impl Share {
    /// Divides `limit` descriptors. Below 80, shares are at their minimum, and together they may exceed the limit.
    fn of(limit: usize) -> Self {
        let left = limit.saturating_sub(RESERVED);
        let api_connections = (left / 4).clamp(8, API_CONNECTIONS_MAX);
        let look_ups = (left / 16).clamp(2, LOOK_UPS_MAX);
        let idle_connections = (left / 8).clamp(1, IDLE_CONNECTIONS_MAX);
        let taken = api_connections + look_ups * PER_LOOK_UP + idle_connections;
        let requests = left.saturating_sub(taken).clamp(8, REQUESTS_MAX);
        Self { api_connections, endpoints: Bounds { requests, idle_connections, look_ups } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_the_shares_leaves_the_reserve_free() {
        for limit in [128, 256, 1_024, 4_096, 20_000, UNLIMITED] {
            let Share { api_connections, endpoints } = Share::of(limit);
            let Bounds { requests, idle_connections, look_ups } = endpoints;
            let all = api_connections + requests + idle_connections + look_ups * PER_LOOK_UP;
            assert!(all + RESERVED <= limit, "{limit}: {all}");
            assert!(requests >= limit.min(REQUESTS_MAX) / 6, "{limit}: {requests}");
        }
    }

    #[test]
    fn a_very_low_limit_leaves_no_share_empty() {
        let Share { api_connections, endpoints } = Share::of(16);
        assert!(api_connections > 0 && endpoints.requests > 0 && endpoints.look_ups > 0);
    }
}
