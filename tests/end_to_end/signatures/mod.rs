//! Tests of the signature debugger: the mistakes that receivers make, each seeded in a real delivery, and the rules of its route.

mod isolation;
mod libraries;
mod mistakes;
mod rules;
mod seen;
