.PHONY: run test lint bench schemas tools

# What the build needs beside Rust: installed where that is possible without asking, named otherwise.
tools:
	@scripts/build-tools

run: tools
	cargo run --release --locked -- serve

test: tools
	cargo test --workspace --locked

lint: tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

bench: tools
	cargo bench --locked --bench gateway

# The JSON Schemas for editors, from the types that read the files.
schemas: tools
	cargo run --quiet --locked -- schema config > docs/schema/config.schema.json.new
	mv docs/schema/config.schema.json.new docs/schema/config.schema.json
