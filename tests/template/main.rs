//! Checks `template.yaml`, and the promises to users, against the code. `tests/checks/template`
//! checks the template as CloudFormation would.

mod limits;
mod observability;
mod permissions;
mod promises;
mod routes;
mod settings;
