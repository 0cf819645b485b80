use postern_interface::{Owned, interface};
use postern_syscall::Gate;

#[interface(protocol = 1)]
trait Taker {
    fn take(&mut self, gate: Owned<Gate>);
}

fn twice(client: TakerClient, gate: Owned<Gate>) {
    let _ = client.take(gate);
    let _ = client.take(gate);
}

fn main() {}
