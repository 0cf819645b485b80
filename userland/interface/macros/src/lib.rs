//! The macros of `postern-interface`; its pages say what they do.
//!
//! Must never accept what the crate cannot carry: what is wrong is said here,
//! at the line of the user, or by a trait that the generated code demands of
//! the user's own type, at the place where the type is written.
#![forbid(unsafe_code)]

mod client;
mod error;
mod method;
mod server;
mod trait_;
mod wire;

use proc_macro::TokenStream;
use proc_macro2::{Span, TokenStream as Tokens, TokenTree};
use quote::quote;
use syn::parse_macro_input;

/// Where the generated code finds `postern-interface`: by itself ...
fn own() -> Tokens {
    quote!(::postern_interface)
}

/// ... or in the runtime, so that programs depend on nothing else.
fn in_runtime() -> Tokens {
    quote!(::postern_runtime::interface)
}

/// The same path, as if it stood at `span`: so that what the compiler says is
/// about that place.
fn at(root: &Tokens, span: Span) -> Tokens {
    let move_one = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    root.clone().into_iter().map(move_one).collect()
}

fn done(result: syn::Result<Tokens>) -> TokenStream {
    result.unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Makes client and dispatcher of a trait: `#[interface(protocol = N)]`.
#[proc_macro_attribute]
pub fn interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    done(trait_::expand(arguments.into(), item.into(), &own()))
}

/// [`macro@interface`] for programs that depend on the runtime only.
#[proc_macro_attribute]
pub fn runtime_interface(arguments: TokenStream, item: TokenStream) -> TokenStream {
    done(trait_::expand(arguments.into(), item.into(), &in_runtime()))
}

/// Lets a structure or enumeration travel in messages: its fields in order.
#[proc_macro_derive(Wire)]
pub fn derive_wire(item: TokenStream) -> TokenStream {
    done(wire::expand(&parse_macro_input!(item), &own()))
}

/// [`macro@Wire`] for programs that depend on the runtime only.
#[proc_macro_derive(RuntimeWire)]
pub fn derive_runtime_wire(item: TokenStream) -> TokenStream {
    done(wire::expand(&parse_macro_input!(item), &in_runtime()))
}

/// Makes an enumeration the error of a server: numbers for the wire, and the
/// documentation of each variant as its words.
#[proc_macro_derive(ServerError)]
pub fn derive_server_error(item: TokenStream) -> TokenStream {
    done(error::expand(&parse_macro_input!(item), &own()))
}

/// [`macro@ServerError`] for programs that depend on the runtime only.
#[proc_macro_derive(RuntimeServerError)]
pub fn derive_runtime_server_error(item: TokenStream) -> TokenStream {
    done(error::expand(&parse_macro_input!(item), &in_runtime()))
}
