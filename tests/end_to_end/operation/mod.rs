//! Tests of running Hookline: the local process, its output and its data folder, kills and restarts, logs, upgrades, and
//! the functions' binaries.

mod data_folder;
mod disk_growth;
mod file_descriptors;
mod lambda_functions;
mod local_runner;
mod local_runner_output;
mod restarts;
mod secrets_in_output;
mod upgrade;
