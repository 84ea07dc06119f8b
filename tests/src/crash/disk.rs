//! A file system as it may be after a crash: what was synced, and any part of what was not.
//!
//! The rules are those of POSIX and no more: a file's content lasts from its own sync on, its name
//! from the sync of its folder on, and what is not synced may last or not, in any order.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A file or folder, whatever its name.
pub(super) type Node = u64;

/// The folder that everything is in; it lasts.
const ROOT: Node = 0;

/// A change that may be lost until its node is synced.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { file: Node, offset: u64, bytes: Arc<[u8]> },
    Resize { file: Node, length: u64 },
    Link { folder: Node, name: String, node: Node },
    Unlink { folder: Node, name: String },
    Rename { folder: Node, from: String, to: String },
}

impl Change {
    /// What must be synced for it to last.
    pub(super) const fn node(&self) -> Node {
        match self {
            Self::Write { file: node, .. } | Self::Resize { file: node, .. } => *node,
            Self::Link { folder, .. }
            | Self::Unlink { folder, .. }
            | Self::Rename { folder, .. } => *folder,
        }
    }
}

/// Files and folders at one moment.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    files: BTreeMap<Node, Arc<Vec<u8>>>,
    folders: BTreeMap<Node, BTreeMap<String, Node>>,
}

impl Tree {
    fn new() -> Self {
        Self { files: BTreeMap::new(), folders: BTreeMap::from([(ROOT, BTreeMap::new())]) }
    }

    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { file, offset, bytes } => {
                let Some(content) = self.files.get_mut(file).map(Arc::make_mut) else { return };
                let from = usize::try_from(*offset).expect("a small file");
                let to = from + bytes.len();
                if content.len() < to {
                    content.resize(to, 0);
                }
                content[from..to].copy_from_slice(bytes);
            }
            Change::Resize { file, length } => {
                let Some(content) = self.files.get_mut(file).map(Arc::make_mut) else { return };
                content.resize(usize::try_from(*length).expect("a small file"), 0);
            }
            Change::Link { folder, name, node } => {
                self.names(*folder).insert(name.clone(), *node);
            }
            Change::Unlink { folder, name } => {
                self.names(*folder).remove(name);
            }
            Change::Rename { folder, from, to } => {
                let names = self.names(*folder);
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }

    /// Every file that has a name, by its path from the root.
    pub(super) fn named(&self) -> Vec<(PathBuf, Arc<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut folders = vec![(PathBuf::new(), ROOT)];
        while let Some((path, folder)) = folders.pop() {
            for (name, node) in self.folders.get(&folder).into_iter().flatten() {
                match self.files.get(node) {
                    Some(content) => found.push((path.join(name), content.clone())),
                    None => folders.push((path.join(name), *node)),
                }
            }
        }
        found
    }

    fn names(&mut self, folder: Node) -> &mut BTreeMap<String, Node> {
        self.folders.entry(folder).or_default()
    }

    fn find(&self, path: &Path) -> Option<Node> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { return None };
            at = *self.folders.get(&at)?.get(name.to_str()?)?;
        }
        Some(at)
    }
}

/// A file system while a program works on it.
#[derive(Debug)]
pub(super) struct Disk {
    /// As the program sees it.
    now: Tree,
    /// What a crash leaves for sure.
    pub(super) lasting: Tree,
    /// What it may leave or not, in the order of doing.
    pub(super) pending: Vec<Change>,
    next: Node,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self { now: Tree::new(), lasting: Tree::new(), pending: Vec::new(), next: ROOT + 1 }
    }

    /// The node of this path from the root.
    pub(super) fn find(&self, path: &Path) -> Option<Node> {
        self.now.find(path)
    }

    pub(super) fn length(&self, file: Node) -> u64 {
        self.now.files.get(&file).map_or(0, |content| content.len() as u64)
    }

    pub(super) fn create(&mut self, path: &Path, is_folder: bool) -> Result<Node, String> {
        let (folder, name) = self.place(path)?;
        let node = self.next;
        self.next += 1;
        for tree in [&mut self.now, &mut self.lasting] {
            if is_folder {
                tree.folders.insert(node, BTreeMap::new());
            } else {
                tree.files.insert(node, Arc::default());
            }
        }
        self.change(Change::Link { folder, name, node });
        Ok(node)
    }

    pub(super) fn unlink(&mut self, path: &Path) -> Result<(), String> {
        let (folder, name) = self.place(path)?;
        self.change(Change::Unlink { folder, name });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), String> {
        let ((folder, from), (other, to)) = (self.place(from)?, self.place(to)?);
        if folder != other {
            return Err("a rename from one folder to another is not modelled".to_owned());
        }
        self.change(Change::Rename { folder, from, to });
        Ok(())
    }

    pub(super) fn change(&mut self, change: Change) {
        self.now.apply(&change);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self, node: Node) {
        let Self { pending, lasting, .. } = self;
        pending.retain(|change| {
            let is_synced = change.node() == node;
            if is_synced {
                lasting.apply(change);
            }
            !is_synced
        });
    }

    /// A sync that failed: the kernel forgets that those pages were ever to be written, so that
    /// not even a later sync that succeeds makes them last.
    pub(super) fn fail_sync(&mut self, node: Node) {
        self.pending
            .retain(|change| change.node() != node || !matches!(change, Change::Write { .. }));
    }

    fn place(&self, path: &Path) -> Result<(Node, String), String> {
        let unknown = || format!("{} is in no known folder", path.display());
        let folder = self.now.find(path.parent().ok_or_else(unknown)?).ok_or_else(unknown)?;
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(unknown)?;
        Ok((folder, name.to_owned()))
    }
}
