//! Rows: where options come from, blocks of options, commands to a running server, information.

use super::super::SignalWhat;
use super::super::row::{Items, Kind, Kind::*, Row, Step, Takes, Test, row};
use super::super::sources::Format;

const FILE: Takes = Takes::Value("FILE");
const NAMES: Takes = Takes::Value("NAMES");
const PAIR: Takes = Takes::Value("NAME=VALUE");

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["ini"],
        Now(FILE, Step::Read(Format::Ini)),
        "read options from an ini file: FILE, FILE:SECTION, or - for stdin",
    ),
    row(
        &["ini-paste"],
        Now(FILE, Step::Paste(false)),
        "read options from this ini file, and load the application that it describes for paste.deploy",
    ),
    row(&["ini-paste-logged"], Now(FILE, Step::Paste(true)), "the same, and let it set up the logs"),
    row(&["include", "config"], Now(FILE, Step::Include), "read options from this file, here"),
    row(&["inherit"], Now(FILE, Step::Inherit), "read options from this file, after all others"),
    row(&["xml", "xmlconfig"], Now(FILE, Step::Read(Format::Xml)), "read options from an XML file")
        .short('x'),
    row(&["yaml", "yml"], Now(FILE, Step::Read(Format::Yaml)), "read options from a YAML file").short('y'),
    row(&["json", "js"], Now(FILE, Step::Read(Format::Json)), "read options from a JSON file").short('j'),
    row(
        &["toml"],
        Now(FILE, Step::Read(Format::Toml)),
        "read options from a TOML file: its table uwring, uwsgi, or the top",
    ),
    row(&["set"], Now(PAIR, Step::Set), "set an option or a placeholder").short('S'),
    row(&["set-placeholder", "set-ph"], Now(PAIR, Step::SetPlaceholder), "set a placeholder for %(NAME)"),
    row(
        &["lenient"],
        Now(Takes::Nothing, Step::Lenient),
        "start without the options that are refused, and say so",
    ),
    row(
        &["strict"],
        Now(Takes::Nothing, Step::Strict),
        "end at options nobody knows; with all at every warning",
    ),
    row(
        &["ienv"],
        Now(PAIR, Step::SetEnv),
        "set a variable in the environment, which $(NAME) finds from here on",
    ),
    row(
        &["early-envdir"],
        Now(Takes::Value("FOLDER"), Step::SetEnvs),
        "the same for a folder: each file is named like a variable and holds its value",
    ),
    row(
        &["inject-before"],
        Now(FILE, Step::Inject(false)),
        "put this text before each file of options read from here on",
    ),
    row(&["inject-after"], Now(FILE, Step::Inject(true)), "the same, behind each file"),
    row(
        &["declare-option", "declare-option2"],
        Now(PAIR, Step::Declare),
        "make an option: NAME=OPTION=VALUE;OPTION=VALUE, with $1 to $9 for the words of its value",
    ),
    row(&["resolve"], Now(PAIR, Step::Resolve), "set a placeholder to the address of a host"),
    row(
        &["print"],
        Set(Takes::Value("TEXT"), |s, text| {
            s.printed.push(text.to_owned());
            Ok(None)
        }),
        "log this line",
    ),
    row(&["iprint"], Now(Takes::Value("TEXT"), Step::Say), "log this line, where it stands"),
    row(
        &["fallback-config"],
        Now(FILE, Step::Fallback),
        "start with this configuration where this one ends with code 1",
    ),
    // Blocks: up to `endif`, `endfor` or `end`, which all close any block.
    row(&["if-env", "ifenv"], test(Test::Env, true), "block: the variable is set, or NAME=VALUE is true"),
    row(&["if-not-env"], test(Test::Env, false), "block: the variable is not set, or NAME=VALUE is false"),
    row(&["if-opt"], test(Test::Opt, true), "block: the option is given, or NAME=VALUE is true"),
    row(&["if-not-opt"], test(Test::Opt, false), "block: the option is not given, or NAME=VALUE is false"),
    row(&["if-exists", "ifexists"], test(Test::Exists, true), "block: the path exists"),
    row(&["if-not-exists"], test(Test::Exists, false), "block: the path does not exist"),
    row(&["if-file"], test(Test::File, true), "block: the path is a file"),
    row(&["if-not-file"], test(Test::File, false), "block: the path is not a file"),
    row(&["if-dir", "ifdir", "if-directory"], test(Test::Dir, true), "block: the path is a folder"),
    row(&["if-not-dir"], test(Test::Dir, false), "block: the path is not a folder"),
    row(&["if-hostname"], test(Test::Hostname, true), "block: this machine has this name"),
    row(&["if-not-hostname"], test(Test::Hostname, false), "block: this machine has another name"),
    row(&["if-plugin", "ifplugin"], test(Test::Plugin, true), "block: the feature is built in"),
    row(&["if-not-plugin"], test(Test::Plugin, false), "block: the feature is not built in"),
    row(&["if-reload"], Now(Takes::Nothing, Step::If(Test::Reload, true)), "block: this is a reload"),
    row(&["if-not-reload"], Now(Takes::Nothing, Step::If(Test::Reload, false)), "block: this is no reload"),
    row(
        &["if-hostname-match"],
        test(Test::HostnameMatch, true),
        "block: the name of this machine matches the regular expression",
    ),
    row(
        &["if-not-hostname-match"],
        test(Test::HostnameMatch, false),
        "block: the name of this machine does not match the regular expression",
    ),
    row(&["else"], Now(Takes::Maybe("ANYTHING"), Step::Else), "the other case of an if- block"),
    row(
        &["for"],
        items("WORDS", Items::Words),
        "block: options inside are given once for each word, as %(_)",
    ),
    row(&["for-glob"], items("GLOB", Items::Glob), "block: once for each matching path"),
    row(&["for-times"], items("N", Items::Times), "block: once for each number from 1"),
    row(&["for-readline"], items("FILE", Items::Lines), "block: once for each line"),
    row(
        &["endif", "end-if", "endfor", "end-for", "end"],
        Now(Takes::Maybe("ANYTHING"), Step::End),
        "end of a block",
    ),
    row(&["whitelist"], Now(NAMES, Step::Allow), "from here, other options than these are an error"),
    row(&["end-whitelist"], Now(Takes::Nothing, Step::AllowAll), "end of a whitelist"),
    row(&["blacklist"], Now(NAMES, Step::Forbid), "from here, these options are an error"),
    row(&["end-blacklist"], Now(Takes::Nothing, Step::ForbidNothing), "end of a blacklist"),
    // Commands and information.
    row(&["reload"], signal(SignalWhat::Reload), "reload the server whose pid is in this file"),
    row(&["stop"], signal(SignalWhat::Stop), "stop the server whose pid is in this file"),
    row(
        &["pause", "suspend", "resume"],
        signal(SignalWhat::Pause),
        "pause the server whose pid is in this file, or wake it",
    ),
    row(&["show-config"], Flag(|s| &mut s.show_config), "log all options as they were understood"),
    row(&["no-server"], Flag(|s| &mut s.no_server), "end after reading the options"),
    row(&["get"], List(|s| &mut s.get, "NAME"), "print the value of this option and end"),
    row(&["exit"], Now(Takes::Maybe("CODE"), Step::Exit), "end at once with this code"),
    row(&["dump-options"], Now(Takes::Nothing, Step::Names), "print the names of all options and end"),
    row(&["help", "usage"], Now(Takes::Nothing, Step::Help), "print this and end").short('h'),
    row(
        &["version"],
        Now(Takes::Nothing, Step::Version),
        "print the version and end (the uWSGI version it stands for comes first)",
    ),
];

/// A block that depends on a test.
const fn test(test: Test, wanted: bool) -> Kind {
    Now(Takes::Value("WHAT"), Step::If(test, wanted))
}

/// A block that is repeated.
const fn items(what: &'static str, items: Items) -> Kind {
    Now(Takes::Value(what), Step::For(items))
}

/// A command to a running server.
const fn signal(what: SignalWhat) -> Kind {
    Now(Takes::Value("PIDFILE"), Step::Signal(what))
}
