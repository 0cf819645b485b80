use postern_interface::ServerError;

#[derive(ServerError)]
enum Numberless {
    /// words
    One,
}

#[derive(ServerError)]
enum Wordless {
    One = 1,
}

#[derive(ServerError)]
enum Zero {
    /// words
    One = 0,
}

#[derive(ServerError)]
enum Fields {
    /// words
    One(u32),
}

fn main() {}
