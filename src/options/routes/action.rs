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
    /// `gzip`: the answer is compressed for clients that take it.
    Gzip,
    /// `cache`: what a cache has answers the request.
    Cache {
        /// Where it looks.
        of: InCache,
        /// Content-Type; empty: text/html.
        kind: Template,
        /// Content-Encoding; empty: none.
        encoding: Template,
        /// `mime`: the type of a file with the key's name.
        by_name: bool,
    },
    /// `cachestore`: the answer goes into a cache.
    CacheStore {
        /// Where it goes.
        of: InCache,
        /// Seconds; 0: for ever.
        expires: u64,
        /// Only answers with this status.
        status: u16,
    },
    /// `cachevar`: a variable is set from a cache.
    CacheVar(InCache, String),
    /// `cacheset`: a text goes into a cache.
    CacheSet {
        /// Where it goes.
        of: InCache,
        /// The text.
        value: Template,
        /// Seconds; 0: for ever.
        expires: u64,
    },
    /// `cacheinc`, `cachedec`, `cachemul`, `cachediv`.
    CacheCount {
        /// Which number.
        of: InCache,
        /// What is done with it.
        how: Count,
        /// And with how much.
        by: i64,
        /// Seconds, of one that is made; 0: for ever.
        expires: u64,
    },
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

/// What is done with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are what they say")]
pub enum Count {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A place in a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InCache {
    /// Which cache; empty: the first.
    pub name: String,
    /// Of the item.
    pub key: Template,
}

impl InCache {
    /// Reads `key=…,name=…`; what else there is goes to `other`.
    pub fn read(
        argument: &str,
        grouped: bool,
        mut other: impl FnMut(&str, &str) -> Result<(), String>,
    ) -> Result<InCache, String> {
        let mut place = InCache::default();
        for pair in argument.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "1"));
            match key.trim() {
                "key" => place.key = template::read(value.trim(), grouped)?,
                "name" => value.trim().clone_into(&mut place.name),
                key => other(key, value.trim())?,
            }
        }
        if place.key == Template::default() { Err("key=KEY,name=CACHE".to_owned()) } else { Ok(place) }
    }
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
        "gzip" => Action::Gzip,
        "cache" => cache(argument, grouped)?,
        "cachestore" | "cache-store" => cache_store(argument, grouped)?,
        "cachevar" => cache_var(argument, grouped)?,
        "cacheset" => cache_set(argument, grouped)?,
        "cacheinc" => cache_count(argument, grouped, Count::Add)?,
        "cachedec" => cache_count(argument, grouped, Count::Subtract)?,
        "cachemul" => cache_count(argument, grouped, Count::Multiply)?,
        "cachediv" => cache_count(argument, grouped, Count::Divide)?,
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

fn cache(argument: &str, grouped: bool) -> Result<Action, String> {
    let (mut kind, mut encoding, mut by_name) = (Template::default(), Template::default(), false);
    let of = InCache::read(argument, grouped, |key, value| {
        match key {
            "content_type" | "type" => kind = template::read(value, grouped)?,
            "content_encoding" => encoding = template::read(value, grouped)?,
            "mime" => by_name = value != "0",
            // There is nobody to offload to, and the length is always known.
            "no_offload" | "no_cl" => {}
            _ => {
                return Err(format!(
                    "cache: {key} is not known; key, name, content_type, content_encoding, mime are"
                ));
            }
        }
        Ok(())
    })?;
    Ok(Action::Cache { of, kind, encoding, by_name })
}

fn cache_store(argument: &str, grouped: bool) -> Result<Action, String> {
    let (mut expires, mut status) = (0, 200);
    let of = InCache::read(argument, grouped, |key, value| {
        let number = || value.parse().map_err(|_| format!("a number for {key}, not {value}"));
        match key {
            "expires" => expires = number()?,
            "status" => status = number().map(|status| u16::try_from(status).unwrap_or(0))?,
            "content_type" | "type" | "mime" => {}
            _ => return Err(format!("cachestore: {key} is not known; key, name, expires and status are")),
        }
        Ok(())
    })?;
    Ok(Action::CacheStore { of, expires, status })
}

fn cache_var(argument: &str, grouped: bool) -> Result<Action, String> {
    let mut var = String::new();
    let of = InCache::read(argument, grouped, |key, value| {
        if key == "var" {
            value.clone_into(&mut var);
        }
        Ok(())
    })?;
    if var.is_empty() {
        Err("cachevar:key=KEY,name=CACHE,var=NAME".to_owned())
    } else {
        Ok(Action::CacheVar(of, var))
    }
}

fn cache_set(argument: &str, grouped: bool) -> Result<Action, String> {
    let (mut value, mut expires) = (None, 0);
    let of = InCache::read(argument, grouped, |key, given| {
        match key {
            "value" => value = Some(template::read(given, grouped)?),
            "expires" => {
                expires = given.parse().map_err(|_| format!("a number for expires, not {given}"))?;
            }
            _ => return Err(format!("cacheset: {key} is not known; key, name, value and expires are")),
        }
        Ok(())
    })?;
    let value = value.ok_or("cacheset:key=KEY,value=VALUE,name=CACHE")?;
    Ok(Action::CacheSet { of, value, expires })
}

fn cache_count(argument: &str, grouped: bool, how: Count) -> Result<Action, String> {
    let (mut by, mut expires) = (if matches!(how, Count::Add | Count::Subtract) { 1 } else { 2 }, 0);
    let of = InCache::read(argument, grouped, |key, given| {
        let wrong = || format!("a number for {key}, not {given}");
        match key {
            "value" => by = given.parse().map_err(|_| wrong())?,
            "expires" => expires = given.parse().map_err(|_| wrong())?,
            _ => return Err(format!("a count: {key} is not known; key, name, value and expires are")),
        }
        Ok(())
    })?;
    Ok(Action::CacheCount { of, how, by, expires })
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
            CacheSet { .. } | CacheCount { .. } => Ok(()),
            _ => Err(format!("an action for after the answer: {name} comes too late in final-route")),
        },
        Chain::Error | Chain::Response => match action {
            Rewrite(..) | BasicAuth { .. } | FixPathInfo | Harakiri(_) | Cache { .. } => {
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
