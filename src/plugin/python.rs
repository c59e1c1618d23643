//! What the Python plugin is told at its start, from the settings. Names are those of the options.

use uwring_abi::{PluginConfig, Setting, Slice};

use crate::options::settings::Settings;

/// Owns the texts that a `PluginConfig` lends.
#[derive(Clone, Debug)]
pub struct StartConfig {
    settings: Vec<(&'static str, String)>,
    options: Vec<(String, Option<String>)>,
    processes: u32,
    threads: u32,
    master_pid: u32,
    buffer_size: u32,
}

/// A `StartConfig` in the boundary's form.
#[derive(Debug)]
pub struct Lent<'a> {
    /// Keeps what `config` points to.
    _settings: Vec<Setting>,
    _options: Vec<Setting>,
    config: PluginConfig,
    _of: std::marker::PhantomData<&'a StartConfig>,
}

impl StartConfig {
    /// Collects what the plugin needs to know. The caller is the template: its parent is the master.
    pub fn new(settings: &Settings) -> StartConfig {
        StartConfig {
            settings: collect(settings),
            options: settings.given.iter().map(|given| (given.key.clone(), given.value.clone())).collect(),
            processes: settings.process.processes,
            threads: settings.process.threads,
            master_pid: std::os::unix::process::parent_id(),
            buffer_size: settings.request.buffer_size,
        }
    }

    /// Lends everything.
    pub fn lend(&self) -> Lent<'_> {
        let text = |value: &Option<String>| {
            value.as_ref().map_or(Slice::EMPTY, |value| Slice::new(value.as_bytes()))
        };
        let settings: Vec<Setting> = self
            .settings
            .iter()
            .map(|(name, value)| Setting {
                name: Slice::new(name.as_bytes()),
                value: Slice::new(value.as_bytes()),
                has_value: 1,
            })
            .collect();
        let options: Vec<Setting> = self
            .options
            .iter()
            .map(|(name, value)| Setting {
                name: Slice::new(name.as_bytes()),
                value: text(value),
                has_value: u8::from(value.is_some()),
            })
            .collect();
        let config = PluginConfig {
            settings: settings.as_ptr(),
            settings_len: settings.len(),
            options: options.as_ptr(),
            options_len: options.len(),
            processes: self.processes,
            threads: self.threads,
            master_pid: self.master_pid,
            buffer_size: self.buffer_size,
        };
        Lent { _settings: settings, _options: options, config, _of: std::marker::PhantomData }
    }
}

impl Lent<'_> {
    /// For the call.
    pub fn as_abi(&self) -> &PluginConfig {
        &self.config
    }
}

fn collect(settings: &Settings) -> Vec<(&'static str, String)> {
    let python = &settings.python;
    let mut list = Vec::new();
    for (name, values) in [
        ("module", &python.modules),
        ("file", &python.files),
        ("eval", &python.sources),
        ("pecan", &python.pecan),
        ("paste", &python.paste),
        ("pythonpath", &python.pythonpath),
        ("import", &python.imports),
        ("shared-import", &python.shared_imports),
        ("py-auto-reload-ignore", &python.auto_reload_ignore),
        ("reload-on-exception-type", &python.reload_on_type),
        ("reload-on-exception-value", &python.reload_on_value),
        ("reload-on-exception-repr", &python.reload_on_repr),
        ("pymodule-alias", &python.aliases),
        ("post-pymodule-alias", &python.late_aliases),
    ] {
        list.extend(values.iter().map(|value| (name, value.clone())));
    }
    list.extend(python.mounts.iter().map(|(at, what)| ("mount", format!("{at}={what}"))));
    for (name, value) in [
        ("callable", &python.callable),
        ("home", &python.home),
        ("pyargv", &python.pyargv),
        ("py-executable", &python.executable),
    ] {
        list.extend(value.iter().map(|value| (name, value.clone())));
    }
    for (name, is_on) in [
        ("no-file-wrapper", python.no_file_wrapper),
        ("no-default-app", python.no_default_app),
        ("paste-logger", python.paste_logger),
        ("ignore-script-name", python.ignore_script_name),
        ("catch-exceptions", python.catch_exceptions),
        ("harakiri-no-arh", settings.harakiri.without_hook),
        ("wsgi-accept-buffer", python.accept_buffer),
        ("reload-on-exception", python.reload_on_exception),
        ("manage-script-name", settings.request.manage_script_name),
        ("need-app", settings.process.need_app),
        ("skip-atexit", settings.process.skip_atexit),
    ] {
        list.extend(is_on.then(|| (name, "true".to_owned())));
    }
    for (name, number) in [
        ("optimize", python.optimize.into()),
        ("py-auto-reload", python.auto_reload_s.into()),
        ("worker-reload-mercy", settings.process.worker_reload_mercy),
    ] {
        let number: u64 = number;
        list.extend((number > 0).then(|| (name, number.to_string())));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_keep_their_order_and_flags_are_named_only_when_on() {
        let mut settings = Settings::default();
        settings.process.need_app = false;
        settings.python.pythonpath = vec!["a".to_owned(), "b".to_owned()];
        settings.python.mounts = vec![("/x".to_owned(), "x.py".to_owned())];
        settings.python.catch_exceptions = true;
        let expected = [
            ("pythonpath", "a"),
            ("pythonpath", "b"),
            ("mount", "/x=x.py"),
            ("catch-exceptions", "true"),
            ("worker-reload-mercy", "60"),
        ];
        let collected = collect(&settings);
        let collected: Vec<_> = collected.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(collected, expected);
    }
}
