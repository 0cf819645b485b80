//! Rows L11 and L13: threads that are destroyed or cancelled in each phase of
//! an IPC, and the errors of both sides.

use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::{
    Capability, ErrorCode, ErrorNumber, Gate, Item, Message, Notification, Phase, Slot, Timeout,
    Timeouts, control, ipc, utcb,
};
use postern_tests::{
    Body, Ctx, Failure, Partner, Verdict, board, check, check_eq, op, received, sent, tell, tests,
    told,
};

use crate::{ONE, PROTOCOL, answer, arguments, call_it, receive, send_it, send_now, slot_of};

tests! {
    gate_c52_cancelled_in_each_phase,
    gate_c65_destroyed_in_each_phase = 60,
    l11_sender_destroyed_at_the_gate,
    l11_sender_destroyed_at_the_thread,
    l13_every_error_is_distinct,
}

/// What a thread waits in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Waiting {
    AtGate,
    AtThread,
    ForAnswer,
    Open,
    ForGate,
    ForPartner,
    ForSignals,
    Asleep,
}

const ALL: [Waiting; 8] = [
    Waiting::AtGate,
    Waiting::AtThread,
    Waiting::ForAnswer,
    Waiting::Open,
    Waiting::ForGate,
    Waiting::ForPartner,
    Waiting::ForSignals,
    Waiting::Asleep,
];

/// Waits for a source only, with the timeout never.
fn receive_only(slot: u64) -> u64 {
    tell(ipc::receive_from(slot_of(slot), Timeout::NEVER))
}

impl Waiting {
    const fn state(self) -> ThreadState {
        match self {
            Self::AtGate | Self::AtThread => ThreadState::Sending,
            Self::ForAnswer => ThreadState::Calling,
            Self::Open | Self::ForGate | Self::ForPartner | Self::ForSignals => {
                ThreadState::Receiving
            }
            Self::Asleep => ThreadState::Sleeping,
        }
    }

    const fn cancelled(self) -> ErrorCode {
        match self {
            Self::AtGate | Self::AtThread => sent(ErrorNumber::Cancelled),
            Self::Asleep => op(ErrorNumber::Cancelled, 0),
            _ => received(ErrorNumber::Cancelled),
        }
    }
}

/// What a thread needs to wait in each way. Its own gate and notification are
/// bound to it, the others to this thread.
struct Stage {
    unbound: Gate,
    gate: Gate,
    own: Gate,
    signals: Notification,
}

impl Stage {
    fn new(ctx: &Ctx) -> Result<Self, Failure> {
        Ok(Self {
            unbound: ctx.unbound()?,
            gate: ctx.gate(0x40)?,
            own: ctx.unbound()?,
            signals: ctx.notification()?,
        })
    }

    /// A thread that waits so.
    fn enter(&self, ctx: &Ctx, how: Waiting) -> Result<Partner, Failure> {
        let mut partner = ctx.helper(100)?;
        self.own.bind(partner.thread(), 0x80)?;
        self.signals.bind(partner.thread())?;
        let (body, argument): (Body, u64) = match how {
            Waiting::AtGate => (call_it, arguments(self.unbound, 0)),
            Waiting::AtThread | Waiting::ForAnswer => (call_it, arguments(self.gate, 0)),
            Waiting::Open => (|_| tell(ipc::receive(Timeout::NEVER)), 0),
            Waiting::ForGate => (receive_only, self.own.slot().word()),
            Waiting::ForPartner => (receive_only, ctx.thread.slot().word()),
            Waiting::ForSignals => (receive_only, self.signals.slot().word()),
            Waiting::Asleep => (|_| tell(control::sleep_until(u64::MAX)), 0),
        };
        partner.start(body, argument)?;
        if how == Waiting::ForAnswer {
            check_eq!(receive()?.words[0], 0);
        }
        partner.await_state(ctx, how.state())?;
        Ok(partner)
    }

    /// Nothing of a thread that waited so is left.
    fn is_clean(&self, ctx: &Ctx, how: Waiting) -> Verdict {
        if how == Waiting::ForAnswer {
            check_eq!(answer(0, 0), Err(sent(ErrorNumber::NotExistent)), "{how:?}: a late answer");
        }
        self.unbound.bind(ctx.thread, 0xc0)?;
        let nothing = ipc::receive(Timeout::ZERO).map(drop);
        check_eq!(nothing, Err(received(ErrorNumber::Timeout)), "{how:?}: a message is left");
        Ok(self.unbound.unbind()?)
    }
}

fn gate_c52_cancelled_in_each_phase(ctx: &Ctx) -> Verdict {
    let stage = Stage::new(ctx)?;
    for how in ALL {
        let partner = stage.enter(ctx, how)?;
        partner.thread().cancel()?;
        check_eq!(told(partner.join()?), Err(how.cancelled()), "{how:?}");
        stage.is_clean(ctx, how)?;
    }
    Ok(())
}

fn gate_c65_destroyed_in_each_phase(ctx: &Ctx) -> Verdict {
    let stage = Stage::new(ctx)?;
    drop(stage.enter(ctx, Waiting::Open)?);
    let before = ctx.charged()?;
    for round in 0..20 {
        for how in ALL {
            let partner = stage.enter(ctx, how)?;
            // A caller of this thread, where it waits for something else.
            let caller = match how {
                Waiting::Open | Waiting::ForGate => None,
                _ => Some(crate::waiting(ctx, 100, call_it, arguments(stage.own, 0))?),
            };
            ctx.task.destroy(partner.thread().slot())?;
            if let Some(caller) = caller {
                let error = told(caller.join()?);
                check_eq!(error, Err(sent(ErrorNumber::Aborted)), "{how:?}, round {round}");
            }
            let late = send_now(stage.own, 0);
            check_eq!(late, Err(sent(ErrorNumber::NotExistent)), "{how:?}: sent to it later");
            stage.is_clean(ctx, how)?;
        }
    }
    let came_back = ctx.wait_until(|| ctx.charged().is_ok_and(|charged| charged == before));
    check!(came_back, "{before} bytes became {}", ctx.charged()?);
    Ok(())
}

fn l11_sender_destroyed_at_the_gate(ctx: &Ctx) -> Verdict {
    let gate = ctx.unbound()?;
    let [first, middle, last] =
        [1, 2, 3].map(|n| crate::waiting(ctx, 100, send_it, arguments(gate, n)));
    let (first, middle, last) = (first?, middle?, last?);
    ctx.task.destroy(middle.thread().slot())?;
    gate.bind(ctx.thread, 0x40)?;
    check_eq!([receive()?.words[0], receive()?.words[0]], [1, 3]);
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    check_eq!([first.join()?, last.join()?], [0, 0]);
    Ok(())
}

fn l11_sender_destroyed_at_the_thread(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    let [first, middle, last] =
        [1, 2, 3].map(|n| crate::waiting(ctx, 100, send_it, arguments(gate, n)));
    let (first, middle, last) = (first?, middle?, last?);
    ctx.task.destroy(first.thread().slot())?;
    ctx.task.destroy(last.thread().slot())?;
    check_eq!(receive()?.words[0], 2);
    check_eq!(ipc::receive(Timeout::ZERO).map(drop), Err(received(ErrorNumber::Timeout)));
    check_eq!(middle.join()?, 0);
    Ok(())
}

/// A body that receives a call and, as word 1 of the board says, drops the
/// right to answer it or ends.
fn receive_and_fail(slot: u64) -> u64 {
    let got = receive();
    if board::get(1) == 1 {
        let saved = control::save_reply(slot_of(slot));
        let task = postern_tests::runtime::own::task();
        let deleted = task.map(|task| task.delete(slot_of(slot)));
        return tell(saved) + u64::from(deleted.is_err());
    }
    tell(got)
}

fn l13_every_error_is_distinct(ctx: &Ctx) -> Verdict {
    let mut errors = alloc::vec::Vec::new();
    let mut note = |result: Result<(), ErrorCode>, number, phase| -> Verdict {
        let error = match result {
            Err(error) => error,
            Ok(()) => postern_tests::fail!("{number:?} in phase {phase:?} did not come"),
        };
        check_eq!((error.number, error.phase), (number, phase));
        check!(!errors.contains(&error.encode()), "{error} came before");
        errors.push(error.encode());
        Ok(())
    };
    let gate = ctx.unbound()?;
    note(send_now(gate, 0), ErrorNumber::Timeout, Phase::Send)?;
    note(ipc::receive(Timeout::ZERO).map(drop), ErrorNumber::Timeout, Phase::Receive)?;
    let stage = Stage::new(ctx)?;
    for how in [Waiting::AtGate, Waiting::Open] {
        let partner = stage.enter(ctx, how)?;
        partner.thread().cancel()?;
        let phase = how.cancelled().phase;
        note(told(partner.join()?), ErrorNumber::Cancelled, phase)?;
    }
    let empty = ctx.slot()?;
    let missing = ipc::call(empty, ONE, [0; 4], Timeouts::NEVER).map(drop);
    note(missing, ErrorNumber::NotExistent, Phase::Send)?;
    let missing = ipc::receive_from(empty, Timeout::NEVER).map(drop);
    note(missing, ErrorNumber::NotExistent, Phase::Receive)?;
    // The right to answer is dropped, then its holder dies, with a sender left.
    for how in [1, 0] {
        board::set(1, how);
        let mut server = ctx.helper(100)?;
        let gate = ctx.gate_to(server.thread(), 0x40)?;
        server.start(receive_and_fail, empty.word())?;
        let called = ipc::call(gate.slot(), ONE, [0; 4], Timeouts::NEVER).map(drop);
        check_eq!(called.map_err(|error| error.argument), Err(how as u8));
        note(called, ErrorNumber::Aborted, Phase::Receive)?;
    }
    let partner = stage.enter(ctx, Waiting::Asleep)?;
    let queued = crate::waiting(ctx, 100, call_it, arguments(stage.own, 0))?;
    ctx.task.destroy(partner.thread().slot())?;
    note(told(queued.join()?), ErrorNumber::Aborted, Phase::Send)?;
    // An item without a window: the sender's error, and the receiver's.
    utcb::set_windows(&[]);
    let body: Body = |slot| {
        let mut message = Message::new(PROTOCOL);
        let _ = message.push_item(Item::all(Slot::new(slot as u32)));
        tell(message.send(Slot::new(slot as u32), Timeout::NEVER))
    };
    let partner = crate::waiting(ctx, 100, body, ctx.gate(0x40)?.slot().word())?;
    note(receive().map(drop), ErrorNumber::MsgCut, Phase::Receive)?;
    note(told(partner.join()?), ErrorNumber::MsgCut, Phase::Send)
}
