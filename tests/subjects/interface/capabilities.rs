//! Capabilities in messages: moved, refused, deleted, never left behind.

use postern_tests::runtime::interface::{
    Answer, CallError, Kept, Owned, Refusal, ServerError, Status, USE, interface,
};
use postern_tests::syscall::{
    Capability, ErrorNumber, Gate, Item, Message, Phase, Rights, Slot, Task, Timeouts, slots,
};
use postern_tests::{Ctx, Failure, Partner, Verdict, check, check_eq, peer, protocol, tests};

use crate::zoo::ZooError;
use crate::{LABEL, free_slots, held, toy, zoo};

tests! {
    interface_gate_in_and_out,
    interface_several_gates,
    interface_capability_of_another_kind,
    interface_missing_and_surplus_capabilities,
    interface_unwanted_capability,
    interface_call_not_sent_takes_its_capability_along,
    interface_server_without_windows,
    interface_border_in_and_out,
    interface_border_without_grant,
    interface_border_answer_without_grant,
    interface_border_kept_answer_without_grant,
    interface_thousand_calls_leave_nothing = 60,
    interface_thousand_calls_across_the_border_leave_nothing = 60,
}

/// What the porter refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum PorterError {
    /// there is nothing to be carried
    Nothing = 1,
}

/// Carries gates, without a heap.
#[interface(protocol = 0x7002)]
pub trait Porter {
    /// Takes a gate; the one before is dropped.
    fn give(&mut self, gate: Owned<Gate>);
    /// Copies the gate, with these rights.
    fn get(&mut self, rights: u8) -> Result<Owned<Gate>, PorterError>;
    /// A gate there, the same gate back.
    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate>;
    /// Drops the gate.
    fn throw_away(&mut self);
    /// Keeps an answer that brings a gate.
    fn keep(&mut self, answer: Answer<Owned<Gate>>);
    /// Whether one is kept.
    fn kept(&mut self) -> u64;
    /// Gives the kept answer, with the gate and these rights; whether it arrived.
    fn release(&mut self, rights: u8) -> bool;
}

#[derive(Default)]
struct Bag {
    gate: Option<Owned<Gate>>,
    kept: Option<Kept<Owned<Gate>>>,
}

impl Bag {
    fn copy(&self, rights: u8) -> Option<Owned<Gate>> {
        let gate = self.gate.as_ref()?;
        Owned::copy(**gate, Rights::from_bits_truncate(rights)).ok()
    }
}

impl Porter for Bag {
    fn give(&mut self, gate: Owned<Gate>) {
        self.gate = Some(gate);
    }

    fn get(&mut self, rights: u8) -> Result<Owned<Gate>, PorterError> {
        self.copy(rights).ok_or(PorterError::Nothing)
    }

    fn pass(&mut self, gate: Owned<Gate>) -> Owned<Gate> {
        gate
    }

    fn throw_away(&mut self) {
        self.gate = None;
    }

    fn keep(&mut self, answer: Answer<Owned<Gate>>) {
        self.kept = answer.keep().ok();
    }

    fn kept(&mut self) -> u64 {
        self.kept.is_some().into()
    }

    fn release(&mut self, rights: u8) -> bool {
        let gate = self.copy(rights);
        self.kept.take().zip(gate).is_some_and(|(kept, gate)| kept.send(Ok(gate)))
    }
}

/// A peer's body: serves a porter.
pub fn serve_porter(_: u64) -> u64 {
    // The peer has a table of its own, and a copy of the test's bookkeeping.
    let empty = peer::FREE..peer::COUNT as u32;
    slots::set_own(Task::new(Slot::new(protocol::slot::TASK)), empty.clone());
    empty.for_each(|number| slots::release(Slot::new(number)));
    postern_tests::runtime::server::serve(&mut PorterServer(Bag::default())).encode()
}

/// The porter behind a gate.
pub fn porter(gate: Gate) -> PorterClient {
    PorterClient::new(gate)
}

/// A partner's body: waits for a gate at the porter.
pub fn keep(argument: u64) -> u64 {
    crate::word(crate::client::<PorterClient>(argument).keep().map(|gate| {
        drop(gate);
        1
    }))
}

/// A peer that serves a porter.
#[track_caller]
fn abroad(ctx: &Ctx) -> Result<(Partner, PorterClient), Failure> {
    let mut partner = ctx.peer()?;
    let gate = ctx.gate_to(partner.thread(), LABEL)?;
    partner.start(serve_porter, 0)?;
    Ok((partner, PorterClient::new(gate)))
}

fn copy(gate: impl Capability) -> Result<Owned<Gate>, Failure> {
    Ok(Owned::copy(gate, USE)?)
}

/// Capabilities that the peer holds.
fn abroad_held(partner: &Partner) -> Result<usize, Failure> {
    partner.task().map_or(Ok(0), held)
}

fn interface_gate_in_and_out(ctx: &Ctx) -> Verdict {
    let ((_server, zoo), (_other_server, other)) = (zoo(ctx)?, crate::zoo(ctx)?);
    let (free, all) = (free_slots(), held(ctx.task)?);
    check_eq!(zoo.get().map(drop), Err(CallError::Server(ZooError::Unknown)));
    check_eq!(zoo.give(copy(other)?), Ok(1));
    check_eq!(zoo.give(copy(other)?), Err(CallError::Server(ZooError::Full)));
    check_eq!((free_slots(), held(ctx.task)?), (free - 1, all + 1));
    let Ok(got) = zoo.get() else { postern_tests::fail!("no gate") };
    check_eq!(got.cast::<crate::zoo::ZooClient>().two(1, 2), Ok((3, false)));
    check_eq!(zoo.throw_away(), Ok(()));
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

fn interface_several_gates(ctx: &Ctx) -> Verdict {
    let ((_server, zoo), (_other_server, other)) = (zoo(ctx)?, crate::zoo(ctx)?);
    let toy = toy(ctx)?;
    let (free, all) = (free_slots(), held(ctx.task)?);
    let Ok((got, number)) = zoo.three_gates([copy(toy)?, copy(other)?, copy(toy)?], 4) else {
        postern_tests::fail!("no gate");
    };
    check_eq!(number, 5);
    check_eq!(got.cast::<crate::zoo::ZooClient>().two(1, 2), Ok((3, false)));
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

fn interface_capability_of_another_kind(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let notification = ctx.notification()?;
    let (free, all) = (free_slots(), held(ctx.task)?);
    // The types say gate; the kernel says what it is.
    let disguised: Owned<Gate> = copy(notification)?;
    check_eq!(zoo.give(disguised), Err(CallError::Refused(Refusal::Malformed)));
    check_eq!(zoo.get().map(drop), Err(CallError::Server(ZooError::Unknown)));
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

/// Sends these words and copies of `gate`; what the status says.
fn raw(zoo: Gate, words: &[u64], gate: Gate, items: usize) -> Result<Status, Failure> {
    let mut message = Message::with_words(crate::zoo::ZooClient::PROTOCOL, words);
    for _ in 0..items {
        check_eq!(message.push_item(Item::with(gate.slot(), USE)), Ok(()));
    }
    let answer = message.call(zoo.slot(), Timeouts::NEVER)?;
    Status::decode(answer.word(0)).map_err(|error| Failure::new(format_args!("{error}")))
}

fn interface_missing_and_surplus_capabilities(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let toy = toy(ctx)?;
    let (free, all) = (free_slots(), held(ctx.task)?);
    // `give` takes one, `three_gates` three.
    for (words, items) in [(&[18][..], 0), (&[18], 2), (&[18], 3), (&[21, 1], 0), (&[21, 1], 2)] {
        let status = raw(zoo.gate(), words, toy, items)?;
        check_eq!(status, Status::Refused(Refusal::Malformed), "{words:?} with {items}");
        check_eq!((free_slots(), held(ctx.task)?), (free, all), "{words:?} with {items}");
    }
    check_eq!(zoo.ping(), Ok(()));
    Ok(())
}

fn interface_unwanted_capability(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let toy = toy(ctx)?;
    let (free, all) = (free_slots(), held(ctx.task)?);
    for (words, refusal) in [
        (&[1][..], Refusal::Malformed),
        (&[99], Refusal::UnknownMethod),
        (&[2, 1], Refusal::Malformed),
        (&[], Refusal::UnknownMethod),
    ] {
        for items in 1..=3 {
            check_eq!(raw(zoo.gate(), words, toy, items)?, Status::Refused(refusal), "{words:?}");
        }
    }
    // One-way, too.
    let mut message = Message::new(crate::zoo::ZooClient::PROTOCOL);
    check_eq!(message.push_item(Item::with(toy.slot(), USE)), Ok(()));
    message.send(zoo.gate().slot(), Timeouts::NEVER.send)?;
    check_eq!(zoo.ping(), Ok(()));
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

fn interface_call_not_sent_takes_its_capability_along(ctx: &Ctx) -> Verdict {
    let (_server, zoo) = zoo(ctx)?;
    let toy = toy(ctx)?;
    check_eq!(zoo.die(), Err(CallError::Aborted));
    let (free, all) = (free_slots(), held(ctx.task)?);
    check_eq!(zoo.give(copy(toy)?), Err(CallError::Gone));
    check_eq!(zoo.pass(copy(toy)?).map(drop), Err(CallError::Gone));
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

/// Serves no interface, and takes no capabilities.
struct Plain;

impl postern_tests::runtime::server::Server for Plain {
    fn call(
        &mut self,
        request: postern_tests::runtime::server::Request<'_>,
    ) -> postern_tests::runtime::server::Reply {
        request.answer_raw(&[0])
    }
}

fn interface_server_without_windows(ctx: &Ctx) -> Verdict {
    let mut server = ctx.helper(protocol::PRIORITY)?;
    let zoo = crate::zoo::ZooClient::new(ctx.gate_to(server.thread(), LABEL)?);
    let body = |_| postern_tests::runtime::server::serve(&mut Plain).encode();
    server.start(body, 0)?;
    let toy = toy(ctx)?;
    let (free, all) = (free_slots(), held(ctx.task)?);
    for _ in 0..3 {
        match zoo.give(copy(toy)?) {
            Err(CallError::Transport(code)) => {
                check_eq!((code.number, code.phase), (ErrorNumber::MsgCut, Phase::Send));
            }
            other => postern_tests::fail!("{other:?}"),
        }
        check_eq!(zoo.ping(), Ok(()));
    }
    check_eq!((free_slots(), held(ctx.task)?), (free, all));
    Ok(())
}

fn interface_border_in_and_out(ctx: &Ctx) -> Verdict {
    let ((_server, porter), (_zoo_server, zoo)) = (abroad(ctx)?, zoo(ctx)?);
    check_eq!(porter.get(USE.bits()).map(drop), Err(CallError::Server(PorterError::Nothing)));
    check_eq!(porter.give(copy(zoo)?), Ok(()));
    let Ok(got) = porter.get(USE.bits()) else { postern_tests::fail!("no gate") };
    let again = got.cast::<crate::zoo::ZooClient>();
    // Its rights are those that were given: no W, no S.
    check_eq!(again.who(), Ok((LABEL, false, false)));
    let Ok(passed) = porter.pass(copy(zoo)?) else { postern_tests::fail!("no gate") };
    check_eq!(passed.cast::<crate::zoo::ZooClient>().ping(), Ok(()));
    Ok(())
}

fn interface_border_without_grant(ctx: &Ctx) -> Verdict {
    let ((server, porter), toy) = (abroad(ctx)?, toy(ctx)?);
    check_eq!(porter.kept(), Ok(0));
    let before = (free_slots(), held(ctx.task)?, abroad_held(&server)?);
    let bare = Owned::<Gate>::copy(toy, Rights::R)?;
    match porter.give(bare) {
        Err(CallError::Transport(code)) => {
            check_eq!((code.number, code.phase), (ErrorNumber::Perm, Phase::Send));
        }
        other => postern_tests::fail!("{other:?}"),
    }
    check_eq!(porter.kept(), Ok(0));
    check_eq!((free_slots(), held(ctx.task)?, abroad_held(&server)?), before);
    Ok(())
}

fn interface_border_answer_without_grant(ctx: &Ctx) -> Verdict {
    let ((server, porter), toy) = (abroad(ctx)?, toy(ctx)?);
    check_eq!(porter.give(copy(toy)?), Ok(()));
    let before = (free_slots(), held(ctx.task)?, abroad_held(&server)?);
    let answer = porter.get(Rights::R.bits()).map(drop);
    check_eq!(answer, Err(CallError::Refused(Refusal::AnswerUndelivered)));
    check_eq!(porter.get(USE.bits()).map(drop), Ok(()));
    check_eq!((free_slots(), held(ctx.task)?, abroad_held(&server)?), before);
    Ok(())
}

fn interface_border_kept_answer_without_grant(ctx: &Ctx) -> Verdict {
    let ((server, porter), toy) = (abroad(ctx)?, toy(ctx)?);
    check_eq!(porter.give(copy(toy)?), Ok(()));
    let before = abroad_held(&server)?;
    for (rights, arrives) in [(Rights::R, false), (USE, true)] {
        let client = ctx.spawn(keep, porter.gate().slot().word())?;
        check!(ctx.wait_until(|| porter.kept() == Ok(1)), "the answer is kept");
        check_eq!(porter.release(rights.bits()), Ok(arrives));
        check_eq!(client.join()?, if arrives { 1 } else { u64::MAX });
    }
    check_eq!(abroad_held(&server)?, before);
    Ok(())
}

fn interface_thousand_calls_leave_nothing(ctx: &Ctx) -> Verdict {
    let ((_server, zoo), toy) = (zoo(ctx)?, toy(ctx)?);
    let notification = ctx.notification()?;
    check_eq!(zoo.pass(copy(toy)?).map(drop), Ok(()));
    let count = || Ok::<_, Failure>((free_slots(), held(ctx.task)?));
    let (before, charged) = (count()?, ctx.charged()?);
    for round in 0..1000 {
        let outcome = match round % 4 {
            0 => zoo.pass(copy(toy)?).map(drop).is_ok(),
            1 => zoo.three_gates([copy(toy)?, copy(toy)?, copy(toy)?], 1).is_ok(),
            2 => zoo.give(copy(notification)?).is_err(),
            _ => zoo.twice(&[1; 100]).is_ok() && zoo.twice(&[1; 400]).is_err(),
        };
        check!(outcome, "round {round}");
    }
    check_eq!(count()?, before);
    check!(ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == charged)), "quota is missing");
    Ok(())
}

fn interface_thousand_calls_across_the_border_leave_nothing(ctx: &Ctx) -> Verdict {
    let ((server, porter), toy) = (abroad(ctx)?, toy(ctx)?);
    check_eq!(porter.give(copy(toy)?), Ok(()));
    let count = || Ok::<_, Failure>((free_slots(), held(ctx.task)?, abroad_held(&server)?));
    let (before, charged) = (count()?, ctx.charged()?);
    for round in 0..1000 {
        let outcome = match round % 4 {
            0 => porter.pass(copy(toy)?).map(drop).is_ok(),
            1 => porter.get(USE.bits()).map(drop).is_ok(),
            2 => porter.get(0).is_err(),
            _ => porter.give(copy(toy)?).is_ok(),
        };
        check!(outcome, "round {round}");
    }
    check_eq!(count()?, before);
    check!(ctx.wait_until(|| ctx.charged().is_ok_and(|now| now == charged)), "quota is missing");
    Ok(())
}
