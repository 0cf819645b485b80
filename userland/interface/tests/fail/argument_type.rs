use postern_interface::interface;

struct Plain {
    _x: u32,
}

#[interface(protocol = 1)]
trait Bad {
    fn take(&mut self, good: u32, plain: Plain);
}

fn main() {}
