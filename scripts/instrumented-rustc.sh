#!/bin/sh
# Stands before rustc for the crates of this workspace only (RUSTC_WORKSPACE_WRAPPER): adds the instrumentation that libFuzzer
# is guided by, with the flags of cargo-fuzz. Crates from outside stay those of the ordinary debug build.
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
