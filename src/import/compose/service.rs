//! A service of Compose files: its image, variables, flags and labels, and what of it is not read. Knows no router and no
//! plan.

use std::collections::HashMap;

use super::super::tree::Value;
use super::filled::{Outside, filled, unknown};

/// A service as far as it matters.
pub(super) struct Service {
    pub(super) name: String,
    /// Whose image it is, as `thomseddon`.
    pub(super) owner: String,
    /// The image's own name.
    pub(super) program: String,
    pub(super) environment: Vec<(String, String)>,
    /// Behind the name of the program, or why they cannot be read.
    pub(super) flags: Result<Vec<String>, &'static str>,
    pub(super) labels: Vec<(String, String)>,
    /// By which others in its networks know it, in small letters.
    pub(super) names: Vec<String>,
    /// Keys that may bring flags or variables and are not read, and why.
    pub(super) unread: Vec<(String, &'static str)>,
    /// Keys that may bring labels and are not read.
    pub(super) hidden: Vec<String>,
}

impl Service {
    /// Reads what all files say of it, the last word last.
    pub(super) fn read(name: &str, layers: &[Value], outside: &Outside) -> Self {
        let last =
            |key: &str| layers.iter().rev().filter_map(|layer| layer.at(key)).find(|value| !value.is_empty());
        let text = |key: &str| last(key).and_then(Value::text).map(|text| filled(text, outside));
        let (owner, program) = image(&text("image").unwrap_or_default());
        let mut unread = Vec::new();
        let mut hidden = Vec::new();
        for (key, value) in
            layers.iter().filter_map(Value::map).flatten().filter(|(_, value)| !value.is_empty())
        {
            match key.as_str() {
                "extends" | "label_file" => hidden.push(key.clone()),
                "labels" | "deploy" if is_tagged(value) => hidden.push(key.clone()),
                _ => {}
            }
            match key.as_str() {
                "environment" | "image" | "command" | "entrypoint" if !is_tagged(value) => {}
                "env_file" | "extends" => unread.push((key.clone(), WRITTEN_OUT)),
                key if key.starts_with("x-") || HARMLESS.split(' ').any(|one| one == key) => {}
                _ => unread.push((key.clone(), "it is not known, and may keep somebody out")),
            }
        }
        if layers.iter().any(|layer| layer.map().is_none() && !layer.is_empty()) {
            hidden.push("the service".to_owned());
        }
        let [environment, labels, more] = [&["environment"][..], &["labels"], &["deploy", "labels"]]
            .map(|path| pairs(layers, path, outside));
        if environment.iter().any(|(key, _)| key.contains('$')) {
            unread.push(("environment".to_owned(), "not all of it can be read here"));
        }
        let labels: Vec<(String, Option<String>)> = labels.into_iter().chain(more).collect();
        if labels.iter().any(|(key, _)| key.starts_with('$')) {
            hidden.push("labels".to_owned());
        }
        let environment = environment.into_iter().map(|(key, value)| {
            let value = value.or_else(|| outside.get(&key).cloned()).unwrap_or_else(|| unknown(&key));
            (key, value)
        });
        Self {
            name: name.to_owned(),
            flags: flags(&program, [last("entrypoint"), last("command")], outside),
            environment: environment.filter(|(key, _)| !is_general(key)).collect(),
            labels: labels.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect(),
            names: names(name, [text("container_name"), text("hostname")], layers),
            owner,
            program,
            unread,
            hidden,
        }
    }
}

/// `registry:5000/owner/name:tag@digest`, its owner and its name.
fn image(image: &str) -> (String, String) {
    let mut parts = image.split('@').next().unwrap_or_default().rsplit('/');
    let name = parts.next().unwrap_or_default().split(':').next().unwrap_or_default();
    (parts.next().unwrap_or_default().to_owned(), name.to_owned())
}

fn names(name: &str, more: [Option<String>; 2], layers: &[Value]) -> Vec<String> {
    let networks = layers.iter().filter_map(|layer| layer.at("networks")?.map()).flatten();
    let aliases = networks.filter_map(|(_, network)| network.at("aliases")).flat_map(Value::items);
    let aliases = aliases.filter_map(Value::text).map(str::to_owned);
    [name.to_owned()]
        .into_iter()
        .chain(more.into_iter().flatten())
        .chain(aliases)
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// Flags of the program. A shell or another program in front of it may give it more of them.
fn flags(
    program: &str,
    [entrypoint, command]: [Option<&Value>; 2],
    outside: &Outside,
) -> Result<Vec<String>, &'static str> {
    let unreadable = "it cannot be read here";
    let [entrypoint, command] = [words(entrypoint, outside), words(command, outside)];
    let (entrypoint, command) = (entrypoint.ok_or(unreadable)?, command.ok_or(unreadable)?);
    let starts = |words: &[String]| words.first().and_then(|first| first.rsplit('/').next()) == Some(program);
    if !entrypoint.is_empty() && !starts(&entrypoint) {
        return Err("its entrypoint is another program, which may give it flags that are not here");
    }
    let named = usize::from(entrypoint.is_empty() && starts(&command));
    Ok(entrypoint.into_iter().skip(1).chain(command.into_iter().skip(named)).collect())
}

/// The words of a command, as a list or as a shell would split it; `None` if something else is among them.
fn words(value: Option<&Value>, outside: &Outside) -> Option<Vec<String>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Text(line)) => split(&filled(line, outside)),
        Some(Value::List(items)) => {
            items.iter().map(|item| item.text().map(|text| filled(text, outside))).collect()
        }
        Some(Value::Map(_) | Value::Tagged(..)) => None,
    }
}

/// `None` if a quote does not end.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().push(letters.next()?),
            ('\'' | '"', None) => {
                word.get_or_insert_default();
                quote = Some(letter);
            }
            (letter, None) if letter.is_whitespace() => words.extend(word.take()),
            (letter, Some(_) | None) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Maps, or lists of `NAME=VALUE`, over all files. A name without a value has none; what is neither has a `$` for a name.
fn pairs(layers: &[Value], path: &[&str], outside: &Outside) -> Vec<(String, Option<String>)> {
    let mut pairs: Vec<(String, Option<String>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let at = |layer| path.iter().try_fold(layer, |value: &Value, key| value.at(key));
    for (key, value) in layers.iter().filter_map(at).flat_map(|value| entries(value, outside)) {
        match places.get(&key).and_then(|at| pairs.get_mut(*at)) {
            Some((_, old)) => *old = value,
            None => {
                places.insert(key.clone(), pairs.len());
                pairs.push((key, value));
            }
        }
    }
    pairs
}

fn entries(value: &Value, outside: &Outside) -> Vec<(String, Option<String>)> {
    let unreadable = || ("$".to_owned(), None);
    match value {
        Value::Null => Vec::new(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| match value {
                Value::Null => (key.clone(), None),
                Value::Text(text) => (key.clone(), Some(filled(text, outside))),
                Value::List(_) | Value::Map(_) | Value::Tagged(..) => (key.clone(), Some(unknown(key))),
            })
            .collect(),
        Value::List(items) => items
            .iter()
            .map(|item| match item.text().map(|text| filled(text, outside)) {
                Some(text) => match text.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (text, None),
                },
                None => unreadable(),
            })
            .collect(),
        Value::Text(_) | Value::Tagged(..) => vec![unreadable()],
    }
}

/// Whether a tag, such as `!reset`, is anywhere in it.
fn is_tagged(value: &Value) -> bool {
    match value {
        Value::Tagged(..) => true,
        Value::List(items) => items.iter().any(is_tagged),
        Value::Map(entries) => entries.iter().any(|(_, value)| is_tagged(value)),
        Value::Null | Value::Text(_) => false,
    }
}

/// Variables that any program may have, and that say nothing of who is let in.
fn is_general(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.starts_with("LC_")
        || [
            "TZ",
            "LANG",
            "LANGUAGE",
            "PATH",
            "HOME",
            "USER",
            "UID",
            "GID",
            "PUID",
            "PGID",
            "UMASK",
            "HTTP_PROXY",
        ]
        .contains(&name.as_str())
        || ["HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "GODEBUG", "GOMAXPROCS", "GOMEMLIMIT"]
            .contains(&name.as_str())
}

/// Why a key that names other files is not read.
pub(super) const WRITTEN_OUT: &str =
    "what it names is not read: import what `docker compose config` prints, where all is written out";

/// Keys of services that bring neither flags nor variables, those of labels among them.
const HARMLESS: &str = "\
    annotations attach blkio_config cap_add cap_drop cgroup cgroup_parent configs container_name cpu_count \
    cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset depends_on deploy develop \
    device_cgroup_rules devices dns dns_opt dns_search domainname expose external_links extra_hosts gpus group_add \
    healthcheck hostname init ipc isolation label_file labels links logging mac_address mem_limit mem_reservation \
    mem_swappiness memswap_limit network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform \
    ports privileged profiles pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open \
    stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits user userns_mode uts volumes volumes_from \
    working_dir";
