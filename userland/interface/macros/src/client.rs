//! The client: a handle over a gate with the methods of the trait.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::at;
use crate::method::{Argument, Method};
use crate::trait_::Interface;

pub fn expand(interface: &Interface<'_>) -> Tokens {
    let Interface { item, protocol, root, .. } = interface;
    let (name, visibility) = (&item.ident, &item.vis);
    let client = format_ident!("{name}Client");
    let methods = interface.methods.iter().map(|one| method(one, interface));
    let numbers = interface.methods.iter().map(|one| {
        let (name, opcode) = (one.name.to_string(), one.opcode);
        quote!((#name, #opcode))
    });
    let about = format!("A client of [`{name}`]: a handle over a gate.");
    quote! {
        #[doc = #about]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #visibility struct #client {
            gate: #root::private::Gate,
            timeouts: #root::private::Timeouts,
        }

        impl #client {
            /// The number of the interface.
            pub const PROTOCOL: i64 = #protocol;

            /// The methods and their numbers: what clients and servers of
            /// different versions agree on.
            pub const METHODS: &'static [(&'static str, u64)] = &[#(#numbers),*];

            /// The client of the server behind `gate`. Its calls wait for ever.
            #[must_use]
            pub const fn new(gate: #root::private::Gate) -> Self {
                Self { gate, timeouts: #root::private::Timeouts::NEVER }
            }

            /// The same client, whose calls wait so long at most.
            #[must_use]
            pub const fn with_timeouts(self, timeouts: #root::private::Timeouts) -> Self {
                Self { timeouts, ..self }
            }

            /// The gate.
            #[must_use]
            pub const fn gate(&self) -> #root::private::Gate {
                self.gate
            }

            #(#methods)*
        }

        impl #root::private::Capability for #client {
            const KIND: #root::private::Kind = #root::private::Kind::Gate;

            fn from_slot(slot: #root::private::Slot) -> Self {
                Self::new(#root::private::Gate::new(slot))
            }

            fn slot(self) -> #root::private::Slot {
                #root::private::Capability::slot(self.gate)
            }
        }
    }
}

fn method(method: &Method, interface: &Interface<'_>) -> Tokens {
    let (root, protocol) = (interface.root, interface.protocol);
    let Method { name, opcode, docs, result, error, .. } = method;
    let arguments: Vec<_> = method
        .arguments
        .iter()
        .filter_map(|argument| match argument {
            Argument::Value { name, ty } => Some(quote!(#name: #ty)),
            Argument::Lent { name } => Some(quote!(#name: __Loan)),
            Argument::Caller { .. } | Argument::Answer => None,
        })
        .collect();
    let puts = method
        .values()
        .map(|(name, ty)| quote_spanned!(ty.span()=> <#ty as #root::Wire<'_>>::put(#name, to)?;));
    let words =
        method.values().map(|(_, ty)| quote_spanned!(ty.span()=> <#ty as #root::Wire<'_>>::WORDS));
    let items =
        method.values().map(|(_, ty)| quote_spanned!(ty.span()=> <#ty as #root::Wire<'_>>::ITEMS));
    let here = at(root, name.span());
    let answer = quote_spanned!(result.span()=> <#result as #root::Wire<'_>>::WORDS);
    let given = quote_spanned!(result.span()=> <#result as #root::Wire<'_>>::ITEMS);
    let sizes = quote_spanned! {name.span()=>
        const WORDS: usize = #here::wire::words(&[#(#words),*]);
        const ITEMS: usize = #here::wire::items(&[#(#items),*]);
        const ANSWER: usize = #here::wire::words(&[#answer]);
        const GIVEN: usize = #here::wire::items(&[#given]);
    };
    let there = at(root, result.span());
    let put = quote! {
        |to| {
            let _ = &to;
            #(#puts)*
            #root::private::core::result::Result::Ok(())
        }
    };
    let core = quote!(#root::private::core);
    let Some(lent) = method.lent() else {
        let call = quote_spanned! {result.span()=>
            #there::private::call::<WORDS, ITEMS, ANSWER, GIVEN, #result, #error>
        };
        return quote! {
            #(#docs)*
            ///
            /// # Errors
            /// The server's own, or what went wrong on the way to it and back.
            pub fn #name(
                &self,
                #(#arguments),*
            ) -> #core::result::Result<#result, #root::CallError<#error>> {
                #sizes
                #call(self.gate, self.timeouts, #protocol, #opcode, #put)
            }
        };
    };
    let call = quote_spanned! {result.span()=>
        #there::private::lend::<WORDS, ITEMS, ANSWER, GIVEN, #result, #error, __Loan>
    };
    quote! {
        #(#docs)*
        ///
        /// # Errors
        /// The server's own, or what went wrong on the way to it and back; and
        /// what became of the segment.
        pub fn #name<__Loan: #root::private::Lend>(
            &self,
            #(#arguments),*
        ) -> #core::result::Result<
            (#result, __Loan::Back),
            (#root::CallError<#error>, __Loan::Outcome),
        > {
            #sizes
            #call(self.gate, self.timeouts, #protocol, #opcode, #lent, #put)
        }
    }
}
