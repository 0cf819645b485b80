//! One method of an interface, as the trait has it.

use proc_macro2::{Ident, TokenStream as Tokens};
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, GenericArgument, LitInt, Pat, PathArguments, PathSegment,
    ReceiverKind, Result, ReturnType, Safety, TraitItemFn, Type,
};

/// What stands between the parentheses, behind the receiver.
pub enum Argument {
    /// A value that the client sends.
    Value {
        /// What the trait calls it.
        name: Ident,
        /// Its type.
        ty: Box<Type>,
    },
    /// Who calls, by reference or by value.
    Caller {
        /// Whether the method wants `&Caller`.
        reference: bool,
    },
    /// The relay segment that goes along.
    Lent {
        /// What the trait calls it.
        name: Ident,
    },
    /// The answer, for servers that answer themselves.
    Answer,
}

/// What a client can do whatever its interface is.
const TAKEN: [&str; 3] = ["gate", "new", "with_timeouts"];

/// A method.
pub struct Method {
    /// Its name.
    pub name: Ident,
    /// Its number.
    pub opcode: u64,
    /// Its documentation.
    pub docs: Vec<Attribute>,
    /// Its arguments without the receiver.
    pub arguments: Vec<Argument>,
    /// What a call that succeeds brings.
    pub result: Type,
    /// The server's own error.
    pub error: Type,
    /// Whether the trait's method returns a `Result`.
    pub fallible: bool,
}

impl Method {
    /// The method in `item`; takes the attributes that are for this macro.
    /// `next` is its number, if it has none of its own.
    pub fn parse(item: &mut TraitItemFn, next: u64, root: &Tokens) -> Result<Self> {
        let opcode = take_opcode(&mut item.attrs)?.unwrap_or(next);
        let signature = &item.sig;
        if let Some(name) = TAKEN.iter().find(|name| signature.ident == name) {
            let text = format!("every client has a function `{name}`: choose another name");
            return Err(Error::new(signature.ident.span(), text));
        }
        if let Some(parameter) = signature.generics.params.first() {
            return Err(Error::new(parameter.span(), "a method of an interface has no parameters"));
        }
        if let Some(token) = &signature.asyncness {
            return Err(Error::new(token.span(), "a method of an interface cannot be async"));
        }
        if let Safety::Unsafe(token) = &signature.safety {
            return Err(Error::new(token.span(), "a method of an interface cannot be unsafe"));
        }
        let mut inputs = signature.inputs.iter();
        match inputs.next() {
            Some(FnArg::Receiver(receiver))
                if matches!(receiver.kind, ReceiverKind::Reference(..)) => {}
            Some(other) => {
                return Err(Error::new(other.span(), "the first argument has to be `&mut self`"));
            }
            None => {
                let text = "a method of an interface needs `&mut self`";
                return Err(Error::new(signature.ident.span(), text));
            }
        }
        let infallible = || syn::parse_quote!(#root::private::core::convert::Infallible);
        let mut method = Self {
            name: signature.ident.clone(),
            opcode,
            docs: item.attrs.iter().filter(|one| one.path().is_ident("doc")).cloned().collect(),
            arguments: Vec::new(),
            result: syn::parse_quote!(()),
            error: infallible(),
            fallible: false,
        };
        let mut answer = None;
        for input in inputs {
            if let Some(first) = &answer {
                return Err(Error::new_spanned(first, "the answer has to be the last argument"));
            }
            let FnArg::Typed(input) = input else { continue };
            let argument = match last_segment(&input.ty) {
                Some(segment) if segment.ident == "Answer" => {
                    let mut types = types_of(segment);
                    method.result = types.next().ok_or_else(|| {
                        Error::new_spanned(segment, "write `Answer<T, E>`: what the call brings")
                    })?;
                    method.error = types.next().unwrap_or_else(infallible);
                    answer = Some(input);
                    Argument::Answer
                }
                Some(segment) if segment.ident == "Caller" => {
                    Argument::Caller { reference: matches!(&*input.ty, Type::Reference(_)) }
                }
                Some(segment) if segment.ident == "Lent" => {
                    if method.lent().is_some() {
                        return Err(Error::new_spanned(
                            input,
                            "one segment goes along with a call",
                        ));
                    }
                    lent(&input.pat, &input.ty)?
                }
                _ => value(&input.pat, &input.ty)?,
            };
            method.arguments.push(argument);
        }
        match (&signature.output, answer) {
            (ReturnType::Default, _) => {}
            (ReturnType::Type(_, ty), None) => method.returns(ty)?,
            (ReturnType::Type(_, ty), Some(_)) => {
                return Err(Error::new_spanned(ty, "with an `Answer` nothing is returned"));
            }
        }
        if matches!(method.result, Type::Reference(_)) {
            let text = "a result is owned: `String`, `Vec<u8>`, `Text<N>` or `Bytes<N>`";
            return Err(Error::new_spanned(&method.result, text));
        }
        Ok(method)
    }

    /// Takes result and error from the return type.
    fn returns(&mut self, ty: &Type) -> Result<()> {
        let Some(segment) = last_segment(ty).filter(|segment| segment.ident == "Result") else {
            self.result = ty.clone();
            return Ok(());
        };
        let mut types = types_of(segment);
        let (Some(result), Some(error), None) = (types.next(), types.next(), types.next()) else {
            return Err(Error::new_spanned(ty, "write `Result<T, E>` with both types"));
        };
        (self.result, self.error, self.fallible) = (result, error, true);
        Ok(())
    }

    /// The name of the segment that goes along, if one does.
    pub fn lent(&self) -> Option<&Ident> {
        self.arguments.iter().find_map(|argument| match argument {
            Argument::Lent { name } => Some(name),
            _ => None,
        })
    }

    /// Names and types of the values that the client sends.
    pub fn values(&self) -> impl Iterator<Item = (&Ident, &Type)> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Value { name, ty } => Some((name, &**ty)),
            Argument::Caller { .. } | Argument::Lent { .. } | Argument::Answer => None,
        })
    }
}

fn lent(pattern: &Pat, ty: &Type) -> Result<Argument> {
    let Pat::Ident(pattern) = pattern else {
        return Err(Error::new_spanned(pattern, "an argument of an interface needs a name"));
    };
    if let Type::Reference(_) = ty {
        return Err(Error::new_spanned(ty, "write `Lent<'_>`: it is taken by value"));
    }
    Ok(Argument::Lent { name: pattern.ident.clone() })
}

fn value(pattern: &Pat, ty: &Type) -> Result<Argument> {
    let Pat::Ident(pattern) = pattern else {
        return Err(Error::new_spanned(pattern, "an argument of an interface needs a name"));
    };
    if let Type::Reference(reference) = ty
        && let Some(token) = &reference.mutability
    {
        let text = "nothing comes back through an argument: return it";
        return Err(Error::new(token.span(), text));
    }
    Ok(Argument::Value { name: pattern.ident.clone(), ty: Box::new(ty.clone()) })
}

/// The last segment of a path, also behind a reference.
fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Reference(reference) => last_segment(&reference.elem),
        _ => None,
    }
}

/// The types among the parameters of a path's segment.
fn types_of(segment: &PathSegment) -> impl Iterator<Item = Type> + '_ {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

/// Removes `#[opcode = N]` and returns its number.
fn take_opcode(attributes: &mut Vec<Attribute>) -> Result<Option<u64>> {
    let mut found = None;
    let mut kept = Vec::new();
    for attribute in attributes.drain(..) {
        if !attribute.path().is_ident("opcode") {
            kept.push(attribute);
            continue;
        }
        if found.is_some() {
            return Err(Error::new_spanned(attribute, "a method has one number"));
        }
        let value = &attribute.meta.require_name_value()?.value;
        let number: LitInt = syn::parse2(quote!(#value))?;
        match number.base10_parse::<u64>()? {
            0 => return Err(Error::new(number.span(), "the number 0 is no method")),
            opcode => found = Some(opcode),
        }
    }
    *attributes = kept;
    Ok(found)
}
