//! What an expression may use, checked before it ever runs: only what is known, literal paths and
//! patterns, and loops that cannot multiply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};
use crosscheck_model::Phase;
use serde_json_path::JsonPath;

use crate::document;
use crate::kind::http::json;
use crate::text::Pattern;

/// Numbers of the answer, and its text.
pub(super) const VARIABLES: [&str; 8] = [
    "status",
    "redirects",
    "http_version",
    "bytes",
    "wire_bytes",
    "certificate_days",
    "ms",
    "body",
];

/// Functions that look at the answer: each takes one text in quotes.
const OF_ANSWER: [&str; 4] = ["header", "json", "json_all", "count"];

/// Functions of the language that people may call beside operators. Those that convert times are
/// not among them.
const OF_LANGUAGE: [&str; 10] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bool",
];

/// As the parser names them.
const OPERATORS: [&str; 19] = [
    "_&&_",
    "_||_",
    "!_",
    "-_",
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "_+_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "_?_:_",
    "_[_]",
    "@in",
    "@not_strictly_false",
];

/// What is wrong, and with which part.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) id: u64,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What an expression uses.
#[derive(Clone, Debug, Default)]
pub(in crate::kind::http) struct Uses {
    variables: BTreeSet<String>,
    /// Times by their names in `ms`.
    pub(super) times: BTreeSet<String>,
    /// Functions of the answer and what they are asked for.
    pub(super) asked: BTreeSet<(String, String)>,
    pub(super) paths: Arc<BTreeMap<String, JsonPath>>,
    pub(super) patterns: Arc<BTreeMap<String, Pattern>>,
}

impl Uses {
    /// Looks through the expression.
    pub(super) fn of(expression: &IdedExpr) -> Result<Self, Flaw> {
        let mut walk = Walk::default();
        walk.look(expression)?;
        let Walk { mut uses, paths, patterns, .. } = walk;
        (uses.paths, uses.patterns) = (Arc::new(paths), Arc::new(patterns));
        Ok(uses)
    }

    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variables.contains(name)
    }

    pub(super) fn looks_at_body(&self) -> bool {
        self.has_variable("body") || !self.paths.is_empty()
    }

    /// Variables that are plain numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = &str> {
        let plain = |name: &&String| !matches!(name.as_str(), "ms" | "body");
        self.variables.iter().filter(plain).map(String::as_str)
    }
}

/// The names in `ms`.
pub(super) fn times() -> impl Iterator<Item = &'static str> {
    Phase::ALL.into_iter().map(Phase::as_str).chain(["total"])
}

#[derive(Default)]
struct Walk<'e> {
    uses: Uses,
    paths: BTreeMap<String, JsonPath>,
    patterns: BTreeMap<String, Pattern>,
    /// Names of the loops around; those with `@` are the language's own.
    bound: Vec<&'e str>,
    in_loop: bool,
}

impl<'e> Walk<'e> {
    fn look(&mut self, at: &'e IdedExpr) -> Result<(), Flaw> {
        let flaw = |message: String, hint: Option<String>| Err(Flaw { id: at.id, message, hint });
        match &at.expr {
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
            Expr::Ident(name) => self.variable(at.id, name),
            Expr::Select(select) => {
                if let Expr::Ident(name) = &select.operand.expr
                    && name == "ms"
                    && !self.bound.contains(&"ms")
                {
                    return self.time(at.id, &select.field);
                }
                self.look(&select.operand)
            }
            Expr::Call(call) => self.call(at.id, call),
            Expr::Comprehension(comprehension) => self.comprehension(at.id, comprehension),
            Expr::List(list) => {
                let is_plain = |element: &IdedExpr| match &element.expr {
                    Expr::Literal(_) => true,
                    Expr::Ident(name) => {
                        list.elements.len() == 1 && self.bound.last() == Some(&name.as_str())
                    }
                    _ => false,
                };
                if self.in_loop && !list.elements.iter().all(is_plain) {
                    return flaw(MAKES.to_owned(), Some(MAKES_HINT.to_owned()));
                }
                list.elements.iter().try_for_each(|element| self.look(element))
            }
            Expr::Map(_) | Expr::Struct(_) if self.in_loop => {
                flaw(MAKES.to_owned(), Some(MAKES_HINT.to_owned()))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.look(&entry.key)?;
                    self.look(&entry.value)
                }
                EntryExpr::StructField(field) => self.look(&field.value),
            }),
            Expr::Struct(_) => flaw("there are no structures here".to_owned(), None),
        }
    }

    fn variable(&mut self, id: u64, name: &'e str) -> Result<(), Flaw> {
        if name.starts_with('@') || self.bound.contains(&name) {
            return Ok(());
        }
        if !VARIABLES.contains(&name) {
            let hint = document::nearest(name, VARIABLES)
                .unwrap_or_else(|| format!("known are {}", document::hint::list(&VARIABLES)));
            let message = format!("`{name}` is not known here");
            return Err(Flaw { id, message, hint: Some(hint) });
        }
        if name == "body" && self.in_loop {
            let message = "`body` cannot be looked at in a loop".to_owned();
            return Err(Flaw { id, message, hint: None });
        }
        self.uses.variables.insert(name.to_owned());
        Ok(())
    }

    fn time(&mut self, id: u64, name: &str) -> Result<(), Flaw> {
        if !times().any(|known| known == name) {
            let hint = document::nearest(name, times())
                .unwrap_or_else(|| "known are the phases and `total`".to_owned());
            let message = format!("`ms.{name}` is not known here");
            return Err(Flaw { id, message, hint: Some(hint) });
        }
        self.uses.variables.insert("ms".to_owned());
        self.uses.times.insert(name.to_owned());
        Ok(())
    }

    fn call(&mut self, id: u64, call: &'e CallExpr) -> Result<(), Flaw> {
        let name = call.func_name.as_str();
        let flaw = |message: String, hint: Option<String>| Err(Flaw { id, message, hint });
        let is_operator = OPERATORS.contains(&name);
        if OF_ANSWER.contains(&name) && call.target.is_none() {
            return self.of_answer(id, name, &call.args);
        }
        if name == "matches" {
            self.pattern(id, call)?;
        } else if !is_operator && !OF_LANGUAGE.contains(&name) {
            let known: Vec<&str> = OF_ANSWER.into_iter().chain(OF_LANGUAGE).collect();
            let hint = document::nearest(name, known.iter().copied())
                .unwrap_or_else(|| format!("known are {}", document::hint::list(&known)));
            return flaw(format!("`{name}` is no function here"), Some(hint));
        }
        let grows =
            |first: &IdedExpr| !matches!(&first.expr, Expr::Ident(name) if name.starts_with('@'));
        if self.in_loop && name == "_+_" && call.args.first().is_some_and(grows) {
            return flaw(MAKES.to_owned(), Some(MAKES_HINT.to_owned()));
        }
        let parts = call.target.as_deref().into_iter().chain(&call.args);
        parts.into_iter().try_for_each(|part| self.look(part))
    }

    fn of_answer(&mut self, id: u64, name: &str, args: &'e [IdedExpr]) -> Result<(), Flaw> {
        let flaw = |message: String| Err(Flaw { id, message, hint: None });
        if self.in_loop {
            return flaw(format!("`{name}` cannot be called in a loop"));
        }
        let [argument] = args else {
            return flaw(format!("`{name}` wants one text in quotes"));
        };
        let Some(text) = literal(argument) else {
            return flaw(format!("`{name}` wants a text in quotes"));
        };
        if name != "header" {
            match json::path(text) {
                Ok(path) => _ = self.paths.insert(text.to_owned(), path),
                Err(message) => return flaw(message),
            }
        }
        self.uses.asked.insert((name.to_owned(), text.to_owned()));
        Ok(())
    }

    fn pattern(&mut self, id: u64, call: &'e CallExpr) -> Result<(), Flaw> {
        let flaw = |message: String| Err(Flaw { id, message, hint: None });
        let Some(text) = call.args.last().and_then(literal) else {
            return flaw("`matches` wants a regular expression in quotes".to_owned());
        };
        match text.parse::<Pattern>() {
            Ok(pattern) => _ = self.patterns.insert(text.to_owned(), pattern),
            Err(error) => return flaw(error.to_string()),
        }
        Ok(())
    }

    /// A loop: `all`, `exists`, `exists_one`, `filter`, as the parser expands them.
    fn comprehension(&mut self, id: u64, loops: &'e ComprehensionExpr) -> Result<(), Flaw> {
        if self.in_loop {
            let message = "a loop within a loop takes too long".to_owned();
            let hint = Some("let the path find the values: `json_all(\"$.a[*].b[*]\")`".to_owned());
            return Err(Flaw { id, message, hint });
        }
        self.look(&loops.iter_range)?;
        self.in_loop = true;
        self.bound.push(&loops.iter_var);
        let inside = [&loops.loop_cond, &loops.loop_step];
        let looked = inside.into_iter().try_for_each(|part| self.look(part));
        self.bound.pop();
        self.in_loop = false;
        looked
    }
}

const MAKES: &str = "a loop cannot make anything";
const MAKES_HINT: &str = "it may compare: `all`, `exists`, `exists_one` and `filter`";

fn literal(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
