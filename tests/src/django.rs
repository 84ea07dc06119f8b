//! Real web applications: Django's administration with one user, and an interface that wants tokens of
//! OAuth 2.0, which it gives out itself.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::eventually::eventually;
use crate::port;
use crate::process::Process;
use crate::scratch::Scratch;

/// How long it may take until it answers: it compiles itself at its first start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// The user's name.
pub const USER: &str = "probe";

/// The user's password: what a form, a shell and YAML all have to escape.
pub const PASSWORD: &str = "b\"ll & s'pper+tea=100%";

/// The whole site: the administration, users in SQLite, sessions in the same.
const SITE: &str = r#"
import os
HERE = os.path.dirname(os.path.abspath(__file__))
SECRET_KEY = "of this test alone"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "routes_of_test"
USE_TZ = True
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE + "/site.sqlite"}}
INSTALLED_APPS = ["django.contrib." + name for name in
                  ("admin", "auth", "contenttypes", "sessions", "messages")]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware",
              "django.middleware.common.CommonMiddleware",
              "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware",
              "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": [
                  "django.template.context_processors.request",
                  "django.contrib.auth.context_processors.auth",
                  "django.contrib.messages.context_processors.messages"]}}]
"#;

/// The routes need the applications, which need the settings: a module of their own.
const ROUTES: &str = "from django.contrib import admin\n\
                      from django.urls import path\n\
                      urlpatterns = [path(\"admin/\", admin.site.urls)]\n";

/// What stands in the place of that for an interface that wants tokens.
const PROVIDER: &str = r#"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
MIDDLEWARE = []
OAUTH2_PROVIDER = {"SCOPES": {"stock.read": "to read", "stock.write": "to write"}}
"#;

/// Its routes: where tokens are given out and taken back, and what may be read with one.
const ROUTES_OF_PROVIDER: &str = r#"
from django.http import HttpResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource

@protected_resource(scopes=["stock.read"])
def stock(request):
    return HttpResponse("in stock: 7")

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
               path("stock", stock)]
"#;

/// The client that the interface knows.
pub const CLIENT: &str = "probe";

/// Its secret: what a header and a form have to escape.
pub const CLIENT_SECRET: &str = "s/cr:t & more+";

/// A running application.
pub struct Django {
    /// Its port for HTTP.
    pub port: u16,
    directory: PathBuf,
    process: Process,
}

impl Django {
    /// A running one, whose administration is at `/admin/`.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start(scratch: &Scratch) -> Self {
        let user =
            ["createsuperuser", "--noinput", "--username", USER, "--email", "probe@example.com"];
        Self::start_with(scratch, SITE, ROUTES, &user).await
    }

    /// A running one that gives out tokens at `/o/token/`, takes them back at `/o/revoke_token/`, and
    /// shows `/stock` to whoever has one.
    ///
    /// # Panics
    /// It cannot be started, or does not answer.
    pub async fn start_provider(scratch: &Scratch) -> Self {
        let client = [
            "createapplication",
            "--client-id",
            CLIENT,
            "--client-secret",
            CLIENT_SECRET,
            "confidential",
            "client-credentials",
        ];
        let site = format!("{SITE}{PROVIDER}");
        Self::start_with(scratch, &site, ROUTES_OF_PROVIDER, &client).await
    }

    async fn start_with(scratch: &Scratch, site: &str, routes: &str, last: &[&str]) -> Self {
        let directory = scratch.directory("django");
        std::fs::write(directory.join("site_of_test.py"), site).expect("written");
        std::fs::write(directory.join("routes_of_test.py"), routes).expect("written");
        for arguments in [&["migrate", "--verbosity", "0"][..], last] {
            let output = command(&directory, arguments).output().expect("django-admin starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {said}");
        }
        let port = port::free();
        let listen = format!("127.0.0.1:{port}");
        let mut server = command(&directory, &["runserver", "--noreload", &listen]);
        let process = Process::start("Django", &mut server, &scratch.file("django.log"));
        let mut django = Self { port, directory, process };
        eventually(START_WITHIN, "Django listens", || {
            let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            let seen = listens.map_err(|error| format!("{error}\n{}", django.process.log()));
            async move { seen.map(drop) }
        })
        .await;
        assert!(django.process.ended().is_none(), "another program listens there");
        django
    }

    /// All tokens that were given out are worth nothing any more.
    ///
    /// # Panics
    /// Its database cannot be changed.
    pub fn forget_tokens(&self) {
        let code = "from oauth2_provider.models import AccessToken as T; T.objects.all().delete()";
        let output = command(&self.directory, &["shell", "-c", code]).output().expect("starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// What clients asked for, a line each, with the status.
    pub fn requests(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter(|line| line.contains("HTTP/1.1\"")).map(str::to_owned).collect()
    }
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("django-admin");
    command.args(arguments).arg("--pythonpath").arg(directory);
    command.args(["--settings", "site_of_test"]).current_dir(directory).stdin(Stdio::null());
    command.env("DJANGO_SUPERUSER_PASSWORD", PASSWORD).env("PYTHONUNBUFFERED", "1");
    command
}
