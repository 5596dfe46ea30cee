//! How is a message read from JSON?
//!
//! As serde reads it, but that a struct is an object and never a list of its fields; only what serde holds back first, as for
//! a flattened member, is read as ever. Of messages no list is ever written for a struct; to read one, too, would double the
//! code for each type.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// Reads a value.
pub fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(AsObjects(&mut json))?;
    json.end()?;
    Ok(value)
}

/// What reads, hands out or visits, with the same all the way down.
struct AsObjects<T>(T);

/// Hands these on as they are.
macro_rules! as_they_are {
    ($($method:ident($($argument:ident: $kind:ty),*)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* visitor)
        })*
    };
}

/// Hands these on with a visitor that goes on in the same way.
macro_rules! all_the_way_down {
    ($($method:ident($($argument:ident: $kind:ty),*)),* $(,)?) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* AsObjects(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for AsObjects<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(AsObjects(visitor))
    }

    all_the_way_down! {
        deserialize_option(),
        deserialize_newtype_struct(name: &'static str),
        deserialize_seq(),
        deserialize_tuple(len: usize),
        deserialize_tuple_struct(name: &'static str, len: usize),
        deserialize_map(),
        deserialize_enum(name: &'static str, variants: &'static [&'static str]),
    }

    as_they_are! {
        deserialize_any(),
        deserialize_bool(),
        deserialize_i8(),
        deserialize_i16(),
        deserialize_i32(),
        deserialize_i64(),
        deserialize_i128(),
        deserialize_u8(),
        deserialize_u16(),
        deserialize_u32(),
        deserialize_u64(),
        deserialize_u128(),
        deserialize_f32(),
        deserialize_f64(),
        deserialize_char(),
        deserialize_str(),
        deserialize_string(),
        deserialize_bytes(),
        deserialize_byte_buf(),
        deserialize_unit(),
        deserialize_unit_struct(name: &'static str),
        deserialize_identifier(),
        deserialize_ignored_any(),
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for AsObjects<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(AsObjects(value))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(AsObjects(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(AsObjects(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(AsObjects(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(AsObjects(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for AsObjects<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(AsObjects(value))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for AsObjects<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(AsObjects(seed))
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for AsObjects<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(AsObjects(seed))
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for AsObjects<A> {
    type Error = A::Error;
    type Variant = AsObjects<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(seed)?;
        Ok((value, AsObjects(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for AsObjects<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(AsObjects(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, AsObjects(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.newtype_variant_seed(Struct(visitor))
    }
}

/// The members of an enum's variant.
struct Struct<V>(V);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Struct<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        value.deserialize_map(AsObjects(self.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::read;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Pair {
        a: Option<u8>,
        b: Vec<(u8, Kind)>,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    enum Kind {
        Named { name: String },
        Of(Box<Pair>),
        None,
    }

    #[test]
    fn a_struct_is_an_object_alone() {
        let text = r#"{"a":1,"b":[[2,{"Named":{"name":"x"}}],[3,"None"],[4,{"Of":{"b":[]}}]]}"#;
        let inner = Box::new(Pair { a: None, b: Vec::new() });
        let named = Kind::Named { name: "x".to_owned() };
        let pair = Pair { a: Some(1), b: vec![(2, named), (3, Kind::None), (4, Kind::Of(inner))] };
        assert_eq!(read::<Pair>(text).unwrap(), pair);
        for list in ["[1,[]]", r#"{"b":[[2,{"Named":["x"]}]]}"#, r#"{"b":[[4,{"Of":[null,[]]}]]}"#]
        {
            read::<Pair>(list).unwrap_err();
        }
        read::<Pair>(r#"{"b":[]} 1"#).unwrap_err();
    }
}
