//! What the kernel lets rkgate use.

use std::fs::OpenOptions;

use super::Finding;
use crate::telemetry::board::Board;

/// Files beside those of connections: listeners, logs, workers, models.
const OTHER_FILES: usize = 64;

/// The runtime opens the NPU through DRM, or through a device of its own on older kernels, and allocates from the
/// DMA heaps.
pub(super) fn devices(board: &Board) -> Finding {
    let render = board
        .entries("/dev/dri")
        .filter(|name| name.starts_with("renderD"))
        .map(|name| format!("/dev/dri/{name}"));
    let legacy = board
        .path("/dev/rknpu")
        .exists()
        .then(|| "/dev/rknpu".to_owned());
    let npu: Vec<String> = render.chain(legacy).collect();
    if npu.is_empty() {
        return Finding::fail(
            "devices",
            "neither /dev/dri/renderD* nor /dev/rknpu exists",
            "use the vendor's kernel with the rknpu driver; in a container: --device /dev/dri",
        );
    }
    let heaps = board
        .entries("/dev/dma_heap")
        .map(|name| format!("/dev/dma_heap/{name}"));
    let mut closed: Vec<String> = npu
        .iter()
        .cloned()
        .chain(heaps)
        .filter(|path| !opens(board, path))
        .collect();
    closed.sort();
    if closed.is_empty() {
        Finding::ok("devices", format!("{} can be opened", npu.join(", ")))
    } else {
        Finding::fail(
            "devices",
            format!("no permission for {}", closed.join(", ")),
            "sudo usermod -aG render,video $USER, then log in anew; for /dev/dma_heap a udev rule: SUBSYSTEM==\"dma_heap\", GROUP=\"video\", MODE=\"0660\"",
        )
    }
}

fn opens(board: &Board, path: &str) -> bool {
    let path = board.path(path);
    // DMA heaps are opened for reading, the NPU for both.
    let write = !path.components().any(|part| part.as_os_str() == "dma_heap");
    OpenOptions::new()
        .read(true)
        .write(write)
        .open(path)
        .is_ok()
}

/// Each connection is an open file, and to an upstream another one.
pub(super) fn open_files(board: &Board, connections: usize) -> Finding {
    let needed = 2 * connections + OTHER_FILES;
    let limits = board.read("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft.map(|soft| (soft, soft.parse::<usize>())) {
        Some(("unlimited", _)) => Finding::ok("files", "no limit of open files"),
        Some((_, Ok(limit))) if limit >= needed => {
            Finding::ok("files", format!("{limit} open files are allowed"))
        }
        Some((_, Ok(limit))) => Finding::warn(
            "files",
            format!("{limit} open files are allowed; {connections} connections may need {needed}"),
            format!(
                "ulimit -n {needed} (systemd: LimitNOFILE={needed}), or a smaller limits.connections"
            ),
        ),
        _ => Finding::warn(
            "files",
            "the limit of open files cannot be read",
            "ulimit -n",
        ),
    }
}
