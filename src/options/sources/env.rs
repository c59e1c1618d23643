//! Options from the environment: `UWSGI_BUFFER_SIZE=65535` is `buffer-size = 65535`.

use super::super::settings::Origin;
use crate::base::vassalage;

/// Variables of this form that are messages between servers and their parents, not options.
const MESSAGES: [&str; 8] = [
    "UWSGI_RELOADS",
    "UWSGI_VASSALS_DIR",
    vassalage::LINE,
    "UWSGI_EMPEROR_FD_CONFIG",
    "UWSGI_EMPEROR_PROXY",
    "UWSGI_BROODLORD_NUM",
    "UWSGI_JAIL_PID",
    "UWSGI_ORIGINAL_PROC_NAME",
];

/// The origin of these options.
pub fn origin() -> Origin {
    Origin("environment".to_owned())
}

/// Whether an option has this origin.
pub fn is_origin(origin: &Origin) -> bool {
    origin.0 == "environment"
}

/// The name of the variable an option comes from.
pub fn variable(key: &str) -> String {
    format!("UWSGI_{}", key.to_ascii_uppercase().replace('-', "_"))
}

/// All options of this environment.
pub fn options(env: &[(String, String)]) -> impl Iterator<Item = (String, String, Origin)> {
    env.iter().filter(|(name, _)| !MESSAGES.contains(&name.as_str())).filter_map(|(name, value)| {
        let key = name.strip_prefix("UWSGI_")?.to_ascii_lowercase().replace('_', "-");
        Some((key, value.clone(), origin()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_options_in_lower_case_with_dashes() {
        let env =
            [("UWSGI_BUFFER_SIZE", "65535"), ("PATH", "/bin"), ("UWSGI_RELOADS", "1"), ("UWSGI_INI", "a")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()));
        let read: Vec<_> = options(&env).map(|(key, value, _)| (key, value)).collect();
        let expected = [("buffer-size", "65535"), ("ini", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(read, expected);
        assert_eq!(variable("buffer-size"), "UWSGI_BUFFER_SIZE");
    }
}
