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

# The JSON Schemas for editors and the reference, from the code that reads the files.
schemas: tools
	cargo build --quiet --locked
	target/debug/rkgate schema config > docs/schema/config.schema.json
	target/debug/rkgate schema rules > rules/rules.schema.json
	target/debug/rkgate schema policies > policies/policies.schema.json
	target/debug/rkgate schema reference > docs/policy-reference.md
