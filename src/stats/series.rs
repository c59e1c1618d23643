//! What applications count themselves: the numbers in all ledgers, made one for each series by the rules that
//! `prometheus_client` has for several processes. A worker's number stands where that has a process id: as many series as
//! there are workers, however often they are replaced.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use super::page::{Label, Page, Samples};
use crate::shared::area::Area;
use crate::shared::series::{Entry, Key, Kind, Ledger, Merge};
use crate::sys::memory::SharedMap;
use crate::sys::process;

/// Metrics by their names.
pub type Families = BTreeMap<String, Family>;

/// A bucket's bound, as a number and as the application wrote it, and what is in it alone.
type Bucket<'a> = (f64, &'a str, f64);

/// Labels and their values.
type Labels = Vec<(String, String)>;

/// A metric of the application.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    kind: Kind,
    help: String,
    /// By the sample's name and labels; buckets count what is in them alone.
    samples: BTreeMap<(String, Labels), Sample>,
}

/// A number in the making.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    value: f64,
    stamp: f64,
}

/// Whose ledger it is.
#[derive(Clone, Copy, Debug)]
struct Origin {
    /// The worker's number, 0 a template.
    worker: u32,
    /// Its process, 0 none.
    pid: u32,
}

/// All that applications have counted.
pub fn gather(area: &Area, ledgers: &SharedMap) -> Families {
    let words = usize::try_from(area.ledger(0).2 / 8).unwrap_or(usize::MAX).max(1);
    let mut families = Families::new();
    let mut parsed: HashMap<String, Option<Key>> = HashMap::new();
    for (number, ledger) in (1..).zip(ledgers.words().chunks_exact(words)) {
        let worker = number <= area.slot_count();
        let origin = if worker {
            Origin { worker: area.id_of(number), pid: area.slot(number).process() }
        } else {
            Origin { worker: 0, pid: 0 }
        };
        for entry in Ledger(ledger).entries() {
            if !parsed.contains_key(&entry.key) {
                parsed.insert(entry.key.clone(), Key::parse(&entry.key));
            }
            if let Some(Some(key)) = parsed.get(&entry.key) {
                put(&mut families, key, &entry, origin);
            }
        }
    }
    families
}

fn put(families: &mut Families, key: &Key, entry: &Entry, origin: Origin) {
    // A template has no slot to look up.
    let lives = match origin.worker {
        0 => u32::try_from(entry.owner).is_ok_and(process::is_alive),
        _ => entry.owner == u64::from(origin.pid),
    };
    let unset = key.merge == Merge::MostRecent && entry.stamp <= 0.0;
    if (key.live && !lives) || unset {
        return;
    }
    let new = || Family { kind: key.kind, help: key.help.clone(), samples: BTreeMap::new() };
    let family = families.entry(legal(&key.family, true)).or_insert_with(new);
    if family.kind != key.kind {
        return;
    }
    let mut labels: Labels =
        key.labels.iter().map(|(name, value)| (legal(name, false), value.clone())).collect();
    if key.merge == Merge::All {
        labels.push(("pid".to_owned(), origin.worker.to_string()));
    }
    let value = match key.merge {
        Merge::Min => entry.value.min(entry.kept),
        Merge::Max => entry.value.max(entry.kept),
        Merge::All | Merge::Sum | Merge::MostRecent => entry.value,
    };
    let new = Sample { value, stamp: entry.stamp };
    let id = (legal(&key.name, true), labels);
    family.samples.entry(id).and_modify(|sample| sample.merge(key.merge, new)).or_insert(new);
}

impl Sample {
    fn merge(&mut self, how: Merge, other: Sample) {
        match how {
            Merge::Sum => self.value += other.value,
            Merge::Min => self.value = self.value.min(other.value),
            Merge::Max => self.value = self.value.max(other.value),
            // Of a worker's slots the one begun with last.
            Merge::All | Merge::MostRecent if other.stamp > self.stamp => *self = other,
            Merge::All | Merge::MostRecent => {}
        }
    }
}

/// Writes them behind what is on the page; what has a name that is there already is left out.
pub fn families(to: &mut Page, families: &Families) {
    for (name, family) in families {
        if to.has(name) || to.has(name.trim_end_matches("_total")) {
            continue;
        }
        match family.kind {
            Kind::Counter => to.counter(name, &family.help, |to| family.plain(to)),
            Kind::Gauge => to.gauge(name, &family.help, |to| family.plain(to)),
            Kind::Summary => to.family_of(name, "summary", &family.help, |to| family.plain(to)),
            Kind::Histogram => to.family_of(name, "histogram", &family.help, |to| family.buckets(name, to)),
        }
    }
}

impl Family {
    fn plain(&self, to: &mut Samples<'_>) {
        for ((name, labels), sample) in &self.samples {
            to.named(name, &borrowed(labels), Number(sample.value));
        }
    }

    /// Each bucket with those below it, then sum and count.
    fn buckets(&self, family: &str, to: &mut Samples<'_>) {
        let mut all: BTreeMap<Labels, (Vec<Bucket<'_>>, f64)> = BTreeMap::new();
        for ((_, labels), sample) in &self.samples {
            let bound = labels.iter().find(|(name, _)| name == "le").map(|(_, bound)| bound.as_str());
            let others = labels.iter().filter(|(name, _)| name != "le").cloned().collect();
            let (buckets, sum) = all.entry(others).or_default();
            match bound {
                Some(bound) => buckets.push((bound.parse().unwrap_or(f64::INFINITY), bound, sample.value)),
                None => *sum += sample.value,
            }
        }
        for (labels, (mut buckets, sum)) in all {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut count = 0.0;
            let plain = borrowed(&labels);
            for (_, bound, n) in buckets {
                count += n;
                let mut labels = plain.clone();
                labels.push(("le", &bound));
                to.named(&format!("{family}_bucket"), &labels, Number(count));
            }
            to.named(&format!("{family}_sum"), &plain, Number(sum));
            to.named(&format!("{family}_count"), &plain, Number(count));
        }
    }
}

fn borrowed(labels: &Labels) -> Vec<Label<'_>> {
    labels.iter().map(|(name, value)| (name.as_str(), value as &dyn Display)).collect()
}

/// A name as both formats have had it for ever: newer ones may be any text.
fn legal(name: &str, of_metric: bool) -> String {
    let fits = |(n, c): (usize, char)| {
        let letter = c.is_ascii_alphabetic() || c == '_' || (of_metric && c == ':');
        if letter || (n > 0 && c.is_ascii_digit()) { c } else { '_' }
    };
    name.chars().enumerate().map(fits).collect()
}

/// A number as both formats write it.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            n if n.is_nan() => f.write_str("NaN"),
            n if n.is_infinite() => f.write_str(if n > 0.0 { "+Inf" } else { "-Inf" }),
            n => write!(f, "{n:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::Shape;
    use crate::shared::series::Writer;
    use crate::stats::page::Format;

    /// A process that serves in a slot, and sets or adds to numbers of its own.
    fn count(area: &Area, map: &SharedMap, slot: u32, alive: bool, numbers: &[(&Key, f64)]) {
        let words = usize::try_from(area.ledger(0).2 / 8).expect("small");
        let ledger = Ledger(map.words().chunks_exact(words).nth(slot as usize - 1).expect("a ledger"));
        let pid = if alive { std::process::id() } else { 1 };
        if alive {
            area.slot(slot).occupy(1);
        }
        let mut writer = Writer::new(ledger, pid);
        for (key, number) in numbers {
            let place = writer.place(ledger, key).expect("room");
            if key.merge == Merge::MostRecent {
                ledger.set(place, *number, Some(*number));
            } else {
                ledger.add(place, *number);
            }
        }
    }

    fn key(kind: Kind, merge: Merge, live: bool, name: &str, labels: &[(&str, &str)]) -> Key {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let family = ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let family = family.unwrap_or(name).to_owned();
        Key { kind, merge, live, family, name: name.to_owned(), labels, help: "Help.".to_owned() }
    }

    fn page(area: &Area, map: &SharedMap, format: Format) -> String {
        let mut page = Page::new(format);
        page.gauge("taken", "By the server.", |to| to.one(1));
        families(&mut page, &gather(area, map));
        page.end()
    }

    #[test]
    fn what_workers_counted_is_one_also_of_those_that_are_gone() {
        let shape = Shape { workers: 2, cores: 1, ledger_bytes: 64 * 1024, ..Shape::default() };
        let area = Area::shaped(shape).expect("mapped");
        let map = area.ledgers().expect("mapped").expect("there are");
        let total = key(Kind::Counter, Merge::Sum, false, "sales_total", &[("what", "\"a\\b\"")]);
        let modes = [
            ("all", Merge::All, false),
            ("least", Merge::Min, false),
            ("most", Merge::Max, false),
            ("recent", Merge::MostRecent, false),
            ("alive", Merge::Sum, true),
            ("taken", Merge::Sum, false),
        ];
        let gauges = modes.map(|(name, merge, live)| key(Kind::Gauge, merge, live, name, &[]));
        let with = |n: f64| -> Vec<(&Key, f64)> {
            gauges.iter().map(|gauge| (gauge, n)).chain([(&total, n)]).collect()
        };
        count(&area, &map, 1, false, &with(5.0));
        count(&area, &map, 2, false, &with(3.0));
        // The first one's successor has the other seat; that of the second has not come.
        count(&area, &map, 3, true, &with(4.0));
        let text = page(&area, &map, Format::Text);
        for line in [
            "# HELP sales_total Help.\n# TYPE sales_total counter\nsales_total{what=\"\\\"a\\\\b\\\"\"} 12.0\n",
            "# TYPE all gauge\nall{pid=\"1\"} 4.0\nall{pid=\"2\"} 3.0\n",
            "least 3.0\n",
            "most 5.0\n",
            "recent 5.0\n",
            "alive 4.0\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("taken").count(), 3, "the name is the server's: {text}");
        assert!(page(&area, &map, Format::OpenMetrics).contains("# TYPE sales counter\nsales_total{"));
    }

    #[test]
    fn buckets_add_up_and_names_are_made_legal() {
        let shape = Shape { workers: 1, cores: 1, ledger_bytes: 64 * 1024, ..Shape::default() };
        let area = Area::shaped(shape).expect("mapped");
        let map = area.ledgers().expect("mapped").expect("there are");
        let bucket =
            |le| key(Kind::Histogram, Merge::Sum, false, "my.time_bucket", &[("path", "/"), ("le", le)]);
        let (small, ten, all) = (bucket("0.5"), bucket("10.0"), bucket("+Inf"));
        let sum = key(Kind::Histogram, Merge::Sum, false, "my.time_sum", &[("path", "/")]);
        count(&area, &map, 1, true, &[(&all, 1.0), (&small, 2.0), (&ten, 3.0), (&sum, 40.5)]);
        count(&area, &map, 2, true, &[(&small, 1.0), (&sum, 0.25)]);
        let text = page(&area, &map, Format::Text);
        let lines = "# TYPE my_time histogram\n\
                     my_time_bucket{path=\"/\",le=\"0.5\"} 3.0\n\
                     my_time_bucket{path=\"/\",le=\"10.0\"} 6.0\n\
                     my_time_bucket{path=\"/\",le=\"+Inf\"} 7.0\n\
                     my_time_sum{path=\"/\"} 40.75\nmy_time_count{path=\"/\"} 7.0\n";
        assert!(text.contains(lines), "{text}");
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300].map(|n| Number(n).to_string());
        assert_eq!(numbers, ["NaN", "+Inf", "-Inf", "1e300"]);
    }
}
