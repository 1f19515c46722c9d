//! Records of the write-ahead log: what they promise stands beside what feeds them, in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(
    // libFuzzer's hook would end the program at panics that the reader catches. Those that it does not catch end it all the same.
    init: drop(std::panic::take_hook()),
    |bytes: &[u8]| demarc_fuzz::feed(demarc_fuzz::Target::WalRecord, bytes)
);
