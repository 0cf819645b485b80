//! A link: adds one, and asks the next link if there is one.
#![no_std]
#![no_main]
use chain::{Link, LinkClient, LinkError, LinkServer};
use postern_runtime::prelude::*;

postern_runtime::main!(main);

struct Middle {
    next: Option<LinkClient>,
    /// The generation of the next link that was told last.
    generation: u64,
}

impl Middle {
    fn next<T>(
        &mut self,
        call: impl FnOnce(LinkClient) -> Result<T, CallError<LinkError>>,
    ) -> Option<Result<T, LinkError>> {
        Some(call(self.next?).map_err(|error| match error {
            CallError::Server(error) => error,
            CallError::Restarted { generation, .. } if generation <= self.generation => {
                LinkError::Repeated
            }
            CallError::Restarted { generation, .. } => {
                self.generation = generation;
                LinkError::Lost
            }
            _ => LinkError::Unclear,
        }))
    }
}

impl Link for Middle {
    fn pass(&mut self, number: u64) -> Result<u64, LinkError> {
        let number = number + 1;
        self.next(|next| next.pass(number)).unwrap_or(Ok(number))
    }

    fn crash(&mut self, panics: bool) -> Result<(), LinkError> {
        self.next(|next| next.crash(panics)).unwrap_or_else(|| {
            if panics {
                panic!("asked to");
            }
            let _ = postern_runtime::syscall::raw::peek(0x10);
            Ok(())
        })
    }
}

fn main(env: Env) -> Result<(), String> {
    let next = env.capability("next").ok();
    let error = server::serve(&mut LinkServer(Middle { next, generation: 1 }));
    Err(error.to_string())
}
