use postern_interface::{ServerError, interface};

/// Errors.
#[derive(ServerError, Debug, Clone, Copy, PartialEq, Eq)]
enum Error {
    /// no
    No = 1,
}

#[interface(protocol = 1)]
trait Slices {
    fn borrowed(&mut self) -> Result<&[u8], Error>;
}

fn main() {}
