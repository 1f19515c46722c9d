#!/usr/bin/env bash
# Feeds the fuzz targets for a bounded time each: scripts/fuzz.sh [SECONDS] [TARGET...]; 20 s and all targets by default.
#
# Needs no cargo-fuzz and no nightly Rust. What has crashed, hung or taken more than a gigabyte is left in
# target/fuzz/found/. `FUZZ_SEED` chooses another course of chance.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    mapfile -t targets < <(sed -n 's/^name = "fuzz_\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -vx seeds)
fi

# All of the workspace is selected, so that crates from outside have the features with which the tests were built.
RUSTC_WORKSPACE_WRAPPER="$PWD/scripts/instrumented-rustc.sh" cargo build --locked --workspace \
    --features demarc-fuzz/libfuzzer --example fuzz_seeds "${targets[@]/#/--bin=fuzz_}"

export work=target/fuzz seconds seed=${FUZZ_SEED:-1}
rm -rf "$work/found" "$work/tmp" "$work/seeds"
mkdir -p "$work/found" "$work/tmp"
trap 'rm -rf "$work/tmp"' EXIT
export TMPDIR="$PWD/$work/tmp"
FUZZ_SEEDS="$work/seeds" target/debug/examples/fuzz_seeds -runs=0 2>/dev/null

feed() {
    local target=$1 log="$work/$1.log" known=()
    mkdir -p "$work/corpus/$target"
    if [ -d "fuzz/found/$target" ]; then known=("fuzz/found/$target"); fi
    if ! "target/debug/fuzz_$target" -max_total_time="$seconds" -seed="$seed" -timeout=10 -rss_limit_mb=1024 \
        -max_len=32768 -print_final_stats=1 -artifact_prefix="$work/found/$target-" \
        "$work/corpus/$target" "$work/seeds/$target" "${known[@]}" >"$log" 2>&1; then
        grep -v '^#' "$log" | tail -n 40
        echo "fuzz_$target failed: see $log and $work/found/"
        return 1
    fi
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
    echo "fuzz_$target: $runs inputs, $coverage"
}
export -f feed

printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'feed "$1"' _ {}
