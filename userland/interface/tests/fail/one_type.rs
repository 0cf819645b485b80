use postern_interface::interface;

#[interface(protocol = 1)]
trait Fails {
    fn two(&mut self) -> Result<u32>;
}

fn main() {}
