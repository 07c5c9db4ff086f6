//! Executables of the workspace, built by cargo so that a test never runs a stale one.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

/// Builds a package; returns its executable of the same name.
pub(crate) fn build(package: &str) -> PathBuf {
    build_all(&[package]).remove(package).expect("cargo names the executable")
}

/// Builds packages; returns each one's executable of the same name.
pub(crate) fn build_all(packages: &[&str]) -> HashMap<String, PathBuf> {
    let named: Vec<_> = packages.iter().map(|package| (*package, *package)).collect();
    build_named(&named)
}

/// Builds packages, each with the name of its executable; returns the executables by name.
pub(crate) fn build_named(packages: &[(&str, &str)]) -> HashMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let output = std::process::Command::new(cargo)
        .args(["build", "--message-format", "json-render-diagnostics"])
        .args(packages.iter().flat_map(|(package, name)| ["--package", package, "--bin", name]))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{packages:?} do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
        })
        .collect()
}
