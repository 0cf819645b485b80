//! What a panic does: say where and why on the log, end the thread with a code
//! that nothing else uses.

use core::panic::PanicInfo;

use crate::termination::{exit, exit_code};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => crate::log!("panicked at {location}: {}", info.message()),
        None => crate::log!("panicked: {}", info.message()),
    }
    exit(exit_code::PANIC)
}
