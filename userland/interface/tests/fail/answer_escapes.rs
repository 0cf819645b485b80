use postern_interface::{Answer, interface};

#[interface(protocol = 1)]
trait Late {
    fn one(&mut self, answer: Answer<u32>);
}

struct Server<'a> {
    answers: Vec<Answer<'a, u32>>,
}

impl Late for Server<'_> {
    fn one(&mut self, answer: Answer<u32>) {
        self.answers.push(answer);
    }
}

fn main() {}
