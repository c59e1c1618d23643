//! Which destinations a message goes to: `log-filter`, `log-drain`, `log-route`.

use super::{Message, Source};
use crate::base::pattern::Pattern;
use crate::options::logger::Route;
use crate::options::settings::Logging;

/// The rules.
#[derive(Clone, Debug)]
pub struct Rules {
    filters: Vec<Pattern>,
    drains: Vec<Pattern>,
    routes: Vec<Route>,
    req_routes: Vec<Route>,
    /// Whether requests have destinations of their own.
    apart: bool,
}

/// Where a message goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// Nowhere.
    Nowhere,
    /// To the loggers of these names, of `req-logger` if `true`.
    Named(bool, Vec<&'a str>),
    /// To all loggers without a name, of `req-logger` if `true`.
    Unnamed(bool),
}

impl Rules {
    /// As the options say.
    pub fn new(logging: &Logging) -> Rules {
        let Logging { filters, drains, routes, req_routes, req_loggers, .. } = logging.clone();
        let apart = !req_loggers.is_empty() || !req_routes.is_empty();
        Rules { filters, drains, routes, req_routes, apart }
    }

    /// Where it goes. As in uWSGI, requests are sorted out from the rest only where they have a logger of their
    /// own, and what a route takes goes nowhere else.
    pub fn way(&self, message: Message<'_>) -> Way<'_> {
        let request = message.label.source == Source::Request && self.apart;
        let routes = if request { &self.req_routes } else { &self.routes };
        if !request {
            let matches =
                |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_match(message.text));
            if matches(&self.drains) || !self.filters.is_empty() && !matches(&self.filters) {
                return Way::Nowhere;
            }
        }
        let names: Vec<&str> = routes
            .iter()
            .filter(|route| route.lines.is_match(message.text))
            .map(|route| route.to.as_str())
            .collect();
        if names.is_empty() { Way::Unnamed(request) } else { Way::Named(request, names) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::relay::Label;
    use crate::options::logger;

    #[test]
    fn messages_find_their_way() {
        let pattern = |text| Pattern::new(text).expect("good");
        let mut logging = Logging {
            filters: vec![pattern("keep"), pattern("GET")],
            drains: vec![pattern("secret")],
            routes: vec![logger::route("app ^\\{").expect("good")],
            ..Logging::default()
        };
        let way = |logging: &Logging, source, text: &str| {
            let label = Label { source, pid: 1, worker: 1 };
            format!("{:?}", Rules::new(logging).way(Message { label, text: text.as_bytes() }))
        };
        assert_eq!(way(&logging, Source::Output, "keep"), "Unnamed(false)");
        assert_eq!(way(&logging, Source::Output, "keep secret"), "Nowhere");
        assert_eq!(way(&logging, Source::Output, "other"), "Nowhere");
        assert_eq!(way(&logging, Source::Server, "{keep"), "Named(false, [\"app\"])");
        assert_eq!(way(&logging, Source::Request, "POST"), "Nowhere");
        logging.req_loggers = vec![logger::logger("stdio").expect("good")];
        assert_eq!(way(&logging, Source::Request, "POST"), "Unnamed(true)");
        logging.req_routes = vec![logger::route("posts ^P").expect("good")];
        assert_eq!(way(&logging, Source::Request, "POST"), "Named(true, [\"posts\"])");
    }
}
