.PHONY: run test lint bench soak schemas console console-check tools

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
	cargo bench --locked --bench policy
	cargo bench --locked --bench promptlog

# Ten minutes of 500 conversations at once: whether memory stays flat and every sum is right.
soak: tools
	cargo bench --locked --bench soak -- 600 500

# The JSON Schemas for editors and the reference, from the code that reads the files.
schemas: tools
	cargo build --quiet --locked
	target/debug/rkgate schema config > docs/schema/config.schema.json
	target/debug/rkgate schema rules > rules/rules.schema.json
	target/debug/rkgate schema policies > policies/policies.schema.json
	target/debug/rkgate schema reference > docs/policy-reference.md

# The console's files in src/console/assets, from its sources in console/. Needs Node.js; building rkgate does not.
console: console/node_modules/.package-lock.json
	npm --prefix console run --silent build

# Whether the committed files are what the sources give, byte for byte.
console-check: console/node_modules/.package-lock.json
	@out=$$(mktemp -d) && cd console && npx tsc && node build.mjs "$$out" && diff -r "$$out" ../src/console/assets && rm -r "$$out"

console/node_modules/.package-lock.json: console/package-lock.json
	cd console && npm ci --silent
