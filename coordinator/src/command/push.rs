//! `crosscheck push`: jobs that report by themselves, from the job's side.

mod tail;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crosscheck_checks::env::Secrets;
use tokio::process::Command;

use self::tail::Tail;
use super::remote::Token;
use super::{FINE, terminal};
use crate::push::digest;

/// Makes tokens for jobs that report by themselves, and reports for them.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct PushArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

const EXAMPLE: &str = "\
Examples:
  crosscheck push token
  export CROSSCHECK_PUSH_URL=https://status.example.com
  export CROSSCHECK_PUSH_TOKEN='${file:/etc/backup/push-token}'
  crosscheck push run -- backup /srv
  curl -fsS --retry 5 -X POST $CROSSCHECK_PUSH_URL/push/$TOKEN
  curl -fsS --retry 5 -d \"$OUTPUT\" \"$CROSSCHECK_PUSH_URL/push/$TOKEN?exit=$?\"";

/// What to do for a job.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Makes a token for a job, and the line with its digest for the check.
    Token,
    /// Runs a command and reports its start, its end, how long it took and how its output ends.
    Run(RunArgs),
}

/// A job to run.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Where a coordinator's page is reached.
    #[arg(long, value_name = "URL", env = "CROSSCHECK_PUSH_URL")]
    pub url: String,
    /// The job's token, or where it is: `${file:/path}` or `${env:NAME}`. Other users of this host
    /// see what stands on a command line.
    #[arg(long, value_name = "TOKEN", env = TOKEN_VARIABLE, hide_env_values = true)]
    pub token: Token,
    /// The command and its arguments. Its exit status is this one's: 128 and the signal's number
    /// where a signal ended it, 127 where it cannot be started. The token is not in its environment.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// What tokens begin with, for those who search files for secrets.
const MARK: &str = "xcpush_";
/// Pauses between tries to report: longer in all than a change of leader takes.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 15, 30];
/// How long one try may take.
const TRY_LIMIT: Duration = Duration::from_secs(20);
/// The variable that may hold the token.
const TOKEN_VARIABLE: &str = "CROSSCHECK_PUSH_TOKEN";
/// The shell's exit status of a command that was ended by a signal, without the signal's number.
const SIGNALLED: i32 = 128;
/// The shell's exit status of a command that cannot be started.
const NOT_STARTED: u8 = 127;
/// The most of a refusal that is shown: it comes from whoever answers at the URL.
const ANSWER_LIMIT_BYTES: usize = 200;

/// Does it; the exit status.
///
/// # Errors
/// The token cannot be read, or what the writers say. A report that nobody takes is a note, not an
/// error: the job has done its work.
pub async fn push(
    args: &PushArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    match &args.what {
        What::Token => token(out, notes),
        What::Run(args) => run(args, notes).await,
    }
}

fn token(out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let drawn: [u8; TOKEN_BYTES] = rand::random();
    let token = drawn.iter().fold(MARK.to_owned(), |text, byte| format!("{text}{byte:02x}"));
    // Alone on standard output, to be taken into a file or a variable.
    writeln!(out, "{token}")?;
    writeln!(notes, "The token above is for the job; keep it now, it is not shown again.")?;
    writeln!(notes, "The check knows it by this digest, which is no secret:")?;
    writeln!(notes, "    push: {{ every: 24h, grace: 1h, token_sha256: \"{}\" }}", digest(&token))?;
    Ok(FINE)
}

async fn run(args: &RunArgs, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let desk = Desk::new(args)?;
    // So that a job that never ends is noticed; the job does not wait for it.
    let started = tokio::spawn(desk.clone().report("status=start".to_owned(), String::new()));
    let begun = Instant::now();
    let (code, tail) = match carry_out(&args.command).await {
        Ok((status, tail)) => (exit_code(status), tail),
        // That it does not even start is a failure of the job, which must not wait for the time
        // when its next report is due.
        Err(error) => {
            let why = format!("{error:#}");
            writeln!(notes, "crosscheck: {}", terminal::lines(&why))?;
            (NOT_STARTED, why)
        }
    };
    let took = begun.elapsed();
    let _ = started.await;
    let query = format!("exit={code}&duration_s={:.3}", took.as_secs_f64());
    if let Err(error) = desk.report(query, tail).await {
        let why = format!("the report was not taken: {error:#}");
        writeln!(notes, "crosscheck: {}", terminal::lines(&why))?;
    }
    Ok(code)
}

/// Runs the command with its output passed on; how it ended, and how its output ended.
async fn carry_out(command: &[String]) -> anyhow::Result<(ExitStatus, String)> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command to run") };
    let mut child = Command::new(program)
        .args(arguments)
        // What a job prints of its environment is for many to read.
        .env_remove(TOKEN_VARIABLE)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{program}`"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (said, complained) = (Tail::default(), Tail::default());
    let (passed_out, passed_err) =
        tokio::join!(said.pass(out, std::io::stdout()), complained.pass(err, std::io::stderr()));
    passed_out.and(passed_err).context("pass the command's output on")?;
    let status = child.wait().await.context("wait for the command")?;
    // What went wrong comes last, in whatever order the two pipes were read.
    Ok((status, whole_lines(&said.text()) + &complained.text()))
}

/// The text, with an end to its last line.
fn whole_lines(text: &str) -> String {
    let is_whole = text.is_empty() || text.ends_with('\n');
    format!("{text}{}", if is_whole { "" } else { "\n" })
}

fn exit_code(status: ExitStatus) -> u8 {
    let signalled = || SIGNALLED + status.signal().unwrap_or(0);
    u8::try_from(status.code().unwrap_or_else(signalled)).unwrap_or(u8::MAX)
}

/// Where reports go.
#[derive(Clone)]
struct Desk {
    client: reqwest::Client,
    address: String,
    token: String,
}

impl Desk {
    fn new(args: &RunArgs) -> anyhow::Result<Self> {
        // A redirect would make a GET of a report, or carry its token elsewhere.
        let no_further = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().timeout(TRY_LIMIT).redirect(no_further).build();
        Ok(Self {
            client: client.context("make an HTTP client")?,
            address: format!("{}/push", args.url.trim_end_matches('/')),
            token: args.token.read(&Secrets::of_process()).context("read --token")?,
        })
    }

    /// Reports until somebody takes it, or says that nobody ever will.
    async fn report(self, query: String, body: String) -> anyhow::Result<()> {
        let mut pauses = PAUSES_S.into_iter();
        loop {
            let failure = match self.once(&query, &body).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if is_final(answer.status()) => {
                    bail!("{}", refusal(answer).await);
                }
                Ok(answer) => anyhow::anyhow!("{}", answer.status()),
                Err(error) => error.without_url().into(),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(Duration::from_secs(pause)).await,
                None => return Err(failure.context(format!("reach {}", self.address))),
            }
        }
    }

    async fn once(&self, query: &str, body: &str) -> reqwest::Result<reqwest::Response> {
        let address = format!("{}?{query}", self.address);
        let request = self.client.post(address).bearer_auth(&self.token);
        request.body(body.to_owned()).send().await
    }
}

/// What a refusal says, in its first words.
async fn refusal(mut answer: reqwest::Response) -> String {
    let status = answer.status();
    let target = answer.headers().get(reqwest::header::LOCATION);
    if let Some(target) = target.filter(|_| status.is_redirection()) {
        let target = String::from_utf8_lossy(target.as_bytes());
        return format!("{status}: use the URL that it points to: {target}");
    }
    let first = answer.chunk().await.ok().flatten().unwrap_or_default();
    let words = String::from_utf8_lossy(&first[..first.len().min(ANSWER_LIMIT_BYTES)]);
    format!("{status}: {}", words.trim())
}

/// Whether sending it again cannot help.
fn is_final(status: reqwest::StatusCode) -> bool {
    (status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS)
        || status.is_redirection()
}

#[cfg(test)]
mod tests;
