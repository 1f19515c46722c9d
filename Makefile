# `make demo` and `make test` do all the set-up on a machine that has Rust and a C compiler.

.PHONY: target/rca demo test check fuzz prerequisites build bench bench-ingest bench-query bench-rca bench-rca-all help

help:
	@echo "make demo   build, start the engine and the lab, inject a fault, print the verdict"
	@echo "make test   format, lints, unit, golden, crash and end-to-end tests"
	@echo "make fuzz   libFuzzer against every decoder, the write-ahead log's reader and the parsers, 20 s each (needs a C++ compiler)"
	@echo "make bench  criterion benchmarks (release build: about 25 minutes the first time)"
	@echo "make bench-ingest  remote-write beside prometheus and victoria-metrics, OTLP alone (release build)"
	@echo "make bench-query   the same queries to all three over the same data, 64 dashboards at once (release build)"
	@echo "make bench-rca  the recorded faults in ../shared/rca: predictions, their score (docs/accuracy.md; release build)"
	@echo "make bench-rca-all  the same with late and early onsets, forgotten calls, sampled traces, without logs or spans, in peace; reliability of the confidence"

prerequisites:
	@sh scripts/prerequisites.sh

build: prerequisites
	cargo build --locked -p demarc -p demarc-lab

demo: build
	target/debug/demarc-lab demo

check: prerequisites
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

test: check
	cargo test --locked --workspace

fuzz: prerequisites
	@sh scripts/prerequisites.sh fuzz
	scripts/fuzz.sh

bench: prerequisites
	cargo bench --locked -p demarc-benches

bench-ingest: prerequisites
	cargo build --locked --release -p demarc -p demarc-benches
	target/release/demarc-bench ingest
	target/release/demarc-bench otlp

bench-query: prerequisites
	cargo build --locked --release -p demarc -p demarc-benches
	target/release/demarc-bench query
	target/release/demarc-bench dashboards --series 30000

RCA = ../shared/rca

LAB = target/release/demarc-lab
SETS = nezha petshop

target/rca: prerequisites
	cargo build --locked --release -p demarc-lab
	mkdir -p target/rca

# $(call judged,NAME,OPTIONS): both sets under some options, each set's table, and the score of both together.
define judged
	@for set in $(SETS); do echo "== $$set $(2)"; \
		$(LAB) rca $(RCA)/$$set $(2) --out target/rca/$$set-$(1).jsonl || exit 1; done
	@cat $(SETS:%=target/rca/%-$(1).jsonl) > target/rca/$(1).jsonl
	@python3 $(RCA)/score.py $(SETS:%=--labels $(RCA)/%/labels.jsonl) --pred target/rca/$(1).jsonl --misses
endef

bench-rca: target/rca
	$(call judged,whole)

bench-rca-all: bench-rca
	$(call judged,late,--onset-shift 60s)
	$(call judged,early,--onset-shift=-60s)
	$(call judged,edges-0,--drop-edges 0.1 --seed 0)
	$(call judged,edges-1,--drop-edges 0.1 --seed 1)
	$(call judged,edges-2,--drop-edges 0.1 --seed 2)
	$(call judged,sampled,--sample-traces 0.5)
	$(call judged,no-logs,--without logs)
	$(call judged,no-traces,--without traces)
	@for set in $(SETS); do echo "== $$set in peace"; $(LAB) rca $(RCA)/$$set --fault-free 50 || exit 1; done
	$(LAB) reliability $(SETS:%=--set $(RCA)/%) target/rca/whole.jsonl target/rca/late.jsonl \
		target/rca/nezha-no-logs.jsonl target/rca/nezha-no-traces.jsonl
	$(LAB) reliability $(SETS:%=--set $(RCA)/%) target/rca/edges-*.jsonl target/rca/nezha-sampled.jsonl
