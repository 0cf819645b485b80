use postern_interface::{Answer, interface};

#[interface(protocol = 1)]
trait NoReceiver {
    fn one(number: u32);
}

#[interface(protocol = 1)]
trait Consumes {
    fn one(self);
}

#[interface(protocol = 1)]
trait Generic {
    fn one<T>(&mut self, value: T);
}

#[interface(protocol = 1)]
trait Constant {
    const ONE: u32;
}

#[interface(protocol = 1)]
trait OutArgument {
    fn one(&mut self, bytes: &mut [u8]);
}

#[interface(protocol = 1)]
trait AnswerAndResult {
    fn one(&mut self, answer: Answer<u32>) -> u32;
}

#[interface(protocol = 1)]
trait AnswerFirst {
    fn one(&mut self, answer: Answer<u32>, number: u32);
}

#[interface(protocol = 1)]
trait ZeroOpcode {
    #[opcode = 0]
    fn one(&mut self);
}

#[interface(protocol = 1)]
trait TakenName {
    fn new(&mut self);
    fn gate(&mut self) -> u64;
}

fn main() {}
