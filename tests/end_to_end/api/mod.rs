//! Tests of the HTTP API: its routes, the rules of every body and query, problems, lists, tokens,
//! tenancy and quotas.

mod answer_sizes;
mod caches;
mod cursors;
mod delivery_lists;
mod dry_run;
mod every_answer;
mod filtered_lists;
mod headers;
mod history;
mod hostile_users;
mod openapi;
mod options;
mod polling;
mod polling_costs;
mod portal;
mod problems;
mod quotas;
mod read_units;
mod rules;
mod tenancy;
mod throttling;
mod webhooks;
