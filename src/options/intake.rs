//! The one funnel: options from all sources become one ordered list, which is expanded and then applied.
//!
//! ```text
//!  add ─► block? ─► list ─► acts at once? (ini, include, set, if…, for…) ─► more adds
//!  finish: $( ), @( ), %( ) in all values ─► rows fill the draft, in order ─► unknown names ─► settings
//! ```
//! Values of options that act at once are expanded with what is known by then; uWSGI leaves them as they are,
//! so that `include = $(HOME)/x.ini` finds no file.

mod declared;
mod expanding;
mod fence;
mod finishing;
mod reading;
mod surroundings;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fence::Fence;

use super::docs;
use super::draft::Draft;
use super::error::{Error, did_you_mean};
use super::expand::logic::{self, Block, Facts};
use super::expand::{self, magic};
use super::remark::{Remark, Weight};
use super::row::{Kind, Row, Step, Takes, Test, Verdict};
use super::settings::{Given, Origin};
use super::sources::{Format, argv, env, ini, resource};
use super::table::{self, Known};
use super::{Command, Loaded};
use crate::base::text;

/// Files that include files: deeper than this, one includes itself.
const INCLUDE_DEPTH_MAX: u32 = 32;

/// The list in the making.
pub struct Intake<'a> {
    env: &'a [(String, String)],
    process: magic::OfProcess,
    list: Vec<Entry>,
    block: Option<Block>,
    /// The first file read, for magic variables in capitals.
    first_file: Option<magic::OfFile>,
    /// The last ini file read, for `ini = :section`.
    last_ini: Option<String>,
    depth: u32,
    /// `declare-option`: names and what they stand for.
    declared: HashMap<String, String>,
    /// `whitelist` and `blacklist`.
    fence: Fence,
    fallback: Option<String>,
    /// `ienv`, `early-envdir`.
    early_env: Vec<(String, Option<String>)>,
    /// `inject-before`, `inject-after`.
    injected: (String, String),
    strict: bool,
    /// `strict = all`: every warning is an error.
    strict_all: bool,
    /// Go on without what is refused.
    lenient: bool,
    /// Collect what is wrong instead of ending at the first of it.
    checking: bool,
    /// Names asked for by `%(name)`, `$(NAME)` or a test: these are placeholders, whatever they look like.
    asked: RefCell<HashSet<String>>,
    /// Set by `help`, `stop` and the like: nothing after that matters.
    ended: Option<Command>,
    remarks: Vec<Remark>,
    notes: Vec<String>,
    /// `iprint`.
    said: Vec<String>,
}

/// One option of the list.
struct Entry {
    given: Given,
    known: Option<Known>,
    /// `$( )` and `@( )` are replaced already.
    resolved: bool,
    /// Acted at once, or applied.
    applied: bool,
    /// Came by `set-placeholder`: not meant to be an option.
    placeholder: bool,
}

impl<'a> Intake<'a> {
    /// Nothing yet. `checking`: what is wrong with single options is told with the rest, and is no error.
    pub fn new(argv: &[OsString], env: &'a [(String, String)], checking: bool) -> Intake<'a> {
        let current = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
        let vassals = env.iter().find(|(name, _)| name == "UWSGI_VASSALS_DIR");
        let binary = argv.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Intake {
            env,
            process: magic::OfProcess { vassals: vassals.map_or(current, |(_, v)| v.clone()), binary },
            list: Vec::new(),
            block: None,
            first_file: None,
            last_ini: None,
            depth: 0,
            declared: HashMap::new(),
            fence: Fence::default(),
            fallback: None,
            early_env: Vec::new(),
            injected: Default::default(),
            strict: false,
            strict_all: false,
            lenient: false,
            checking,
            asked: RefCell::default(),
            ended: None,
            remarks: Vec::new(),
            notes: Vec::new(),
            said: Vec::new(),
        }
    }

    /// One option, from any source.
    pub fn add(&mut self, key: String, value: Option<String>, origin: &Origin) -> Result<(), Error> {
        if self.ended.is_some() {
            return Ok(());
        }
        let step = step_of(&key);
        if step == Some(Step::End) {
            self.block = None;
        } else if step == Some(Step::Else) {
            return self.turn_block(&key, origin);
        } else if let Some(block) = self.block.take() {
            if matches!(step, Some(Step::If(..) | Step::For(_))) {
                self.nested(&key, &block, origin)?;
            }
            for item in &block.items {
                let value = match item {
                    Some(item) => value.as_ref().map(|value| value.replace("%(_)", item)),
                    None => value.clone(),
                };
                self.put(key.clone(), value, origin)?;
            }
            self.block = Some(block);
            return Ok(());
        }
        self.put(key, value, origin)
    }

    /// A block inside another. In one that drops what is inside it is dropped as all the rest, in uWSGI too; and the
    /// next end is the end of both.
    fn nested(&mut self, key: &str, outer: &Block, origin: &Origin) -> Result<(), Error> {
        let Block { key: around, origin: from, items } = outer;
        let what = format!("{key} inside {around} ({from}): blocks do not nest");
        if items.is_empty() {
            let what = format!("{what}; the next end closes {around}");
            self.remarks.push(Remark::at(Weight::Note, origin, key, what));
            return Ok(());
        }
        Err(Error::Structure { origin: origin.clone(), what: format!("{what}; close it with end first") })
    }

    /// `else`: what the block dropped is kept from here on, and the other way round.
    fn turn_block(&mut self, key: &str, origin: &Origin) -> Result<(), Error> {
        let wrong = |what: &str| Error::Structure { origin: origin.clone(), what: what.to_owned() };
        let Some(block) = &mut self.block else { return Err(wrong("else without an if- before it")) };
        if !block.key.contains("if") {
            return Err(wrong(&format!("else inside {} ({}): only an if- has one", block.key, block.origin)));
        }
        block.items = if block.items.is_empty() { vec![None] } else { Vec::new() };
        let given = Given { key: key.to_owned(), value: None, origin: origin.clone() };
        self.list.push(Entry {
            given,
            known: table::find(key),
            resolved: true,
            applied: true,
            placeholder: false,
        });
        Ok(())
    }

    /// A word of the command line that is no option: a file of options, or an application.
    pub fn add_word(&mut self, word: &str) -> Result<(), Error> {
        let origin = argv::origin();
        let (file, _) = ini::name_and_section(word);
        let suffix = file.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        match suffix {
            _ if word.starts_with('[') || self.ended.is_some() => Ok(()),
            // As in uWSGI, the file is read and no `ini` is put on the list.
            "ini" | "xml" | "yaml" | "yml" | "json" | "js" | "toml" => {
                self.act(Step::Read(Format::of(file)), suffix, Some(word.to_owned()), &origin)
            }
            // `shop.wsgi:application` is Django's module shop.wsgi, unless there is a file of that name.
            "py" | "wsgi" if suffix == "py" || file == word || Path::new(file).exists() => {
                let (file, callable) = word.split_once(':').map_or((word, None), |(f, c)| (f, Some(c)));
                if let Some(callable) = callable {
                    self.add("callable".to_owned(), Some(callable.to_owned()), &origin)?;
                }
                self.add("wsgi-file".to_owned(), Some(file.to_owned()), &origin)
            }
            _ if word.contains(':') && !word.contains('/') => {
                self.add("module".to_owned(), Some(word.to_owned()), &origin)
            }
            _ => Err(Error::Usage(format!(
                "what is {word}? A configuration ends in .ini, an application is FILE.py or MODULE:CALLABLE"
            ))),
        }
    }

    /// Puts an option on the list, and lets it act if it is one that acts at once.
    fn put(&mut self, key: String, value: Option<String>, origin: &Origin) -> Result<(), Error> {
        self.fence.check(&key, origin)?;
        if let Some(meaning) = self.declared.get(&key).cloned() {
            return self.put_declared(&meaning, value.unwrap_or_default().as_str(), origin);
        }
        let known = table::find(&key);
        let step = step_of(&key).filter(|step| *step != Step::Inherit);
        let entry = Entry {
            given: Given { key: key.clone(), value: value.clone(), origin: origin.clone() },
            known,
            resolved: false,
            applied: step.is_some(),
            placeholder: false,
        };
        self.list.push(entry);
        match step {
            Some(step) => self.act(step, &key, value, origin),
            None => Ok(()),
        }
    }

    fn act(&mut self, step: Step, key: &str, value: Option<String>, origin: &Origin) -> Result<(), Error> {
        let value = match step {
            // A number that is not written is 1.
            Step::Exit => value.unwrap_or_else(|| "1".to_owned()),
            // Kept as written: the option that is set is expanded in its turn.
            Step::Set | Step::SetPlaceholder | Step::Declare => value.unwrap_or_default(),
            _ => self.expand_now(&value.unwrap_or_default(), origin)?,
        };
        match step {
            Step::Read(format) => self.read_file(Some(format), &value, origin),
            Step::Paste(logged) => self.paste(logged, &value, origin),
            Step::Include | Step::Inherit => self.read_file(None, &value, origin),
            Step::Set | Step::SetPlaceholder => self.set(step, key, &value, origin),
            Step::Strict => {
                self.strict = super::row::switch(Some(&value), &mut None);
                self.strict_all = value == "all";
                Ok(())
            }
            Step::Lenient => {
                self.lenient = super::row::switch(Some(&value), &mut None);
                Ok(())
            }
            Step::If(test, wanted) => {
                self.open_if(test, wanted, key, &value, origin);
                Ok(())
            }
            Step::For(kind) => {
                let items = logic::items(kind, &value).map_err(|e| self.bad_value(key, &value, origin, e))?;
                let items = items.into_iter().map(Some).collect();
                self.block = Some(Block { key: key.to_owned(), origin: origin.clone(), items });
                Ok(())
            }
            Step::End | Step::Else => Ok(()),
            Step::Declare => self.declare(&value, origin),
            Step::SetEnv => self.set_env(key, &value, origin),
            Step::SetEnvs => self.set_envs(key, &value, origin),
            Step::Inject(behind) => self.inject(behind, &value, origin),
            Step::Resolve => self.resolve_host(key, &value, origin),
            Step::Say => {
                self.said.push(value);
                Ok(())
            }
            Step::Fallback => {
                self.fallback = Some(value).filter(|file| !file.is_empty());
                Ok(())
            }
            Step::Allow | Step::Forbid | Step::AllowAll | Step::ForbidNothing => {
                self.fence.set(step, &value);
                Ok(())
            }
            Step::Exit => {
                self.end(Command::Exit(text::leading_number(&value).map_or(0, |n| n.value.to_le_bytes()[0])))
            }
            Step::Names => self.end(Command::Print(docs::names())),
            Step::Help => self.end(Command::Print(docs::help())),
            Step::Version => self.end(Command::Print(format!("{}\n", super::VERSION))),
            Step::Signal(what) => self.end(Command::Signal { pidfile: PathBuf::from(value), what }),
        }
    }

    fn end(&mut self, command: Command) -> Result<(), Error> {
        self.ended = Some(command);
        Ok(())
    }

    fn set(&mut self, step: Step, key: &str, pair: &str, origin: &Origin) -> Result<(), Error> {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(self.bad_value(key, pair, origin, "NAME=VALUE".to_owned()));
        };
        if step == Step::SetPlaceholder && table::find(name).is_some() {
            let expected = format!("a name that is no option, and {name} is one");
            return Err(self.bad_value(key, pair, origin, expected));
        }
        self.put(name.to_owned(), Some(value.to_owned()), origin)?;
        if step == Step::SetPlaceholder {
            let entry = self.list.last_mut().expect("put just above; a placeholder adds nothing more");
            entry.placeholder = true;
        }
        Ok(())
    }

    fn open_if(&mut self, test: Test, wanted: bool, key: &str, value: &str, origin: &Origin) {
        let facts = Facts {
            env: &|name| self.variable(name),
            option: &|name| {
                self.asked.borrow_mut().insert(name.to_owned());
                // A flag without a value is true here.
                self.first(name).map(|given| given.value.clone().unwrap_or("true".to_owned()))
            },
        };
        let found = logic::test(test, value, &facts);
        // With another value than the one asked about, there is one to stand for.
        let other = value.split_once('=').and_then(|(name, _)| logic::test(test, name, &facts));
        let items = match (wanted, found) {
            (true, Some(found)) => vec![Some(found)],
            // There is no value of what is not there, but there is a name.
            (false, None) if matches!(test, Test::Env | Test::Opt | Test::Reload) => vec![other],
            (false, None) => vec![Some(value.to_owned())],
            _ => Vec::new(),
        };
        self.block = Some(Block { key: key.to_owned(), origin: origin.clone(), items });
    }
}

/// What an option does at once, if it is one of these.
fn step_of(key: &str) -> Option<Step> {
    match table::find(key) {
        Some(Known::Row(Row { kind: Kind::Now(_, step), .. })) => Some(*step),
        _ => None,
    }
}
