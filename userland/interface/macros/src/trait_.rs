//! The trait as a whole: what is checked, and what comes out.

use std::collections::HashMap;

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Error, ItemTrait, LitInt, Result, TraitItem};

use crate::method::Method;
use crate::{client, server};

/// An interface.
pub struct Interface<'a> {
    /// The trait, as it was written.
    pub item: &'a ItemTrait,
    /// Its number.
    pub protocol: i64,
    /// Its methods.
    pub methods: &'a [Method],
    /// Where the generated code finds `postern-interface`.
    pub root: &'a Tokens,
}

/// Protocol numbers have 48 bits with sign in a tag; the kernel has the
/// negative ones.
const LARGEST: i64 = (1 << 47) - 1;

pub fn expand(arguments: Tokens, item: Tokens, root: &Tokens) -> Result<Tokens> {
    let protocol = protocol(arguments)?;
    let mut item: ItemTrait = syn::parse2(item)?;
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new(parameter.span(), "an interface has no parameters"));
    }
    let mut methods: Vec<Method> = Vec::new();
    let mut numbers = HashMap::new();
    for entry in &mut item.items {
        let TraitItem::Fn(function) = entry else {
            return Err(Error::new(entry.span(), "an interface has methods only"));
        };
        let next = methods.last().map_or(1, |last| last.opcode.saturating_add(1));
        let method = Method::parse(function, next, root)?;
        if let Some(first) = numbers.insert(method.opcode, method.name.clone()) {
            let text = format!("the number {} is that of `{first}` already", method.opcode);
            return Err(Error::new(method.name.span(), text));
        }
        methods.push(method);
    }
    let interface = Interface { item: &item, protocol, methods: &methods, root };
    let (client, server) = (client::expand(&interface), server::expand(&interface));
    Ok(quote!(#item #client #server))
}

/// The number in `protocol = N`.
fn protocol(arguments: Tokens) -> Result<i64> {
    let mut found = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("protocol") {
            return Err(meta.error("an interface has a `protocol = NUMBER` and nothing else"));
        }
        let number: LitInt = meta.value()?.parse()?;
        let value = number.base10_parse::<i64>()?;
        if !(1..=LARGEST).contains(&value) {
            return Err(Error::new(number.span(), "a protocol number is from 1 to 2^47 - 1"));
        }
        found = Some(value);
        Ok(())
    });
    parser.parse2(arguments)?;
    let missing = "an interface needs a number: `#[interface(protocol = 0x1234)]`";
    found.ok_or_else(|| Error::new(proc_macro2::Span::call_site(), missing))
}
