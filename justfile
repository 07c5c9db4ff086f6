# Common commands. Each is one command that also works without `just`.

# List the commands.
default:
    @just --list

# Run Hookline on this machine, with options of the local runner: `just run --ephemeral`.
run *options:
    cargo run -p local -- {{ options }}

# Run the command line, with its options: `just hookline tail`.
hookline *options:
    cargo run -p cli -- {{ options }}

# Run every test.
test:
    cargo test --workspace

# Make infra/openapi.json from the code.
openapi:
    UPDATE_OPENAPI=1 cargo test -p api openapi

# Measure what Hookline costs, with options of the bench: `just bench --quick throughput`.
bench *options:
    cargo run --release -p bench -- {{ options }}

# Check formatting, lints and dependencies.
lint:
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check

# Fuzz every target, or one, for a number of seconds.
fuzz seconds='3' target='':
    tests/checks/fuzz {{ seconds }} {{ target }}

# Build the functions for Lambda: `just build x86_64` for another architecture than arm64.
build *architecture:
    infra/build {{ architecture }}

# Deploy what `just build` built.
deploy *arguments:
    infra/deploy {{ arguments }}

# Deploy to an AWS emulator and run the scenario and the end-to-end tests there.
emulate:
    tests/checks/emulator/run

# Deploy to AWS as a stack of its own, test it there and take it down: `just check-aws --receiver-url https://… --receiver-port 5000`.
check-aws *arguments:
    infra/checks/aws/run {{ arguments }}

# Format the code.
fmt:
    cargo fmt

# Run every check that CI runs for a change.
ci:
    .ci/run

# Run a number of seeds of the simulation, from the seed `first` on.
simulate seeds='10000' first='0':
    SEEDS={{ seeds }} FIRST_SEED={{ first }} cargo test --profile simulation -p tests --test simulation -- --nocapture
