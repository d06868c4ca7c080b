//! The pages of `docs`: mdBook makes a book of them, every page is in it, and every link leads somewhere. What they
//! tell people to type is typed.

mod migrating;
mod recipes;
mod settings;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use url::Url;

/// Where files of this repository are read on the web; the book names those so that are no part of it.
const ON_THE_WEB: [&str; 2] =
    ["https://github.com/foregate/foregate/blob/main/", "https://github.com/foregate/foregate/tree/main/"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A page of `docs`.
pub fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).expect("a page")
}

/// The book as mdBook makes it.
fn built() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let told = Command::new(root().join(".tools/bin/mdbook"))
        .arg("build")
        .arg(root().join("docs"))
        .arg("--dest-dir")
        .arg(dir.path())
        .output()
        .expect("mdBook, which tests/setup.sh installs");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
    dir
}

/// The files of a kind below a directory, but for what was installed or built there.
fn files(dir: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").map_while(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let foreign = name.to_str().is_some_and(|name| {
            name.starts_with('.') || name == "target" || name == "node_modules" || name == "venv"
        });
        if foreign {
            continue;
        }
        if entry.file_type().expect("a kind").is_dir() {
            found.extend(files(&path, kind));
        } else if path.extension().is_some_and(|extension| extension == kind) {
            found.push(path);
        }
    }
    found
}

/// What stands between a mark and the next quote, wherever the mark is.
fn quoted<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// What is wrong with a link to somewhere else than to a page beside it.
fn outside(link: &str) -> Option<String> {
    for prefix in ON_THE_WEB {
        if let Some(inside) = link.strip_prefix(prefix) {
            let (path, anchor) = inside.split_once('#').unwrap_or((inside, ""));
            return wrong_in_source(&root().join(path), anchor);
        }
    }
    match Url::parse(link) {
        Ok(url) if url.scheme() == "mailto" || url.host_str().is_some() => None,
        Ok(_) | Err(_) => Some("no address".to_owned()),
    }
}

#[test]
fn every_page_is_in_the_book_and_every_link_in_it_leads_somewhere() {
    let book = built();
    let made = files(book.path(), "html");
    let pages: BTreeMap<PathBuf, String> = made
        .into_iter()
        .filter(|file| !["print.html", "toc.html", "404.html"].iter().any(|other| file.ends_with(other)))
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a page");
            let main = text.split("<main>").nth(1).and_then(|rest| rest.split("</main>").next());
            (file, main.expect("a page has a main part").to_owned())
        })
        .collect();
    for source in files(&root().join("docs"), "md") {
        let name = source.file_stem().and_then(|name| name.to_str()).expect("a name");
        let html = book.path().join(if name == "README" { "index" } else { name }).with_extension("html");
        assert!(name == "SUMMARY" || pages.contains_key(&html), "SUMMARY.md does not name {name}.md");
    }
    let mut wrong = Vec::new();
    let mut links = 0;
    for (file, text) in &pages {
        for link in quoted(text, " href=\"") {
            links += 1;
            let link = link.replace("&amp;", "&");
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let there = if path.is_empty() { file.clone() } else { beside(file, path) };
            let problem = if link.contains(':') {
                outside(&link)
            } else if let Some(text) = pages.get(&there) {
                let known = anchor.is_empty() || quoted(text, " id=\"").contains(&anchor);
                (!known).then(|| "no such heading".to_owned())
            } else {
                Some("no such page".to_owned())
            };
            wrong.extend(problem.map(|problem| format!("{}: {link}: {problem}", file.display())));
        }
    }
    assert!(links > 100, "the test reads the book: {links} links");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The path of a link, seen from the file that it is in.
fn beside(file: &Path, link: &str) -> PathBuf {
    let mut path = file.parent().expect("a directory").to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{link}"),
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

#[test]
fn every_link_in_the_repositorys_texts_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut links = 0;
    for file in files(root(), "md") {
        for link in links_of(&std::fs::read_to_string(&file).expect("text")) {
            links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let there = if path.is_empty() { file.clone() } else { beside(&file, path) };
            let problem = if link.contains(':') { outside(&link) } else { wrong_in_source(&there, anchor) };
            wrong.extend(problem.map(|problem| format!("{}: {link}: {problem}", file.display())));
        }
    }
    assert!(links > 100, "the test reads the texts: {links} links");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn wrong_in_source(file: &Path, anchor: &str) -> Option<String> {
    if !file.exists() {
        return Some("no such file".to_owned());
    }
    if anchor.is_empty() {
        return None;
    }
    let text = std::fs::read_to_string(file).expect("text");
    (!anchors(&text).contains(anchor)).then(|| "no such heading".to_owned())
}

/// The lines of a page that are no code.
pub fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// Where the links of a page lead, those in code left out.
fn links_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text).filter(|line| !line.starts_with("    ")) {
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(str::to_owned));
    }
    found
}

/// The names by which the headings of a page are reached, as code hosts and mdBook make them.
pub fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter_map(|line| line.strip_prefix('#'))
        .map(|rest| slug(rest.trim_start_matches('#')))
        .collect()
}

/// The name of one heading.
pub fn slug(heading: &str) -> String {
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        other if other.is_alphanumeric() => Some(other),
        _ => None,
    };
    heading.trim().to_lowercase().chars().filter_map(kept).collect()
}
