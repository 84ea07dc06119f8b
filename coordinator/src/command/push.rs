//! `crosscheck push`: jobs that report by themselves, from the job's side.

mod tail;

use std::io::Write;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crosscheck_checks::env::Secrets;
use tokio::process::Command;

use self::tail::Tail;
use super::FINE;
use super::remote::Token;
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
  CROSSCHECK_PUSH_TOKEN=xcpush_.. crosscheck push run --url https://status.example.com -- backup /srv
  curl -fsS --retry 5 -X POST https://status.example.com/push/$CROSSCHECK_PUSH_TOKEN
  curl -fsS --retry 5 -d \"$OUTPUT\" \"https://status.example.com/push/$TOKEN?exit=$?\"";

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
    #[arg(long, value_name = "TOKEN", env = "CROSSCHECK_PUSH_TOKEN", hide_env_values = true)]
    pub token: Token,
    /// The command and its arguments. Its exit status is this one's.
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
/// The shell's exit status of a command that was ended by a signal, without the signal's number.
const SIGNALLED: u8 = 128;

/// Does it; the exit status.
///
/// # Errors
/// The command cannot be started, or what the writers say. A report that nobody takes is a note,
/// not an error: the job has done its work.
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
    let (status, tail) = carry_out(&args.command).await?;
    let took = begun.elapsed();
    let code = exit_code(status);
    let _ = started.await;
    let query = format!("exit={code}&duration_s={:.3}", took.as_secs_f64());
    if let Err(error) = desk.report(query, tail).await {
        writeln!(notes, "crosscheck: the report was not taken: {error:#}")?;
    }
    Ok(code)
}

/// Runs the command with its output passed on; how it ended, and how its output ended.
async fn carry_out(command: &[String]) -> anyhow::Result<(ExitStatus, String)> {
    let Some((program, arguments)) = command.split_first() else { bail!("no command to run") };
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{program}`"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let tail = Tail::default();
    let (passed_out, passed_err) =
        tokio::join!(tail.pass(out, std::io::stdout()), tail.pass(err, std::io::stderr()));
    passed_out.and(passed_err).context("pass the command's output on")?;
    let status = child.wait().await.context("wait for the command")?;
    Ok((status, tail.text()))
}

fn exit_code(status: ExitStatus) -> u8 {
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(SIGNALLED)
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
        let client = reqwest::Client::builder().timeout(TRY_LIMIT).build();
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
                    let status = answer.status();
                    bail!("{status}: {}", answer.text().await.unwrap_or_default().trim());
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

/// Whether sending it again cannot help.
fn is_final(status: reqwest::StatusCode) -> bool {
    status.is_client_error() && status != reqwest::StatusCode::TOO_MANY_REQUESTS
}
