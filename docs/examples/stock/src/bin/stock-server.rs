#![no_std]
#![no_main]
use postern_runtime::prelude::*;
use postern_runtime::syscall::Notification;
use stock::{Item, Stock, StockError, StockServer};

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    names::serve(&env, "stock", StockServer(Shelf::default()))
}

#[derive(Default)]
struct Shelf {
    items: Vec<Item>,
    bell: Option<Owned<Notification>>,
}

impl Shelf {
    fn find(&mut self, name: &str) -> Result<&mut Item, StockError> {
        self.items.iter_mut().find(|item| &*item.name == name).ok_or(StockError::Unknown)
    }
}

impl Stock for Shelf {
    fn put(&mut self, item: Item) -> Result<u32, StockError> {
        let amount = match self.find(&item.name) {
            Ok(found) if found.unit != item.unit => return Err(StockError::OtherUnit),
            Ok(found) => {
                found.amount = found.amount.saturating_add(item.amount);
                found.amount
            }
            Err(_) => {
                self.items.push(item);
                item.amount
            }
        };
        if let Some(bell) = &self.bell {
            // Whoever gave it may be gone.
            let _ = bell.signal(1);
        }
        Ok(amount)
    }

    fn take(&mut self, name: &str, amount: Option<u32>) -> Result<Item, StockError> {
        let found = self.find(name)?;
        let amount = amount.unwrap_or(found.amount);
        found.amount = found.amount.checked_sub(amount).ok_or(StockError::NotEnough)?;
        let taken = Item { amount, ..*found };
        self.items.retain(|item| item.amount > 0);
        Ok(taken)
    }

    fn list(&mut self) -> Vec<Item> {
        self.items.iter().take(8).copied().collect()
    }

    fn ring(&mut self, bell: Owned<Notification>) {
        self.bell = Some(bell);
    }
}
