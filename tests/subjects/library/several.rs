//! Servers that wait for several things at once, and answer later (issue 9,
//! point 6): messages, signals and times in one wait.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use postern_tests::runtime::interface::{
    Answer, CallError, Kept, Owned, Reply, Request, interface,
};
use postern_tests::runtime::server::{self, Server};
use postern_tests::runtime::{Mutex, Timers, thread, time};
use postern_tests::syscall::{Notification, Rights, Tag, Timeout, Timeouts, ipc, slots};
use postern_tests::{Ctx, Failure, Verdict, check, check_eq, tests};

tests! {
    several_messages_signals_and_times,
    several_what_is_due_comes_before_messages,
    several_a_client_that_gives_up_is_passed_over,
    several_timers_in_order,
}

/// Waits for everything.
#[interface(protocol = 0x7103)]
pub trait Clock {
    /// Answers after so many microseconds, with the time.
    fn wake(&mut self, microseconds: u64, answer: Answer<'_, u64>);
    /// Answers with the bits that are signalled next.
    fn signalled(&mut self, answer: Answer<'_, u64>);
    /// A copy of the notification, to signal.
    fn bell(&mut self) -> Owned<Notification>;
    /// Answers at once.
    fn now(&mut self) -> u64;
    /// Does something else for so long.
    fn busy(&mut self, microseconds: u64);
    /// How many were woken.
    fn woken(&mut self) -> u64;
    /// How many answers were not wanted any more.
    fn lost(&mut self) -> u64;
}

struct Desk {
    bell: Notification,
    timers: Timers<Kept<u64>>,
    listeners: Vec<Kept<u64>>,
    woken: u64,
    lost: u64,
}

fn micros() -> u64 {
    time::now().as_micros() as u64
}

impl Clock for Desk {
    fn wake(&mut self, microseconds: u64, answer: Answer<'_, u64>) {
        if let Ok(kept) = answer.keep() {
            self.timers.add_after(Duration::from_micros(microseconds), kept);
        }
    }

    fn signalled(&mut self, answer: Answer<'_, u64>) {
        if let Ok(kept) = answer.keep() {
            self.listeners.push(kept);
        }
    }

    fn bell(&mut self) -> Owned<Notification> {
        Owned::copy(self.bell, Rights::W | Rights::GRANT).expect("a slot")
    }

    fn now(&mut self) -> u64 {
        micros()
    }

    fn busy(&mut self, microseconds: u64) {
        time::sleep(Duration::from_micros(microseconds));
    }

    fn woken(&mut self) -> u64 {
        self.woken
    }

    fn lost(&mut self) -> u64 {
        self.lost
    }
}

impl Server for Desk {
    fn call(&mut self, request: Request<'_>) -> Reply {
        ClockServer::dispatch(self, request)
    }

    fn signals(&mut self, bits: u64) {
        for kept in self.listeners.drain(..) {
            kept.send(Ok(bits));
        }
    }

    fn patience(&self) -> Timeout {
        self.timers.patience()
    }

    fn timed_out(&mut self) {
        while let Some(kept) = self.timers.take_due() {
            self.woken += 1;
            self.lost += u64::from(!kept.send(Ok(micros())));
        }
    }
}

/// A clock in a thread of this task.
fn clock() -> Result<ClockClient, Failure> {
    server::cross(0)?;
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    let serving = thread::spawn(move || {
        let bell = match server::notification() {
            Ok(bell) => bell,
            Err(error) => panic!("{error}"),
        };
        let mut desk =
            Desk { bell, timers: Timers::new(), listeners: Vec::new(), woken: 0, lost: 0 };
        *tell.lock() = Some(server::gate(0x40));
        server::serve(&mut desk)
    })?;
    drop(serving);
    for _ in 0..1000 {
        if let Some(gate) = told.lock().take() {
            let gate = gate?;
            ipc::call(
                postern_tests::syscall::Capability::slot(gate),
                Tag::new(1, 0),
                [0; 4],
                Timeouts::NEVER,
            )?;
            return Ok(ClockClient::new(gate));
        }
        time::sleep(Duration::from_micros(100));
    }
    postern_tests::fail!("the clock does not begin")
}

fn several_messages_signals_and_times(_: &Ctx) -> Verdict {
    let clock = clock()?;
    let start = clock.now();
    let start = start.map_err(|_| Failure::new(format_args!("no answer")))?;
    let listener = thread::spawn(move || clock.signalled())?;
    let sleeper = thread::spawn(move || clock.wake(5000))?;
    time::sleep(Duration::from_millis(1));
    // Both wait, and it answers.
    check!(!listener.is_finished() && !sleeper.is_finished());
    check!(clock.now().is_ok_and(|now| now < start + 5000));
    let Ok(bell) = clock.bell() else { postern_tests::fail!("no bell") };
    bell.signal(0x30)?;
    check_eq!(listener.join().ok(), Some(Ok(0x30)));
    check!(!sleeper.is_finished());
    match sleeper.join() {
        Ok(Ok(woken)) => check!(woken >= start + 5000, "{woken} after {start}"),
        other => postern_tests::fail!("{other:?}"),
    }
    Ok(())
}

fn several_what_is_due_comes_before_messages(_: &Ctx) -> Verdict {
    let clock = clock()?;
    let sleeper = thread::spawn(move || clock.wake(1000))?;
    // The server is busy until after that, and a message waits then.
    let busy = thread::spawn(move || clock.busy(4000))?;
    time::sleep(Duration::from_millis(2));
    check!(!busy.is_finished(), "the server is not busy");
    check_eq!(clock.woken(), Ok(1));
    check_eq!(busy.join().ok(), Some(Ok(())));
    check!(sleeper.join().is_ok_and(|woken| woken.is_ok()));
    Ok(())
}

fn several_a_client_that_gives_up_is_passed_over(_: &Ctx) -> Verdict {
    let clock = clock()?;
    let hasty =
        clock.with_timeouts(Timeouts { receive: Timeout::from_ns(1_000_000), ..Timeouts::NEVER });
    let free = free_slots();
    check_eq!(hasty.wake(4000), Err(CallError::TimedOut));
    check_eq!(clock.wake(8000).is_ok(), true);
    check_eq!(clock.lost(), Ok(1));
    // The slots of both rights to answer are free again.
    check_eq!(free_slots(), free);
    Ok(())
}

fn free_slots() -> usize {
    let taken: Vec<_> = core::iter::from_fn(slots::allocate).collect();
    taken.iter().for_each(|slot| slots::release(*slot));
    taken.len()
}

fn several_timers_in_order(_: &Ctx) -> Verdict {
    let mut timers = Timers::new();
    check_eq!((timers.patience(), timers.take_due(), timers.len()), (Timeout::NEVER, None, 0));
    let now = time::now();
    timers.add(now + Duration::from_secs(3600), 4);
    check!(timers.patience() != Timeout::ZERO && timers.patience() != Timeout::NEVER);
    timers.add(now, 2);
    timers.add(Duration::ZERO, 1);
    timers.add(now, 3);
    timers.add(Duration::MAX, 5);
    check_eq!(timers.patience(), Timeout::ZERO);
    let due: Vec<u64> = core::iter::from_fn(|| timers.take_due()).collect();
    check_eq!(due, [1, 2, 3]);
    check_eq!((timers.len(), timers.is_empty()), (2, false));
    Ok(())
}
