//! Outputs that appear whole or not at all: written beside the target, put in its place in one step.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs4::FileExt;

use super::stood::Stood;
use crate::error::{Error, ErrorKind, Result};

/// What becomes of what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfExists {
    /// It is replaced, once all that is new is written.
    #[default]
    Replace,
    /// What is new is put beside it. Only a directory can be appended to, and by one writer at a time: of two that overlap, the one that
    /// ends first wins, and the other one is an error that changes nothing.
    Append,
    /// It is an error, before anything is written; and at the end, where it has come meanwhile.
    Fail,
}

/// A file or directory that will stand at a path.
///
/// Dropped before [`Staging::commit`] it leaves the target as it was, and nothing beside it. What a killed process left, or what could
/// not be removed, is removed by the next one that writes to the same target: a lock tells the living from the dead.
pub struct Staging {
    target: PathBuf,
    /// What is written, until it is put in place.
    temporary: PathBuf,
    directory: bool,
    if_exists: IfExists,
    /// The directory that is appended to; nothing, if nothing stood there.
    appended: Option<Stood>,
    lock: Option<(PathBuf, File)>,
    committed: bool,
    /// What lies at the temporary place is another's, and could not be brought back.
    foreign: bool,
}

/// Finds something in a directory that must not be replaced with it.
pub type Foreign<'f> = dyn Fn(&Path) -> Result<Option<PathBuf>> + 'f;

/// One output at a time is put in place.
static COMMITS: Mutex<()> = Mutex::new(());

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// Between the name of the target and what tells two writers apart.
const INFIX: &str = ".chunkwise-";

/// Behind the name of a place, for what stood at the target while two directories cannot be exchanged in one step.
const ASIDE: &str = ".old";

/// How long another process is waited for that puts something in place: that takes a moment.
const MOST_WAITED: Duration = Duration::from_secs(2);

/// Between two looks.
const WAITED: Duration = Duration::from_millis(1);

/// Behind the name of a place, for its lock.
const LOCK: &str = ".lock";

impl Staging {
    /// Makes a place for what will stand at `target`; of a data set with files of this ending, if it is a directory.
    ///
    /// # Errors
    /// Of kind `Io`, where there is no such place; of kind `Plan`, where something stands at the target that must not be replaced.
    pub fn begin(target: &Path, directory: bool, extension: &str, if_exists: IfExists) -> Result<Staging> {
        Staging::begin_where(target, directory, &|found| foreign(found, extension), if_exists)
    }

    /// As [`Staging::begin`], for directories of another kind: `foreign` finds what is no part of one.
    ///
    /// # Errors
    /// As there.
    pub fn begin_where(target: &Path, directory: bool, foreign: &Foreign<'_>, if_exists: IfExists) -> Result<Staging> {
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| {
            Error::new(ErrorKind::Plan, format!("`{}` is no name of a file or directory", target.display()))
        })?;
        let target = &at_end(target);
        let name = target.file_name().and_then(|name| name.to_str()).unwrap_or(name);
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        remove_dead(parent, name, target);
        check(target, directory, foreign, if_exists)?;
        fs::create_dir_all(parent).map_err(|error| Error::io(parent, "cannot create", error))?;
        let (temporary, lock) = place(parent, name)?;
        let mut staging = Staging {
            target: target.clone(),
            temporary,
            directory,
            if_exists,
            appended: None,
            lock: Some(lock),
            committed: false,
            foreign: false,
        };
        if directory {
            let path = &staging.temporary;
            fs::create_dir(path).map_err(|error| Error::io(path, "cannot create", error))?;
            if if_exists == IfExists::Append {
                // Looked at first: what comes while it is linked is seen at the end.
                staging.appended = Stood::at(target).map_err(|error| Error::io(target, "cannot list", error))?;
                if let Some(appended) = &staging.appended {
                    let copied = link_all(target, path)?;
                    let linked = appended.was_linked(path, copied);
                    if !linked.map_err(|error| Error::io(path, "cannot list", error))? {
                        return Err(staging.overtaken());
                    }
                }
            }
        }
        Ok(staging)
    }

    /// Where to write: the file itself, or into the directory.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Puts what was written in place of what was there; with `durable` it survives a loss of power.
    ///
    /// # Errors
    /// Of kind `Io`; of kind `Data`, where another writer was there meanwhile, and what it wrote must not be lost. The target is as it was;
    /// only where the last step of `durable` fails, the sync of the directory that it stands in, what is new stands there already.
    pub fn commit(mut self, durable: bool) -> Result<()> {
        if durable && self.directory {
            sync_all(&self.temporary).map_err(|error| self.failed(error))?;
        }
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = parent.to_path_buf();
        {
            let _alone = COMMITS.lock().unwrap_or_else(PoisonError::into_inner);
            let among_processes = lock_directory(&parent);
            if matches!(among_processes, Lock::Busy) && self.appended.is_some() {
                // Of three that exchange at once, one may take away what another has put there.
                let text =
                    format!("another process keeps `{}` locked: nothing was changed, write again", parent.display());
                return Err(Error::new(ErrorKind::Io, text));
            }
            self.put()?;
            drop(among_processes);
        }
        if durable {
            File::open(&parent)
                .and_then(|parent| parent.sync_all())
                .map_err(|error| Error::io(&parent, "cannot sync", error))?;
        }
        Ok(())
    }

    /// Puts it in place, or leaves all as it was. From when it is `committed`, what was there before lies at the temporary place and goes
    /// with the lock.
    fn put(&mut self) -> Result<()> {
        match (self.if_exists, self.appended.take()) {
            (IfExists::Replace, _) if self.directory => self.replace().map_err(|error| self.failed(error))?,
            (IfExists::Replace, _) => {
                fs::rename(&self.temporary, &self.target).map_err(|error| self.failed(error))?;
            }
            (IfExists::Append, Some(appended)) => return self.append(&appended),
            (IfExists::Append | IfExists::Fail, _) => match rename_new(&self.temporary, &self.target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(self.overtaken()),
                renamed => renamed.map_err(|error| self.failed(error))?,
            },
        }
        self.committed = true;
        Ok(())
    }

    /// In place of a directory, if there is one.
    fn replace(&self) -> io::Result<()> {
        loop {
            match rename_new(&self.temporary, &self.target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                renamed => return renamed,
            }
            match exchange(&self.temporary, &self.target) {
                // Taken away meanwhile; what is to be put there is not.
                Err(error) if error.kind() == io::ErrorKind::NotFound && exists(&self.temporary) => {}
                exchanged => return exchanged,
            }
        }
    }

    /// In place of a directory whose files are linked, and of no other one.
    fn append(&mut self, appended: &Stood) -> Result<()> {
        match exchange(&self.temporary, &self.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !exists(&self.target) => {
                return Err(self.overtaken());
            }
            exchanged => exchanged.map_err(|error| self.failed(error))?,
        }
        // Where the exchange went by steps it may have stayed aside.
        let aside = with_suffix(&self.temporary, ASIDE);
        let out = if exists(&self.temporary) { &self.temporary } else { &aside };
        if appended.is(out) {
            self.committed = true;
            return Ok(());
        }
        let back = match *out == self.temporary {
            true => exchange(&self.temporary, &self.target),
            false => fs::rename(&self.target, &self.temporary).and_then(|()| fs::rename(out, &self.target)),
        };
        let Err(error) = back else { return Err(self.overtaken()) };
        self.foreign = true;
        let text = format!(
            "another writer has changed `{}` meanwhile, and what it wrote could not be put back: it lies at {}",
            self.target.display(),
            out.display()
        );
        Err(Error::with_source(ErrorKind::Io, text, error))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(&self.target, "cannot put in place", error)
    }

    fn overtaken(&self) -> Error {
        let target = self.target.display();
        let what = match (self.if_exists, self.directory) {
            (IfExists::Append, true) => format!("another writer has changed the files of `{target}` meanwhile"),
            _ => format!("another writer has put something at `{target}` meanwhile"),
        };
        Error::new(ErrorKind::Data, format!("{what}: nothing was changed, write again"))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let left = [self.temporary.clone(), with_suffix(&self.temporary, ASIDE)];
        if self.foreign {
            // Without its lock nobody removes it.
            if let Some((path, _)) = self.lock.take() {
                let _ = fs::remove_file(path);
            }
            return;
        }
        let _ = remove(&left[0]);
        if self.committed {
            let _ = remove(&left[1]);
        }
        if let Some((path, file)) = self.lock.take() {
            drop(file);
            // What is still there is found by its lock.
            if !left.iter().any(|left| exists(left)) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Where a link leads: what stands there is replaced, and the link stays. One that leads nowhere is replaced itself.
fn at_end(target: &Path) -> PathBuf {
    let link = fs::read_link(target).and_then(|_| fs::canonicalize(target));
    link.unwrap_or_else(|_| target.to_path_buf())
}

/// A place beside a target that nobody else has, and its lock.
fn place(parent: &Path, name: &str) -> Result<(PathBuf, (PathBuf, File))> {
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let temporary = parent.join(format!(".{name}{INFIX}{}-{number}", std::process::id()));
        let lock = with_suffix(&temporary, LOCK);
        let file = match OpenOptions::new().write(true).create_new(true).open(&lock) {
            Ok(file) => file,
            // Of a dead process of the same number, with something that could not be removed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(Error::io(&lock, "cannot create", error)),
        };
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            // Another writer takes it for a dead one's, and removes it.
            Err(fs4::TryLockError::WouldBlock) => continue,
            Err(fs4::TryLockError::Error(error)) => {
                let _ = fs::remove_file(&lock);
                return Err(Error::io(&lock, "cannot lock", error));
            }
        }
        if exists(&lock) {
            return Ok((temporary, (lock, file)));
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether something stands at a path, be it a link to nothing.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Removes a file or a directory with all that is in it; nothing is as good.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether what stands at the target may be replaced or appended to.
fn check(target: &Path, directory: bool, foreign: &Foreign<'_>, if_exists: IfExists) -> Result<()> {
    let Ok(meta) = fs::symlink_metadata(target) else { return Ok(()) };
    let refuse = |what: String| Err(Error::new(ErrorKind::Plan, format!("`{}` {what}", target.display())));
    if if_exists == IfExists::Fail {
        return refuse("is there already".to_string());
    }
    let meta = if meta.is_symlink() { fs::metadata(target).unwrap_or(meta) } else { meta };
    if directory && !meta.is_dir() {
        return refuse("is a file, and a directory is to be written".to_string());
    }
    if !directory && !meta.is_file() {
        return refuse("is no file, and a single file is to be written".to_string());
    }
    if !directory && if_exists == IfExists::Append {
        return refuse("is a single file: only a directory can be appended to".to_string());
    }
    if directory && let Some(other) = foreign(target)? {
        let other = other.strip_prefix(target).unwrap_or(&other).display().to_string();
        return refuse(format!("holds `{other}`, which is no part of a data set: write to a directory of its own"));
    }
    Ok(())
}

/// Something in a directory that no writer of data sets puts there.
pub(super) fn foreign(directory: &Path, extension: &str) -> Result<Option<PathBuf>> {
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let failed = |error| Error::io(&directory, "cannot list", error);
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            if is_directory && name.contains('=') {
                open.push(path);
            } else if is_directory
                || !(name.starts_with(['_', '.']) || path.extension().is_some_and(|known| known == extension))
            {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// Links all files of a data set into a new directory: they take no room, and both are whole. Whether some had to be copied.
fn link_all(from: &Path, to: &Path) -> Result<bool> {
    let mut copied = false;
    let mut open = vec![(from.to_path_buf(), to.to_path_buf())];
    while let Some((from, to)) = open.pop() {
        let entries = fs::read_dir(&from).map_err(|error| Error::io(&from, "cannot list", error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(&from, "cannot list", error))?;
            let (old, new) = (entry.path(), to.join(entry.file_name()));
            if entry.file_type().map_err(|error| Error::io(&old, "cannot list", error))?.is_dir() {
                fs::create_dir(&new).map_err(|error| Error::io(&new, "cannot create", error))?;
                open.push((old, new));
            } else if fs::hard_link(&old, &new).is_err() {
                // A file system without links: a copy is as good.
                fs::copy(&old, &new).map_err(|error| Error::io(&new, "cannot copy", error))?;
                copied = true;
            }
        }
    }
    Ok(copied)
}

/// Removes what dead processes left beside a target. A target that one of them had put aside, and nothing in its place, is put
/// back. What cannot be removed is left to the next writer.
fn remove_dead(parent: &Path, name: &str, target: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let prefix = format!(".{name}{INFIX}");
    for entry in entries.flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let Some(own) = found.strip_suffix(LOCK).filter(|found| found.starts_with(&prefix)) else { continue };
        let lock = entry.path();
        let Ok(file) = OpenOptions::new().write(true).open(&lock) else { continue };
        if FileExt::try_lock(&file).is_err() {
            continue;
        }
        let left = parent.join(own);
        let aside = with_suffix(&left, ASIDE);
        let cleaned = match exists(&aside) && !exists(target) {
            true => fs::rename(&aside, target),
            false => remove(&aside),
        };
        if cleaned.and_then(|()| remove(&left)).is_ok() {
            let _ = fs::remove_file(&lock);
        }
    }
}

/// Keeps other processes from putting something into a directory.
enum Lock {
    /// Until it is dropped.
    Held { _file: File },
    /// Somebody else keeps it for long.
    Busy,
    /// The system cannot lock directories: what two processes do in the same moment is not told apart.
    None,
}

fn lock_directory(directory: &Path) -> Lock {
    let Ok(file) = File::open(directory) else { return Lock::None };
    let begun = std::time::Instant::now();
    loop {
        match FileExt::try_lock(&file) {
            Ok(()) => return Lock::Held { _file: file },
            Err(fs4::TryLockError::WouldBlock) if begun.elapsed() < MOST_WAITED => std::thread::sleep(WAITED),
            Err(fs4::TryLockError::WouldBlock) => return Lock::Busy,
            Err(fs4::TryLockError::Error(_)) => return Lock::None,
        }
    }
}

/// Brings something to where nothing is, and is an error of kind `AlreadyExists` where something is.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // A file system that cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    rename_new_by_steps(from, to)
}

/// As [`rename_new`], where the system cannot do it in one step.
pub(super) fn rename_new_by_steps(from: &Path, to: &Path) -> io::Result<()> {
    if exists(to) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::rename(from, to)
}

/// Exchanges two directories in one step, where the system can; else there is a moment without the second one.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
            Ok(()) => return Ok(()),
            // A file system that cannot.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    exchange_by_steps(one, other)
}

/// As [`exchange`]. A process that dies in between leaves the second directory beside the first one, from where the next writer puts
/// it back.
pub(super) fn exchange_by_steps(one: &Path, other: &Path) -> io::Result<()> {
    let aside = with_suffix(one, ASIDE);
    fs::rename(other, &aside)?;
    if let Err(error) = fs::rename(one, other) {
        return match fs::rename(&aside, other) {
            Ok(()) => Err(error),
            Err(_) => {
                let text = format!("{error}; what was there lies at {}", aside.display());
                Err(io::Error::new(error.kind(), text))
            }
        };
    }
    // Where it cannot be brought to the place of the first one it is known by its name.
    let _ = fs::rename(&aside, one);
    Ok(())
}

/// Makes the names in a directory durable, and in those below.
fn sync_all(directory: &Path) -> io::Result<()> {
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
        File::open(&directory)?.sync_all()?;
    }
    Ok(())
}
