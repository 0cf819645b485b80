use postern_interface::interface;

#[interface(protocol = 1)]
trait Large {
    fn small(&mut self) -> u64;
    fn large(&mut self) -> [u64; 63];
}

fn main() {}
