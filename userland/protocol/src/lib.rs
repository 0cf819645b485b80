//! The interfaces of Postern's own servers, one a module: a trait with
//! `#[interface]`, its error, its structures, and what makes its client nice to
//! use.
//!
//! Must never hold policy: who may do what is decided by who has which gate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod console;
pub mod files;
pub mod names;
pub mod session;
pub mod store;
pub mod supervisor;

pub use postern_interface::CallError;

/// The name of a program or server: as long as the kernel's crash reports have
/// room for.
pub type Name = postern_interface::Text<32>;

/// Numbers that change break programs that were compiled before.
#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use core::fmt::Write;

    type Interface = (&'static str, i64, &'static [(&'static str, u64)]);

    macro_rules! all {
        ($($name:literal $client:ty;)*) => {
            [$(($name, <$client>::PROTOCOL, <$client>::METHODS)),*]
        };
    }

    fn all() -> [Interface; 6] {
        all! {
            "console" console::ConsoleClient;
            "supervisor" supervisor::SupervisorClient;
            "session" session::SessionClient;
            "names" names::NamesClient;
            "files" files::FilesClient;
            "store" store::StoreClient;
        }
    }

    #[test]
    fn no_two_interfaces_have_the_same_number() {
        let numbers = all().map(|interface| interface.1);
        for (index, number) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(number), "{number:#x}");
        }
    }

    /// A method that is new gets a line; a line that is there stays.
    #[test]
    fn numbers_stay_what_they_are() {
        let mut text = String::new();
        for (interface, protocol, methods) in all() {
            for (method, number) in methods {
                writeln!(text, "{protocol:#x} {interface} {number} {method}").expect("a String");
            }
        }
        assert_eq!(text, include_str!("numbers.txt"), "see numbers.txt beside this file");
    }
}
