//! With the feature `embedded` the executable carries the Python plugin inside: `cargo install` installs executables
//! only, and the plugin is a library. It is built here by a cargo of its own, since a package cannot depend on one that
//! depends on it. Without the feature nothing is done.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMBEDDED").is_none() {
        return;
    }
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let manifest = root.join("plugins/python/Cargo.toml");
    assert!(manifest.is_file(), "{}: the feature `embedded` needs the whole source tree", manifest.display());
    for source in ["src", "plugins", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    // A folder of its own: the cargo that waits for us holds the lock of the other.
    let target_dir = Path::new(&variable("OUT_DIR")).join("plugin");
    let target = variable("TARGET");
    let status = Command::new(variable("CARGO"))
        .args(["build", "--lib", "--profile", "dist", "--target", &target, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        // As .cargo/config.toml has it, which is not read from everywhere.
        .envs([("PYO3_NO_PYTHON", "1"), ("PYO3_BUILD_EXTENSION_MODULE", "1")])
        // It depends on this crate, whose build script must not build it once more.
        .env_remove("CARGO_FEATURE_EMBEDDED")
        // Clippy has put itself before the compiler; what is embedded must be compiled.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the Python plugin could not be built");
    let library = target_dir.join(target).join("dist/libuwring_python.so");
    println!("cargo::rustc-env=UWRING_PLUGIN={}", library.display());
}
