//! The text of an XML file: an element `uwsgi`, whose elements are options. An empty one is `1`.

use roxmltree::{Document, Node};

use super::super::sources::ini::SECTION;
use super::{Found, Unreadable};

/// The options of the `uwsgi` element with this `id`; without one, of the first.
pub fn read(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    let document = Document::parse(text)
        .map_err(|error| Unreadable { line: error.pos().row as usize, why: format!("no XML: {error}") })?;
    let wanted = |node: &Node<'_, '_>| {
        node.has_tag_name("uwsgi") && (section == SECTION || node.attribute("id") == Some(section))
    };
    let root = document.root_element();
    let found = std::iter::once(root).chain(root.children()).find(wanted);
    Ok(found.map(|uwsgi| uwsgi.children().filter(Node::is_element).filter_map(option).collect()))
}

fn option(element: Node<'_, '_>) -> Option<Found> {
    let line = element.document().text_pos_at(element.range().start).row as usize;
    let key = element.tag_name().name();
    if key == "app" {
        return app(element, line);
    }
    let text = element.text().unwrap_or_default();
    let value = if text.is_empty() { "1" } else { text };
    Some(Found { line, key: key.to_owned(), value: value.to_owned() })
}

/// `<app mountpoint="/x"><module>m</module></app>` is `mount = /x=m`.
fn app(element: Node<'_, '_>, line: usize) -> Option<Found> {
    let at = element.attribute("mountpoint").unwrap_or("/");
    let what = |node: &Node<'_, '_>| {
        ["module", "script", "wsgi-file", "file", "wsgi"].contains(&node.tag_name().name())
    };
    let inside = element.children().find(what)?.text()?.trim();
    Some(Found { line, key: "mount".to_owned(), value: format!("{at}={inside}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, section: &str) -> Vec<(usize, String, String)> {
        let found = read(text, section).expect("readable").expect("the section");
        found.into_iter().map(|found| (found.line, found.key, found.value)).collect()
    }

    // As uWSGI 2.0.21 prints them, which keeps `app` to itself.
    #[test]
    fn elements_are_options() {
        let text = "<uwsgi>\n <!-- c -->\n <a>x</a><b/><c> padded </c><d></d>\n \
            <app mountpoint=\"/x\"><module>m</module></app>\n <a>y</a>\n <h>%(a)&amp;</h>\n</uwsgi>\n";
        let found = pairs(text, "uwsgi");
        let expected = [
            (3, "a", "x"),
            (3, "b", "1"),
            (3, "c", " padded "),
            (3, "d", "1"),
            (4, "mount", "/x=m"),
            (5, "a", "y"),
            (6, "h", "%(a)&"),
        ];
        let expected: Vec<_> =
            expected.iter().map(|(n, k, v)| (*n, (*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn one_of_several_by_its_id() {
        let text = "<config><uwsgi id=\"one\"><a>1</a></uwsgi><uwsgi id=\"two\"><a>2</a></uwsgi></config>";
        assert_eq!(pairs(text, "uwsgi")[0].2, "1");
        assert_eq!(pairs(text, "two")[0].2, "2");
        assert_eq!(read(text, "three"), Ok(None));
    }

    #[test]
    fn what_is_no_xml_is_told_with_its_line() {
        let problem = read("<uwsgi>\n<a>1</b>\n</uwsgi>", "uwsgi").expect_err("unreadable");
        assert_eq!(problem.line, 2, "{problem:?}");
    }
}
