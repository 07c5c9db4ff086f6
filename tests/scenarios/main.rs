//! Single scenarios in simulated time: the real handlers on the embedded AWS, with pollers in place of Lambda's event source
//! mappings, and one thing that goes wrong as the test says. The simulation draws what goes wrong by chance; here it is named.

mod aws_in_trouble;
mod late_events;
mod slow_endpoints;
mod world;
