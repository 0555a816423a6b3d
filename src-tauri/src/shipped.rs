//! What is shipped: the content security policy and the capabilities, as Tauri reads them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use specta_typescript::Typescript;

use crate::bridge::bridge;
use crate::commands::names::COMMANDS;
use crate::window::MAIN;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src ipc: http://ipc.localhost; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

fn json(path: &str) -> Value {
    let text = fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The commands that the bridge registers, read from the bindings that it exports.
fn registered() -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bindings.ts");
    bridge().export(Typescript::default(), &file).unwrap();
    let bindings = fs::read_to_string(file).unwrap();
    bindings.split("__TAURI_INVOKE(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn a2_shipped_csp_and_capabilities() {
    let config = json("tauri.conf.json");
    let security = &config["app"]["security"];
    assert_eq!(security["csp"], POLICY);
    assert_eq!(security["freezePrototype"], true);
    assert_eq!(security["assetProtocol"]["enable"], false);
    assert_eq!(security["capabilities"], serde_json::json!(["main"]));
    assert_eq!(config["app"]["withGlobalTauri"], false);
    assert_eq!(config["app"]["windows"], serde_json::json!([]), "the window is made in `window`");
    for weaker in ["dangerousDisableAssetCspModification", "devCsp", "headers"] {
        assert!(security.get(weaker).is_none(), "{weaker}");
    }

    let files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/capabilities")).unwrap().collect();
    assert_eq!(files.len(), 1, "one window, one capability");
    let capability = json("capabilities/main.json");
    assert_eq!(capability["windows"], serde_json::json!([MAIN]));
    assert!(capability.get("remote").is_none(), "no page from elsewhere may ask anything");

    let declared: BTreeSet<String> = COMMANDS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(declared.len(), COMMANDS.len(), "a command is declared twice");
    assert_eq!(declared, registered(), "declared in `names`, registered in `bridge`");

    let granted: Vec<&str> =
        capability["permissions"].as_array().unwrap().iter().map(|permission| permission.as_str().unwrap()).collect();
    let mut wanted: Vec<String> = vec!["core:event:allow-listen".into(), "core:event:allow-unlisten".into()];
    wanted.extend(COMMANDS.iter().map(|name| format!("allow-{}", name.replace('_', "-"))));
    wanted.sort_unstable();
    let mut sorted = granted.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, wanted, "granted in `capabilities/main.json`");
}
