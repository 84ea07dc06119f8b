//! `crosscheck import`: configurations of others in our words, and a list of what has none.
//!
//! ```text
//! FILE -> a tree with places -> source (gatus, ..) -> draft -> validated check by check -> YAML
//!                                      \____________ left out, with its place and why ____/
//! ```
//!
//! Nothing is guessed: what means something else here is left out and told, and a check of which
//! only a part could be carried over says so.

mod blackbox;
mod check;
mod cloudprober;
mod draft;
mod expand;
mod gatus;
mod json;
mod notes;
mod textproto;
mod time;
mod tree;
mod uptime_kuma;
mod written;

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use crosscheck_checks::document::Catalogue;

use self::draft::Draft;
use self::tree::Input;
use super::{BAD_INPUT, FINE};

/// Where configurations come from; a source is one file and one line here.
const SOURCES: &[&dyn Source] =
    &[&gatus::Gatus, &blackbox::Blackbox, &uptime_kuma::UptimeKuma, &cloudprober::Cloudprober];

/// The largest file that is read: far beyond any that people keep.
const SIZE_LIMIT_BYTES: u64 = 64 << 20;

/// Another program whose configurations are understood.
trait Source: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Whether it takes a second file, which says what to check.
    fn takes_targets(&self) -> bool {
        false
    }

    /// Reads its configuration; what it cannot carry over goes into the draft's list.
    ///
    /// # Errors
    /// The input cannot be read at all.
    fn read(&self, file: &Input, targets: Option<&Input>, draft: &mut Draft) -> Result<(), String>;
}

/// Turns a configuration of another program into one of this.
///
/// The YAML goes to standard output, or to a file (-o). What could not be carried over is listed
/// on standard error, with its line and the reason, so that nothing is missed in silence.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ImportArgs {
    /// Whose configuration it is.
    #[arg(value_parser = PossibleValuesParser::new(SOURCES.iter().map(|source| source.name())))]
    pub source: String,
    /// The configuration.
    pub file: PathBuf,
    /// With `blackbox`: the configuration of Prometheus, which names the targets, itself or in
    /// files beside it.
    #[arg(long, value_name = "FILE")]
    pub targets: Option<PathBuf>,
    /// Where the YAML goes; left out: to standard output. A file that is there is not overwritten.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:\n\n  \
crosscheck import gatus config.yaml -o checks.yaml\n  \
crosscheck import blackbox blackbox.yml --targets prometheus.yml > checks.yaml\n  \
crosscheck import uptime-kuma Uptime_Kuma_Backup.json -o checks.yaml\n  \
crosscheck import cloudprober cloudprober.cfg -o checks.yaml\n\n\
Then look at it, and try it from here:\n\n  \
crosscheck validate checks.yaml\n  \
crosscheck run checks.yaml\n\n\
A line on standard error is either `FILE:LINE: WHAT: WHY` for something that was left out or has \
another meaning here, or the sum at the end. Every key is in the YAML or in the list. Passwords and \
tokens are never copied: a reference (`${env:NAME}`) stands in their place, and its name is told.\n\n\
Exit status: 0 done, also when something was left out; 1 the output cannot be written; 2 the \
input cannot be used.";

/// Reads, turns and writes; the exit status.
///
/// # Errors
/// What the writers say.
pub fn import(
    args: &ImportArgs,
    catalogue: &Catalogue<'_>,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> io::Result<u8> {
    let draft = match drafted(args, catalogue) {
        Ok(draft) => draft,
        Err(why) => {
            writeln!(notes, "error: {why}")?;
            return Ok(BAD_INPUT);
        }
    };
    let text = draft.text(&args.source);
    match &args.output {
        None => out.write_all(text.as_bytes())?,
        Some(path) => {
            let made = fs::OpenOptions::new().write(true).create_new(true).open(path);
            let written = made.and_then(|mut file| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                let path = path.display();
                match error.kind() {
                    io::ErrorKind::AlreadyExists => writeln!(
                        notes,
                        "error: `{path}` is there, and is not overwritten: name another file"
                    )?,
                    _ => writeln!(notes, "error: write `{path}`: {error}")?,
                }
                return Ok(super::NOT_WELL);
            }
        }
    }
    draft.tell(notes)?;
    Ok(FINE)
}

fn drafted(args: &ImportArgs, catalogue: &Catalogue<'_>) -> Result<Draft, String> {
    let source = SOURCES.iter().find(|source| source.name() == args.source);
    let source = source.ok_or_else(|| format!("no source is called `{}`", args.source))?;
    let file = input(&args.file)?;
    let targets = args.targets.as_deref().map(input).transpose()?;
    if targets.is_some() && !source.takes_targets() {
        return Err(format!("`--targets` is for `blackbox`: `{}` names its own", args.source));
    }
    let mut draft = Draft::default();
    source.read(&file, targets.as_ref(), &mut draft)?;
    draft.settle(catalogue);
    Ok(draft)
}

/// Files that a configuration names, from where it stands: by a path, or by a `*` in its last part.
///
/// # Errors
/// None can be read.
fn beside(file: &Input, pattern: &str) -> Result<Vec<Input>, String> {
    let path = Path::new(&file.name).parent().unwrap_or(Path::new("")).join(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((begin, end)) = name.split_once('*') else { return Ok(vec![input(&path)?]) };
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let entries = fs::read_dir(directory);
    let entries = entries.map_err(|why| format!("read `{}`: {why}", directory.display()))?;
    let fits = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_long_enough = name.len() >= begin.len() + end.len();
        path.is_file() && is_long_enough && name.starts_with(begin) && name.ends_with(end)
    };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(fits).collect();
    found.sort();
    if found.is_empty() {
        return Err(format!("no file in `{}` is called so", directory.display()));
    }
    found.iter().map(|path| input(path)).collect()
}

fn input(path: &Path) -> Result<Input, String> {
    let name = path.display().to_string();
    let error = |why: String| format!("read `{name}`: {why}");
    let size = fs::metadata(path).map_err(|why| error(why.to_string()))?.len();
    if size > SIZE_LIMIT_BYTES {
        return Err(error(format!("{size} bytes are more than a configuration has")));
    }
    let text = fs::read_to_string(path).map_err(|why| error(why.to_string()))?;
    Ok(Input { name, text })
}
