//! Tests of receivers: those that misbehave, those that the documents print, and the URLs that may
//! be registered.

mod endpoint_policy;
mod examples;
mod hostile;
mod receiving_page;
mod slow_name_servers;
