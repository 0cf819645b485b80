//! The dispatcher: from a request to the method of whoever implements the
//! trait, and nothing else.

use proc_macro2::TokenStream as Tokens;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::method::{Argument, Method};
use crate::trait_::Interface;

pub fn expand(interface: &Interface<'_>) -> Tokens {
    let Interface { item, protocol, root, .. } = interface;
    let (name, visibility) = (&item.ident, &item.vis);
    let server = format_ident!("{name}Server");
    let arms = interface.methods.iter().map(|one| arm(one, interface));
    let windows = interface.methods.iter().map(|one| {
        let items =
            one.values().map(|(_, ty)| quote_spanned!(ty.span()=> <#ty as #root::Wire<'_>>::ITEMS));
        quote!(#root::wire::items(&[#(#items),*]))
    });
    let about = format!("Serves [`{name}`] and nothing else.");
    quote! {
        #[doc = #about]
        #[derive(Debug)]
        #visibility struct #server<S>(
            /// Whose methods are called.
            pub S,
        );

        impl<S: #name> #server<S> {
            /// Most capabilities of a request.
            pub const WINDOWS: usize = #root::wire::largest(&[#(#windows),*]);

            /// Calls the method that the request asks for. Whatever is no
            /// request of this interface is refused, and `server` does not see
            /// it.
            pub fn dispatch(server: &mut S, request: #root::Request<'_>) -> #root::Reply {
                if request.protocol() != #protocol {
                    return request.refuse(#root::Refusal::UnknownInterface);
                }
                let method = request.word(0);
                let (caller, mut reader, lent, mut responder) = request.open();
                let _ = (reader.word(), &caller, &lent, &mut responder, &server);
                match method {
                    #(#arms)*
                    _ => responder.refuse(#root::Refusal::UnknownMethod),
                }
            }
        }

        impl<S: #name> #root::Server for #server<S> {
            fn call(&mut self, request: #root::Request<'_>) -> #root::Reply {
                Self::dispatch(&mut self.0, request)
            }

            fn windows(&self) -> usize {
                Self::WINDOWS
            }
        }
    }
}

fn arm(method: &Method, interface: &Interface<'_>) -> Tokens {
    let (root, trait_) = (interface.root, &interface.item.ident);
    let Method { name, opcode, result, error, .. } = method;
    let locals: Vec<_> =
        method.values().enumerate().map(|(index, _)| format_ident!("argument_{index}")).collect();
    let takes = method.values().zip(&locals).map(|((_, ty), local)| {
        quote_spanned! {ty.span()=>
            let #root::private::core::result::Result::Ok(#local) =
                <#ty as #root::Wire<'_>>::take(&mut reader)
            else {
                return responder.refuse(#root::Refusal::Malformed);
            };
        }
    });
    let mut values = locals.iter();
    let arguments = method.arguments.iter().map(|argument| match argument {
        Argument::Value { .. } => {
            let local = values.next();
            quote!(#local)
        }
        Argument::Caller { reference: true } => quote!(&caller),
        Argument::Caller { reference: false } => quote!(caller),
        Argument::Lent { .. } => quote!(lent),
        Argument::Answer => quote!(responder.later::<#result, #error>()),
    });
    let call = quote_spanned!(name.span()=> #trait_::#name(server, #(#arguments),*));
    let answers = method.arguments.iter().any(|one| matches!(one, Argument::Answer));
    let lent = method.lent().map(|_| {
        quote! {
            let #root::private::core::option::Option::Some(lent) = lent else {
                return responder.refuse(#root::Refusal::Malformed);
            };
        }
    });
    let finish = if answers {
        quote!(#call; responder.done())
    } else if method.fallible {
        quote!(let result = #call; responder.answer::<#result, #error>(result))
    } else {
        let ok = quote!(#root::private::core::result::Result::Ok(result));
        quote!(let result = #call; responder.answer::<#result, #error>(#ok))
    };
    quote! {
        #opcode => {
            #(#takes)*
            #lent
            if reader.finish().is_err() {
                return responder.refuse(#root::Refusal::Malformed);
            }
            #finish
        }
    }
}
