//! Who imports whom, as cargo knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::{Fault, Outcome, place};

/// For each crate of the workspace, the crates of the workspace that it imports (tests and build scripts not counted).
pub fn arrows() -> Outcome<BTreeMap<String, BTreeSet<String>>> {
    let metadata = MetadataCommand::new()
        .manifest_path(place::root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".into()])
        .exec()
        .map_err(|error| Fault::Unexpected(format!("cargo metadata: {error}")))?;
    let members: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let imports = |package: &cargo_metadata::Package| {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| dependency.name.clone()).filter(|name| members.contains(name)).collect()
    };
    Ok(metadata.packages.iter().map(|package| (package.name.to_string(), imports(package))).collect())
}

/// Every crate, as `name vVERSION`, that a package is built from when it is built alone (tests and build scripts not counted).
pub fn tree(package: &str) -> Outcome<BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .current_dir(place::root())
        .args(["tree", "--offline", "--package", package, "--edges", "normal", "--prefix", "none", "--no-dedupe"])
        .output()
        .map_err(Fault::io("cargo tree"))?;
    if !output.status.success() {
        return Err(Fault::Unexpected(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr))));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let name_and_version = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    Ok(lines.lines().filter(|line| !line.is_empty()).map(name_and_version).collect())
}
