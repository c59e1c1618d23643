//! Applications of which one hides another.

use super::Sight;
use crate::options::settings::Given;

pub(super) fn contradictions(sight: &mut Sight<'_>) {
    let (module, file) = (named(sight, "module"), named(sight, "wsgi-file"));
    if let (Some(module), Some(file)) = (module, file) {
        let why = format!(
            "{} = {}: not loaded, for {} = {} ({}) is the application; mount = PATH=FILE serves it beside",
            file.key,
            value(file),
            module.key,
            value(module),
            module.origin
        );
        sight.note(file, why);
    }
    if let (Some(callable), Some(app)) = (sight.last("callable"), module.or(file))
        && let Some((_, own)) =
            value(app).rsplit_once(':').filter(|(_, own)| !own.is_empty() && !own.contains('/'))
        && own != value(callable)
    {
        let why = format!(
            "{} = {}: {} = {} ({}) names its own",
            callable.key,
            value(callable),
            app.key,
            value(app),
            app.origin
        );
        sight.note(callable, why);
    }
    mounts(sight);
    let wanted = sight.settings.routes.in_caches();
    let unknown: Vec<_> = wanted
        .filter(|of| !sight.settings.caches.iter().any(|cache| of.name.is_empty() || cache.name == of.name))
        .collect();
    for of in unknown {
        let names = |given: &&Given| given.key.contains("route") && value(given).contains(&of.name);
        if let Some(given) = sight.settings.given.iter().find(names) {
            let why = format!(
                "no cache2 makes a cache with name={}: this rule finds nothing and keeps nothing",
                of.name
            );
            sight.note(given, why);
        }
    }
}

/// Over HTTP nobody says SCRIPT_NAME, by which mounted applications are chosen.
fn mounts(sight: &mut Sight<'_>) {
    let settings = sight.settings;
    let specs = &settings.sockets.specs;
    let told =
        settings.request.manage_script_name || settings.given.iter().any(|given| given.key.contains("route"));
    if told || specs.is_empty() || !specs.iter().all(|spec| spec.faces_clients) {
        return;
    }
    let given =
        sight.all("mount").find(|given| value(given).split_once('=').is_some_and(|(at, _)| at.len() > 1));
    if let Some(given) = given {
        let at = value(given).split_once('=').map_or("", |(at, _)| at);
        let why = format!(
            "{} = {at}=…: over HTTP requests for {at} find it only with manage-script-name = true",
            given.key
        );
        sight.note(given, why);
    }
}

/// The one that counts, unless it was taken back.
fn named<'a>(sight: &Sight<'a>, name: &str) -> Option<&'a Given> {
    sight.last(name).filter(|given| !value(given).is_empty())
}

fn value(given: &Given) -> &str {
    given.value.as_deref().unwrap_or_default()
}
