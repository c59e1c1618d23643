//! `metric` and `metric-threshold`: numbers that the application counts by name, and who is told when one is high.

use serde::{Deserialize, Serialize};

use super::pairs::pairs;

/// Bytes of the longest name: it is kept in shared memory.
pub const NAME_MAX: usize = 64;

/// A metric of the application's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Letters, digits, `.`, `-` and `_`; at most [`NAME_MAX`].
    pub name: String,
    /// `type`.
    pub kind: Kind,
    /// `oid`: its number in a tree; empty: none.
    pub oid: String,
    /// Where its value comes from.
    pub source: Source,
    /// `reset_after_push`: once it was sent, it begins anew.
    pub resets: bool,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// It grows.
    #[default]
    Counter,
    /// Goes up and down.
    Gauge,
    /// Begins anew now and then.
    Absolute,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The application counts it (`uwsgi.metric_inc` and its like), from this number.
    Counted(i64),
    /// `type=alias`: what the metric of that name has.
    Alias(String),
    /// `collector=file`: a number in a file, and which of its words, from 0.
    File(String, usize),
    /// `collector=sum`, `avg`, `adder` or `multiplier`: worked out of others, with a number.
    Of(Sum, Vec<String>, i64),
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sum {
    /// All together.
    Sum,
    /// Their average.
    Average,
    /// All together and the number.
    Adder,
    /// All together, so many times.
    Multiplier,
}

impl Metric {
    /// Reads `NAME`, or `name=NAME,type=…,oid=…,initial_value=N,alias=NAME,collector=…,children=A;B,arg1=…,arg1n=N`.
    /// With a remark on keys that have no meaning.
    pub fn read(text: &str) -> Result<(Metric, Option<String>), String> {
        if !text.contains('=') {
            let metric = Metric::named(text, Kind::Counter, String::new(), Source::Counted(0), false)?;
            return Ok((metric, None));
        }
        let (mut asked, mut unknown) = (Asked::default(), Vec::new());
        for (key, value) in pairs(text) {
            let number = || value.parse::<i64>().map_err(|_| format!("a number for {key}, not {value}"));
            match key {
                "name" => asked.name = value,
                "type" => asked.kind = value,
                "oid" => asked.oid = value,
                "alias" => asked.alias = value,
                "collector" => asked.collector = value,
                "children" => asked.children = value.split(';').map(str::to_owned).collect(),
                "arg1" => asked.file = value,
                "initial_value" => asked.initial = number()?,
                "arg1n" => asked.number = Some(number()?),
                "reset_after_push" => asked.resets = value != "0",
                // It is worked out when somebody looks.
                "freq" => {}
                other => unknown.push(other),
            }
        }
        let remark = (!unknown.is_empty()).then(|| format!("no key of a metric: {}", unknown.join(", ")));
        Ok((asked.metric()?, remark))
    }

    fn named(name: &str, kind: Kind, oid: String, source: Source, resets: bool) -> Result<Metric, String> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(good) {
            return Err(format!(
                "a name of letters, digits, '.', '-' and '_', at most {NAME_MAX}: not {name:?}"
            ));
        }
        Ok(Metric { name: name.to_owned(), kind, oid, source, resets })
    }
}

/// The keys of one.
#[derive(Default)]
struct Asked<'a> {
    name: &'a str,
    kind: &'a str,
    oid: &'a str,
    alias: &'a str,
    collector: &'a str,
    children: Vec<String>,
    file: &'a str,
    initial: i64,
    number: Option<i64>,
    resets: bool,
}

impl Asked<'_> {
    fn metric(self) -> Result<Metric, String> {
        let kind = match self.kind {
            "" | "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "absolute" => Kind::Absolute,
            "alias" if self.alias.is_empty() => {
                return Err("alias=NAME for a metric of type alias".to_owned());
            }
            "alias" => {
                let source = Source::Alias(self.alias.to_owned());
                return Metric::named(self.name, Kind::Gauge, self.oid.to_owned(), source, false);
            }
            other => return Err(format!("type=counter, gauge, absolute or alias, not {other:?}")),
        };
        let of = |sum, usual| Source::Of(sum, self.children.clone(), self.number.unwrap_or(usual));
        let source = match self.collector {
            "" => Source::Counted(self.initial),
            "file" if self.file.is_empty() => return Err("arg1=FILE for collector=file".to_owned()),
            "file" => {
                let word = usize::try_from(self.number.unwrap_or(0)).map_err(|_| "arg1n=WORD, from 0")?;
                Source::File(self.file.to_owned(), word)
            }
            "sum" => of(Sum::Sum, 0),
            "avg" => of(Sum::Average, 0),
            "adder" => of(Sum::Adder, 0),
            "multiplier" => of(Sum::Multiplier, 0),
            other => {
                return Err(format!(
                    "collector=file, sum, avg, adder or multiplier, not {other:?} (an application counts with \
                     uwsgi.metric_inc)"
                ));
            }
        };
        Metric::named(self.name, kind, self.oid.to_owned(), source, self.resets)
    }
}

/// When a metric is high.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// `key`: the metric's name; the server's own have one too.
    pub key: String,
    /// From this value on.
    pub value: i64,
    /// `alarm`: which one is raised.
    pub alarm: Option<String>,
    /// `rate`: seconds until it is raised again.
    pub rate: u64,
    /// `reset`: what the metric is set to then.
    pub reset: Option<i64>,
    /// `msg`: what the alarm says.
    pub message: Option<String>,
}

impl Threshold {
    /// Reads `key=NAME,value=N,alarm=NAME,rate=SECONDS,reset=N,msg=TEXT`.
    pub fn read(text: &str) -> Result<Threshold, String> {
        let (mut key, mut value) = (String::new(), None);
        let mut threshold =
            Threshold { key: String::new(), value: 0, alarm: None, rate: 0, reset: None, message: None };
        for (name, text) in pairs(text) {
            let number = || text.parse::<i64>().map_err(|_| format!("a number for {name}, not {text}"));
            match name {
                "key" => text.clone_into(&mut key),
                "value" => value = Some(number()?),
                "alarm" => threshold.alarm = Some(text.to_owned()),
                "rate" => threshold.rate = u64::try_from(number()?).map_err(|_| "rate=SECONDS")?,
                "reset" => threshold.reset = Some(number()?),
                "msg" => threshold.message = Some(text.to_owned()),
                other => return Err(format!("no key of a threshold: {other}")),
            }
        }
        let value = value.filter(|_| !key.is_empty()).ok_or("key=METRIC,value=NUMBER,alarm=NAME")?;
        Ok(Threshold { key, value, ..threshold })
    }

    /// What the alarm says.
    pub fn said(&self) -> String {
        self.message.clone().unwrap_or_else(|| self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_a_name_or_keys() {
        let read = |text| Metric::read(text).expect(text).0;
        let plain = read("shop.orders");
        assert_eq!((plain.name.as_str(), plain.kind), ("shop.orders", Kind::Counter));
        assert_eq!(plain.source, Source::Counted(0));
        let gauge = read("name=g, type=gauge,initial_value=-7,oid=100.1,reset_after_push=1,freq=3");
        assert_eq!((gauge.kind, gauge.oid.as_str(), gauge.resets), (Kind::Gauge, "100.1", true));
        assert_eq!(gauge.source, Source::Counted(-7));
        let children = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(read("name=s,collector=sum,children=a;b").source, Source::Of(Sum::Sum, children, 0));
        assert_eq!(read("name=f,collector=file,arg1=/x,arg1n=1").source, Source::File("/x".to_owned(), 1));
        assert_eq!(read("name=al,type=alias,alias=g").source, Source::Alias("g".to_owned()));
        let remark = Metric::read("name=x,foo=bar,y").expect("read").1;
        assert_eq!(remark.as_deref(), Some("no key of a metric: foo, y"));
        for (text, part) in [
            ("a b", "a name of letters"),
            ("type=gauge", "a name of letters"),
            ("name=x,type=foo", "type=counter"),
            ("name=x,type=alias", "alias=NAME"),
            ("name=x,collector=func", "uwsgi.metric_inc"),
            ("name=x,collector=file", "arg1=FILE"),
            ("name=x,initial_value=y", "a number for initial_value"),
        ] {
            let why = Metric::read(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn a_threshold_has_a_key_and_a_value() {
        let read = Threshold::read("key=g,value=20,alarm=a,rate=5,reset=0,msg=too many").expect("read");
        assert_eq!((read.value, read.rate, read.reset, read.said().as_str()), (20, 5, Some(0), "too many"));
        assert_eq!(Threshold::read("key=g,value=20").expect("read").said(), "g");
        for text in ["value=5", "key=x", "key=x,value=y", "key=x,value=1,foo=2"] {
            assert!(Threshold::read(text).is_err(), "{text}");
        }
    }
}
