#![no_std]
#![no_main]
use core::time::Duration;

use alarm::AlarmClient;
use postern_runtime::prelude::*;
use postern_runtime::thread;

postern_runtime::main!(main);

fn main(env: Env) -> Result<(), names::Error> {
    let alarm: AlarmClient = names::connect(&env, "alarm")?;
    let second = thread::spawn(move || alarm.next_second())?;
    let late = thread::spawn(move || alarm.wake(Duration::from_millis(30)))?;
    let early = thread::spawn(move || alarm.wake(Duration::from_millis(10)))?;
    time::sleep(Duration::from_millis(5));
    println!("waiting: {:?}", alarm.waiting());
    if let (Ok(Ok(early)), Ok(Ok(late))) = (early.join(), late.join()) {
        println!("the early one was woken first: {}", early < late);
    }
    match second.join() {
        Ok(Ok(second)) => println!("a second began: {second}"),
        other => println!("no second: {other:?}"),
    }
    println!("waiting: {:?}", alarm.waiting());
    Ok(())
}
