//! A store of things: values of all kinds in messages.
#![no_std]
use postern_runtime::prelude::*;
use postern_runtime::syscall::Notification;

/// In what something is counted.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Pieces,
    Grams,
    /// A box of so many pieces.
    Boxes(u32),
}

/// Some of something.
#[derive(Wire, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub name: Text<24>,
    pub amount: u32,
    pub unit: Unit,
}

/// What the store refuses.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockError {
    /// there is none of it
    Unknown = 1,
    /// there is not so much of it
    NotEnough = 2,
    /// it is counted in another unit
    OtherUnit = 3,
}

/// Takes things in and gives them out.
#[interface(protocol = 0x1001)]
pub trait Stock {
    /// Puts something in; how much of it there is now.
    fn put(&mut self, item: Item) -> Result<u32, StockError>;

    /// Takes something out; `None` for all of it.
    fn take(&mut self, name: &str, amount: Option<u32>) -> Result<Item, StockError>;

    /// All that is there, as far as it fits into a message.
    fn list(&mut self) -> Vec<Item>;

    /// Rings the bell whenever something is put in. The number of this method
    /// is pinned: methods that are added before it do not change it.
    #[opcode = 16]
    fn ring(&mut self, bell: Owned<Notification>);
}
