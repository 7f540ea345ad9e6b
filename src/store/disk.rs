//! How much room a disk has left.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Tells how many bytes are left on the disk of a file; `None` where nobody knows.
#[derive(Clone)]
pub struct DiskFree(Arc<Tell>);

type Tell = dyn Fn(&Path) -> Option<u64> + Send + Sync;

impl DiskFree {
    /// Asks the system.
    #[must_use]
    pub fn system() -> DiskFree {
        DiskFree::told_by(|path| {
            let disk = rustix::fs::statvfs(path).ok()?;
            disk.f_bavail.checked_mul(disk.f_frsize)
        })
    }

    /// Asks somebody else, such as a test.
    pub fn told_by(tell: impl Fn(&Path) -> Option<u64> + Send + Sync + 'static) -> DiskFree {
        DiskFree(Arc::new(tell))
    }

    /// How many bytes are left for a file now.
    #[must_use]
    pub fn now(&self, path: &Path) -> Option<u64> {
        (self.0)(path)
    }
}

impl Default for DiskFree {
    fn default() -> DiskFree {
        DiskFree::system()
    }
}

impl fmt::Debug for DiskFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskFree(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_how_much_room_there_is_and_not_where_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DiskFree::system().now(folder.path()).is_some_and(|free| free > 0));
        assert_eq!(DiskFree::system().now(&folder.path().join("missing/file")), None);
    }
}
