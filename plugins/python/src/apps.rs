//! The applications that were loaded, and which of them a request is for.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

use crate::config::Config;
use crate::environ::{Roles, latin1};
use crate::host::Request;

static APPS: PyOnceLock<Apps> = PyOnceLock::new();

/// One application.
pub struct App {
    /// Its number, from 0.
    pub number: u32,
    /// Where it is mounted, `""` for everywhere.
    pub mountpoint: String,
    /// The WSGI callable.
    pub callable: Py<PyAny>,
}

/// All of them, in the order they were loaded, and the rules to choose by.
pub struct Apps {
    list: Vec<App>,
    /// Index of the application for requests that no mountpoint matches.
    default: Option<usize>,
    manage_script_name: bool,
    ignore_script_name: bool,
}

impl Apps {
    /// Keeps `list` for the life of the process.
    pub fn publish(py: Python<'_>, list: Vec<App>, config: &Config) {
        let default = default_of(&list).filter(|_| !config.flag("no-default-app"));
        let apps = Apps {
            list,
            default,
            manage_script_name: config.flag("manage-script-name"),
            ignore_script_name: config.flag("ignore-script-name"),
        };
        // A second load would be the server's mistake; the first one stays.
        let _ = APPS.set(py, apps);
    }

    /// What was published.
    pub fn published(py: Python<'_>) -> Option<&Apps> {
        APPS.get(py)
    }

    /// The application for a request. With `manage-script-name` this may rewrite the environ.
    pub fn select(
        &self,
        request: &Request,
        roles: &Roles,
        environ: &Bound<'_, PyDict>,
    ) -> PyResult<Option<&App>> {
        if let ([app], Some(_)) = (self.list.as_slice(), self.default)
            && app.mountpoint.is_empty()
        {
            return Ok(Some(app));
        }
        let value = |index: Option<usize>| {
            index
                .and_then(|index| request.vars().get(index))
                .map_or(&b""[..], |var| request.areas().value(var))
        };
        // A front end may name the application; a client over HTTP can't, its names all begin with `HTTP_`.
        let named = value(roles.app_id);
        if self.manage_script_name {
            let path = value(roles.path_info);
            if let Some(app) = self.by_path(path) {
                move_prefix(environ, app.mountpoint.trim_end_matches('/'), path)?;
                if named.is_empty() {
                    return Ok(Some(app));
                }
            } else if path.len() > 1 && roles.script_name.is_none() {
                environ.set_item("SCRIPT_NAME", "")?;
            }
        }
        let key = match named {
            [] if self.ignore_script_name => b"",
            [] => value(roles.script_name),
            named => named,
        };
        let exact = self.list.iter().find(|app| app.mountpoint.as_bytes() == key);
        Ok(exact.or_else(|| self.default.map(|index| &self.list[index])))
    }

    /// The longest mountpoint that is a path prefix of `path`, for paths longer than one character.
    fn by_path(&self, path: &[u8]) -> Option<&App> {
        if path.len() <= 1 {
            return None;
        }
        let matches = |app: &&App| {
            let prefix = app.mountpoint.trim_end_matches('/').as_bytes();
            !prefix.is_empty()
                && path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.list.iter().filter(matches).max_by_key(|app| app.mountpoint.trim_end_matches('/').len())
    }
}

/// uWSGI's rule: the first whose mountpoint is empty or begins with `/`.
pub fn default_of(list: &[App]) -> Option<usize> {
    list.iter().position(|app| app.mountpoint.is_empty() || app.mountpoint.starts_with('/'))
}

fn move_prefix(environ: &Bound<'_, PyDict>, prefix: &str, path: &[u8]) -> PyResult<()> {
    let py = environ.py();
    environ.set_item(PyString::intern(py, "SCRIPT_NAME"), latin1(py, prefix.as_bytes())?)?;
    environ.set_item(PyString::intern(py, "PATH_INFO"), latin1(py, &path[prefix.len()..])?)
}
