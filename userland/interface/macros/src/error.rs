//! `#[derive(ServerError)]`: numbers, and words out of the documentation.

use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, Lit, LitInt, Result};

pub fn expand(item: &DeriveInput, root: &Tokens) -> Result<Tokens> {
    let Data::Enum(data) = &item.data else {
        return Err(Error::new_spanned(&item.ident, "the error of a server is an enumeration"));
    };
    let name = &item.ident;
    let (mut variants, mut numbers, mut texts) = (vec![], vec![], vec![]);
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let text = "the error of a server is a number: its variants have no fields";
            return Err(Error::new_spanned(&variant.fields, text));
        }
        let Some((_, value)) = &variant.discriminant else {
            let text = "an error needs a number, which is part of the interface: `Name = 1`";
            return Err(Error::new_spanned(variant, text));
        };
        let number: LitInt = syn::parse2(quote!(#value))
            .map_err(|_| Error::new_spanned(value, "the number of an error is written out"))?;
        if number.base10_parse::<u32>()? == 0 {
            return Err(Error::new(number.span(), "0 means success"));
        }
        let Some(text) = documentation(&variant.attrs) else {
            let text = "an error needs words: write them as its documentation";
            return Err(Error::new_spanned(variant, text));
        };
        variants.push(&variant.ident);
        numbers.push(LitInt::new(&format!("{}u32", number.base10_parse::<u32>()?), number.span()));
        texts.push(text);
    }
    Ok(quote! {
        impl #root::ServerError for #name {
            fn number(&self) -> #root::private::core::num::NonZeroU32 {
                const fn number(number: u32) -> #root::private::core::num::NonZeroU32 {
                    match #root::private::core::num::NonZeroU32::new(number) {
                        Some(number) => number,
                        None => #root::private::core::num::NonZeroU32::MIN,
                    }
                }
                match self { #(Self::#variants => number(#numbers),)* }
            }

            fn decode(
                number: #root::private::core::num::NonZeroU32,
            ) -> #root::private::core::option::Option<Self> {
                match number.get() {
                    #(#numbers => #root::private::core::option::Option::Some(Self::#variants),)*
                    _ => #root::private::core::option::Option::None,
                }
            }
        }

        impl #root::private::core::fmt::Display for #name {
            fn fmt(
                &self,
                f: &mut #root::private::core::fmt::Formatter<'_>,
            ) -> #root::private::core::fmt::Result {
                f.write_str(match self { #(Self::#variants => #texts,)* })
            }
        }

        impl #root::private::core::error::Error for #name {}
    })
}

/// The first paragraph of the documentation, without the full stop.
fn documentation(attributes: &[Attribute]) -> Option<String> {
    let mut words = Vec::new();
    for attribute in attributes.iter().filter(|one| one.path().is_ident("doc")) {
        let Ok(pair) = attribute.meta.require_name_value() else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        let line = line.value();
        if line.trim().is_empty() && !words.is_empty() {
            break;
        }
        words.extend(line.split_whitespace().map(str::to_owned));
    }
    let text = words.join(" ");
    let text = text.strip_suffix('.').unwrap_or(&text);
    (!text.is_empty()).then(|| text.to_owned())
}
