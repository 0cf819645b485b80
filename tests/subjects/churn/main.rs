//! Churn (rows G1 and G4): tasks that end in every state, a thousand times,
//! and hostile programs; every byte is back afterwards.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod hostile;
mod states;

postern_tests::subject!(states, hostile);
