//! `#[derive(Wire)]`: the fields in order; for enumerations a number first.

use proc_macro2::{Ident, Span, TokenStream as Tokens};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, LitInt, Result, Type};

pub fn expand(item: &DeriveInput, root: &Tokens) -> Result<Tokens> {
    if let Some(parameter) = item.generics.params.first() {
        return Err(Error::new(parameter.span(), "a type in messages has no parameters"));
    }
    let name = &item.ident;
    let (words, items, put, take) = match &item.data {
        Data::Struct(data) => structure(&data.fields, root),
        Data::Enum(_) => enumeration(item, root)?,
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span(), "a union cannot travel in a message"));
        }
    };
    Ok(quote! {
        impl<'w> #root::Wire<'w> for #name {
            const WORDS: usize = #words;
            const ITEMS: usize = #items;

            #[inline]
            fn put(
                self,
                to: &mut #root::Writer<'_>,
            ) -> #root::private::core::result::Result<(), #root::Full> {
                let _ = &to;
                #put
                #root::private::core::result::Result::Ok(())
            }

            #[inline]
            fn take(
                from: &mut #root::Reader<'w>,
            ) -> #root::private::core::result::Result<Self, #root::Malformed> {
                let _ = &from;
                #root::private::core::result::Result::Ok(#take)
            }
        }
    })
}

/// The fields of a structure or variant: pattern, statements that put them,
/// expressions that take them, sums of their words and items.
struct Parts {
    pattern: Tokens,
    put: Tokens,
    take: Tokens,
    words: Tokens,
    items: Tokens,
}

fn parts(fields: &Fields, root: &Tokens) -> Parts {
    let locals: Vec<Ident> =
        (0..fields.len()).map(|index| format_ident!("field_{index}")).collect();
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    let wire = |ty: &Type| quote_spanned!(ty.span()=> <#ty as #root::Wire<'w>>);
    let put = types.iter().zip(&locals).map(|(ty, local)| {
        let wire = wire(ty);
        quote_spanned!(ty.span()=> #wire::put(#local, to)?;)
    });
    let takes = types.iter().map(|ty| {
        let wire = wire(ty);
        quote_spanned!(ty.span()=> #wire::take(from)?)
    });
    let (words, items): (Vec<_>, Vec<_>) = types
        .iter()
        .map(|ty| {
            let wire = wire(ty);
            (quote!(#wire::WORDS), quote!(#wire::ITEMS))
        })
        .unzip();
    let (pattern, take) = match fields {
        Fields::Named(named) => {
            let names: Vec<_> = named.named.iter().map(|field| &field.ident).collect();
            (quote!({ #(#names: #locals),* }), quote!({ #(#names: #takes),* }))
        }
        Fields::Unnamed(_) => (quote!((#(#locals),*)), quote!((#(#takes),*))),
        Fields::Unit => (quote!(), quote!()),
    };
    Parts {
        pattern,
        put: quote!(#(#put)*),
        take,
        words: quote!((0 #(+ #words)*)),
        items: quote!((0 #(+ #items)*)),
    }
}

fn structure(fields: &Fields, root: &Tokens) -> (Tokens, Tokens, Tokens, Tokens) {
    let Parts { pattern, put, take, words, items } = parts(fields, root);
    (words, items, quote!(let Self #pattern = self; #put), quote!(Self #take))
}

fn enumeration(item: &DeriveInput, root: &Tokens) -> Result<(Tokens, Tokens, Tokens, Tokens)> {
    let Data::Enum(data) = &item.data else { return Err(Error::new(Span::call_site(), "no enum")) };
    let mut next = 0u64;
    let (mut puts, mut takes, mut words, mut items) = (vec![], vec![], vec![], vec![]);
    for variant in &data.variants {
        let number = match &variant.discriminant {
            Some((_, value)) => syn::parse2::<LitInt>(quote!(#value))?.base10_parse()?,
            None => next,
        };
        next = number.saturating_add(1);
        let name = &variant.ident;
        let part = parts(&variant.fields, root);
        let (pattern, put, take) = (part.pattern, part.put, part.take);
        puts.push(quote!(Self::#name #pattern => { to.word(#number)?; #put }));
        takes.push(quote!(#number => Self::#name #take,));
        words.push(part.words);
        items.push(part.items);
    }
    let malformed = quote! {
        return #root::private::core::result::Result::Err(#root::Malformed)
    };
    Ok((
        quote!(1 + #root::wire::largest(&[#(#words),*])),
        quote!(#root::wire::largest(&[#(#items),*])),
        quote!(match self { #(#puts)* }),
        quote!(match from.word()? { #(#takes)* _ => #malformed }),
    ))
}
