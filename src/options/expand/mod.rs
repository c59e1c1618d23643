//! Text that stands for other text: `$(ENVIRONMENT)`, `@(file)`, `%(placeholder)` and its arithmetic.
//!
//! [`magic`] replaces `%d` and its like when a file is read, [`logic`] decides blocks; both come earlier.

pub mod glob;
pub mod logic;
pub mod magic;

/// Replaces `$(NAME)`; what is not set stays as written.
pub fn environment(text: &str, mut lookup: impl FnMut(&str) -> Option<String>) -> String {
    let found: Result<String, std::convert::Infallible> = replace(text, "$(", |name| Ok(lookup(name)));
    match found {
        Ok(text) => text,
    }
}

/// Replaces `@(file)` by its content, without the newline at its end.
pub fn files<E>(text: &str, mut read: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    replace(text, "@(", |name| {
        let content = read(name)?;
        Ok(Some(content.strip_suffix('\n').map(str::to_owned).unwrap_or(content)))
    })
}

/// Replaces `%(name)` and `%(a + 1)`. What nobody defined stays as written (log-format is full of it), and so
/// does what is defined by itself; `loops` is told of that.
pub fn placeholders(
    text: &str,
    lookup: &mut dyn FnMut(&str) -> Option<String>,
    loops: &mut dyn FnMut(&str),
) -> String {
    Placeholders { lookup, loops, within: Vec::new() }.replace(text)
}

struct Placeholders<'a> {
    lookup: &'a mut dyn FnMut(&str) -> Option<String>,
    loops: &'a mut dyn FnMut(&str),
    /// Names being replaced: one inside itself would go on forever.
    within: Vec<String>,
}

impl Placeholders<'_> {
    fn replace(&mut self, text: &str) -> String {
        let found: Result<String, std::convert::Infallible> = replace(text, "%(", |body| {
            // From the innermost outwards: what is in there may be a part of the name.
            let inner = if body.contains("%(") { self.replace(body) } else { body.to_owned() };
            let value = if inner.contains(' ') { Some(self.compute(&inner)) } else { self.value(&inner) };
            Ok(value.or_else(|| (inner != body).then(|| format!("%({inner})"))))
        });
        match found {
            Ok(text) => text,
        }
    }

    fn value(&mut self, name: &str) -> Option<String> {
        if self.within.iter().any(|n| n == name) {
            (self.loops)(name);
            return None;
        }
        let value = (self.lookup)(name)?;
        self.within.push(name.to_owned());
        let value = self.replace(&value);
        self.within.pop();
        Some(value)
    }

    /// From left to right, without precedence: words are values of options, numbers are themselves, neighbours
    /// are joined.
    fn compute(&mut self, expression: &str) -> String {
        let mut result = String::new();
        let mut pending = None;
        for word in expression.split(' ').filter(|w| !w.is_empty()) {
            match word {
                "+" | "-" | "*" | "/" => pending = Some(word),
                "++" => result = integer(&result).wrapping_add(1).to_string(),
                "--" => result = integer(&result).wrapping_sub(1).to_string(),
                _ => {
                    let number = word.bytes().all(|b| b.is_ascii_digit());
                    let operand = if number { word.to_owned() } else { self.value(word).unwrap_or_default() };
                    result = match pending.take() {
                        Some(operator) => apply(operator, integer(&result), integer(&operand)).to_string(),
                        None => result + &operand,
                    };
                }
            }
        }
        result
    }
}

fn apply(operator: &str, a: i64, b: i64) -> i64 {
    match operator {
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        // As uWSGI has it, dividing by nothing gives nothing.
        _ => a.checked_div(b).unwrap_or(0),
    }
}

/// As C's `atoi`.
fn integer(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let value = crate::base::text::leading_number(digits).map_or(0, |n| n.value);
    i64::try_from(value).unwrap_or(i64::MAX).wrapping_mul(sign)
}

/// Replaces each `OPEN…)`, brackets within being counted, by what `value` says; `None` leaves it.
fn replace<E>(
    text: &str,
    open: &str,
    mut value: impl FnMut(&str) -> Result<Option<String>, E>,
) -> Result<String, E> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let inside = &rest[start + open.len()..];
        out.push_str(&rest[..start]);
        let end = closing(inside);
        // What names nothing stands for itself.
        match end.filter(|end| *end > 0).map(|end| value(&inside[..end])).transpose()?.flatten() {
            Some(value) => {
                out.push_str(&value);
                rest = &inside[end.map_or(0, |end| end + 1)..];
            }
            // What stands within may be known: `%(%(a))`, `%(x%(a)`.
            None => {
                out.push_str(open);
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the bracket closes that was opened just before this text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return Some(index),
            b')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let mut lookup = |name: &str| match name {
            "a" => Some("5".to_owned()),
            "b" => Some("%(a)%(a)".to_owned()),
            "c" => Some("a".to_owned()),
            "d" => Some("c".to_owned()),
            "empty" => Some(String::new()),
            "me" => Some("x%(you)".to_owned()),
            "you" => Some("y%(me)".to_owned()),
            _ => None,
        };
        placeholders(text, &mut lookup, &mut |_| {})
    }

    #[test]
    fn placeholders_are_replaced_or_left() {
        for (text, expected) in [
            ("%(a)", "5"),
            ("<%(a)|%(b)>", "<5|55>"),
            ("%(nope)", "%(nope)"),
            ("%(method) %(uri)", "%(method) %(uri)"),
            ("%(empty)|", "|"),
            ("%()|%((a))", "%()|%((a))"),
            ("%(%(a))", "%(5)"),
            ("%(%(c))|%(%(c) + 2)|%(%(%(d)))", "5|7|5"),
            ("%(%(nope)%(a))", "%(%(nope)5)"),
            ("%(x%(a)y)%(a)", "%(x5y)5"),
            ("%(a", "%(a"),
            ("%(x%(a)", "%(x5"),
            ("%a", "%a"),
            ("100%", "100%"),
            ("%(me)", "xy%(me)"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
    }

    // Each confirmed with uWSGI 2.0.21, `a = 5`.
    #[test]
    fn arithmetic_goes_from_left_to_right() {
        for (text, expected) in [
            ("%(a + 3)", "8"),
            ("%(a + 3 * 2)", "16"),
            ("%(a foo a)", "55"),
            ("%(a a)", "55"),
            ("%(a 7)", "57"),
            ("%(a / 0)", "0"),
            ("%(a - 7)", "-2"),
            ("%(a ++)", "6"),
            ("%(7 - a --)", "1"),
            ("%(a x + 1)", "6"),
            ("%( a)", "5"),
            ("%(nope x)|", "|"),
            ("%(2 * 2)", "4"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_defined_by_itself_is_told() {
        let mut told = Vec::new();
        let text =
            placeholders("%(p)", &mut |_| Some("%(p)/lib".to_owned()), &mut |n| told.push(n.to_owned()));
        assert_eq!((text.as_str(), told), ("%(p)/lib", vec!["p".to_owned()]));
    }

    #[test]
    fn variables_that_are_not_set_stay() {
        let env = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        assert_eq!(environment("$(HOME)/x $(NOPE) $HOME $(", env), "/root/x $(NOPE) $HOME $(");
    }

    #[test]
    fn files_lose_one_newline() {
        let read = |name: &str| if name == "f" { Ok("secret\n\n".to_owned()) } else { Err(name.to_owned()) };
        assert_eq!(files("<@(f)>", read), Ok("<secret\n>".to_owned()));
        assert_eq!(files("@()", read), Ok("@()".to_owned()));
        assert_eq!(files("@(g)", read), Err("g".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[%$@()ab0-9 +*/é-]*") {
            expand(&text);
            environment(&text, |_| None);
            assert_eq!(files(&text, |_| Err(())).is_ok(), files(&text, |_| Ok::<_, ()>(String::new())) == Ok(text));
        }
    }
}
