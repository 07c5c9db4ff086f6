//! `template.yaml` held to the code that it deploys. What CloudFormation itself would say of it is asked by
//! `infra/checks/template`.

mod limits;
mod looking_inside;
mod permissions;
mod routes;
mod settings;
