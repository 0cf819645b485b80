//! The kernel's part: which instructions are hypercalls, and what becomes of a
//! call whose server is missing, dies, or gives up (row A10).

use postern_tests::bare::call::Registers;
use postern_tests::bare::hypercall::{OPCODES, calls};
use postern_tests::bare::memory::{execute, write};
use postern_tests::bare::privileged::undefined;
use postern_tests::handler::handled;
use postern_tests::hypercall::{Error, Opcode, code_word};
use postern_tests::syscall::abi::PAGE;
use postern_tests::syscall::abi::op::task::SET_HYPERCALL_GATE;
use postern_tests::syscall::abi::op::thread::ThreadState;
use postern_tests::syscall::abi::tag::protocol::{FAULT, HYPERCALL};
use postern_tests::syscall::{
    Capability, DeliveryKind, ErrorCode, ErrorNumber, Item, Message, Rights, Slot, Tag, ipc,
    operate,
};
use postern_tests::{Body, Ctx, Failure, Verdict, check, check_eq, op, patience, sent, tests};

use crate::server::{answer_with, code, serve};

tests! {
    a10_without_a_gate_the_code_is_invalid,
    a10_gates_that_nobody_stands_behind,
    a10_the_message_and_its_answer,
    a10_short_and_long_answers,
    a10_only_these_two_instructions,
    a10_instruction_across_a_page,
    a10_comes_before_the_fault_handler,
    a10_server_drops_the_call,
    a10_server_dies,
    a10_caller_is_cancelled,
    a10_caller_dies_while_it_is_answered,
    a10_answer_with_items_is_refused,
    a10_flood,
    a10_set_hypercall_gate_errors,
}

/// Where tests put code.
const AT: u64 = 0xc_0000_0000;

fn a10_without_a_gate_the_code_is_invalid(ctx: &Ctx) -> Verdict {
    for _ in 0..2 {
        let before = Registers::patterned(code_word(1));
        for after in [before.vmcall(), before.vmmcall()] {
            let zero = Registers { rdi: 0, rsi: 0, rdx: 0, rcx: 0, r8: 0, r9: 0, ..before };
            check_eq!(after, Registers { rax: 2, flags: before.flags | 1, ..zero });
        }
        // Set, and taken back.
        ctx.task.set_hypercall_gate(Some(ctx.gate(0x40)?))?;
        ctx.task.set_hypercall_gate(None)?;
    }
    Ok(())
}

fn a10_gates_that_nobody_stands_behind(ctx: &Ctx) -> Verdict {
    let invalid = Err(Error::InvalidCode);
    let call = || calls(Opcode::Vmcall).hypercall0(1);
    let gate = ctx.unbound()?;
    ctx.task.set_hypercall_gate(Some(gate))?;
    check_eq!(call(), invalid, "unbound");
    let mut server = ctx.helper(100)?;
    gate.bind(server.thread(), 0)?;
    server.start(|_| 0, 0)?;
    server.join()?;
    check_eq!(call(), invalid, "bound to a thread that has ended");
    drop(server);
    check_eq!(call(), invalid, "bound to a thread that is gone");
    ctx.task.destroy(gate.slot())?;
    check_eq!(call(), invalid, "a gate that is gone");
    Ok(())
}

/// A thread that makes one call with all registers set; what it finds in `rax`.
const CALLER: Body = |code| {
    let mut registers = Registers::patterned(code);
    registers.flags = 0x202;
    registers.vmcall().rax
};

fn a10_the_message_and_its_answer(ctx: &Ctx) -> Verdict {
    // W and S of the capability do not show: the kernel sends.
    let gate = ctx.derive(ctx.gate(0x40)?, Rights::all())?;
    ctx.task.set_hypercall_gate(Some(gate))?;
    let caller = ctx.spawn(CALLER, code_word(5))?;
    let delivery = ipc::receive(patience())?;
    check_eq!((delivery.kind, delivery.label), (DeliveryKind::Call, 0x40));
    check_eq!(delivery.tag, Tag::new(HYPERCALL, 7));
    let p = Registers::patterned(code_word(5));
    let words = [p.rax, p.rdi, p.rsi, p.rdx, p.rcx, p.r8, p.r9];
    check_eq!(Message::from_delivery(&delivery).words(), words);
    // Meanwhile it counts as waiting with a fault, at the instruction.
    check_eq!(caller.info()?.state, Some(ThreadState::Faulting));
    let registers = caller.thread().registers()?;
    check_eq!(postern_tests::bare::memory::read(registers.rip) & 0xff_ffff, 0xc1_010f);
    answer_with(0, &[77])?;
    check_eq!(caller.join()?, 77);
    Ok(())
}

fn a10_short_and_long_answers(ctx: &Ctx) -> Verdict {
    ctx.task.set_hypercall_gate(Some(ctx.gate(0x40)?))?;
    // Outputs that the answer does not have are zero; words past the seventh
    // go nowhere; only the low bit of the label counts.
    let body: Body = |_| {
        let mut sum = 0_u64;
        for (round, expected) in [0, 3, 28, 28].into_iter().enumerate() {
            let (outputs, failed) = match calls(Opcode::Vmmcall).hypercall6(9, 9, 9, 9, 9, 9, 9) {
                Ok(outputs) => (outputs.0.iter().sum(), false),
                Err(error) => (error.number(), true),
            };
            if outputs == expected && failed == (round == 3) {
                sum += 1;
            }
        }
        sum
    };
    let caller = ctx.spawn(body, 0)?;
    let answers: [(u64, &[u64]); 4] =
        [(0, &[]), (2, &[1, 2]), (u64::MAX - 1, &[1, 2, 3, 4, 5, 6, 7, 8, 9]), (3, &[28, 5])];
    for (label, words) in answers {
        ipc::receive(patience())?;
        answer_with(label, words)?;
    }
    check_eq!(caller.join()?, 4);
    Ok(())
}

/// Puts `bytes` at `offset` of memory that is executable at [`AT`].
fn put_code(ctx: &Ctx, pages: u64, offset: u64, bytes: [u8; 8]) -> Result<(), Failure> {
    let memory = ctx.memory(pages)?;
    ctx.task.map(memory, AT, 0, pages * PAGE, Rights::R | Rights::W)?;
    write(AT + offset, u64::from_le_bytes(bytes));
    ctx.task.protect(AT, pages * PAGE, Rights::R | Rights::X)?;
    Ok(())
}

fn take_code_away(ctx: &Ctx) -> Result<(), Failure> {
    ctx.task.unmap(AT, 16 * PAGE)?;
    Ok(())
}

fn a10_only_these_two_instructions(ctx: &Ctx) -> Verdict {
    const RET: u8 = 0xc3;
    let body: Body = |_| execute(AT);
    for second in [0xc1, 0xd9] {
        put_code(ctx, 1, 0, [0x0f, 0x01, second, RET, 0, 0, 0, 0])?;
        check_eq!(ctx.spawn(body, 0)?.join()?, 2, "0f 01 {second:02x}");
        take_code_away(ctx)?;
    }
    // Neighbours of the two, and the two with a LOCK before them.
    for bytes in [
        [0x0f, 0x0b, 0xc1, RET],
        [0x0f, 0x01, 0xc0, RET],
        [0x0f, 0x01, 0xc2, RET],
        [0xf0, 0x0f, 0x01, 0xc1],
        [0xf0, 0x0f, 0x01, 0xd9],
    ] {
        let [a, b, c, d] = bytes;
        put_code(ctx, 1, 0, [a, b, c, d, RET, 0, 0, 0])?;
        let end = ctx.spawn(body, 0)?.expect_fault(6, None)?;
        check_eq!(end.instruction, AT, "{bytes:02x?}");
        take_code_away(ctx)?;
    }
    Ok(())
}

fn a10_instruction_across_a_page(ctx: &Ctx) -> Verdict {
    let body: Body = |address| execute(address);
    // At every place of a word, and over the border of two pages.
    for place in [PAGE - 8, PAGE - 5, PAGE - 4, PAGE - 3, PAGE - 2, PAGE - 1, PAGE] {
        for second in [0xc1, 0xd9] {
            put_code(ctx, 2, place, [0x0f, 0x01, second, 0xc3, 0, 0, 0, 0])?;
            check_eq!(ctx.spawn(body, AT + place)?.join()?, 2, "at {place:#x}");
            take_code_away(ctx)?;
        }
    }
    // Its end is not there: a page fault, as for any instruction.
    for missing in [1, 2] {
        put_code(ctx, 1, PAGE - 8, {
            let mut bytes = [0x90; 8];
            bytes[8 - missing as usize..].copy_from_slice(&[0x0f, 0x01][..missing as usize]);
            bytes
        })?;
        ctx.spawn(body, AT + PAGE - missing)?.expect_fault(14, Some(AT + PAGE))?;
        take_code_away(ctx)?;
    }
    Ok(())
}

fn a10_comes_before_the_fault_handler(ctx: &Ctx) -> Verdict {
    ctx.task.set_hypercall_gate(Some(ctx.gate(0x80)?))?;
    let faults = ctx.gate(0x40)?;
    let mut caller = handled(ctx, faults)?;
    let body: Body = |_| {
        let first = calls(Opcode::Vmcall).hypercall0(1).map_or(0, |outputs| outputs.0[0]);
        first + undefined(0)
    };
    caller.start(body, 0)?;
    let call = ipc::receive(patience())?;
    check_eq!((call.label, call.tag.protocol()), (0x80, HYPERCALL));
    answer_with(0, &[5])?;
    // And an ordinary fault of the same thread goes to its handler.
    let fault = ipc::receive(patience())?;
    check_eq!((fault.label, fault.tag.protocol(), fault.words[0]), (0x40, FAULT, 6));
    answer_with(0, &[1])?;
    caller.expect_fault(6, None)?;
    Ok(())
}

fn a10_server_drops_the_call(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    check_eq!(calls(Opcode::Vmcall).hypercall0(code::DROP), Err(Error::IoFailed));
    Ok(())
}

fn a10_server_dies(ctx: &Ctx) -> Verdict {
    let server = serve(ctx)?;
    check_eq!(calls(Opcode::Vmcall).hypercall0(code::END), Err(Error::IoFailed));
    check_eq!(server.join()?, 3);
    check_eq!(calls(Opcode::Vmcall).hypercall0(code::ECHO), Err(Error::InvalidCode));
    // One that never received the call: who waits for it learns of its end.
    let deaf = ctx.helper(100)?;
    ctx.task.set_hypercall_gate(Some(ctx.gate_to(deaf.thread(), 0)?))?;
    let caller = ctx.spawn(CALLER, code_word(5))?;
    caller.await_state(ctx, ThreadState::Faulting)?;
    drop(deaf);
    check_eq!(caller.join()?, 4);
    Ok(())
}

fn a10_caller_is_cancelled(ctx: &Ctx) -> Verdict {
    ctx.task.set_hypercall_gate(Some(ctx.gate(0x40)?))?;
    for answered_late in [false, true] {
        let caller = ctx.spawn(CALLER, code_word(5))?;
        caller.await_state(ctx, ThreadState::Faulting)?;
        if answered_late {
            ipc::receive(patience())?;
        }
        caller.thread().cancel()?;
        check_eq!(caller.join()?, 4);
        if answered_late {
            let late = ipc::reply(0, Tag::new(0, 1), [1, 0, 0, 0]);
            check_eq!(late, Err(sent(ErrorNumber::NotExistent)));
        }
    }
    Ok(())
}

fn a10_caller_dies_while_it_is_answered(ctx: &Ctx) -> Verdict {
    let gate = ctx.gate(0x40)?;
    for _ in 0..8 {
        let mut peer = ctx.peer()?;
        let Some(task) = peer.task() else { postern_tests::fail!("a peer has a task") };
        task.set_hypercall_gate(Some(gate))?;
        peer.start(CALLER, code_word(5))?;
        let delivery = ipc::receive(patience())?;
        check_eq!(delivery.words[0], code_word(5));
        drop(peer);
        let late = ipc::reply(0, Tag::new(0, 1), [1, 0, 0, 0]);
        check_eq!(late, Err(sent(ErrorNumber::NotExistent)));
    }
    Ok(())
}

fn a10_answer_with_items_is_refused(ctx: &Ctx) -> Verdict {
    ctx.task.set_hypercall_gate(Some(ctx.gate(0x40)?))?;
    let caller = ctx.spawn(CALLER, code_word(5))?;
    ipc::receive(patience())?;
    let mut message = Message::with_words(0, &[1]);
    message
        .push_item(Item::all(ctx.task.slot()))
        .map_err(|_| Failure::new(format_args!("full")))?;
    check_eq!(message.reply(0), Err(sent(ErrorNumber::Inval)));
    // The right to answer is still there.
    answer_with(0, &[6])?;
    check_eq!(caller.join()?, 6);
    Ok(())
}

fn a10_flood(ctx: &Ctx) -> Verdict {
    const CALLS: u64 = 2000;
    let _server = serve(ctx)?;
    let charged = ctx.charged()?;
    let body: Body = |seed| {
        let mut good = 0;
        for round in 0..CALLS {
            let opcode = OPCODES[(round % 2) as usize];
            let found = calls(opcode).hypercall2(code::ECHO, seed, round);
            good += u64::from(found.is_ok_and(|it| it.0[1..3] == [seed, round]));
        }
        good
    };
    let callers = [ctx.spawn(body, 1)?, ctx.spawn(body, 2)?, ctx.spawn(body, 3)?];
    for caller in &callers {
        check_eq!(caller.join()?, CALLS);
    }
    drop(callers);
    check_eq!(ctx.charged()?, charged);
    Ok(())
}

fn a10_set_hypercall_gate_errors(ctx: &Ctx) -> Verdict {
    let set =
        |slot: Slot| operate(ctx.task.slot(), &[SET_HYPERCALL_GATE], &[Item::all(slot)]).map(drop);
    let inval = Err(op(ErrorNumber::Inval, ErrorCode::ITEM));
    for slot in [ctx.slot()?, Slot::NULL, ctx.task.slot(), ctx.thread.slot()] {
        check_eq!(set(slot), inval, "{slot}");
    }
    let weak = ctx.derive(ctx.task, Rights::all() - Rights::W)?;
    check_eq!(weak.set_hypercall_gate(None), Err(op(ErrorNumber::Perm, 0)));
    check!(ctx.task.set_hypercall_gate(None).is_ok(), "with W");
    Ok(())
}
