//! Whether the folders that the configuration names can be used by this user.

use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::store;

use super::Findings;

/// Folders that systemd makes and gives to the daemon's user (`systemd/lingmou.service`).
const MADE_BY_SYSTEMD: [&str; 2] = ["/var/lib/lingmou", "/run/lingmou"];

/// The store, the run folder, and the second medium where there is one.
pub(super) fn folders(findings: &mut Findings<'_>) {
    findings.see("store", &["store.dir"], |config| usable(&config.store.dir));
    let run = "store.run_dir";
    findings.see("run folder", &[run], |config| usable(&config.store.run_dir));
    let config = &findings.survey.loaded.config;
    if !config.store.mirror.as_os_str().is_empty() {
        findings.see("second copy", &["store.mirror", "device.id"], |config| {
            let medium = store::recognise_in_time(&config.store.mirror, &config.device.id);
            medium.map(|id| format!("medium {id}"))
        });
    }
}

/// What will become of a folder that the daemon writes to.
fn usable(dir: &Path) -> Result<String, String> {
    let shown = dir.display();
    let refused = |error| {
        format!("this user may not write to {shown}: {error}; give it to the daemon's user (chown)")
    };
    match std::fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => Err(format!("{shown} is no folder")),
        Ok(_) => access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map(|()| format!("{shown} can be written"))
            .map_err(refused),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            if MADE_BY_SYSTEMD.iter().any(|made| dir.starts_with(made)) {
                return Ok(format!("{shown} is made by the unit"));
            }
            let above = dir.ancestors().find(|path| path.exists());
            above
                .map_or(Ok(()), |path| access(path, Access::WRITE_OK))
                .map(|()| format!("{shown} will be made"))
                .map_err(refused)
        }
        Err(e) => Err(format!("{shown} cannot be looked at: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_written_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::File::create(&file).unwrap();
        for (path, good) in [
            (dir.path().to_owned(), true),
            (dir.path().join("new/store"), true),
            (file.clone(), false),
            (file.join("store"), false),
            ("/proc/1/store".into(), false),
            ("/run/lingmou".into(), true),
        ] {
            assert_eq!(usable(&path).is_ok(), good, "{}", path.display());
        }
    }
}
