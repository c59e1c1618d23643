//! What the server told the plugin at its start, kept for the life of the process.

use std::sync::OnceLock;

static CONFIG: OnceLock<Config> = OnceLock::new();

/// An owned copy of `uwring_abi::PluginConfig`.
#[derive(Debug, Default)]
pub struct Config {
    /// What the server worked out for the plugin, in order.
    pub settings: Vec<(String, String)>,
    /// Every option as given, in order; `None` where it had no value.
    pub options: Vec<(String, Option<String>)>,
    /// `processes`.
    pub processes: u32,
    /// `threads` of one worker.
    pub threads: u32,
    /// The master's process id.
    pub master_pid: u32,
    /// `buffer-size` in bytes.
    pub buffer_size: u32,
    /// When this generation started, seconds since the epoch.
    pub started_on: u64,
}

impl Config {
    /// The last value of a setting.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a setting, in order.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean setting: there and not an explicit no.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| !matches!(value, "0" | "false" | "no" | "off"))
    }
}

/// Keeps `config`. `false` where one is kept already.
pub fn set(config: Config) -> bool {
    CONFIG.set(config).is_ok()
}

/// The configuration; defaults before `start`.
pub fn config() -> &'static Config {
    CONFIG.get_or_init(Config::default)
}
