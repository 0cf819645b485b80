//! A server of hypercalls for the tests: a thread of the same task.

use alloc::vec::Vec;

use postern_tests::hypercall::{Namespace, Outputs};
use postern_tests::syscall::abi::tag::protocol::HYPERCALL;
use postern_tests::syscall::{DeliveryKind, Message, Timeout, ipc};
use postern_tests::{Body, Ctx, Failure, Partner, Verdict, patience};

/// Calls that the server knows beside those of the convention.
pub mod code {
    /// Each output is the input of its register, all bits inverted.
    pub const INVERT: u32 = 0x100;
    /// Fails with the number in argument 0.
    pub const FAIL: u32 = 0x101;
    /// Returns the inputs: the code word first.
    pub const ECHO: u32 = 0x102;
    /// The server drops the right to answer.
    pub const DROP: u32 = 0x103;
    /// The server ends.
    pub const END: u32 = 0x104;
}

/// The UUID that the server gives.
pub const UUID: &[u8; 36] = b"8E2F0A7C-1B3D-4E5F-8091-A2B3C4D5E6F7";
/// The tag of its dumps: as long as can be.
pub const TAG: &[u8; 56] = b"vmcore.postern.0123456789.0123456789.0123456789.0123456.";
/// What it adds to TSC base minus nanosecond base.
pub const OFFSET: u64 = 1000;

/// What the server answers to KVM's call number 1, which shares its number with
/// a call of the convention.
pub const KVM_ANSWER: u64 = 0x004b_564d;

/// Label bit: the call failed.
const FAILED: u64 = 1;

/// Binds a server to the hypercall gate of this task.
///
/// # Errors
/// The kernel refused.
pub fn serve(ctx: &Ctx) -> Result<Partner, Failure> {
    serve_with(ctx, run)
}

/// The same with another server.
///
/// # Errors
/// The kernel refused.
pub fn serve_with(ctx: &Ctx, body: Body) -> Result<Partner, Failure> {
    let mut server = ctx.helper(100)?;
    let gate = ctx.gate_to(server.thread(), 0x40)?;
    ctx.task.set_hypercall_gate(Some(gate))?;
    server.start(body, 0)?;
    Ok(server)
}

/// The answer to a call: label and words.
fn answer(inputs: &[u64]) -> (u64, [u64; 7]) {
    let mut outputs = [0; 7];
    let code = match Namespace::of(inputs[0]) {
        Namespace::Xnu(code) => code,
        Namespace::Other(1) => return (0, [KVM_ANSWER, 0, 0, 0, 0, 0, 0]),
        Namespace::Other(_) => return (FAILED, [2, 0, 0, 0, 0, 0, 0]),
    };
    match code {
        1 if inputs[1] == 1 => (0, Outputs::from_bytes(*TAG).0),
        // Only these values may be told.
        2 if inputs[1..] == [1, 2, 3, 4, 5, 6] => (0, outputs),
        3 => {
            outputs[1] = inputs[1].wrapping_sub(inputs[2]).wrapping_add(OFFSET);
            (0, outputs)
        }
        4 => {
            // What lies behind the text must not be taken for a part of it.
            let mut bytes = [b'?'; 56];
            bytes[..36].copy_from_slice(UUID);
            (0, Outputs::from_bytes(bytes).0)
        }
        1 | 2 => (FAILED, [3, 0, 0, 0, 0, 0, 0]),
        code::INVERT => {
            for (output, input) in outputs.iter_mut().zip(inputs) {
                *output = !input;
            }
            (0, outputs)
        }
        code::FAIL => (FAILED, [inputs[1], 0, 0, 0, 0, 0, 0]),
        code::ECHO => {
            outputs.copy_from_slice(inputs);
            (0, outputs)
        }
        _ => (FAILED, [2, 0, 0, 0, 0, 0, 0]),
    }
}

fn run(_: u64) -> u64 {
    loop {
        let Ok(delivery) = ipc::receive(Timeout::NEVER) else { return 1 };
        let message = Message::from_delivery(&delivery);
        let known = delivery.kind == DeliveryKind::Call
            && delivery.label == 0x40
            && message.protocol() == HYPERCALL
            && message.words().len() == 7;
        if !known {
            return 2;
        }
        match Namespace::of(message.word(0)) {
            Namespace::Xnu(code::DROP) => return drop_it(),
            Namespace::Xnu(code::END) => return 3,
            _ => {}
        }
        let (label, words) = answer(message.words());
        if Message::with_words(0, &words).reply(label).is_err() {
            return 4;
        }
    }
}

/// Saves the right to answer and deletes it; ends later.
fn drop_it() -> u64 {
    let Ok(slot) = postern_tests::runtime::slots::allocate() else { return 5 };
    let saved = postern_tests::syscall::control::save_reply(slot);
    let own = postern_tests::runtime::own::task();
    let (Ok(()), Ok(own)) = (saved, own) else { return 6 };
    if own.delete(slot).is_err() {
        return 7;
    }
    let _ = ipc::receive(Timeout::NEVER);
    0
}

/// Waits for `count` hypercalls and keeps what they were made with.
///
/// # Errors
/// Something else came.
pub fn received(count: usize) -> Result<Vec<[u64; 7]>, Failure> {
    let mut all = Vec::new();
    for _ in 0..count {
        let delivery = ipc::receive(patience())?;
        let message = Message::from_delivery(&delivery);
        let mut words = [0; 7];
        words.copy_from_slice(message.words());
        all.push(words);
        answer_with(0, &[])?;
    }
    Ok(all)
}

/// Answers the last call.
///
/// # Errors
/// The kernel refused.
pub fn answer_with(label: u64, words: &[u64]) -> Verdict {
    Message::with_words(0, words).reply(label)?;
    Ok(())
}
