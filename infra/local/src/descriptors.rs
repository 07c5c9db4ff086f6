//! The process's file descriptors, shared out before anything is opened: what is accepted, sent and looked up waits for its
//! share, instead of failing wherever the last descriptor happens to go.

use hookline::endpoint::Bounds;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is neither the API's nor a receiver's: the database, its log and its lock, the standard streams, the
/// listener, tokio's own. Some 20 are in use; the rest is room for SQLite's temporary files and for second sockets, since a
/// connection to a host of both IPv4 and IPv6 may try both for a moment.
const RESERVED: usize = 48;
/// Connections to the API that are worth having: more would only wait for each other.
const API_CONNECTIONS_MAX: usize = 4_096;
/// Requests under way to receivers: as many as the pollers may hand out, 512 batches of 10, and test deliveries besides.
const REQUESTS_MAX: usize = 8_192;
/// Connections to receivers that are worth keeping.
const IDLE_CONNECTIONS_MAX: usize = 4_096;
/// Look-ups at once: each has a thread.
const LOOK_UPS_MAX: usize = 128;
/// Descriptors of one look-up: its socket, and a file of the system's resolver.
const OF_LOOK_UP: usize = 2;
/// Where the number of descriptors has no limit.
const UNLIMITED: usize = 1 << 20;

/// What may be open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Connections of the API's clients.
    pub(crate) api_connections: usize,
    /// Everything toward receivers.
    pub(crate) endpoints: Bounds,
}

/// Raises the limit as far as this process may, and shares it out.
pub(crate) fn claim() -> Share {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Where it fails, as macOS does beyond its own limit, there are as many as before.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let share = Share::of(limit.map_or(UNLIMITED, |limit| usize::try_from(limit).unwrap_or(UNLIMITED)));
    tracing::info!(?limit, ?share, "file descriptors");
    share
}

impl Share {
    /// Shares out `limit` descriptors. Below some hundred there is too little of everything, but some of it.
    fn of(limit: usize) -> Self {
        let left = limit.saturating_sub(RESERVED);
        let api_connections = (left / 4).clamp(8, API_CONNECTIONS_MAX);
        let look_ups = (left / 16).clamp(2, LOOK_UPS_MAX);
        let idle_connections = (left / 8).clamp(1, IDLE_CONNECTIONS_MAX);
        let taken = api_connections + look_ups * OF_LOOK_UP + idle_connections;
        let requests = left.saturating_sub(taken).clamp(8, REQUESTS_MAX);
        Self { api_connections, endpoints: Bounds { requests, idle_connections, look_ups } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_leave_the_reserve() {
        for limit in [128, 256, 1_024, 4_096, 20_000, UNLIMITED] {
            let Share { api_connections, endpoints } = Share::of(limit);
            let Bounds { requests, idle_connections, look_ups } = endpoints;
            let all = api_connections + requests + idle_connections + look_ups * OF_LOOK_UP;
            assert!(all + RESERVED <= limit, "{limit}: {all}");
            assert!(requests >= limit.min(REQUESTS_MAX) / 6, "{limit}: {requests}");
        }
    }

    #[test]
    fn a_hopeless_limit_gives_a_little_of_each() {
        let Share { api_connections, endpoints } = Share::of(16);
        assert!(api_connections > 0 && endpoints.requests > 0 && endpoints.look_ups > 0);
    }
}
