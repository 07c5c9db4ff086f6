# Habits. Each is one command that also works without `just`.

# List the habits.
default:
    @just --list

# Run Hookline on this machine; options go through: `just run --ephemeral`.
run *options:
    cargo run -p local -- {{ options }}

# Run every test.
test:
    cargo test --workspace

# Measure what it costs; sections go through: `just bench --quick throughput`.
bench *options:
    cargo run --release -p bench -- {{ options }}

# Judge the code and what it links.
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check

# Fuzz every target for so many seconds, or one.
fuzz seconds='3' target='':
    infra/checks/fuzz {{ seconds }} {{ target }}

# Build the functions for Lambda: `just build x86_64` for another architecture than arm64.
build *architecture:
    infra/build {{ architecture }}

# Deploy what is built.
deploy *arguments:
    infra/deploy {{ arguments }}

# Deploy to an emulator of AWS and try everything there.
emulate:
    infra/checks/emulator/run

# Format the code.
fmt:
    cargo fmt

# Do all that is done for each change.
ci:
    .ci/run

# Run so many seeds of the simulation, from `first` on.
simulate seeds='10000' first='0':
    SEEDS={{ seeds }} FIRST_SEED={{ first }} cargo test --profile simulation -p tests --test simulation -- --nocapture
