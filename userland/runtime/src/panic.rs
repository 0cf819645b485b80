//! What a panic does: say where and why on the log, have the kernel report the
//! calls that led there and who waits for the thread, end the thread with a code
//! that nothing else uses.

use core::panic::PanicInfo;

use postern_syscall::control;

use crate::termination::exit_code;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => crate::log!("panicked at {location}: {}", info.message()),
        None => crate::log!("panicked: {}", info.message()),
    }
    control::panic(exit_code::PANIC as u64)
}
