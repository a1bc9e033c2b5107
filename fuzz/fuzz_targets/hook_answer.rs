#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hufu_fuzz::hook_answer::check(data));
