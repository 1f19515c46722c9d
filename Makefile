# `make demo` and `make test` do all the set-up on a machine that has Rust and a C compiler.

.PHONY: demo test check prerequisites build bench bench-ingest bench-query bench-rca help

help:
	@echo "make demo   build, start the engine and the lab, inject a fault, print the verdict"
	@echo "make test   format, lints, unit, golden, crash and end-to-end tests"
	@echo "make bench  criterion benchmarks (release build: about 25 minutes the first time)"
	@echo "make bench-ingest  remote-write beside prometheus and victoria-metrics, OTLP alone (release build)"
	@echo "make bench-query   the same queries to all three over the same data (release build)"
	@echo "make bench-rca  the recorded faults in ../shared/rca: predictions, their score (docs/accuracy.md)"

prerequisites:
	@sh scripts/prerequisites.sh

build: prerequisites
	cargo build --locked -p demarc -p demarc-lab

demo: build
	cargo run --locked --quiet -p demarc-lab -- demo

check: prerequisites
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

test: check
	cargo test --locked --workspace

bench: prerequisites
	cargo bench --locked -p demarc-benches

bench-ingest: prerequisites
	cargo build --locked --release -p demarc -p demarc-benches
	target/release/demarc-bench ingest
	target/release/demarc-bench otlp

bench-query: prerequisites
	cargo build --locked --release -p demarc -p demarc-benches
	target/release/demarc-bench query

RCA = ../shared/rca

bench-rca: build
	mkdir -p target/rca
	target/debug/demarc-lab rca $(RCA)/nezha --out target/rca/nezha.jsonl
	target/debug/demarc-lab rca $(RCA)/petshop --out target/rca/petshop.jsonl
	cat target/rca/nezha.jsonl target/rca/petshop.jsonl > target/rca/predictions.jsonl
	python3 $(RCA)/score.py --labels $(RCA)/nezha/labels.jsonl --labels $(RCA)/petshop/labels.jsonl \
		--pred target/rca/predictions.jsonl --misses
