//! Operations on kernel objects: a call with protocol KOBJECT on anything, or
//! on a gate by who holds SERVER.
//!
//! One file a kind. Order of checks everywhere: the operation exists, the
//! rights suffice, the message is long enough, the arguments are right, the
//! quota allows it; only then does anything change.

mod entry;
pub(crate) mod factory;
mod gate;
mod registers;
mod relay;
mod signals;
mod small;
mod task;
mod thread;
mod vcpu;

pub(crate) use thread::utcb_address;

use postern_abi::code::Delivery;
use postern_abi::rights::Kind;
use postern_abi::stretch::{Cause, Entry};
use postern_abi::tag::Tag;
use postern_abi::{ErrorCode, ErrorNumber, Rights, utcb};
use postern_arena::Ref;

use crate::Kernel;
use crate::cap::{SlotId, Target};
use crate::ipc::{Done, Outcome};
use crate::machine::Machine;
use crate::object::{Task, Thread};

/// An operation that was asked for.
pub(crate) struct Request<M: Machine> {
    /// Who asks.
    pub thread: Ref<Thread<M>>,
    /// Its task.
    pub task: Ref<Task<M>>,
    /// The object.
    pub target: Target,
    /// The slot of the capability that was used.
    pub slot: SlotId,
    /// Rights of the capability that was used.
    pub rights: Rights,
    /// Tag of the message.
    pub tag: Tag,
    /// Words 0 to 3.
    pub words: [u64; 4],
}

/// A capability that came as an item of an operation.
pub(crate) struct Argument {
    /// Its object.
    pub target: Target,
    /// Its rights, whatever the item's mask says.
    pub rights: Rights,
    /// The mask that the item asks for.
    pub mask: Rights,
    /// Where it is.
    pub slot: SlotId,
}

/// What an operation answers: up to four words (more are in the UTCB already).
pub(crate) struct Answer {
    words: usize,
    values: [u64; 4],
}

impl Answer {
    /// Success without words.
    pub const fn none() -> Self {
        Self::many(0, [0; 4])
    }

    /// One word.
    pub const fn one(value: u64) -> Self {
        Self::many(1, [value, 0, 0, 0])
    }

    /// `words` words, of which those past the fourth are in the UTCB.
    pub const fn many(words: usize, values: [u64; 4]) -> Self {
        Self { words, values }
    }

    /// Makes it what the thread's system call returns.
    pub fn store<M: Machine>(&self, thread: &mut Thread<M>) {
        thread.succeed(Delivery::Reply as u64, 0, Tag::new(0, self.words), self.values);
    }
}

/// An error of an operation, about argument `argument`.
pub(crate) const fn refuse(number: ErrorNumber, argument: u8) -> ErrorCode {
    ErrorCode::new(number, argument)
}

/// What an operation did.
pub(crate) enum Reaction {
    /// It is done.
    Answer(Answer),
    /// The thread was given work, or is gone, or was set otherwise.
    Settled,
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

pub(crate) type Result = core::result::Result<Reaction, ErrorCode>;

impl<M: Machine> Kernel<M> {
    /// Carries out an operation.
    pub(crate) fn invoke(&mut self, request: Request<M>) -> Outcome {
        if request.tag.words() == 0 {
            return Err(refuse(ErrorNumber::Inval, 1));
        }
        let operation = request.words[0];
        self.stretch_is(|_call| Cause::new(Entry::Operation, operation as u32));
        let thread = request.thread;
        let reaction = match request.target.kind {
            Kind::Factory => self.invoke_factory(&request, operation),
            Kind::Task => self.invoke_task(&request, operation),
            Kind::Thread => self.invoke_thread(&request, operation),
            Kind::Gate => self.invoke_gate(&request, operation),
            Kind::Entry => self.invoke_entry(&request, operation),
            Kind::Memory => self.invoke_memory(&request, operation),
            Kind::Notification => self.invoke_notification(&request, operation),
            Kind::Irq => self.invoke_irq(&request, operation),
            Kind::IoPort => self.invoke_io_port(&request, operation),
            Kind::Scheduler => self.invoke_scheduler(&request, operation),
            Kind::Log => self.invoke_log(&request, operation),
            Kind::Relay => self.invoke_relay(&request, operation),
            Kind::Reply => Err(refuse(ErrorNumber::WrongKind, 0)),
        }?;
        // The operation may have ended its caller.
        if let Reaction::Answer(answer) = reaction
            && let Some(thread) = self.threads.get_mut(thread)
        {
            answer.store(thread);
        }
        Ok(Done::Settled)
    }

    /// `Perm` unless the capability that was used has all of `rights`.
    pub(crate) fn need(
        &self,
        request: &Request<M>,
        rights: Rights,
    ) -> core::result::Result<(), ErrorCode> {
        self.check_rights(request.rights, rights, 0)
    }

    /// `Perm` about `argument` unless `held` has all of `rights`; what is
    /// missing is kept for the diagnosis.
    pub(crate) fn check_rights(
        &self,
        held: Rights,
        rights: Rights,
        argument: u8,
    ) -> core::result::Result<(), ErrorCode> {
        if held.contains(rights) {
            return Ok(());
        }
        self.missing.set(rights - held);
        Err(refuse(ErrorNumber::Perm, argument))
    }

    /// Word `index` of the message.
    pub(crate) fn word(
        &self,
        request: &Request<M>,
        index: usize,
    ) -> core::result::Result<u64, ErrorCode> {
        if index >= request.tag.words() {
            return Err(refuse(ErrorNumber::TooShort, index as u8));
        }
        Ok(match request.words.get(index) {
            Some(word) => *word,
            None => self.utcb_word(request.thread, index),
        })
    }

    /// Item `index` of the message.
    pub(crate) fn item(
        &self,
        request: &Request<M>,
        index: usize,
    ) -> core::result::Result<Argument, ErrorCode> {
        let argument = ErrorCode::ITEM + index as u8;
        if index >= request.tag.items() {
            return Err(refuse(ErrorNumber::Inval, argument));
        }
        let handle = self.utcb_word(request.thread, utcb::ITEMS + 2 * index);
        let mask = self.utcb_word(request.thread, utcb::ITEMS + 2 * index + 1);
        let (target, rights) = self.lookup(request.task, handle, argument)?;
        Ok(Argument {
            target,
            rights,
            mask: Rights::from_bits_truncate(mask as u8),
            slot: SlotId::new(request.task.index(), handle as u32),
        })
    }

    /// Item `index`, of the given kind and with the given rights.
    pub(crate) fn item_of(
        &self,
        request: &Request<M>,
        index: usize,
        kind: Kind,
        rights: Rights,
    ) -> core::result::Result<Argument, ErrorCode> {
        self.item_of_kinds(request, index, &[kind], rights)
    }

    /// Item `index`, of one of the given kinds and with the given rights.
    pub(crate) fn item_of_kinds(
        &self,
        request: &Request<M>,
        index: usize,
        kinds: &[Kind],
        rights: Rights,
    ) -> core::result::Result<Argument, ErrorCode> {
        let argument = ErrorCode::ITEM + index as u8;
        let item = self.item(request, index).map_err(|error| match error.number {
            // An empty slot is no object of the right kind, either.
            ErrorNumber::NotExistent => refuse(ErrorNumber::Inval, argument),
            _ => error,
        })?;
        if !kinds.contains(&item.target.kind) {
            return Err(refuse(ErrorNumber::Inval, argument));
        }
        self.check_rights(item.rights, rights, argument)?;
        Ok(item)
    }

    /// Writes a word of the answer into the caller's UTCB (index 4 and up).
    pub(crate) fn put(&self, request: &Request<M>, index: usize, value: u64) {
        self.set_utcb_word(request.thread, index, value);
    }
}
