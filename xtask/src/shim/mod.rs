//! Which Durable Objects does the Worker offer, and how does its entry module name them?
//!
//! `wrangler.toml` declares the [bindings](https://developers.cloudflare.com/workers/wrangler/configuration/#durable-objects)
//! once; the entry module and the local launcher follow it.

use anyhow::{Context, Result};
use serde_json::json;

/// The classes that a `wrangler.toml` binds, in its order.
pub fn declared(wrangler: &str) -> Result<Vec<String>> {
    let table: toml::Table = wrangler.parse().context("wrangler.toml is not TOML")?;
    let bindings = table
        .get("durable_objects")
        .and_then(|objects| objects.get("bindings"))
        .and_then(toml::Value::as_array)
        .context("wrangler.toml declares no durable_objects.bindings")?;
    bindings
        .iter()
        .map(|one| one.get("class_name").and_then(toml::Value::as_str).map(str::to_owned))
        .collect::<Option<_>>()
        .context("a durable_objects binding of wrangler.toml has no class_name")
}

/// The entry module: the Worker's events, and each class wrapped so that a trap answers at once.
pub fn entry(objects: &[String]) -> String {
    let mut text = String::from(
        "import { objectClass } from \"./worker.js\";\nimport * as wasm from \"./index.js\";\nexport { default } from \"./worker.js\";\n",
    );
    for class in objects {
        text.push_str(&format!("export const {class} = objectClass(wasm.{class});\n"));
    }
    text
}

/// What the launcher has to know about the build: binding and class of every object.
pub fn manifest(objects: &[String]) -> String {
    let objects: Vec<_> =
        objects.iter().map(|class| json!({ "binding": binding(class), "class": class })).collect();
    format!("{:#}\n", json!({ "objects": objects }))
}

/// `UserSyncObject` is bound as `USER_SYNC`.
fn binding(class: &str) -> String {
    let stem = class.strip_suffix("Object").unwrap_or(class);
    let mut name = String::new();
    for letter in stem.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests;
