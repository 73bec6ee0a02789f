//! The reference of manifests, `docs/manifests.md`: its examples are composed, and it leaves nothing out.
//!
//! The first line of an example says what it is: `# image: ...` is composed as it stands; `# part of an image: ...` in
//! `images/host.toml`, in place of what has the same name there; `# component: ...` in place of that package's manifest.

use std::collections::BTreeSet;

use koboshi_composer::problem::Rule;
use koboshi_composer::registry::packages;
use koboshi_composer::{HOST_IMAGE, compose};
use toml::{Table, Value};

const REFERENCE: &str = include_str!("../../docs/manifests.md");

/// The fenced blocks, each with its language.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => blocks.push((language, String::new())),
            (None, true) => {
                if let Some((_, block)) = blocks.last_mut() {
                    block.push_str(line);
                    block.push('\n');
                }
                continue;
            }
            (None, false) => continue,
            (Some(_), true) => {}
        }
        inside = !inside;
    }
    assert!(!inside, "a block has no end");
    blocks
}

/// What a part of an image stands for: tables of one name, or connections of one beginning.
fn identity(value: &Value) -> Option<&Value> {
    value.get("name").or_else(|| value.get("from"))
}

/// The host image with a part in place of what has the same name.
fn host_with(part: &str) -> Result<String, toml::de::Error> {
    let mut image: Table = toml::from_str(HOST_IMAGE.1)?;
    for (key, value) in toml::from_str::<Table>(part)? {
        match (image.get_mut(&key), value) {
            (Some(Value::Array(all)), Value::Array(new)) => {
                for part in new {
                    let same = all.iter_mut().find(|found| identity(found) == identity(&part));
                    let Some(same) = same else { panic!("there is no such `{key}` in {}: {part}", HOST_IMAGE.0) };
                    *same = part;
                }
            }
            (Some(Value::Table(all)), Value::Table(new)) => all.extend(new),
            (_, value) => drop(image.insert(key, value)),
        }
    }
    Ok(image.to_string())
}

/// What is wrong with an example; nothing if all is right.
fn checked(block: &str) -> Result<(), String> {
    let (first, _) = block.split_once('\n').unwrap_or((block, ""));
    let (name, image, packages) = if first.starts_with("# image: ") {
        ("example", block.to_owned(), packages())
    } else if first.starts_with("# part of an image: ") {
        ("example", host_with(block).map_err(|error| error.to_string())?, packages())
    } else if first.starts_with("# component: ") {
        let package: Table = toml::from_str(block).map_err(|error| error.to_string())?;
        let mut packages = packages();
        let found = packages.iter_mut().find(|found| package.get("package") == Some(&found.name.into()));
        found.ok_or("no such package")?.manifest = Box::leak(block.to_owned().into_boxed_str());
        (HOST_IMAGE.0, HOST_IMAGE.1.to_owned(), packages)
    } else {
        return Err(format!("its first line does not say what it is: {first}"));
    };
    match compose(name, &image, &packages) {
        Ok(composed) if composed.warnings.is_empty() => Ok(()),
        Ok(composed) => Err(composed.warnings.iter().map(koboshi_composer::problem::Problem::plain).collect()),
        Err(problems) => Err(problems.to_string()),
    }
}

#[test]
fn every_example_is_composed() {
    let blocks = blocks(REFERENCE);
    assert!(blocks.len() >= 7, "only {} examples", blocks.len());
    for (language, block) in blocks {
        assert_eq!(language, "toml", "only TOML can be checked: {block}");
        checked(&block).unwrap_or_else(|wrong| panic!("{wrong}\nin\n{block}"));
    }
}

#[test]
fn an_example_that_is_wrong_or_not_marked_is_found() {
    assert!(checked("[[group]]\n").is_err_and(|wrong| wrong.contains("does not say what it is")));
    assert!(checked("# image: no manager\nplatform = \"host\"\n").is_err_and(|wrong| wrong.contains("missing-key")));
    let part = "# part of an image: costs\n[costs]\nturm = \"1 us\"\n";
    assert!(checked(part).is_err_and(|wrong| wrong.contains("unknown-key")));
    let component = "# component: without its ports\npackage = \"sos\"\n";
    assert!(checked(component).is_err_and(|wrong| wrong.contains("description")));
}

#[test]
fn every_code_stands_in_the_table_once_and_no_other() {
    let (_, table) = REFERENCE.split_once("## Codes").expect("the table of codes");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let codes: Vec<String> = rows.map(|(code, _)| format!("koboshi::{code}")).collect();
    assert_eq!(codes, Rule::ALL.map(Rule::code));
}

#[test]
fn every_key_is_explained() {
    let (keys, _) = REFERENCE.split_once("## Codes").expect("the table of codes");
    let cells = keys.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|(cell, _)| cell);
    let explained: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`')).collect();
    let mut known = BTreeSet::new();
    let manifests = packages().iter().map(|package| package.manifest).chain([HOST_IMAGE.1]).collect::<Vec<_>>();
    for text in manifests {
        let table: Table = toml::from_str(text).expect("TOML");
        for (key, value) in &table {
            let parts: Vec<&Table> = match value {
                Value::Array(all) => all.iter().filter_map(Value::as_table).collect(),
                Value::Table(table) if key == "rights" => table.values().filter_map(Value::as_table).collect(),
                Value::Table(table) => vec![table],
                _ => {
                    known.insert(key.clone());
                    continue;
                }
            };
            known.extend(parts.iter().flat_map(|part| part.keys().cloned()));
        }
    }
    let missing: Vec<_> = known.iter().filter(|key| !explained.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "not explained: {missing:?}");
    assert!(known.len() > 30, "only {known:?}");
}
