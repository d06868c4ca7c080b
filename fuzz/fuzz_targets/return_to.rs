#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foregate::entrances::return_to(bytes));
