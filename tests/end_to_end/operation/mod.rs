//! Tests of running Hookline: the local process and its data folder, kills and restarts, logs, upgrades, and
//! the functions' binaries.

mod data_folder;
mod file_descriptors;
mod lambda_functions;
mod local_runner;
mod restarts;
mod secrets_in_output;
mod upgrade;
