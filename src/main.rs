//! The binary: the program without functions of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    workhook::main(|app| app)
}
