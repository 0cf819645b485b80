//! What a random program can do next.

use proptest::prelude::*;
use std::vec;

use super::{BASE, SLOTS};

/// One operation of whichever thread runs.
#[derive(Debug, Clone)]
pub enum Step {
    Create {
        kind: u8,
        slot: u32,
        argument: u64,
        item: u32,
    },
    Bind {
        thread: u32,
        task: u32,
    },
    Start {
        thread: u32,
    },
    Stop {
        thread: u32,
    },
    Resume {
        thread: u32,
    },
    Cancel {
        thread: u32,
    },
    ExitGate {
        thread: u32,
        gate: u32,
    },
    FaultGate {
        thread: u32,
        gate: u32,
    },
    SetRegisters {
        thread: u32,
    },
    ModifySenders {
        thread: u32,
        rules: usize,
        words: [u64; 4],
    },
    NotifyDeletion {
        thread: u32,
        notification: u32,
        bits: u64,
    },
    Priority {
        thread: u32,
        priority: u64,
    },
    BindGate {
        gate: u32,
        thread: u32,
        label: u64,
    },
    Unbind {
        gate: u32,
    },
    BindNotification {
        notification: u32,
        thread: u32,
    },
    Signal {
        notification: u32,
        bits: u64,
    },
    BindIrq {
        notification: u32,
    },
    Interrupt,
    Mask {
        operation: u64,
    },
    Derive {
        from: u32,
        to: u32,
        rights: u8,
    },
    Delegate {
        task: u32,
        item: u32,
        to: u32,
        rights: u8,
    },
    Delete {
        slot: u32,
        whole: bool,
    },
    Map {
        memory: u32,
        page: u64,
        offset: u64,
        pages: u64,
        rights: u8,
    },
    Unmap {
        page: u64,
        pages: u64,
    },
    Revoke {
        slot: u32,
    },
    Move {
        from: u32,
        to: u32,
    },
    Protect {
        page: u64,
        pages: u64,
        rights: u8,
    },
    Split {
        memory: u32,
        pages: u64,
        to: u32,
    },
    Empty {
        factory: u32,
    },
    Send {
        slot: u32,
        call: bool,
        items: usize,
        item: u32,
        moved: bool,
        send: u8,
        receive: u8,
    },
    Lend {
        slot: u32,
        receive: u8,
    },
    Activate {
        relay: u32,
    },
    Segment {
        code: u8,
        place: u64,
    },
    Narrow {
        offset: u64,
        pages: u64,
        rights: u8,
    },
    Take {
        slot: u32,
    },
    Receive {
        window: u32,
        timeout: u8,
        closed: bool,
        source: u32,
    },
    Reply {
        wait: bool,
        saved: bool,
        handle: u32,
        item: u32,
        items: usize,
    },
    Save {
        slot: u32,
    },
    /// What the fast paths are for.
    Quick {
        gate: u32,
    },
    Serve {
        first: bool,
    },
    QuickReturn,
    GiveBack,
    AddContext {
        entry: u32,
    },
    RemoveContext {
        entry: u32,
        context: u64,
        reset: bool,
    },
    BindEntry {
        gate: u32,
        entry: u32,
        limit: u64,
    },
    EntryFaultGate {
        entry: u32,
        gate: u32,
    },
    EntryNotification {
        entry: u32,
        notification: u32,
    },
    SetEntry {
        entry: u32,
        floor: u64,
        grace: u64,
    },
    Cross {
        gate: u32,
        call: bool,
        receive: u8,
    },
    Return {
        item: u32,
        items: usize,
    },
    Sleep {
        ns: u64,
    },
    Exit,
    Fault,
    UseFpu,
    Hypercall,
    HypercallGate {
        task: u32,
        gate: u32,
    },
    /// Turns the trace on or off.
    Trace {
        memory: u32,
    },
    Yield,
    Time {
        ns: u64,
    },
    Garbage {
        rax: u64,
        args: [u64; 6],
    },
}

/// A slot that random operations use, seldom another one.
pub fn slot() -> impl Strategy<Value = u32> {
    prop_oneof![20 => BASE..BASE + SLOTS, 1 => Just(0), 1 => 1..8u32]
}

/// Any operation, the more telling ones more often.
pub fn step() -> impl Strategy<Value = Step> {
    let rights = any::<u8>();
    prop_oneof![
        8 => (0u8..14, slot(), 0u64..6, slot())
            .prop_map(|(kind, slot, argument, item)| Step::Create { kind, slot, argument, item }),
        4 => (slot(), slot()).prop_map(|(thread, task)| Step::Bind { thread, task }),
        4 => slot().prop_map(|thread| Step::Start { thread }),
        1 => slot().prop_map(|thread| Step::Stop { thread }),
        1 => slot().prop_map(|thread| Step::Resume { thread }),
        1 => slot().prop_map(|thread| Step::Cancel { thread }),
        1 => (slot(), slot()).prop_map(|(thread, gate)| Step::ExitGate { thread, gate }),
        3 => (slot(), slot()).prop_map(|(thread, gate)| Step::FaultGate { thread, gate }),
        1 => slot().prop_map(|thread| Step::SetRegisters { thread }),
        2 => (slot(), 0usize..3, prop::array::uniform4(0u64..64))
            .prop_map(|(thread, rules, words)| Step::ModifySenders { thread, rules, words }),
        1 => (slot(), slot(), 0u64..4).prop_map(|(thread, notification, bits)| {
            Step::NotifyDeletion { thread, notification, bits }
        }),
        1 => (slot(), 0u64..300).prop_map(|(thread, priority)| Step::Priority { thread, priority }),
        3 => (slot(), slot(), 0u64..64)
            .prop_map(|(gate, thread, label)| Step::BindGate { gate, thread, label }),
        1 => slot().prop_map(|gate| Step::Unbind { gate }),
        1 => (slot(), slot())
            .prop_map(|(notification, thread)| Step::BindNotification { notification, thread }),
        1 => (slot(), 0u64..4)
            .prop_map(|(notification, bits)| Step::Signal { notification, bits }),
        1 => slot().prop_map(|notification| Step::BindIrq { notification }),
        2 => Just(Step::Interrupt),
        1 => (0u64..3).prop_map(|operation| Step::Mask { operation }),
        3 => (slot(), slot(), rights).prop_map(|(from, to, rights)| Step::Derive { from, to, rights }),
        3 => (slot(), slot(), slot(), any::<u8>())
            .prop_map(|(task, item, to, rights)| Step::Delegate { task, item, to, rights }),
        3 => (slot(), any::<bool>()).prop_map(|(slot, whole)| Step::Delete { slot, whole }),
        2 => (slot(), 0u64..8, 0u64..3, 1u64..4, 0u8..8).prop_map(
            |(memory, page, offset, pages, rights)| Step::Map { memory, page, offset, pages, rights }
        ),
        1 => (0u64..8, 1u64..8).prop_map(|(page, pages)| Step::Unmap { page, pages }),
        2 => slot().prop_map(|slot| Step::Revoke { slot }),
        1 => (slot(), slot()).prop_map(|(from, to)| Step::Move { from, to }),
        1 => (0u64..8, 1u64..8, 0u8..8)
            .prop_map(|(page, pages, rights)| Step::Protect { page, pages, rights }),
        1 => (slot(), 0u64..3, slot())
            .prop_map(|(memory, pages, to)| Step::Split { memory, pages, to }),
        1 => slot().prop_map(|factory| Step::Empty { factory }),
        12 => (slot(), any::<bool>(), 0usize..3, slot(), any::<bool>(), 0u8..3, 0u8..3).prop_map(
            |(slot, call, items, item, moved, send, receive)| Step::Send {
                slot, call, items, item, moved, send, receive
            }
        ),
        12 => (slot(), 0u8..3, any::<bool>(), slot()).prop_map(|(window, timeout, closed, source)| {
            Step::Receive { window, timeout, closed: closed && source % 2 == 0 || source == BASE + 7, source }
        }),
        6 => (any::<bool>(), any::<bool>(), slot(), slot(), 0usize..2).prop_map(
            |(wait, saved, handle, item, items)| Step::Reply { wait, saved, handle, item, items }
        ),
        4 => (slot(), 0u8..3).prop_map(|(slot, receive)| Step::Lend { slot, receive }),
        4 => slot().prop_map(|relay| Step::Activate { relay }),
        4 => (0u8..5, 0u64..3).prop_map(|(code, place)| Step::Segment { code, place }),
        2 => (0u64..4, 0u64..4, 0u8..8)
            .prop_map(|(offset, pages, rights)| Step::Narrow { offset, pages, rights }),
        1 => slot().prop_map(|slot| Step::Take { slot }),
        2 => slot().prop_map(|slot| Step::Save { slot }),
        10 => (BASE + 4..BASE + 7).prop_map(|gate| Step::Quick { gate }),
        10 => any::<bool>().prop_map(|first| Step::Serve { first }),
        6 => prop_oneof![Just(BASE + 10), Just(BASE + 12)].prop_map(|gate| Step::Quick { gate }),
        6 => Just(Step::QuickReturn),
        3 => Just(Step::GiveBack),
        3 => slot().prop_map(|entry| Step::AddContext { entry }),
        2 => (slot(), 0u64..16, any::<bool>())
            .prop_map(|(entry, context, reset)| Step::RemoveContext { entry, context, reset }),
        3 => (slot(), slot(), 0u64..3)
            .prop_map(|(gate, entry, limit)| Step::BindEntry { gate, entry, limit }),
        2 => (slot(), slot()).prop_map(|(entry, gate)| Step::EntryFaultGate { entry, gate }),
        1 => (slot(), slot())
            .prop_map(|(entry, notification)| Step::EntryNotification { entry, notification }),
        1 => (slot(), 0u64..300, 0u64..4000)
            .prop_map(|(entry, floor, grace)| Step::SetEntry { entry, floor, grace }),
        16 => (prop_oneof![Just(BASE + 10), Just(BASE + 12)], any::<bool>(), 0u8..6)
            .prop_map(|(gate, call, receive)| Step::Cross { gate, call, receive }),
        8 => (slot(), 0usize..2).prop_map(|(item, items)| Step::Return { item, items }),
        1 => (0u64..3000).prop_map(|ns| Step::Sleep { ns }),
        1 => Just(Step::Exit),
        4 => Just(Step::Fault),
        8 => Just(Step::UseFpu),
        3 => Just(Step::Hypercall),
        2 => (slot(), slot()).prop_map(|(task, gate)| Step::HypercallGate { task, gate }),
        2 => slot().prop_map(|memory| Step::Trace { memory }),
        6 => Just(Step::Yield),
        2 => (0u64..4000).prop_map(|ns| Step::Time { ns }),
        2 => (0u64..0x20, prop::array::uniform6(prop_oneof![0u64..128, any::<u64>()]))
            .prop_map(|(code, args)| Step::Garbage { rax: 0x5000_0000 | code, args }),
    ]
}
