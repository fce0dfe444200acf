//! Plugins: loaded and kept, replaced, unloaded and thrown away, enabled and disabled.
//!
//! What is answered is written down before: the next server has the same plugins.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, Called, Params, Wasm};
use crate::serve::refusal::Refusal;
use crate::serve::shelf::{ShelfError, Staged};
use crate::serve::wire::{
    AddQuery, Changed, PluginInfo, PluginList, PluginReplaced, Problem, ProblemKind, ReplaceQuery, RevokeBody, Stops,
    UnloadQuery, bytes,
};
use crate::{Plugin, PluginBytes, RevokeFrom, RevokeReport, Unload};

use super::controls::taken_away;
use super::path;

impl Desk {
    fn enabled(&self, name: &str) -> bool {
        self.host.plugin_is_enabled(name).unwrap_or(false)
    }

    fn plugin(&self, name: &str) -> Option<Plugin> {
        self.host.plugins().into_iter().find(|plugin| plugin.name() == name)
    }

    fn full(&self, plugin: &Plugin) -> PluginInfo {
        PluginInfo::full(&self.host, plugin, self.enabled(plugin.name()))
    }

    fn unknown_plugin(&self, name: &str) -> Refusal {
        let loaded: Vec<String> = self.host.plugins().iter().map(|plugin| plugin.name().to_owned()).collect();
        let detail = format!("no plugin is called {name:?}");
        Problem { loaded: Some(loaded), ..Problem::new(ProblemKind::UnknownPlugin, detail) }.into()
    }

    /// Writes a file where it can be looked at, and looks.
    async fn stage(&self, name: Option<String>, bytes: Arc<PluginBytes>) -> Result<(Plugin, Staged), Refusal> {
        let place = self.shelf.clone();
        let staged = on_disk(move || place.stage(name.as_deref(), &bytes)).await?;
        let plugin = self.host.inspect_plugin(staged.path()).await?;
        Ok((plugin, staged))
    }

    /// Puts back what was there before a file that turned out to be none for here.
    async fn put_back(&self, name: String, before: Option<PluginBytes>) -> Result<(), Refusal> {
        let place = self.shelf.clone();
        on_disk(move || match before {
            Some(bytes) => place.stage(Some(&name), &bytes)?.put(&name).map(drop),
            None => place.remove(&name),
        })
        .await
    }
}

/// Does what blocks where that holds nobody up.
async fn on_disk<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, ShelfError> + Send + 'static,
) -> Result<T, Refusal> {
    let broken = |_| Refusal::new(ProblemKind::Internal, "the server's threads are gone");
    Ok(tokio::task::spawn_blocking(job).await.map_err(broken)??)
}

pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(()): Params<()>) -> Json<PluginList> {
    let line = |plugin: &Plugin| PluginInfo::line(plugin, desk.enabled(plugin.name()));
    Json(PluginList { plugins: desk.host.plugins().iter().map(line).collect() })
}

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Params(()): Params<()>,
) -> Result<Json<PluginInfo>, Refusal> {
    desk.plugin(&name).map(|plugin| Json(desk.full(&plugin))).ok_or_else(|| desk.unknown_plugin(&name))
}

pub(super) async fn add(
    State(desk): State<Arc<Desk>>,
    Params(AddQuery { name, signature }): Params<AddQuery>,
    Wasm(wasm): Wasm,
) -> Result<Response, Refusal> {
    let (this, bytes) = (Arc::clone(&desk), Arc::new(bytes(wasm, signature)));
    let (plugin, is_new) = desk.to_the_end(async move { load(&this, name, bytes).await }).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(LOCATION, path("plugins", plugin.name()))];
    Ok((status, location, Json(desk.full(&plugin))).into_response())
}

async fn load(desk: &Desk, name: Option<String>, bytes: Arc<PluginBytes>) -> Result<(Plugin, bool), Refusal> {
    let _filing = desk.filing.lock().await;
    let (seen, staged) = desk.stage(name, Arc::clone(&bytes)).await?;
    let name = seen.name().to_owned();
    let there = desk.plugin(&name);
    if let Some(there) = there.as_ref().filter(|there| there.digest() != seen.digest()) {
        let detail = format!(
            "a plugin called {name:?} is loaded already, from other code (version {}); replace it with PUT, or give this one \
             another name",
            there.manifest().version
        );
        return Err(Refusal::new(ProblemKind::NameInUse, detail));
    }
    let kept = name.clone();
    let before = on_disk(move || staged.put(&kept)).await?;
    match desk.host.load_plugin_bytes(name.clone(), (*bytes).clone()).await {
        Ok(plugin) => Ok((plugin, there.is_none())),
        Err(error) => {
            desk.put_back(name, before).await?;
            Err(error.into())
        }
    }
}

pub(super) async fn replace(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Params(ReplaceQuery { how, signature }): Params<ReplaceQuery>,
    Wasm(wasm): Wasm,
) -> Result<Json<PluginReplaced>, Refusal> {
    if desk.plugin(&name).is_none() {
        return Err(desk.unknown_plugin(&name));
    }
    let (this, bytes) = (Arc::clone(&desk), Arc::new(bytes(wasm, signature)));
    desk.to_the_end(async move { exchange(&this, name, bytes, how).await.map(Json) }).await
}

async fn exchange(desk: &Desk, name: String, bytes: Arc<PluginBytes>, how: Unload) -> Result<PluginReplaced, Refusal> {
    // Held until the name points to it: of several that replace a plugin at once, the last one's file is what is loaded.
    let filing = desk.filing.lock().await;
    let (seen, staged) = desk.stage(Some(name.clone()), Arc::clone(&bytes)).await?;
    if seen.name() != name {
        let detail = format!("this is the plugin {:?}, and it cannot take the place of {name:?}", seen.name());
        return Err(Refusal::new(ProblemKind::Refused, detail));
    }
    let kept = name.clone();
    let before = on_disk(move || staged.put(&kept)).await?;
    let switched = match desk.host.switch_plugin_bytes(name.clone(), (*bytes).clone(), how).await {
        Ok(switched) => switched,
        Err(error) => {
            desk.put_back(name, before).await?;
            return Err(error.into());
        }
    };
    drop(filing);
    // The tasks of the old version may take long.
    let replaced = switched.done().await;
    Ok(PluginReplaced { plugin: desk.full(&replaced.plugin), report: replaced.report.into() })
}

pub(super) async fn unload(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Params(UnloadQuery(how)): Params<UnloadQuery>,
) -> Result<Json<Stops>, Refusal> {
    let this = Arc::clone(&desk);
    desk.to_the_end(async move {
        let report = this.host.unload_plugin(&name, how).await?;
        // Last: when the server ends before, the plugin is there again, with its tasks.
        let _filing = this.filing.lock().await;
        if this.plugin(&name).is_none() {
            let shelf = this.shelf.clone();
            on_disk(move || shelf.remove(&name)).await?;
        }
        Ok(Json(report.into()))
    })
    .await
}

pub(super) async fn enable(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Params(()): Params<()>,
) -> Result<Json<Changed>, Refusal> {
    set_enabled(&desk, name, true).await
}

pub(super) async fn disable(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Params(()): Params<()>,
) -> Result<Json<Changed>, Refusal> {
    set_enabled(&desk, name, false).await
}

pub(super) async fn revoke(
    State(desk): State<Arc<Desk>>,
    Called(name): Called,
    Body(body): Body<RevokeBody>,
) -> Result<Json<RevokeReport>, Refusal> {
    if desk.plugin(&name).is_none() {
        return Err(desk.unknown_plugin(&name));
    }
    Ok(Json(taken_away(&desk, RevokeFrom::Plugin(name), body).await))
}

async fn set_enabled(desk: &Arc<Desk>, name: String, enabled: bool) -> Result<Json<Changed>, Refusal> {
    let this = Arc::clone(desk);
    desk.to_the_end(async move {
        let _filing = this.filing.lock().await;
        let changed = this.host.set_plugin_enabled(&name, enabled).await?;
        let shelf = this.shelf.clone();
        on_disk(move || shelf.enable(&name, enabled)).await?;
        Ok(Json(Changed { changed }))
    })
    .await
}
