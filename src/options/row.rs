//! One option, declared once: its names, the field it sets, how far we are with it, and one line of help.
//!
//! The row names the *field*, and the field's type decides how a value is read; a row and its reading cannot
//! disagree. Rows live in [`super::table`]; [`super::intake`] walks the given options and calls [`Row::set`].

use std::path::PathBuf;

use super::draft::Draft;
use super::sources::Format;
use crate::base::text;

/// One option.
#[derive(Clone, Copy)]
pub struct Row {
    /// The first is the name we use, the others are as good.
    pub names: &'static [&'static str],
    /// Its letter on the command line.
    pub short: Option<char>,
    /// What it does with a value.
    pub kind: Kind,
    /// How far we are.
    pub verdict: Verdict,
    /// One line, without a full stop.
    pub help: &'static str,
}

/// How far we are with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Done,
    /// Nothing needs doing, and why.
    Accepted(&'static str),
    /// Not yet: it has no effect, and a warning says so.
    Planned,
    /// Ignoring it would be wrong: the server does not start, and this says what to do instead.
    Refused(&'static str),
}

/// Whether an option takes a value on the command line, and what the help calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None needed; `--name=false` is possible.
    Nothing,
    /// `--name` or `--name=VALUE`.
    Maybe(&'static str),
    /// `--name VALUE` or `--name=VALUE`.
    Value(&'static str),
}

/// A field of the draft.
pub type Field<T> = fn(&mut Draft) -> &mut T;

/// What came of a value: nothing to say, or a remark for a warning. The error says what was expected.
pub type Reading = Result<Option<String>, String>;

/// What an option does with its value: mostly, which field it sets.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A switch.
    Flag(Field<bool>),
    /// A small number.
    Count(Field<u32>),
    /// A small number with no default of ours.
    CountIfSet(Field<Option<u32>>),
    /// A large number: bytes, requests.
    Number(Field<u64>),
    /// A large number with no default of ours.
    NumberIfSet(Field<Option<u64>>, &'static str),
    /// Seconds, kept as such.
    Seconds(Field<u64>),
    /// Seconds, kept in milliseconds, where the default is decided later.
    SecondsAsMs(Field<Option<u64>>),
    /// Milliseconds.
    Millis(Field<u64>),
    /// A text; the last one given counts.
    Text(Field<Option<String>>, &'static str),
    /// A path; the last one given counts.
    Path(Field<Option<PathBuf>>, &'static str),
    /// Texts, one each time.
    List(Field<Vec<String>>, &'static str),
    /// Paths, one each time.
    Paths(Field<Vec<PathBuf>>, &'static str),
    /// A file mode in octal.
    Mode(Field<Option<u32>>),
    /// Its own reading.
    Set(Takes, fn(&mut Draft, &str) -> Reading),
    /// Done while reading, at its place among the options.
    Now(Takes, Step),
    /// What it asks for is always so, whatever it says; and what is told to those who deny it (nothing if empty).
    Always(Takes, &'static str),
    /// Sets nothing (accepted, planned, refused).
    Nothing(Takes),
}

/// Options that act where they stand, before any other is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `ini`, `yaml`, `json`, `xml`.
    Read(Format),
    /// `ini-paste`, `ini-paste-logged` (the flag is true): an ini file that describes the application as well.
    Paste(bool),
    /// `include`, `config`.
    Include,
    /// `inherit`: read when all the others are applied.
    Inherit,
    /// `set`.
    Set,
    /// `set-placeholder`.
    SetPlaceholder,
    /// `strict`.
    Strict,
    /// `lenient`.
    Lenient,
    /// `if-…`, and whether it is the negated one.
    If(Test, bool),
    /// `for…`.
    For(Items),
    /// `else`.
    Else,
    /// `endif`, `endfor`…
    End,
    /// `declare-option`.
    Declare,
    /// `ienv`: a variable that `$( )` finds from here on.
    SetEnv,
    /// `early-envdir`: a folder of them.
    SetEnvs,
    /// `inject-before`, `inject-after` (the flag is true): a text for each file of options read from here on.
    Inject(bool),
    /// `resolve`.
    Resolve,
    /// `fallback-config`.
    Fallback,
    /// `whitelist`: only these from here.
    Allow,
    /// `blacklist`: these no more.
    Forbid,
    /// `end-whitelist`.
    AllowAll,
    /// `end-blacklist`.
    ForbidNothing,
    /// `exit`.
    Exit,
    /// `dump-options`.
    Names,
    /// `iprint`: a line for the log.
    Say,
    /// `help`.
    Help,
    /// `version`.
    Version,
    /// `reload`, `stop`, `pause`.
    Signal(super::SignalWhat),
}

/// What an `if-…` looks at: each is the option of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Opt,
    Env,
    Reload,
    Hostname,
    HostnameMatch,
    Exists,
    File,
    Dir,
    Plugin,
}

/// What a `for…` goes over: `for`, `for-glob`, `for-times`, `for-readline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    Words,
    Glob,
    Times,
    Lines,
}

/// Begins a row that works.
pub const fn row(names: &'static [&'static str], kind: Kind, help: &'static str) -> Row {
    Row { names, short: None, kind, verdict: Verdict::Done, help }
}

/// A row whose wish always comes true. `denied`: what is told to those who switch it off, nothing if empty.
/// The tests that show it are listed in `table/proofs.rs`.
pub const fn always(
    names: &'static [&'static str],
    takes: Takes,
    help: &'static str,
    denied: &'static str,
) -> Row {
    row(names, Kind::Always(takes, denied), help)
}

/// Begins a row without a field, for one of the verdicts below.
pub const fn bare(names: &'static [&'static str], takes: Takes, help: &'static str) -> Row {
    Row { names, short: None, kind: Kind::Nothing(takes), verdict: Verdict::Planned, help }
}

impl Row {
    /// With a letter.
    pub const fn short(mut self, letter: char) -> Row {
        self.short = Some(letter);
        self
    }

    /// Nothing needs doing, and why.
    pub const fn accepted(mut self, why: &'static str) -> Row {
        self.verdict = Verdict::Accepted(why);
        self
    }

    /// Not to be ignored, and what to do instead.
    pub const fn refused(mut self, instead: &'static str) -> Row {
        self.verdict = Verdict::Refused(instead);
        self
    }

    /// The name we use.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// Whether it takes a value on the command line.
    pub fn takes(&self) -> Takes {
        match self.kind {
            Kind::Flag(_) => Takes::Nothing,
            Kind::Count(_) | Kind::CountIfSet(_) | Kind::Number(_) => Takes::Value("N"),
            Kind::NumberIfSet(_, what) => Takes::Value(what),
            Kind::Seconds(_) | Kind::SecondsAsMs(_) => Takes::Value("SECONDS"),
            Kind::Millis(_) => Takes::Value("MS"),
            Kind::Text(_, what) | Kind::Path(_, what) | Kind::List(_, what) | Kind::Paths(_, what) => {
                Takes::Value(what)
            }
            Kind::Mode(_) => Takes::Value("MODE"),
            Kind::Set(takes, _) | Kind::Now(takes, _) | Kind::Always(takes, _) | Kind::Nothing(takes) => {
                takes
            }
        }
    }

    /// Whether what it asks for is so in any case.
    pub fn is_always_so(&self) -> bool {
        matches!(self.kind, Kind::Always(..))
    }

    /// Sets its field. `None`: given as a flag, without a value.
    pub fn set(&self, draft: &mut Draft, value: Option<&str>) -> Reading {
        let mut remark = None;
        let given = value.unwrap_or_default();
        match self.kind {
            Kind::Flag(field) => *field(draft) = switch(value, &mut remark),
            Kind::Count(field) => *field(draft) = small(number(value, &mut remark)?),
            Kind::CountIfSet(field) => *field(draft) = Some(small(number(value, &mut remark)?)),
            Kind::NumberIfSet(field, _) => *field(draft) = Some(number(value, &mut remark)?),
            Kind::Number(field) | Kind::Seconds(field) | Kind::Millis(field) => {
                *field(draft) = number(value, &mut remark)?;
            }
            Kind::SecondsAsMs(field) => {
                *field(draft) = Some(number(value, &mut remark)?.saturating_mul(1000));
            }
            Kind::Text(field, _) => *field(draft) = Some(given.to_owned()),
            Kind::Path(field, _) => *field(draft) = (!given.is_empty()).then(|| PathBuf::from(given)),
            Kind::List(field, _) => field(draft).push(given.to_owned()),
            Kind::Paths(field, _) => field(draft).push(PathBuf::from(given)),
            Kind::Mode(field) => {
                *field(draft) = Some(text::octal(given).ok_or("three or four octal digits, like 022")?);
            }
            Kind::Set(_, set) => return set(draft, given),
            Kind::Always(Takes::Nothing, denied) => {
                if !switch(value, &mut remark) && !denied.is_empty() {
                    remark = Some(denied.to_owned());
                }
            }
            Kind::Now(..) | Kind::Always(..) | Kind::Nothing(_) => {}
        }
        Ok(remark)
    }
}

/// As uWSGI reads a switch: everything is true but `false`, `off`, `no` and `0`.
pub fn switch(value: Option<&str>, remark: &mut Option<String>) -> bool {
    let Some(value) = value.filter(|v| !v.is_empty()) else { return true };
    text::truth(value).unwrap_or_else(|| {
        if text::leading_number(value).is_none_or(|n| !n.rest.is_empty()) {
            *remark = Some(format!("read as true{}", why_not_whole(value)));
        }
        true
    })
}

/// As uWSGI reads a number, by its leading digits; where that is surprising, with a remark.
pub fn number(value: Option<&str>, remark: &mut Option<String>) -> Result<u64, String> {
    let value = match value {
        None => return Ok(1),
        Some("") => return Ok(0),
        Some(value) => value,
    };
    if let Some(inside) = text::unquoted(value).and_then(text::leading_number) {
        *remark = Some(format!("read as {}, without the quotes: values are not quoted", inside.value));
        return Ok(inside.value);
    }
    if let Some(text::Leading { value: number, rest }) = text::leading_number(value) {
        if !rest.is_empty() {
            *remark = Some(format!("read as {number}{}", why_not_whole(rest)));
        }
        return Ok(number);
    }
    if value.strip_prefix('-').and_then(text::leading_number).is_some_and(|number| number.value > 0) {
        return Err("a number that is not negative".to_owned());
    }
    // As C's atoi has it: real configurations say `log-slow = true`, and it is off there too.
    let unset = value.strip_prefix("$(").and_then(|rest| rest.split_once(')'));
    let why = unset.map(|(name, _)| format!(" ({name} is not set in the environment)")).unwrap_or_default();
    *remark = Some(format!("read as 0: a number is expected{why}"));
    Ok(0)
}

/// What to say about the part of a value that was not read.
fn why_not_whole(rest: &str) -> &'static str {
    if rest.contains(" #") || rest.contains(" ;") || text::starts_comment(rest) {
        ": a comment needs a line of its own"
    } else {
        ": the rest is not understood"
    }
}

/// A number that fits a small field; nobody means more than that.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_true_unless_denied() {
        for (value, truth, remarked) in [
            (None, true, false),
            (Some(""), true, false),
            (Some("True"), true, false),
            (Some("2"), true, false),
            (Some("false"), false, false),
            (Some("Off"), false, false),
            (Some("0"), false, false),
            (Some("flase"), true, true),
            (Some("false # not now"), true, true),
        ] {
            let mut remark = None;
            assert_eq!(switch(value, &mut remark), truth, "{value:?}");
            assert_eq!(remark.is_some(), remarked, "{value:?}: {remark:?}");
        }
    }

    #[test]
    fn a_number_is_its_leading_digits() {
        for (value, read, remark_has) in [
            (None, Ok(1), ""),
            (Some(""), Ok(0), ""),
            (Some("4"), Ok(4), ""),
            (Some("4 # four"), Ok(4), "read as 4: a comment needs a line of its own"),
            (Some("32k"), Ok(32), "read as 32: the rest"),
            (Some("\"4\""), Ok(4), "without the quotes"),
            (Some("true"), Ok(0), "read as 0"),
            (Some("abc"), Ok(0), "read as 0: a number is expected"),
            (Some("-"), Ok(0), "read as 0"),
            (Some("-0"), Ok(0), "read as 0"),
            (Some("-1"), Err("a number that is not negative"), ""),
            (Some("$(N)"), Ok(0), "read as 0: a number is expected (N is not set in the environment)"),
        ] {
            let mut remark = None;
            assert_eq!(number(value, &mut remark), read.map_err(str::to_owned), "{value:?}");
            let said = remark.unwrap_or_default();
            assert_eq!(said.is_empty(), remark_has.is_empty(), "{value:?}: {said}");
            assert!(said.contains(remark_has), "{value:?}: {said}");
        }
    }
}
