//! `exec`: a program of this host that keeps the interface of Nagios plugins: its exit code is the
//! status, its first line the message, and what follows a `|` are numbers
//! (Monitoring Plugins Development Guidelines, "Plugin Output for Nagios", "Plugin Return Codes").
//!
//! The program is started without a shell, with the arguments as they stand, in a group of its own
//! that ends with the run. It gets an empty environment but for what the settings name. A probe
//! starts only what its own configuration allows: [`crate::programs`]. The guard over addresses
//! does not see what a program connects to.

mod performance;
pub(super) mod process;
mod settings;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crosscheck_model::{Cause, Family, Outcome, Status};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tokio::process::Command;

use self::process::{Ended, Exit};
use self::settings::Settings;
use super::presence::{Presence, Sighting};
use super::{Check, Defaults, Kind, SettingsError};
use crate::dial::Timer;
use crate::env::Env;
use crate::excerpt;
use crate::resolve::Failure;

/// Runs a program and takes its word.
#[derive(Clone, Copy, Debug)]
pub struct Exec;

impl Kind for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn about(&self) -> &'static str {
        "Runs a Nagios plugin on the probe, if the probe's own configuration allows it."
    }

    fn defaults(&self) -> Defaults {
        Defaults { after: 3, ..Defaults::default() }
    }

    fn causes(&self) -> &'static [&'static [Cause]] {
        &[&[
            Cause::Setup,
            Cause::ExecForbidden,
            Cause::ExecMissing,
            Cause::ExecNotExecutable,
            Cause::ExecSignal,
            Cause::ExecExitCode,
            Cause::ExecOutput,
            Cause::ExecTimeout,
            Cause::PluginWarning,
            Cause::PluginCritical,
            Cause::PluginUnknown,
            Cause::Slow,
        ]]
    }

    fn turned_round(&self) -> &'static str {
        "the plugin must say CRITICAL (exit code 2, with a line that says so); OK and WARNING are \
         failures, and any other end proves nothing"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        Settings::json_schema(generator)
    }

    fn parse(&self, settings: &serde_json::Value) -> Result<Box<dyn Check>, Vec<SettingsError>> {
        let settings: Settings = super::read(settings)?;
        let errors = settings.errors();
        if errors.is_empty() { Ok(Box::new(ExecCheck(settings))) } else { Err(errors) }
    }
}

/// An `exec` check.
struct ExecCheck(Settings);

impl Check for ExecCheck {
    fn target(&self) -> String {
        self.0.target()
    }

    fn family(&self) -> Family {
        self.0.family.unwrap_or_default()
    }

    fn run<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Outcome> {
        self.observe(env, deadline).map(|sighting| sighting.outcome).boxed()
    }

    fn look<'a>(&'a self, env: &'a Env, deadline: Duration) -> BoxFuture<'a, Sighting> {
        self.observe(env, deadline).boxed()
    }
}

impl ExecCheck {
    async fn observe(&self, env: &Env, deadline: Duration) -> Sighting {
        let timer = Timer::start(deadline);
        let ended = match self.command(env) {
            Ok(command) => process::run(command, timer.deadline(), deadline).await,
            Err(failure) => Err(failure),
        };
        match ended {
            Err(failure) => {
                Sighting::told(timer.outcome(&env.secrets, Some(failure)), Presence::Unclear)
            }
            Ok(ended) => self.judge(&ended, env, &timer),
        }
    }

    /// What is started, if this probe allows it.
    fn command(&self, env: &Env) -> Result<Command, Failure> {
        let Settings { plugin, arguments, environment, .. } = &self.0;
        let forbidden = |why| Failure::new(Cause::ExecForbidden, why);
        env.programs.allows(plugin).map_err(forbidden)?;
        let mut command = Command::new(plugin);
        command.args(arguments.iter().map(|argument| argument.0.as_str()));
        command.env_clear().current_dir("/");
        for (name, text) in environment {
            env.programs.allows_variable(name).map_err(forbidden)?;
            let value = env.secrets.resolve(text);
            let value = value.map_err(|error| Failure::new(Cause::Setup, error.to_string()))?;
            if value.contains('\0') {
                let why = format!("the value of `{name}` holds a NUL character");
                return Err(Failure::new(Cause::Setup, why));
            }
            command.env(name, value);
        }
        Ok(command)
    }

    fn judge(&self, ended: &Ended, env: &Env, timer: &Timer) -> Sighting {
        let output = performance::read(&String::from_utf8_lossy(&ended.output));
        let said = match (output.message.as_str(), ended.first_error()) {
            ("", error) => error,
            (message, _) => message.to_owned(),
        };
        let or_nothing =
            |said: String| if said.is_empty() { "it says nothing".into() } else { said };
        let failure = match ended.exit {
            Exit::Code(0) => self.slow(timer),
            Exit::Code(1) => Some(Failure::new(Cause::PluginWarning, or_nothing(said))),
            Exit::Code(2) => Some(Failure::new(Cause::PluginCritical, or_nothing(said))),
            Exit::Code(3) => Some(Failure::new(Cause::PluginUnknown, or_nothing(said))),
            Exit::Code(code) => {
                let detail = format!("exit code {code}, which is no state: {}", or_nothing(said));
                Some(Failure::new(Cause::ExecExitCode, detail))
            }
            Exit::Signal(signal) => {
                let detail = format!("ended by signal {signal}: {}", or_nothing(said));
                Some(Failure::new(Cause::ExecSignal, detail))
            }
        };
        let mut outcome = timer.outcome(&env.secrets, failure);
        outcome.values = output.values;
        if let Exit::Code(code) = ended.exit {
            outcome.values.insert("exit_code".to_owned(), f64::from(code));
        }
        if outcome.status != Status::Up {
            let shown = if ended.output.is_empty() { &ended.errors } else { &ended.output };
            outcome.excerpt = excerpt::of(shown, &env.secrets);
        }
        // A plugin that has looked says so in a line. Interpreters end with 2 as well when they do not
        // understand their script or its arguments, and print that as an error.
        let down = match outcome.cause {
            Some(Cause::PluginCritical) if !output.message.trim().is_empty() => Presence::NotThere,
            _ => Presence::Unclear,
        };
        Sighting::told(outcome, down)
    }

    fn slow(&self, timer: &Timer) -> Option<Failure> {
        let limit = self.0.slower_than?.get();
        let took = timer.elapsed();
        let detail = format!("took {took:.1?}, wanted at most {limit:?}");
        (took > limit).then(|| Failure::new(Cause::Slow, detail))
    }
}
