//! Flags that several commands have: a task's input, its limits, and what it may touch.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Error};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap_complete::ArgValueCandidates;
use serde_json::{Map, Value};

use crate::model::policy::adding::Addition;
use crate::{Attachment, Capability, DirGrant, Grants, LimitsRequest};

use super::allowing::{self, Allowed};
use super::exit::Exit;
use super::fault::Fault;
use super::limits::{Setting, SettingParser};
use super::values::{self, Field};
use super::{attaching, files};

#[derive(Debug, Default, Args)]
pub(super) struct InputArguments {
    /// The input: JSON, @FILE, or - for stdin [default: {}]
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(super) input: Option<String>,
    /// Sets one field of the input; VALUE is JSON, else a text; dots lead into nested fields; wins over --input
    #[arg(long, value_name = "FIELD=VALUE", value_parser = values::field)]
    pub(super) set: Vec<Field>,
}

impl InputArguments {
    /// The input: what `--input` says, with the fields of `--set` laid over it.
    pub(super) fn read(&self) -> Result<Value, Fault> {
        let mut input = match self.input.as_deref() {
            None => Value::Object(Map::new()),
            Some("-") => {
                let read = files::read_stdin().context("failed to read the input from stdin");
                parse(&read.map_err(usage)?, "input", "stdin")?
            }
            Some(named) => json(named, "input", "--input")?,
        };
        for Field { path, value } in &self.set {
            set(&mut input, path, value.clone()).map_err(|at| {
                Fault::usage(format!(
                    "--set {}=… needs an object at {at}, and the input has something else there",
                    path.join(".")
                ))
            })?;
        }
        Ok(input)
    }

    /// Whether a field was set to something that is no text, which may have been meant as one.
    pub(super) fn sets_no_text(&self) -> bool {
        self.set.iter().any(|field| !field.value.is_string())
    }
}

fn usage(error: Error) -> Fault {
    Fault::new(Exit::Usage, error)
}

/// What a flag says: JSON, or a file of it.
pub(super) fn json(named: &str, what: &str, flag: &str) -> Result<Value, Fault> {
    let Some(path) = named.strip_prefix('@') else { return parse(named, what, flag) };
    let read = files::read_text(Path::new(path));
    parse(&read.with_context(|| format!("failed to read the {what} from {path}")).map_err(usage)?, what, path)
}

fn parse(text: &str, what: &str, source: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        let error = Error::new(error).context(format!("failed to read the {what}: {source} is not JSON"));
        let hint = if what == "input" {
            r#"an input is an object, as in --input '{"name": "Ada"}'; or set single fields with --set name=Ada; a file needs an @"#
        } else {
            r#"JSON is written as in --config '{"region": "eu"}'; a file needs an @"#
        };
        Fault::new(Exit::Usage, error).hint(hint)
    })
}

/// Sets a field, making the objects on the way. Says where something else is in the way.
fn set(target: &mut Value, path: &[String], value: Value) -> Result<(), String> {
    let mut place = target;
    let mut at = "the top".to_owned();
    for name in path {
        let Value::Object(fields) = place else { return Err(at) };
        place = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
        at.clone_from(name);
    }
    *place = value;
    Ok(())
}

#[derive(Debug, Default, Args)]
pub(super) struct LimitArguments {
    /// Units of fuel at most, about one for each instruction; k, M, G, T are powers of 1000 [default: 1T]
    #[arg(long, value_name = "UNITS", value_parser = values::fuel)]
    pub(super) fuel: Option<u64>,
    /// Time at most from start to end, waiting included: 30s, 5m, 1h30m [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = values::timeout)]
    pub(super) timeout: Option<Duration>,
    /// Memory at most: 64MiB, 1GiB [default: 128MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::memory)]
    pub(super) memory: Option<u64>,
    /// Sets any limit of the task, also above its default; `taskcell limits` lists them
    #[arg(long, value_name = "NAME=VALUE", value_parser = SettingParser, hide_possible_values = true)]
    pub(super) limit: Vec<Setting>,
}

impl LimitArguments {
    /// What the person says about limits, by `--limit` and by the flags that have a name of their own. Each limit has one
    /// value: two that differ are a mistake, and which of them is one nobody can tell.
    pub(super) fn wishes(&self) -> Result<LimitsRequest, Fault> {
        let flags = LimitsRequest {
            fuel: self.fuel,
            timeout: self.timeout,
            memory_bytes: self.memory,
            ..LimitsRequest::default()
        };
        let mut all = flags;
        for setting in &self.limit {
            if all.or(setting.request) != setting.request.or(all) {
                let name = setting.name();
                return Err(Fault::usage(format!("the limit `{name}` is given twice, with two values")));
            }
            all = all.or(setting.request);
        }
        Ok(all)
    }
}

#[derive(Debug, Default, Args)]
pub(super) struct GrantArguments {
    /// Grants a folder; the task sees it as GUEST (without it: as HOST), read-only unless :rw is added
    #[arg(long, value_name = "HOST[::GUEST][:rw]", value_parser = OsStringValueParser::new().try_map(|text| values::dir(&text)))]
    pub(super) dir: Vec<DirGrant>,
    /// Gives the task a copy of a file along, which it reads as /attachments/NAME (without it: the file's own name)
    #[arg(long, value_name = "FILE[:NAME]", value_parser = OsStringValueParser::new().try_map(|text| attaching::attachment(&text)))]
    pub(super) attach: Vec<Attachment>,
    /// Sets a variable in the task's environment, which is empty otherwise
    #[arg(long, value_name = "NAME=VALUE", value_parser = values::variable)]
    pub(super) env: Vec<(String, String)>,
    /// Allows a capability: `signal`, to reach other tasks; `kv`, to use the plugin's own store; `tasks` or `tasks=PLUGIN`, to start other plugins' tasks; `http=[METHOD,…:]HOST[:PORT,…][+private][+plain]`, to send requests; `secrets=NAME`, to have a secret of the policy's put into them; `host:NAME`, to call a function of the embedding program's; `agent`, `clock-wall` or `random`, where a policy takes it away
    #[arg(long, value_name = "CAPABILITY[=SCOPE]", value_parser = allowing::allowed, add = ArgValueCandidates::new(allowing::candidates))]
    pub(super) allow: Vec<Allowed>,
    /// Takes away a capability, also one that every task has: `agent`, `clock-wall`, `random`
    #[arg(long, value_name = "CAPABILITY", value_parser = allowing::without, add = ArgValueCandidates::new(allowing::capabilities))]
    pub(super) without: Vec<Capability>,
}

impl GrantArguments {
    /// What the task may touch. Files that go along are not among it.
    pub(super) fn grants(&self) -> Grants {
        let named = Grants { dirs: self.dir.clone(), env: self.env.clone(), ..Grants::default() };
        let granted = allowing::grant(named, &self.allow);
        self.without.iter().fold(granted, |granted, capability| granted.whole_without(*capability))
    }

    /// Whether a flag says anything of it.
    pub(super) fn is_said(&self) -> bool {
        let Self { dir, attach: _, env, allow, without } = self;
        !(dir.is_empty() && env.is_empty() && allow.is_empty() && without.is_empty())
    }

    /// A secret that is allowed.
    pub(super) fn secret(&self) -> Option<&str> {
        self.allow.iter().find_map(Allowed::secret)
    }

    /// The same as an addition to a policy, for one run.
    pub(super) fn addition(&self, limits: &LimitsRequest) -> Addition {
        Addition {
            grants: Grants { without: BTreeSet::new(), ..self.grants() },
            ambient: allowing::ambient(&self.allow),
            without: self.without.iter().copied().collect(),
            limits: *limits,
        }
    }
}
