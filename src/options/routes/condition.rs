//! Conditions of `route-if`: `name:argument` or `name:one;other`.

use serde::{Deserialize, Serialize};

use std::net::IpAddr;

use super::action::InCache;
use super::template::{self, Template};
use crate::base::pattern::Pattern;

/// One condition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Condition {
    /// `exists`, `isfile`, `isdir`, `islink`, `isexec`.
    Path(OfPath, Template),
    /// `equal`, `startswith`, `ishigher`…
    Compare(Comparison, Template, Template),
    /// `regexp`.
    Matches(Template, Pattern),
    /// `empty`.
    Empty(Template),
    /// `incache`: a cache has something there.
    InCache(InCache),
    /// `ipv4in`, `ipv6in`: an address of this network.
    In(Template, IpAddr, u8),
}

/// What is asked of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the conditions are")]
pub enum OfPath {
    Exists,
    IsFile,
    IsDir,
    IsLink,
    IsExec,
}

/// How two texts, or the numbers they begin with, are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as the conditions are")]
pub enum Comparison {
    Equal,
    StartsWith,
    EndsWith,
    Contains,
    Higher,
    Lower,
    HigherEqual,
    LowerEqual,
}

/// Reads a condition.
pub fn read(text: &str) -> Result<Condition, String> {
    let (name, argument) = text.split_once(':').ok_or("CONDITION:ARGUMENT ACTION:ARGUMENT")?;
    let one = || template::read(argument, false);
    let of_path = |what| Ok(Condition::Path(what, one()?));
    let compare = |how| {
        let (left, right) = two(name, argument)?;
        Ok(Condition::Compare(how, template::read(left, false)?, template::read(right, false)?))
    };
    match name {
        "exists" => of_path(OfPath::Exists),
        "isfile" => of_path(OfPath::IsFile),
        "isdir" => of_path(OfPath::IsDir),
        "islink" => of_path(OfPath::IsLink),
        "isexec" => of_path(OfPath::IsExec),
        "equal" | "isequal" | "eq" | "==" => compare(Comparison::Equal),
        "startswith" => compare(Comparison::StartsWith),
        "endswith" => compare(Comparison::EndsWith),
        "contains" | "contain" => compare(Comparison::Contains),
        "ishigher" | ">" => compare(Comparison::Higher),
        "islower" | "<" => compare(Comparison::Lower),
        "ishigherequal" | ">=" => compare(Comparison::HigherEqual),
        "islowerequal" | "<=" => compare(Comparison::LowerEqual),
        "incache" => Ok(Condition::InCache(InCache::read(argument, false, |_, _| Ok(()))?)),
        "empty" => Ok(Condition::Empty(one()?)),
        "regexp" | "re" => {
            let (subject, pattern) = two(name, argument)?;
            let pattern = Pattern::new(pattern).map_err(|why| format!("a regular expression: {why}"))?;
            Ok(Condition::Matches(template::read(subject, false)?, pattern))
        }
        "ipv4in" | "ipv6in" => {
            let (address, network) = two(name, argument)?;
            let (network, bits) = self::network(network).ok_or("ADDRESS;NETWORK/BITS")?;
            Ok(Condition::In(template::read(address, false)?, network, bits))
        }
        _ => Err(format!("a condition that is known: {name} is not")),
    }
}

fn two<'a>(name: &str, argument: &'a str) -> Result<(&'a str, &'a str), String> {
    argument.split_once(';').ok_or(format!("{name}:ONE;OTHER"))
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    (bits <= most).then_some((address, bits))
}
