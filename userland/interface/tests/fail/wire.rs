use postern_interface::Wire;

struct Plain;

#[derive(Wire)]
struct Holder {
    good: u32,
    plain: Plain,
}

#[derive(Wire)]
struct Generic<T>(T);

#[derive(Wire)]
union Either {
    one: u32,
    two: u64,
}

fn main() {}
