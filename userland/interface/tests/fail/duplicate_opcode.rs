use postern_interface::interface;

#[interface(protocol = 1)]
trait Twice {
    #[opcode = 2]
    fn one(&mut self);
    #[opcode = 1]
    fn two(&mut self);
    fn three(&mut self);
}

fn main() {}
