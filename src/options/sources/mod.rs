//! Where options come from. Each source turns its text into keys and values, in order, and judges nothing.

pub mod argv;
pub mod env;
pub mod envdir;
pub mod ini;
pub mod json;
pub mod resource;
pub mod toml;
pub mod xml;
pub mod yaml;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// uWSGI's own kind of ini.
    Ini,
    /// YAML 1.2, and what uWSGI's simple reader takes beside it.
    Yaml,
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// TOML, uwring's own spelling.
    Toml,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Line of the file, from 1.
    pub line: usize,
    /// The option's name.
    pub key: String,
    /// Its value; empty where there is none.
    pub value: String,
}

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

impl Format {
    /// By the end of a file's name; ini where that says nothing.
    pub fn of(file: &str) -> Format {
        match file.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
            "yaml" | "yml" => Format::Yaml,
            "json" | "js" => Format::Json,
            "xml" => Format::Xml,
            "toml" => Format::Toml,
            _ => Format::Ini,
        }
    }

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Format::Ini => "INI",
            Format::Yaml => "YAML",
            Format::Json => "JSON",
            Format::Xml => "XML",
            Format::Toml => "TOML",
        }
    }

    /// The options of one section. `None`: there is no such section.
    pub fn read(self, text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
        match self {
            Format::Ini => Ok(Some(ini::of_section(text, section)).filter(|found| !found.is_empty())),
            Format::Yaml => yaml::read(text, section),
            Format::Json => json::read(text, section),
            Format::Xml => xml::read(text, section),
            Format::Toml => toml::read(text, section),
        }
    }
}
