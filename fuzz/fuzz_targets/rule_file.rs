//! Rule files: what they promise stands beside what feeds them, in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| demarc_fuzz::feed(demarc_fuzz::Target::RuleFile, bytes));
