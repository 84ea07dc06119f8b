//! `crosscheck run`: each check once from here, its phases drawn.

mod drawing;
mod line;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use crosscheck_checks::document::{self, Catalogue, Disk, Document, Level};
use crosscheck_checks::env::Env;
use crosscheck_checks::kind::Check;
use crosscheck_checks::kind::part::Part;
use crosscheck_model::{Cause, CheckSpec, Config, Outcome, Status, pattern};
use futures_util::stream::{self, StreamExt};

use super::exec::ExecArgs;
use super::validate::counted;
use super::{BAD_INPUT, FINE, NOT_WELL};

/// How many checks run at the same time: as many as a slow line and a small target stand.
const AT_ONCE: usize = 16;

/// How often the progress line is drawn anew.
const REDRAW: Duration = Duration::from_millis(200);

/// Runs checks once from here, private addresses included, and draws their phases.
///
/// Checks of kind `push` are left out: their jobs report to the coordinators by themselves.
///
/// Exit status 0: every check is up. 1: at least one is not. 2: the configuration cannot be used.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Files, or directories of `*.yaml` and `*.yml`, that make up one configuration.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Only checks of this name or pattern (`shop *`); may be given several times.
    #[arg(long = "check", value_name = "NAME")]
    pub checks: Vec<String>,
    /// Print one JSON object per check.
    #[arg(long)]
    pub json: bool,
    /// Programs for checks of kind `exec`.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Where the output goes and what it can show.
pub struct Screen<'a> {
    /// Results.
    pub out: &'a mut dyn Write,
    /// Errors of the input, and progress.
    pub notes: &'a mut dyn Write,
    /// Whether `out` shows colours.
    pub colour: bool,
    /// Whether `notes` is a terminal, on which a line can be drawn anew.
    pub progress: bool,
}

/// Runs the checks; the exit status.
///
/// # Errors
/// What the writers say.
pub async fn run(
    args: &RunArgs,
    catalogue: &Catalogue<'_>,
    env: &Env,
    screen: &mut Screen<'_>,
) -> io::Result<u8> {
    let document = Document::load(&args.paths, &Disk, catalogue);
    let Some(config) = document.config() else {
        let errors = document.diagnostics().iter().filter(|found| found.level == Level::Error);
        let errors: Vec<_> = errors.cloned().collect();
        document::report(screen.notes, &errors, screen.colour && screen.progress)?;
        return Ok(BAD_INPUT);
    };
    let Some(jobs) = chosen(&args.checks, config, catalogue, screen.notes)? else {
        return Ok(BAD_INPUT);
    };
    let width = jobs.iter().map(|job| drawing::columns(&job.spec.name)).max().unwrap_or(0);
    if !args.json {
        drawing::legend(screen.out, screen.colour)?;
    }
    let mut status = FINE;
    let total = jobs.len();
    let mut done = 0;
    let mut results = stream::iter(jobs).map(|job| job.run(env)).buffered(AT_ONCE);
    let mut redraw = tokio::time::interval(REDRAW);
    while done < total {
        let (spec, (outcome, parts)) = tokio::select! {
            result = results.next() => match result {
                Some(result) => result,
                None => break,
            },
            _ = redraw.tick(), if screen.progress => {
                write!(screen.notes, "\r\x1b[Krunning: {done} of {total} done")?;
                screen.notes.flush()?;
                continue;
            }
        };
        done += 1;
        if outcome.status != Status::Up {
            status = NOT_WELL;
        }
        if screen.progress {
            write!(screen.notes, "\r\x1b[K")?;
            screen.notes.flush()?;
        }
        match args.json {
            true => line::write(screen.out, spec, &outcome, &parts)?,
            false => {
                drawing::result(screen.out, spec, &outcome, width, screen.colour)?;
                drawing::parts(screen.out, &parts, width)?;
            }
        }
        screen.out.flush()?;
    }
    Ok(status)
}

/// A check that is to run.
struct Job<'a> {
    spec: &'a CheckSpec,
    check: Box<dyn Check>,
}

impl<'a> Job<'a> {
    /// Runs it as a task of its own, so that no other check's work falls into its times.
    async fn run(self, env: &Env) -> (&'a CheckSpec, (Outcome, Vec<Part>)) {
        let (check, own, timeout) = (self.check, env.clone(), self.spec.schedule.timeout);
        let task = tokio::spawn(async move { check.tell(&own, timeout).await });
        let ended = task.await;
        let (mut outcome, parts) = ended.unwrap_or_else(|error| {
            let detail = format!("the check did not end as it should: {error}");
            (Outcome::unknown(Cause::Setup, detail), Vec::new())
        });
        outcome.detail = env.secrets.redact(&outcome.detail);
        outcome.excerpt = env.secrets.redact(&outcome.excerpt);
        (self.spec, (outcome, parts))
    }
}

/// The checks that are named, or all; `None`, and a note, when a name fits none.
fn chosen<'a>(
    wanted: &[String],
    config: &'a Config,
    catalogue: &Catalogue<'_>,
    notes: &mut dyn Write,
) -> io::Result<Option<Vec<Job<'a>>>> {
    let fits = |name: &str, spec: &CheckSpec| {
        pattern::matches(name, &spec.name) || pattern::matches(name, spec.id.as_str())
    };
    let mut unknown = false;
    for name in wanted {
        if config.checks.iter().any(|spec| fits(name, spec)) {
            continue;
        }
        unknown = true;
        writeln!(notes, "error: no check's name fits `{name}`")?;
        let names = config.checks.iter().map(|spec| spec.name.as_str());
        if let Some(hint) = document::nearest(name, names) {
            writeln!(notes, "  hint: {hint}")?;
        }
    }
    if unknown {
        return Ok(None);
    }
    let among = |spec: &&CheckSpec| wanted.is_empty() || wanted.iter().any(|name| fits(name, spec));
    let (pushed, run): (Vec<&CheckSpec>, Vec<&CheckSpec>) =
        config.checks.iter().filter(among).partition(|spec| spec.source.is_push());
    if !pushed.is_empty() {
        let left_out = counted(pushed.len(), "check");
        writeln!(notes, "left out: {left_out} of kind push, whose jobs report by themselves")?;
    }
    Ok(Some(run.into_iter().filter_map(|spec| job(spec, catalogue)).collect()))
}

/// The check of a spec that the document has just made; so its settings do parse.
fn job<'a>(spec: &'a CheckSpec, catalogue: &Catalogue<'_>) -> Option<Job<'a>> {
    let kind = catalogue.kinds.iter().find(|kind| kind.name() == spec.kind)?;
    let settings = serde_json::from_str(&spec.settings).ok()?;
    let check = kind.parse(&settings).ok()?;
    Some(Job { spec, check })
}

#[cfg(test)]
mod tests;
