//! Threads: a scheduling state and the activation that it runs. Contexts of
//! entries are thread objects, too: activations without a capability.

use postern_abi::ErrorCode;
use postern_abi::op::{reason, scheduler};
use postern_abi::tag::Tag;
use postern_abi::timeout::Timeout;
use postern_arena::Ref;

use super::{Context, Entry, Gate, Header, Notification, Role, Task};
use crate::machine::{CARRY, Fault, Machine, UserState};
use crate::relay::{Holdings, Share};
use crate::sched::{QueueLinks, WaitQueue};

/// What a thread is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Created, never started.
    New,
    /// Runs, is about to, or waits in the ready queue.
    Ready,
    /// Waits for a receiver or for a gate to be bound.
    Sending,
    /// Waits for a message.
    Receiving,
    /// Waits for the answer to its call.
    Calling,
    /// Asleep until its deadline.
    Sleeping,
    /// Stopped by another thread.
    Stopped,
    /// Stopped by a fault that nobody handled.
    Faulted,
    /// Has exited.
    Exited,
    /// A context that nobody runs in: free or quarantined.
    Idle,
}

/// What a thread waits for, if it does so in the way that the fast paths know:
/// without a deadline, a fault or anything else to look after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Anything else, or nothing.
    Other,
    /// A message from anybody, with no right to answer in its hands.
    Message,
    /// The answer to its call.
    Answer,
}

/// In which queue a thread stands. At most one at a time.
pub enum Queue<M: Machine> {
    /// None.
    None,
    /// The ready queue.
    Ready,
    /// Senders of an unbound gate, or of one whose limit is reached.
    Gate(Ref<Gate<M>>),
    /// Senders that wait for a thread to receive.
    Thread(Ref<Thread<M>>),
    /// Threads that wait for the signals of one notification only.
    Notification(Ref<Notification<M>>),
    /// Receivers that wait for messages of this thread only.
    Partner(Ref<Thread<M>>),
    /// Callers that wait for a free context.
    Entry(Ref<Entry<M>>),
}

/// From whom a thread wants to receive.
pub enum Source<M: Machine> {
    /// From everybody.
    Open,
    /// Through one gate only.
    Gate(Ref<Gate<M>>),
    /// From one notification only.
    Notification(Ref<Notification<M>>),
    /// Whatever one thread sends, through whichever gate.
    Partner(Ref<Thread<M>>),
}

/// A right to answer: who waits, and for the answer to which of its calls.
pub struct Caller<M: Machine> {
    /// The thread that waits.
    pub thread: Ref<Thread<M>>,
    /// The number of its call; a later call has another one.
    pub number: u32,
}

/// Bits to signal when something happens.
pub struct Signal<M: Machine> {
    /// Where; it may be gone.
    pub notification: Ref<Notification<M>>,
    /// What; not 0.
    pub bits: u64,
}

// Manual impls: deriving would ask for `M: Copy`, which is not needed.
macro_rules! copy {
    ($($name:ident),*) => {$(
        impl<M: Machine> Clone for $name<M> {
            #[inline(always)]
            fn clone(&self) -> Self { *self }
        }
        impl<M: Machine> Copy for $name<M> {}
    )*};
}
copy!(Queue, Source, Caller, Signal);

/// What a thread that waits with its registers wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// What becomes of it after a fault.
    Fault,
    /// The outputs of a hypercall.
    Hypercall,
    /// What becomes of a guest after an exit; with the last word of the message.
    Exit(u16),
    /// Nothing: it panicked, and ends after its report.
    Nothing,
}

/// What a message expects after its delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// Nothing: the sender goes on.
    Nothing,
    /// An answer: the sender waits for it.
    Answer,
    /// The sender is a thread that ended; nobody is resumed.
    End,
}

/// A message on its way. Further words and items are in the sender's UTCB.
pub struct Message<M: Machine> {
    /// The gate it went through.
    pub gate: Ref<Gate<M>>,
    /// Rights of the capability that was used, as they show in the label.
    pub rights: u64,
    /// Label as it will arrive; set when the sender is queued at a thread.
    pub label: u64,
    /// The tag.
    pub tag: Tag,
    /// Words 0 to 3.
    pub words: [u64; 4],
    /// What is expected after delivery.
    pub expects: Expects,
}
copy!(Message);

/// The run of modify senders over those that wait at a thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct SenderRun {
    /// One is under way; a second one has to wait.
    pub is_running: bool,
    /// Number of the last one that began.
    pub number: u32,
    /// The sender that the next step begins with: all before it are done.
    pub cursor: Option<u32>,
}

/// The search of a receive for a sender that came through its gate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Search {
    /// One is under way.
    pub is_running: bool,
    /// The sender that the next step begins with: no other one before it came
    /// through the gate. `None`: those that come next.
    pub cursor: Option<u32>,
}

/// A thread.
pub struct Thread<M: Machine> {
    /// Registers of the activation.
    pub user: UserState,
    /// What it is doing.
    pub state: State,
    /// Something may be there for it to receive: a sender, or a signal. Set when
    /// something comes, cleared when a receive found nothing more.
    pub pending: bool,
    /// What the fast paths need to know about what it waits for.
    pub wait: Wait,
    /// Its task, where the fast paths look; nowhere while it has none.
    pub home: Ref<Task<M>>,
    /// The root of its task's page tables.
    pub root: M::Root,
    /// Priority of its own.
    pub priority: u8,
    /// Priority it runs at: its own or that of its caller.
    pub effective: u8,
    /// The right to answer of the last call that it received.
    pub caller: Option<Caller<M>>,
    /// Number of its own last call.
    pub call_number: u32,
    /// The task it is at home in.
    pub task: Option<Ref<Task<M>>>,
    /// Its UTCB.
    pub utcb: Option<M::Utcb>,
    /// From whom it wants to receive.
    pub source: Source<M>,
    /// Links of the queue it stands in.
    pub links: QueueLinks,
    /// The queue it stands in.
    pub queue: Queue<M>,
    /// What its relay window shows, cached: switching to it looks nothing up.
    pub window: M::Window,
    /// Senders that wait for it to receive.
    pub senders: WaitQueue,
    /// Threads that wait for its messages only.
    pub listeners: WaitQueue,
    /// The run of modify senders over its senders.
    pub sender_run: SenderRun,
    /// Its search for a sender.
    pub search: Search,
    /// Number of the last run that its waiting message had its turn in, or
    /// that began before it waited.
    pub run_seen: u32,
    /// What it is sending.
    pub message: Option<Message<M>>,
    /// The thread that holds the implicit right to answer its call, or the
    /// context that it runs in meanwhile.
    pub answerer: Option<Ref<Thread<M>>>,
    /// Receive timeout of the call it is sending.
    pub receive_timeout: Timeout,
    /// Position in the heap of timeouts, if it has a deadline.
    pub timeout: Option<u32>,
    /// The relay segments that it holds.
    pub segments: Holdings<Ref<Self>, Share<M>>,
    /// The notification bound to it.
    pub notification: Option<Ref<Notification<M>>>,
    /// What is signalled when a gate goes that is bound to this thread.
    pub deletion: Option<Signal<M>>,
    /// Who is told of its end.
    pub exit_gate: Option<Ref<Gate<M>>>,
    /// Who is told of its faults.
    pub fault_gate: Option<Ref<Gate<M>>>,
    /// The fault that it waits with for its handler: its registers are not to
    /// be touched, for the system call that it waits in is none.
    pub fault: Option<Fault>,
    /// Of whom it asks what, while `fault` is there.
    pub asks: Asks,
    /// What it is the virtual CPU of a guest with, if it is one.
    pub vcpu: Option<M::Vcpu>,
    /// Where its floating-point and SIMD registers are kept while others run,
    /// from the first use of one on.
    pub fpu: Option<M::Fpu>,
    /// It uses these registers: what is in them, or kept in `fpu`, is its own. A
    /// context only does so within one crossing.
    pub uses_fpu: bool,
    /// Refused system calls leave a record in its UTCB.
    pub diagnose: bool,
    /// A long operation that it does before it returns to the user.
    pub work: Option<crate::work::Work<M>>,
    /// Nanoseconds of its time slice.
    pub slice: u64,
    /// Nanoseconds left of its time slice when it was interrupted by somebody
    /// more urgent; `None`: a whole one.
    pub slice_left: Option<u64>,
    /// Nanoseconds of CPU time, those spent in servers on its behalf included.
    pub time: u64,
    /// Capabilities and charge.
    pub header: Header,
    /// Next and previous thread of the same task.
    pub of_task: (Option<u32>, Option<u32>),
    /// Why it ended ([`reason`]), and the detail.
    pub ended: (u64, u64),
    /// A thread, or a context of an entry.
    pub role: Role<M>,
    /// Number of crossings between it and the thread that began the chain.
    pub depth: u8,
    /// Who pays for its time; `None`: itself.
    pub payer: Option<Ref<Thread<M>>>,
    /// It was stopped while it was abroad: it stops when it comes home.
    pub stop_pending: bool,
}

impl<M: Machine> Thread<M> {
    /// Whether it waits for the answer to its call number `number`.
    #[must_use]
    pub fn awaits(&self, number: u32) -> bool {
        self.state == State::Calling && self.call_number == number
    }

    /// What it is as a context, if it is one.
    #[inline]
    #[must_use]
    pub fn context(&self) -> Option<&Context<M>> {
        match &self.role {
            Role::Home => None,
            Role::Context(context) => Some(context),
        }
    }

    /// As [`Thread::context`], to change it.
    #[inline]
    pub fn context_mut(&mut self) -> Option<&mut Context<M>> {
        match &mut self.role {
            Role::Home => None,
            Role::Context(context) => Some(context),
        }
    }

    /// Whether it is a context of an entry.
    #[inline(always)]
    #[must_use]
    pub fn is_context(&self) -> bool {
        matches!(self.role, Role::Context(_))
    }

    /// Whether it will run again or can be made to, so that messages to it
    /// make sense.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.header.dying && !matches!(self.state, State::Exited | State::Faulted)
    }

    /// Sets what its system call returns: success with these outputs.
    #[inline]
    pub fn succeed(&mut self, kind: u64, label: u64, tag: Tag, words: [u64; 4]) {
        let registers = &mut self.user.registers;
        registers.rax = kind;
        registers.rdi = label;
        registers.rsi = tag.bits();
        [registers.rdx, registers.r10, registers.r8, registers.r9] = words;
        registers.rflags = 0;
    }

    /// Sets what its system call returns: an error, and nothing else.
    pub fn fail(&mut self, error: ErrorCode) {
        self.succeed(error.encode(), 0, Tag::default(), [0; 4]);
        self.user.registers.rflags = CARRY;
    }

    /// A thread that belongs nowhere yet.
    #[must_use]
    pub fn new(priority: u8, header: Header) -> Self {
        Self {
            user: UserState::default(),
            state: State::New,
            pending: false,
            wait: Wait::Other,
            home: Ref::NOWHERE,
            root: M::Root::default(),
            priority,
            effective: priority,
            caller: None,
            call_number: 0,
            task: None,
            utcb: None,
            source: Source::Open,
            links: QueueLinks::default(),
            queue: Queue::None,
            window: M::Window::default(),
            senders: WaitQueue::default(),
            listeners: WaitQueue::default(),
            sender_run: SenderRun::default(),
            search: Search::default(),
            run_seen: 0,
            message: None,
            answerer: None,
            receive_timeout: Timeout::NEVER,
            timeout: None,
            segments: Holdings::default(),
            notification: None,
            deletion: None,
            exit_gate: None,
            fault_gate: None,
            fault: None,
            asks: Asks::Fault,
            vcpu: None,
            fpu: None,
            uses_fpu: false,
            diagnose: false,
            work: None,
            slice: scheduler::SLICE,
            slice_left: None,
            time: 0,
            header,
            of_task: (None, None),
            ended: (reason::NONE, 0),
            role: Role::Home,
            depth: 0,
            payer: None,
            stop_pending: false,
        }
    }
}
