//! `taskcell:plugin/grants`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::capability::Capability;
use crate::model::grants::Access;
use crate::model::grants::http::{HttpTouch, host_name};
use crate::model::grants::touch::Touch;
use crate::model::policy::mandate::Denied;
use crate::sandbox::bindings::taskcell::plugin::grants;
use crate::sandbox::cell::CellData;

use super::convert;

impl From<Denied> for grants::Denied {
    fn from(denied: Denied) -> Self {
        Self {
            capability: denied.capability.name().to_owned(),
            scope: denied.scope,
            reason: denied.reason,
            retryable: denied.retryable,
        }
    }
}

/// What a capability is asked for; which of these belong to it is looked at afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Scope {
    guest: Option<String>,
    access: Option<Access>,
    host: Option<String>,
    method: Option<String>,
    port: Option<u16>,
    plain: bool,
    name: Option<String>,
    plugin: Option<String>,
}

impl CellData {
    async fn request_grant(&mut self, capability: &str, scope: &str, why: String) -> Result<(), grants::Denied> {
        let denied = |reason: String| grants::Denied {
            capability: convert::clipped(capability.to_owned()),
            scope: String::new(),
            reason,
            retryable: false,
        };
        let known =
            Capability::from_name(capability).ok_or_else(|| denied("there is no such capability".to_owned()))?;
        let scope = convert::parsed(scope, "the scope").map_err(|refusal| denied(refusal.message))?;
        let scope: Option<Scope> =
            serde_json::from_value(scope).map_err(|error| denied(format!("the scope is not valid: {error}")))?;
        let scope = scope.unwrap_or_default();
        let lacks = || denied(format!("the scope does not say what of {known}"));
        let touch = self.touch(known, scope).ok_or_else(lacks)?;
        let why = convert::message(why).map_err(|refusal| denied(refusal.message))?;
        self.link.requested(touch, why).await.map_err(Into::into)
    }

    /// What is asked for, if the scope says enough.
    fn touch(&self, capability: Capability, scope: Scope) -> Option<Touch> {
        Some(match capability {
            Capability::Fs => {
                let guest = scope.guest?;
                let access = scope.access.unwrap_or(Access::Read);
                let dir = self.info.dirs.iter().find(|dir| dir.guest == guest)?;
                Touch::Dir { host: dir.host.clone(), guest, access }
            }
            Capability::Http => Touch::Http(HttpTouch {
                method: scope.method.unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase(),
                host: host_name(&scope.host?)?,
                port: scope.port.unwrap_or(if scope.plain { 80 } else { 443 }),
                plain: scope.plain,
            }),
            Capability::Env => Touch::Env(scope.name?),
            Capability::Secrets => Touch::Secret(scope.name?),
            Capability::Tasks => Touch::Tasks(scope.plugin?),
            Capability::Host => Touch::Function(scope.name?),
            Capability::Signal => Touch::Signal,
            Capability::Agent => Touch::Agent,
            Capability::Kv => Touch::Kv,
            Capability::ClockWall => Touch::ClockWall,
            Capability::Random => Touch::Random,
        })
    }

    /// Everything that it may touch, as the contract describes it. Where a folder is on the host is no guest's business.
    fn granted(&self) -> Value {
        let now = self.link.mandate.seen();
        let may = |capability: Capability| !now.without.contains(&capability);
        let fs: Vec<Value> = now.dirs.iter().map(|dir| json!({"guest": dir.guest, "access": dir.access})).collect();
        let http: Vec<Value> = now
            .http
            .iter()
            .map(|http| json!({"host": http.host.to_string(), "ports": http.ports, "methods": http.methods}))
            .collect();
        let env: Vec<&String> = now.env.iter().map(|(name, _)| name).collect();
        let any = if now.tasks { vec!["*"] } else { Vec::new() };
        let plugins: Vec<&str> = now.plugins.iter().map(String::as_str).chain(any).collect();
        json!({
            "version": 1,
            "fs": fs,
            "http": http,
            "env": env,
            "secrets": now.secrets,
            "tasks": plugins,
            "host": now.functions,
            "signal": now.signal,
            "kv": now.kv,
            "agent": may(Capability::Agent),
            "clock-wall": may(Capability::ClockWall),
            "random": may(Capability::Random),
        })
    }
}

impl grants::Host for CellData {
    async fn list(&mut self) -> wasmtime::Result<String> {
        let granted = self.granted().to_string();
        self.called(granted.len());
        Ok(granted)
    }

    async fn request(
        &mut self,
        capability: String,
        scope: String,
        reason: String,
    ) -> wasmtime::Result<Result<(), grants::Denied>> {
        self.called(capability.len() + scope.len() + reason.len());
        Ok(self.request_grant(&capability, &scope, reason).await)
    }

    async fn last_denied(&mut self) -> wasmtime::Result<Option<grants::Denied>> {
        self.called(0);
        Ok(self.link.mandate.last_denied().map(Into::into))
    }
}
