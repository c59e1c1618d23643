//! The text of a JSON file: an object for each section. An array repeats its key.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Found, Unreadable};

/// The options of one section.
pub fn read(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    let Fields(sections) = serde_json::from_str(text)
        .map_err(|error| Unreadable { line: error.line(), why: format!("no JSON: {error}") })?;
    // uWSGI takes the last of a name, as its library does.
    let options = sections.into_iter().rev().find_map(|(name, value)| match value {
        Value::Object(fields) if name == section => Some(fields),
        _ => None,
    });
    let Some(Fields(options)) = options else { return Ok(None) };
    let mut places = Places { text, from: 0, line: 1 };
    places.go_to(section);
    let mut found = Vec::new();
    for (key, value) in options {
        let line = places.go_to(&key);
        let mut add = |value: String| found.push(Found { line, key: key.clone(), value });
        match value {
            Value::Text(value) => add(value),
            Value::List(values) => values.into_iter().filter_map(Value::into_text).for_each(add),
            Value::Object(_) => {}
        }
    }
    Ok(Some(found))
}

/// An object as it is written: in order, and with keys that come twice.
struct Fields(Vec<(String, Value)>);

enum Value {
    Text(String),
    List(Vec<Value>),
    Object(Fields),
}

impl Value {
    fn into_text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Object(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Object(fields) => Ok(fields),
            _ => Err(serde::de::Error::custom("an object is expected at the top")),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Text(u8::from(value).to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Text("0".to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            fields.push((key, access.next_value()?));
        }
        let _: Option<(IgnoredAny, IgnoredAny)> = access.next_entry()?;
        Ok(Value::Object(Fields(fields)))
    }
}

/// Finds the lines of keys, which the parser does not tell: they come in the order of the text.
struct Places<'a> {
    text: &'a str,
    from: usize,
    line: usize,
}

impl Places<'_> {
    fn go_to(&mut self, key: &str) -> usize {
        // Written with escapes it is not found, and the line stays the one before.
        let quoted = format!("\"{key}\"");
        if let Some(at) = self.text[self.from..].find(&quoted) {
            let to = self.from + at + quoted.len();
            self.line += self.text[self.from..to].matches('\n').count();
            self.from = to;
        }
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // As uWSGI 2.0.21 prints them.
    #[test]
    fn values_are_texts_and_arrays_repeat() {
        let text = "{\"other\": {\"q\": \"1\"},\n \"uwsgi\": {\"a\": \"x\",\n \"b\": 3, \"c\": true, \"d\": false,\n\"e\": null, \
            \"f\": 1.5, \"g\": [\"1\", 2, true, null, [\"n\"]], \"h\": {\"i\": 1}, \"a\": \"y\", \"j\": -7}}";
        let found = read(text, "uwsgi").expect("readable").expect("the section");
        let found: Vec<_> = found.iter().map(|f| (f.line, f.key.as_str(), f.value.as_str())).collect();
        let expected = [
            (2, "a", "x"),
            (3, "b", "3"),
            (3, "c", "1"),
            (3, "d", "0"),
            (4, "e", "0"),
            (4, "f", "1.5"),
            (4, "g", "1"),
            (4, "g", "2"),
            (4, "g", "1"),
            (4, "g", "0"),
            (4, "a", "y"),
            (4, "j", "-7"),
        ];
        assert_eq!(found, expected);
        assert_eq!(read(text, "absent"), Ok(None));
    }

    #[test]
    fn what_is_no_json_is_told_with_its_line() {
        let problem = read("{\n \"uwsgi\": {\n  a: 1}}", "uwsgi").expect_err("unreadable");
        assert_eq!(problem.line, 3, "{problem:?}");
        assert!(read("[1]", "uwsgi").expect_err("unreadable").why.contains("an object is expected"));
    }
}
