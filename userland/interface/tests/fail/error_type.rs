use postern_interface::interface;

#[interface(protocol = 1)]
trait Fails {
    fn one(&mut self) -> Result<u32, String>;
}

fn main() {}
