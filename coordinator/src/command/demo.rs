//! `crosscheck demo`: the whole product in one process, to be broken.

use std::io::{BufRead, IsTerminal, Write, stdin};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BAD_INPUT, FINE, Termination};
use crate::demo::{Demo, HELP, Narrator, act_of};
use crate::serve;

/// Keys that may wait; nobody types faster than switches turn.
const KEYS: usize = 16;

/// Between two looks for news to tell.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The key that ends the demonstration.
const QUIT: char = 'q';

/// Shows how it works: three coordinators, five probes over three carriers, a target to break and
/// a mail box to watch, all in this process.
///
/// Break the target, cut a carrier, kill the leader, on the page or by keys, and watch who is
/// told what. Nothing leaves this host, and nothing is left behind.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where the page is served. Whoever reaches it may turn the switches.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
}

/// Runs until the visitor has seen enough; the exit status.
///
/// # Errors
/// What is ours and not the user's.
pub async fn demo(args: &DemoArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut end = Termination::new()?;
    let page = match serve::bind(args.listen, "the page").await {
        Ok(listener) => listener,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}; choose another with --listen")?;
            return Ok(BAD_INPUT);
        }
    };
    let address = page.local_addr().context("ask the listener for its address")?;
    let url = format!("http://{address}");
    let demo = tokio::select! {
        demo = Demo::start(&url) => demo?,
        () = end.asked() => return Ok(FINE),
    };
    let stop = CancellationToken::new();
    // Whoever reaches loopback is an operator of this host; beyond it, everyone only looks.
    let routes = demo.routes(args.listen.ip().is_loopback());
    let served = serve::serve(page, routes, stop.clone());
    let mut keys = keys();
    welcome(out, &url, keys.is_some())?;
    let mut narrator = Narrator::default();
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let key = tokio::select! {
            () = end.asked() => break,
            key = pressed(&mut keys) => key,
            _ = look.tick() => {
                for line in demo.news(&mut narrator) {
                    writeln!(out, "  {line}")?;
                }
                continue;
            }
        };
        if key == QUIT {
            break;
        }
        if let Some(act) = act_of(key)
            && let Err(error) = demo.act(act).await
        {
            tracing::error!(error = format!("{error:#}"), "that did not work");
        }
    }
    stop.cancel();
    demo.stop().await;
    served.await.context("end the listener")?;
    Ok(FINE)
}

fn welcome(out: &mut dyn Write, url: &str, keys: bool) -> std::io::Result<()> {
    writeln!(out, "Open {url}/demo to break things, and {url}/ to see what customers see.")?;
    if keys {
        writeln!(out, "Or press here:\n{HELP}")?;
    }
    out.flush()
}

/// What is typed, where there is a terminal to type at.
fn keys() -> Option<mpsc::Receiver<char>> {
    if !stdin().is_terminal() {
        return None;
    }
    let (sender, keys) = mpsc::channel(KEYS);
    // A thread of its own, which nobody waits for: reading a terminal cannot be broken off.
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            for key in line.chars() {
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    Some(keys)
}

/// The next key; never, where there is none to come.
async fn pressed(keys: &mut Option<mpsc::Receiver<char>>) -> char {
    if let Some(receiver) = keys
        && let Some(key) = receiver.recv().await
    {
        return key;
    }
    *keys = None;
    std::future::pending().await
}
