use postern_interface::interface;

#[interface]
trait Nameless {
    fn one(&mut self);
}

#[interface(protocol = 0)]
trait Zero {
    fn one(&mut self);
}

#[interface(number = 1)]
trait Other {
    fn one(&mut self);
}

fn main() {}
