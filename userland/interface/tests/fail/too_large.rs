use postern_interface::interface;

#[interface(protocol = 1)]
trait Large {
    fn take(&mut self, words: [u64; 63]);
}

fn main() {}
