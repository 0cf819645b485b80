use postern_interface::{Owned, interface};
use postern_syscall::Gate;

#[interface(protocol = 2)]
trait Lists {
    fn gates(&mut self, first: u8, gates: Vec<Owned<Gate>>);
}

fn main() {}
