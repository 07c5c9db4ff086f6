//! Polling: a client reads the events of a webhook page by page, and keeps the position itself.
//!
//! Events sort by their ids, and an id follows the clock of the worker that made it. An event may therefore appear among events
//! that were read before. Two rules make sure that none is skipped:
//!
//! - An event that is stored more than [`LATE_AFTER`] after its id was made gets a marker, which is read like an event and leads
//!   to it. So an id that is older than [`SETTLED_AFTER`] is settled: no event appears under it without a marker.
//! - Until an id is settled, its part of the log is read again by each poll. The cursor has the number of events that were read in
//!   each cell of that part: a slot of 250 ms in one lane. If a cell has more events now, they are all returned again, because the
//!   count does not tell which one is new. A repeat is harmless: the receiver knows the event's id.
//!
//! | file | holds |
//! |---|---|
//! | `slots.rs` | slots, and the cells with their counts |
//! | `cursor.rs` | the cursor and its text |
//! | `page.rs` | one poll: what to return, and the next cursor |

mod cursor;
mod page;
mod slots;

pub use cursor::{CURSOR_CHARS_MAX, Cursor, InvalidCursor};
pub use page::{Bounds, Polled, Read, Row};
pub use slots::{LANES, SLOT_MS};

use crate::time::CLOCK_SKEW;
use std::time::Duration;

/// An event that is stored longer than this after its id was made gets a marker.
pub const LATE_AFTER: Duration = Duration::from_secs(10);
/// No event without a marker appears under an id of this age. The clocks of the worker that stores an event and of the one that
/// reads it may differ.
pub const SETTLED_AFTER: Duration = LATE_AFTER.saturating_add(CLOCK_SKEW);
