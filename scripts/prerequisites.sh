#!/bin/sh
# Names what is missing on this machine, each with the command that installs it; with `fuzz`, what fuzzing needs as well.
missing=0

need() {
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "missing: $2. Install it with: $3" >&2
        missing=1
    fi
}

need cargo "Rust 1.95 or newer" "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
need cc "a C compiler" "sudo apt-get install build-essential   (macOS: xcode-select --install)"

# libFuzzer is written in it.
if [ "${1:-}" = fuzz ]; then
    need c++ "a C++ compiler" "sudo apt-get install build-essential   (macOS: xcode-select --install)"
fi

if command -v rustc >/dev/null 2>&1; then
    version=$(rustc --version | cut -d' ' -f2)
    oldest=$(printf '1.95.0\n%s\n' "${version%%-*}" | sort -V | head -n 1)
    if [ "$oldest" != "1.95.0" ]; then
        echo "missing: Rust 1.95 or newer, this is $version. Install it with: rustup update stable" >&2
        missing=1
    fi
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        echo "missing: rustfmt and clippy. Install them with: rustup component add rustfmt clippy" >&2
        missing=1
    fi
fi

exit $missing
