#![no_std]
#![no_main]
use postern_runtime::prelude::*;
use postern_runtime::syscall::{Notification, Rights, Timeout};
use postern_runtime::{own, slots};
use stock::{Item, StockClient, Unit};

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let stock: StockClient = names::connect(&env, "stock")?;
    let bell = bell()?;
    // The server gets a copy that can signal, and nothing else.
    if let Ok(copy) = Owned::copy(bell, Rights::W | Rights::GRANT) {
        println!("ring: {:?}", stock.ring(copy));
    }
    let item = |name, amount, unit| Item { name: Text::new(name), amount, unit };
    println!("put: {:?}", stock.put(item("screws", 200, Unit::Boxes(100))));
    println!("put: {:?}", stock.put(item("flour", 1000, Unit::Grams)));
    println!("the bell: {:?}", bell.wait(Timeout::ZERO));
    println!("take: {:?}", stock.take("flour", Some(400)).map(|item| item.amount));
    for (name, amount) in [("flour", Some(601)), ("sugar", None), ("flour", None)] {
        match stock.take(name, amount) {
            Ok(item) => println!("{} of {}", item.amount, item.name),
            Err(error) => println!("refused: {error}"),
        }
    }
    println!("list: {:?}", stock.list());
    Ok(())
}

/// A notification of this program's own.
fn bell() -> Result<Notification, postern_runtime::Error> {
    let factory = own::factory()?;
    slots::fill("creating a bell", "factory", |slot| factory.create_notification(slot))
}
