use postern_interface::{Plain, interface};

struct Padded(u8, u32);

#[interface(protocol = 1)]
trait Values {
    fn plain(&mut self, value: Plain<Padded>);
}

fn main() {}
