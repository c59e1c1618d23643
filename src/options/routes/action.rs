//! Actions of rules, and which chain may have them.

use serde::{Deserialize, Serialize};

use super::Chain;
use super::template::{self, Template};

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Nothing that is not done anyway: `chunked`, `donotoffload`, labels.
    Nothing,
    /// `continue`, `last`: leave the chain.
    Continue,
    /// `break`: answer with this status and no body; without one, close the connection.
    Break(Template),
    /// `return`, `break-with-status`: answer with this status and its reason as the body.
    Return(Template),
    /// `log`.
    Log(Template),
    /// `donotlog`.
    DoNotLog,
    /// `logvar`.
    LogVar(String, Template),
    /// `goto`.
    Goto(Template),
    /// `addvar`, `setuser` and the like: set a variable.
    SetVar(String, Template),
    /// `fixpathinfo`: PATH_INFO less SCRIPT_NAME.
    FixPathInfo,
    /// `addheader`.
    AddHeader(Template),
    /// `delheader`.
    DelHeader(Template),
    /// `redirect`, and whether for ever.
    Redirect(Template, bool),
    /// `rewrite`, and whether it is the last rule then.
    Rewrite(Template, bool),
    /// `static`.
    Static(Template),
    /// `file`.
    File {
        /// Path.
        name: Template,
        /// Code and reason; empty: 200.
        status: Template,
        /// Content-Type; empty: none.
        kind: Template,
    },
    /// `harakiri`: seconds the application has for this request; 0: any time.
    Harakiri(Template),
    /// `basicauth`.
    BasicAuth {
        /// Shown to the user.
        realm: String,
        /// `user:password`.
        user: String,
        /// Others are left to the next rule.
        next: bool,
    },
}

/// Actions of uWSGI that hand the request to somebody else, or need a service that is not here.
const FORWARDING: [&str; 13] = [
    "http",
    "httpdumb",
    "proxyhttp",
    "httpconnect",
    "proxyhttpconnect",
    "uwsgi",
    "proxyuwsgi",
    "cgi",
    "cgihelper",
    "rpc",
    "call",
    "memcached",
    "redis",
];

/// Reads `ACTION:ARGUMENT`. `grouped`: see [`template::read`].
pub fn read(chain: Chain, text: &str, grouped: bool) -> Result<Action, String> {
    let (name, argument) = text.split_once(':').unwrap_or((text, ""));
    let action = known(name.trim(), argument, grouped)?;
    allowed(chain, name, &action)?;
    Ok(action)
}

fn known(name: &str, argument: &str, grouped: bool) -> Result<Action, String> {
    let filled = || template::read(argument.trim(), grouped);
    let set = |var: &str| Ok::<Action, String>(Action::SetVar(var.to_owned(), filled()?));
    Ok(match name {
        "continue" | "last" => Action::Continue,
        "break" => Action::Break(filled()?),
        "return" | "break-with-status" => Action::Return(filled()?),
        "log" => Action::Log(filled()?),
        "donotlog" => Action::DoNotLog,
        "donotoffload" | "chunked" | "flush" | "fixcl" => Action::Nothing,
        "goto" => Action::Goto(filled()?),
        "logvar" | "addvar" => {
            let (var, value) = argument.split_once('=').ok_or(format!("{name}:NAME=VALUE"))?;
            let value = template::read(value, grouped)?;
            if name == "logvar" {
                Action::LogVar(var.into(), value)
            } else {
                Action::SetVar(var.into(), value)
            }
        }
        "setuser" => set("REMOTE_USER")?,
        "setscriptname" => set("SCRIPT_NAME")?,
        "setmethod" => set("REQUEST_METHOD")?,
        "seturi" => set("REQUEST_URI")?,
        "setremoteaddr" => set("REMOTE_ADDR")?,
        "setpathinfo" => set("PATH_INFO")?,
        "setdocroot" => set("DOCUMENT_ROOT")?,
        "setscheme" => set("UWSGI_SCHEME")?,
        "fixpathinfo" => Action::FixPathInfo,
        "addheader" => Action::AddHeader(filled()?),
        "delheader" | "remheader" => Action::DelHeader(filled()?),
        "redirect" | "redirect-302" => Action::Redirect(filled()?, false),
        "redirect-permanent" | "redirect-301" => Action::Redirect(filled()?, true),
        "rewrite" => Action::Rewrite(filled()?, false),
        "rewrite-last" => Action::Rewrite(filled()?, true),
        "static" => Action::Static(filled()?),
        "file" | "sendfile" | "fastfile" => file(argument, grouped)?,
        "harakiri" => Action::Harakiri(filled()?),
        "basicauth" | "basicauth-next" => basic_auth(argument, name == "basicauth-next")?,
        _ if FORWARDING.contains(&name) => {
            return Err(format!(
                "an action of this server: {name} would forward the request; let the front end do it"
            ));
        }
        _ => return Err(format!("an action that is known: {name} is not (docs/static.md lists them)")),
    })
}

fn file(argument: &str, grouped: bool) -> Result<Action, String> {
    let (mut name, mut status, mut kind) = (Template::default(), Template::default(), Template::default());
    if !argument.contains("filename=") {
        name = template::read(argument.trim(), grouped)?;
    } else {
        for pair in argument.split(',') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = template::read(value.trim(), grouped)?;
            match key.trim() {
                "filename" => name = value,
                "status" | "http_status" => status = value,
                "content_type" => kind = value,
                "no_headers" | "no_cl" => return Err(format!("file: without {}", key.trim())),
                _ => {}
            }
        }
    }
    if name == Template::default() {
        Err("file:filename=PATH".to_owned())
    } else {
        Ok(Action::File { name, status, kind })
    }
}

fn basic_auth(argument: &str, next: bool) -> Result<Action, String> {
    let (realm, user) = argument.split_once(',').ok_or("basicauth:REALM,USER:PASSWORD")?;
    if !user.contains(':') {
        return Err(
            "basicauth:REALM,USER:PASSWORD: checking the hashes of an htpasswd file takes a worker long; let the front \
             end do it"
                .to_owned(),
        );
    }
    // It stands between quotes in a header.
    let realm = realm.replace(['"', '\\'], "'");
    Ok(Action::BasicAuth { realm, user: user.to_owned(), next })
}

/// Some actions come too late in some chains.
fn allowed(chain: Chain, name: &str, action: &Action) -> Result<(), String> {
    use Action::*;
    match chain {
        Chain::Request => Ok(()),
        Chain::Last => match action {
            Nothing | Continue | Log(_) | DoNotLog | LogVar(..) | Goto(_) | SetVar(..) => Ok(()),
            _ => Err(format!("an action for after the answer: {name} comes too late in final-route")),
        },
        Chain::Error | Chain::Response => match action {
            Rewrite(..) | BasicAuth { .. } | FixPathInfo | Harakiri(_) => {
                Err(format!("an action for answers: {name} belongs into route, before the application"))
            }
            Break(status) if *status == Template::default() => {
                Err("break:STATUS: the application has answered already, say with what status instead"
                    .to_owned())
            }
            _ => Ok(()),
        },
    }
}
