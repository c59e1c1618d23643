//! The application's own metrics (`metric`) among the figures: what it counts, and what is worked out of that and of the
//! server's own when somebody looks.

use super::figures::{Figure, Kind};
use crate::options::metric::{self, Metric, Source, Sum};
use crate::shared::meters::{Change, Meters};

/// One of them, and what was counted or read of it.
#[derive(Clone, Debug)]
pub struct Declared {
    /// How it was declared.
    pub metric: Metric,
    /// Its number; 0 where it is worked out of others.
    pub value: i64,
}

/// Looks at all of them.
pub fn look(declared: &[Metric], meters: Meters<'_>) -> Vec<Declared> {
    let value = |metric: &Metric| match &metric.source {
        Source::Counted(_) => meters.value(metric.name.as_bytes()).unwrap_or(0),
        Source::File(path, word) => in_file(path, *word).unwrap_or(0),
        Source::Alias(_) | Source::Of(..) => 0,
    };
    declared.iter().map(|metric| Declared { value: value(metric), metric: metric.clone() }).collect()
}

/// A number in a file.
fn in_file(path: &str, word: usize) -> Option<i64> {
    std::fs::read_to_string(path).ok()?.split_whitespace().nth(word)?.parse().ok()
}

/// Adds them, in their order, behind the `figures` of the server: what one is worked out of stands before it.
pub fn add(figures: &mut Vec<Figure>, declared: &[Declared]) {
    for Declared { metric, value } in declared {
        let figure = figure(figures, metric, *value);
        figures.push(figure);
    }
}

fn figure(figures: &[Figure], metric: &Metric, value: i64) -> Figure {
    let other = |name: &str| figures.iter().find(|figure| figure.name == name);
    let (mut kind, mut oid) = (kind(metric.kind), metric.oid.clone());
    let value = match &metric.source {
        Source::Counted(_) | Source::File(..) => value,
        Source::Alias(name) => {
            kind = Kind::Alias;
            other(name).map_or(0, |other| {
                oid.clone_from(&other.oid);
                other.value
            })
        }
        Source::Of(sum, children, number) => {
            let all = children.iter().map(|name| other(name).map_or(0, |other| other.value));
            worked_out(*sum, all.fold(0, i64::wrapping_add), children.len(), *number)
        }
    };
    Figure { name: metric.name.clone(), oid, kind, value }
}

fn worked_out(sum: Sum, all: i64, count: usize, number: i64) -> i64 {
    match sum {
        Sum::Sum => all,
        Sum::Average => all / i64::try_from(count).unwrap_or(1).max(1),
        Sum::Adder => all.wrapping_add(number),
        Sum::Multiplier => all.wrapping_mul(number),
    }
}

fn kind(kind: metric::Kind) -> Kind {
    match kind {
        metric::Kind::Counter => Kind::Counter,
        metric::Kind::Gauge => Kind::Gauge,
        metric::Kind::Absolute => Kind::Absolute,
    }
}

/// Those with `reset_after_push` begin anew: what was counted since `figures` were taken stays.
pub fn begin_anew(declared: &[Metric], meters: Meters<'_>, figures: &[Figure]) {
    for metric in declared.iter().filter(|metric| metric.resets) {
        let told = figures.iter().find(|figure| figure.name == metric.name);
        if let (Some(told), Source::Counted(initial)) = (told, &metric.source) {
            meters.change(metric.name.as_bytes(), Change::Add(initial.wrapping_sub(told.value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::monitor::Monitor;
    use crate::shared::area::{Area, Shape};

    #[test]
    fn some_are_worked_out_of_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("val");
        std::fs::write(&file, "42 17\n").expect("written");
        let file = file.display();
        let texts = [
            "name=g,type=gauge,initial_value=1,oid=100.1".to_owned(),
            "name=n,initial_value=-5,reset_after_push=1".to_owned(),
            "name=al,type=alias,alias=g".to_owned(),
            "name=s,collector=sum,children=g;n;core.x;none".to_owned(),
            "name=m,collector=multiplier,children=g,arg1n=3".to_owned(),
            "name=ad,collector=adder,children=g,arg1n=3".to_owned(),
            "name=avg,collector=avg,children=g;n".to_owned(),
            format!("name=f,collector=file,arg1={file}"),
            format!("name=f1,collector=file,arg1={file},arg1n=1"),
            "name=f2,collector=file,arg1=/none".to_owned(),
        ];
        let declared: Vec<Metric> = texts.iter().map(|text| Metric::read(text).expect(text).0).collect();
        let monitor = Monitor { declared: declared.clone(), ..Monitor::default() };
        let area = Area::for_server(Shape { workers: 1, cores: 1, ..Shape::default() }, &[], &monitor);
        let area = area.expect("mapped");
        let own = Figure { name: "core.x".to_owned(), oid: String::new(), kind: Kind::Gauge, value: 100 };
        let mut figures = vec![own];
        add(&mut figures, &look(&declared, area.meters()));
        let values: Vec<i64> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [100, 1, -5, 1, 96, 3, 4, -2, 42, 17, 0]);
        assert_eq!((figures[3].kind, figures[3].oid.as_str()), (Kind::Alias, "100.1"));

        area.meters().change(b"n", Change::Add(2));
        begin_anew(&declared, area.meters(), &figures);
        assert_eq!((area.meters().value(b"n"), area.meters().value(b"g")), (Some(-3), Some(1)));
    }
}
