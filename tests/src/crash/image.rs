//! What one crash may leave: of everything that was not synced, all, nothing, or any part.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;

use super::disk::{Change, Disk, Tree};
use super::subject::Damage;

/// Which part of what was not synced is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// Nothing: the power failed before anything was written.
    Lost,
    /// Everything: the process was killed.
    Kept,
    /// Of each file and folder, the changes up to some moment.
    Cut,
    /// As before, and of the last write the first half only.
    Torn,
    /// Any of the changes.
    Shuffled,
    /// Everything, and one bit of it wrong, in a file that is under checksums.
    Flipped,
    /// The same in a file of measurements, which is not.
    FlippedHistory,
}

impl Variant {
    /// All that a crash alone can do.
    pub(super) const CRASHES: [Self; 5] =
        [Self::Lost, Self::Kept, Self::Cut, Self::Torn, Self::Shuffled];

    /// What a disk does that is not well.
    pub(super) const DAMAGES: [Self; 2] = [Self::Flipped, Self::FlippedHistory];

    /// What is wrong beside what a crash takes.
    pub(super) const fn damage(self) -> Damage {
        match self {
            Self::Flipped => Damage::Checked,
            Self::FlippedHistory => Damage::History,
            _ => Damage::None,
        }
    }
}

/// The files after a crash.
pub(super) fn crash(disk: &Disk, variant: Variant, random: &mut StdRng) -> Tree {
    let mut tree = disk.lasting.clone();
    match variant {
        Variant::Lost => {}
        Variant::Kept | Variant::Flipped | Variant::FlippedHistory => {
            disk.pending.iter().for_each(|change| tree.apply(change));
        }
        Variant::Cut | Variant::Torn => cut(disk, &mut tree, variant == Variant::Torn, random),
        Variant::Shuffled => {
            let kept = disk.pending.iter().filter(|_| random.random_bool(0.5));
            kept.for_each(|change| tree.apply(change));
        }
    }
    tree
}

fn cut(disk: &Disk, tree: &mut Tree, torn: bool, random: &mut StdRng) {
    let mut nodes: Vec<_> = disk.pending.iter().map(Change::node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    for node in nodes {
        let changes: Vec<_> = disk.pending.iter().filter(|one| one.node() == node).collect();
        let kept = random.random_range(0..=changes.len());
        changes[..kept].iter().for_each(|change| tree.apply(change));
        if torn && let Some(Change::Write { file, offset, bytes }) = changes.get(kept) {
            let bytes = bytes[..bytes.len() / 2].into();
            tree.apply(&Change::Write { file: *file, offset: *offset, bytes });
        }
    }
}

/// A crash's files, to be written somewhere.
pub(super) struct Image(Vec<(std::path::PathBuf, Arc<Vec<u8>>)>);

impl Image {
    pub(super) fn new(tree: &Tree) -> Self {
        let mut files = tree.named();
        files.sort();
        Self(files)
    }

    /// Flips a bit of a file that `is_checked`; whether there is one.
    pub(super) fn flip(&mut self, is_checked: fn(&str) -> bool, random: &mut StdRng) -> bool {
        let checked = |file: &&mut (std::path::PathBuf, Arc<Vec<u8>>)| {
            !file.1.is_empty() && file.0.to_str().is_some_and(is_checked)
        };
        let mut files: Vec<_> = self.0.iter_mut().filter(checked).collect();
        if files.is_empty() {
            return false;
        }
        let at = random.random_range(0..files.len());
        let content = Arc::make_mut(&mut files[at].1);
        let byte = random.random_range(0..content.len());
        content[byte] ^= 1 << random.random_range(0..8);
        true
    }

    /// Equal for equal files.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn write(&self, folder: &Path) -> std::io::Result<()> {
        for (path, content) in &self.0 {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content.as_slice())?;
        }
        Ok(())
    }
}
