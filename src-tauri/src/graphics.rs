//! WebKitGTK draws through DMABUF buffers. With NVIDIA's own driver the window then stays blank, and without a GPU it costs
//! about 60 MiB for nothing. The choice is read from the environment before `main`'s threads exist, so the program replaces
//! itself (same process id) with the variable set.

#[cfg(target_os = "linux")]
const SWITCH: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

/// Replaces this process by itself with the switch set, where that is needed. Returns if it is not, or if it fails.
#[cfg(target_os = "linux")]
pub(crate) fn start_again_if_needed() {
    use std::os::unix::process::CommandExt;
    use std::path::Path;

    // Set to anything, also to nothing, is somebody's decision; it also ends the circle after the first time.
    if std::env::var_os(SWITCH).is_some() || !needs_switch(Path::new("/")) {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).env(SWITCH, "1").exec();
    // Not fatal: on most machines the window is drawn all the same.
    eprintln!("waxwing: could not start again with {SWITCH}=1: {error}");
}

/// Nothing to do where the window is not WebKitGTK's.
#[cfg(not(target_os = "linux"))]
pub(crate) fn start_again_if_needed() {}

/// Whether the machine below `root` has NVIDIA's own driver, or no GPU at all.
#[cfg(target_os = "linux")]
fn needs_switch(root: &std::path::Path) -> bool {
    root.join("proc/driver/nvidia/version").exists() || !has_render_node(&root.join("dev/dri"))
}

#[cfg(target_os = "linux")]
fn has_render_node(dir: &std::path::Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"render"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_nvidia_and_no_gpu_need_the_switch() {
        let root = tempfile::tempdir().unwrap();
        assert!(needs_switch(root.path()), "no /dev/dri");

        fs::create_dir_all(root.path().join("dev/dri")).unwrap();
        fs::write(root.path().join("dev/dri/card0"), "").unwrap();
        assert!(needs_switch(root.path()), "a screen without a renderer");

        fs::write(root.path().join("dev/dri/renderD128"), "").unwrap();
        assert!(!needs_switch(root.path()), "a GPU");

        fs::create_dir_all(root.path().join("proc/driver/nvidia")).unwrap();
        fs::write(root.path().join("proc/driver/nvidia/version"), "NVRM").unwrap();
        assert!(needs_switch(root.path()), "NVIDIA's own driver");
    }
}
