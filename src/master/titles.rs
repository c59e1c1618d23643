//! The names processes go by in `ps`: `auto-procname` and its relatives.

use crate::options::settings::Process;
use crate::sys::title;

/// Names this process; `role` is `master`, `template` or `worker N`.
pub fn set(settings: &Process, role: &str) {
    if let Some(text) = text(settings, role) {
        title::set(&text);
    }
}

fn text(settings: &Process, role: &str) -> Option<String> {
    let of_master = settings.procname_master.as_deref().filter(|_| role == "master");
    let name = match (of_master.or(settings.procname.as_deref()), settings.auto_procname) {
        (Some(name), _) => name.to_owned(),
        (None, true) => format!("uWSGI {role}"),
        (None, false) => return None,
    };
    Some(format!("{}{name}{}", settings.procname_prefix, settings.procname_append))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_uwsgi() {
        let plain = Process::default();
        assert_eq!(text(&plain, "master"), None);
        let auto = Process { auto_procname: true, procname_prefix: "app ".to_owned(), ..plain.clone() };
        assert_eq!(text(&auto, "master").as_deref(), Some("app uWSGI master"));
        assert_eq!(text(&auto, "worker 2").as_deref(), Some("app uWSGI worker 2"));
        let named =
            Process { procname: Some("x".to_owned()), procname_master: Some("m".to_owned()), ..plain };
        assert_eq!(text(&named, "master").as_deref(), Some("m"));
        assert_eq!(text(&named, "worker 1").as_deref(), Some("x"));
    }
}
