//! `workhook::fuzzing::body`, for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| workhook::fuzzing::body(bytes));
