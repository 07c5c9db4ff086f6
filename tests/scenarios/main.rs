//! Single scenarios in simulated time: the functions' handlers on the embedded AWS, with pollers in
//! place of Lambda's event source mappings. Each test describes one fault. (The simulation chooses
//! faults at random.)

mod aws_in_trouble;
mod late_events;
mod logs;
mod observability;
mod slow_endpoints;
mod trials;
mod world;
