//! A server behind an entry: contexts that share one server value.
//!
//! One handler at a time works with the server. Others wait by sleeping, on
//! their callers' time and in no order; a caller with a deadline leaves its
//! handler as an orphan. The program's own thread goes on receiving what is
//! bound to it (signals, messages of the kernel) and is one of them.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use postern_interface::{MAX_ITEMS, Reply, Request, Server, Station};
use postern_syscall::abi::op::entry::ContextState;
use postern_syscall::abi::op::thread::ThreadState;
use postern_syscall::abi::utcb::WINDOWS;
use postern_syscall::{
    Delivery, Entry, ErrorCode, ErrorNumber, Notification, Slot, Tag, Thread, ThreadInfo, Timeout,
    control,
};

use crate::crossing::{Answer, Stack, entry_point};
use crate::error::Error;
use crate::termination::exit_code;
use crate::{log, own, slots, thread, time};

/// Bytes of a context's stack.
const STACK: u64 = 32 * 1024;
/// Bytes of the watcher's stack.
const WATCHER_STACK: u64 = 16 * 1024;
/// How long a handler sleeps before it looks again whether the server is free.
const PAUSE: Duration = Duration::from_micros(20);
/// The bit that says that a context was quarantined.
const FAILED: u64 = 1;
/// Nobody works with the server.
const FREE: u64 = 0;
/// The program's own thread does.
const MAIN: u64 = 1;
/// The first context does; the others follow.
const FIRST: u64 = 2;

/// Who works with the server.
struct Door {
    holder: AtomicU64,
    /// A handler ended while it worked with the server.
    has_failed: AtomicBool,
}

/// The server, and who works with it.
struct Hall<S: ?Sized> {
    door: &'static Door,
    server: UnsafeCell<*mut S>,
}

// SAFETY: the pointer is used by one thread at a time (`with`), and what it
// points to may be used by any (`S: Send`).
unsafe impl<S: ?Sized + Send> Sync for Hall<S> {}

impl<S: Server + Send + ?Sized> Hall<S> {
    /// Works with the server, once it is free.
    fn with<T>(&self, who: u64, work: impl FnOnce(&mut S) -> T) -> T {
        let take = || {
            let order = (Ordering::Acquire, Ordering::Relaxed);
            self.door.holder.compare_exchange(FREE, who, order.0, order.1).is_ok()
        };
        while !take() {
            if self.door.has_failed.load(Ordering::Relaxed) {
                // In a context this ends the crossing, in the program's thread
                // the program.
                control::exit(exit_code::ERROR as u64)
            }
            time::sleep(PAUSE);
        }
        // SAFETY: `holder` says that it is ours alone; the server outlives the
        // hall (`serve`).
        let outcome = work(unsafe { &mut **self.server.get() });
        self.door.holder.store(FREE, Ordering::Release);
        outcome
    }
}

/// What a context's handler needs.
struct Context<'h, S: ?Sized> {
    hall: &'h Hall<S>,
    station: Station,
    /// Its number among those of this program, from [`FIRST`] on.
    who: u64,
}

/// The handler of all contexts.
fn arrive<S: Server + Send + ?Sized>(delivery: Delivery, context: u64) -> Answer {
    // SAFETY: `open` made it for this context alone, which runs one handler at
    // a time, and it is never freed.
    let Context { hall, station, who } = unsafe { &mut *(context as *mut Context<'_, S>) };
    if !hall.with(*who, |server| station.arrive(server, &delivery)) {
        return Answer { label: 0, tag: Tag::default(), words: [0; 4] };
    }
    // Not in there: an answer with capabilities does not come back from here.
    let (tag, words) = station.leave(delivery.tag.protocol());
    Answer { label: 0, tag, words }
}

/// The program's own thread: whatever reaches it works with the same server.
struct Main<'h, S: ?Sized>(&'h Hall<S>, usize);

impl<S: Server + Send + ?Sized> Server for Main<'_, S> {
    fn call(&mut self, request: Request<'_>) -> Reply {
        self.0.with(MAIN, |server| server.call(request))
    }

    fn message(&mut self, request: Request<'_>) {
        self.0.with(MAIN, |server| server.message(request));
    }

    fn signals(&mut self, bits: u64) {
        self.0.with(MAIN, |server| server.signals(bits));
    }

    fn patience(&self) -> Timeout {
        self.0.with(MAIN, |server| server.patience())
    }

    fn timed_out(&mut self) {
        self.0.with(MAIN, Server::timed_out);
    }

    fn windows(&self) -> usize {
        self.1
    }
}

/// Serves behind `entry`; ends the program when that becomes impossible.
///
/// The error is one of making the contexts, before anybody can cross.
pub fn serve<S: Server + Send + ?Sized>(server: &mut S, entry: Entry, count: u32) -> ErrorCode {
    let windows = server.windows();
    let door = Door { holder: AtomicU64::new(FREE), has_failed: AtomicBool::new(false) };
    let hall = Hall { door: Box::leak(Box::new(door)), server: UnsafeCell::new(server) };
    // From the first context on this function does not return, and the stack
    // with the server stays mapped as long as the program's task lives: the
    // server outlives every handler.
    let hall = &*Box::leak(Box::new(hall));
    if let Err(error) = open(hall, entry, count, windows) {
        return error;
    }
    let error = postern_interface::serve(&mut Main(hall, windows));
    log!("the server cannot receive any more: {error}");
    control::exit(exit_code::ERROR as u64)
}

/// Makes the contexts. Having made one, it succeeds.
fn open<S: Server + Send + ?Sized>(
    hall: &Hall<S>,
    entry: Entry,
    count: u32,
    windows: usize,
) -> Result<(), ErrorCode> {
    let doing = |error: Error| {
        log!("serving behind an entry: {error}");
        ErrorCode::new(ErrorNumber::NoMem, 0)
    };
    let factory = own::factory().map_err(doing)?;
    let ended =
        slots::fill("creating a notification", "factory", |slot| factory.create_notification(slot))
            .map_err(doing)?;
    entry.bind_notification(ended, FAILED)?;
    let mut info = entry.info()?;
    info.handler = entry_point();
    entry.set(&info, None)?;
    let mut numbers = Vec::with_capacity(count as usize);
    for who in FIRST..FIRST + u64::from(count) {
        let context =
            Box::leak(Box::new(Context { hall, station: Station::of_context(windows), who }));
        let declared = Vec::from(context.station.windows());
        let word = core::ptr::from_mut(context) as u64;
        let made = Stack::with(STACK, arrive::<S>, word)
            .map_err(doing)
            .and_then(|stack| Ok((entry.add_context(stack.top())?, stack)));
        match made {
            Ok((context, stack)) => {
                declare(context.utcb, &declared);
                stack.leak();
                numbers.push(context.number);
            }
            // As many as there is memory for.
            Err(error) if !numbers.is_empty() => log!("a context cannot be made: {error}"),
            Err(error) => return Err(error),
        }
    }
    let door = hall.door;
    let main = own::thread().map_err(doing)?;
    let watch = move || watch(door, entry, ended, &numbers, main);
    if let Err(error) = thread::Builder::new().stack(WATCHER_STACK).spawn(watch) {
        log!("nobody looks after handlers that end early: {error}");
    }
    Ok(())
}

/// Declares the slots for capabilities in the UTCB of a context that was just
/// made. A caller that waited for it and is of higher priority than this thread
/// may be in there before: if it has capabilities, it gets `MsgCut`.
fn declare(utcb: u64, windows: &[Slot]) {
    for (index, slot) in windows.iter().take(MAX_ITEMS).enumerate() {
        // SAFETY: the kernel has mapped a UTCB there, of a context that this
        // module never removes; the word is inside, and for user programs to write.
        unsafe { (utcb as *mut u64).add(WINDOWS + index).write_volatile(slot.word()) };
    }
}

/// Looks after handlers that did not return: makes their contexts free again,
/// or ends the program if the server was in their hands.
fn watch(door: &Door, entry: Entry, ended: Notification, numbers: &[u64], main: Thread) {
    while ended.wait(Timeout::NEVER).is_ok() {
        for (who, number) in (FIRST..).zip(numbers) {
            if !is_quarantined(entry, *number) {
                continue;
            }
            if door.holder.load(Ordering::Acquire) == who {
                log!("a handler ended in the middle of the server's work");
                door.has_failed.store(true, Ordering::Relaxed);
                end(main);
                return;
            }
            // Somebody else may have been faster.
            let _ = entry.reset_context(*number, None);
        }
    }
}

fn is_quarantined(entry: Entry, number: u64) -> bool {
    entry.context(number).is_ok_and(|it| it.state == Some(ContextState::Quarantined))
}

/// Makes the program's own thread look at the door, until it has.
fn end(main: Thread) {
    let is_over =
        |info: ThreadInfo| matches!(info.state, Some(ThreadState::Exited | ThreadState::Faulted));
    while main.info().is_ok_and(|info| !is_over(info)) {
        // It may have been about to wait.
        let _ = main.cancel();
        time::sleep(Duration::from_millis(1));
    }
}
