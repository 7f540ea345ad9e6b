//! `workhook::fuzzing::mention`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| workhook::fuzzing::mention(bytes));
