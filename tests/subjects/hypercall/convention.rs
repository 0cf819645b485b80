//! Registers, carry flag, name spaces, the known calls: as a guest sees them.

use postern_tests::bare::call::Registers;
use postern_tests::bare::hypercall::{OPCODES, calls};
use postern_tests::hypercall::{
    Absent, Coredump, Error, Hypercalls, Opcode, Outputs, Request, Switch, code_word,
};
use postern_tests::{Body, Ctx, Verdict, check, check_eq, skip, tests};

use crate::server::{KVM_ANSWER, OFFSET, TAG, UUID, code, received, serve};

tests! {
    a01_code_words_arrive,
    a02_six_arguments_and_seven_outputs,
    a02_all_other_registers_are_kept,
    a03_carry_both_ways,
    a03_other_flags_are_kept,
    a04_name_spaces,
    a05_detection_on_this_machine,
    a06_no_call_without_detection,
    a07_known_calls,
    a08_error_numbers,
    a09_unused_arguments_are_zero,
}

/// Six different arguments.
const ARGUMENTS: [u64; 6] = [
    0x1111_1111_1111_1111,
    0x2222_2222_2222_2222,
    0x3333_3333_3333_3333,
    0x4444_4444_4444_4444,
    0x5555_5555_5555_5555,
    0xffff_ffff_ffff_fffe,
];

fn a01_code_words_arrive(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for opcode in OPCODES {
        // The echo returns the code word in output 0; high bits are cut off.
        for code in [code::ECHO, 0xff00_0000 | code::ECHO] {
            let outputs = calls(opcode).hypercall0(code)?;
            check_eq!(outputs.0[0], 0x4100_0102, "{opcode:?}");
        }
    }
    Ok(())
}

fn a02_six_arguments_and_seven_outputs(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for opcode in OPCODES {
        let outputs = calls(opcode).call(Request::new(code::INVERT, ARGUMENTS))?;
        let mut expected = [0; 7];
        expected[0] = !code_word(code::INVERT);
        for (output, argument) in expected[1..].iter_mut().zip(ARGUMENTS) {
            *output = !argument;
        }
        check_eq!(outputs, Outputs(expected), "{opcode:?}");
    }
    Ok(())
}

fn a02_all_other_registers_are_kept(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    let before = Registers::patterned(code_word(code::INVERT));
    for after in [before.vmcall(), before.vmmcall()] {
        let expected = Registers {
            rax: !before.rax,
            rdi: !before.rdi,
            rsi: !before.rsi,
            rdx: !before.rdx,
            rcx: !before.rcx,
            r8: !before.r8,
            r9: !before.r9,
            ..before
        };
        check_eq!(after, expected);
    }
    Ok(())
}

fn a03_carry_both_ways(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for (code, argument, carry) in [(code::ECHO, 0, 0), (code::FAIL, 9, 1)] {
        // Whatever it was before.
        for flags in [0x202, 0x203] {
            let mut before = Registers::patterned(code_word(code));
            (before.rdi, before.flags) = (argument, flags);
            for after in [before.vmcall(), before.vmmcall()] {
                check_eq!(after.flags & 1, carry, "{code:#x}");
            }
        }
    }
    for opcode in OPCODES {
        for round in 0..4 {
            check!(calls(opcode).hypercall0(code::ECHO).is_ok(), "round {round}");
            let failed = calls(opcode).hypercall1(code::FAIL, 9 + round);
            check_eq!(failed, Err(Error::Unknown(9 + round)));
        }
    }
    Ok(())
}

fn a03_other_flags_are_kept(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    // PF, AF, ZF, SF, DF, OF, all and none.
    for flags in [0x202, 0x202 | 0xcd4] {
        let mut before = Registers::patterned(code_word(code::ECHO));
        before.flags = flags;
        check_eq!(before.vmcall().flags, flags);
        before.rax = code_word(code::FAIL);
        check_eq!(before.vmmcall().flags, flags | 1);
    }
    Ok(())
}

fn a04_name_spaces(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for opcode in OPCODES {
        let call = |rax, rdi| {
            let mut arguments = [0; 6];
            arguments[0] = rdi;
            calls(opcode).call(Request { code: rax, arguments })
        };
        // The same number is one call here and another one there.
        check_eq!(call(1, 1)?.0[0], KVM_ANSWER);
        check_eq!(call(0x4100_0001, 1)?, Outputs::from_bytes(*TAG));
        for unknown in [2, 0x4000_0001, 0x4200_0001, 0x1_4100_0001, u64::MAX] {
            check_eq!(call(unknown, 1), Err(Error::InvalidCode), "{unknown:#x}");
        }
    }
    Ok(())
}

fn a05_detection_on_this_machine(_ctx: &Ctx) -> Verdict {
    // CPUID is the CPU's own in ring 3: a hypercall gate does not show there.
    match Hypercalls::detect(Switch::On) {
        Ok(found) => skip!("this machine offers hypercalls itself: {}", found.features()),
        Err(absent) => check!(
            [Absent::NotPresent, Absent::NoHypervisor].contains(&absent),
            "detection says {absent}"
        ),
    }
    check_eq!(Hypercalls::detect(Switch::Off), Err(Absent::SwitchedOff));
    Ok(())
}

fn a06_no_call_without_detection(ctx: &Ctx) -> Verdict {
    // What a careful caller does on a machine without: nothing; so the server
    // hears of nothing. What it would have heard is seen in the end.
    ctx.task.set_hypercall_gate(Some(ctx.gate(0x40)?))?;
    let body: Body = |_| match Hypercalls::detect(Switch::On) {
        Ok(calls) => calls.session().map_or(1, |session| u64::from(session.id().is_ok())),
        Err(_) => 2,
    };
    let careful = ctx.spawn(body, 0)?;
    if careful.join()? != 2 {
        skip!("this machine offers hypercalls itself");
    }
    let careless: Body = |_| u64::from(calls(Opcode::Vmcall).hypercall0(7).is_ok());
    let careless = ctx.spawn(careless, 0)?;
    check_eq!(received(1)?, [[code_word(7), 0, 0, 0, 0, 0, 0]]);
    check_eq!(careless.join()?, 1);
    Ok(())
}

fn a07_known_calls(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for opcode in OPCODES {
        let calls = calls(opcode);
        let (Some(dump), Some(debugger), Some(clock), Some(session)) =
            (calls.dump(), calls.debugger(), calls.clock(), calls.session())
        else {
            postern_tests::fail!("a feature is missing");
        };
        let tag = dump.trigger()?;
        check_eq!(tag.with_nul()[..56], TAG[..]);
        check_eq!(tag.with_nul()[56], 0);
        let data =
            Coredump { text: 1, map_start: 2, map_end: 3, cr3: 4, buffers: 5, buffers_size: 6 };
        check_eq!(debugger.set_coredump_data(data), Ok(()));
        let wrong = Coredump { buffers_size: 7, ..data };
        check_eq!(debugger.set_coredump_data(wrong), Err(Error::InvalidParameter));
        check_eq!(clock.offset(5000, 600)?, 4400 + OFFSET);
        check_eq!(session.id()?.text(), UUID);
    }
    Ok(())
}

fn a08_error_numbers(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    for (number, error, errno) in [
        (1, Error::AccessDenied, 1),
        (2, Error::InvalidCode, 22),
        (3, Error::InvalidParameter, 22),
        (4, Error::IoFailed, 5),
        (5, Error::FeatureDisabled, 45),
        (6, Error::Unsupported, 45),
        (7, Error::Unknown(7), 19),
        (0, Error::Unknown(0), 19),
        (u64::MAX, Error::Unknown(u64::MAX), 19),
    ] {
        for opcode in OPCODES {
            let failed = calls(opcode).hypercall1(code::FAIL, number);
            check_eq!(failed, Err(error));
            check_eq!(failed.map_err(Error::errno), Err(errno));
        }
    }
    Ok(())
}

fn a09_unused_arguments_are_zero(ctx: &Ctx) -> Verdict {
    let _server = serve(ctx)?;
    let [a, b, c, d, e, f] = ARGUMENTS;
    for opcode in OPCODES {
        let calls = calls(opcode);
        let code = code::ECHO;
        let all = [
            calls.hypercall0(code)?,
            calls.hypercall1(code, a)?,
            calls.hypercall2(code, a, b)?,
            calls.hypercall3(code, a, b, c)?,
            calls.hypercall4(code, a, b, c, d)?,
            calls.hypercall5(code, a, b, c, d, e)?,
            calls.hypercall6(code, a, b, c, d, e, f)?,
        ];
        for (count, outputs) in all.into_iter().enumerate() {
            let mut expected = [code_word(code), a, b, c, d, e, f];
            expected[1 + count..].fill(0);
            check_eq!(outputs.0, expected, "{count} arguments");
        }
    }
    Ok(())
}
