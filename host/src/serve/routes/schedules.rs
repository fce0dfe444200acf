//! Schedules: added, looked at, paused, fired by hand and removed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};

use crate::serve::desk::Desk;
use crate::serve::reading::{Body, NamedSchedule, Params};
use crate::serve::refusal::Refusal;
use crate::serve::wire::{NewSchedule, ScheduleList};
use crate::{Party, Schedule};

use super::{path, tasks};

pub(super) async fn list(State(desk): State<Arc<Desk>>, Params(()): Params<()>) -> Result<Json<ScheduleList>, Refusal> {
    Ok(Json(ScheduleList { schedules: desk.host.schedules().list().await? }))
}

pub(super) async fn add(State(desk): State<Arc<Desk>>, Body(new): Body<NewSchedule>) -> Result<Response, Refusal> {
    let schedules = desk.host.schedules();
    let id = schedules.add(new.into()).await?;
    let schedule = schedules.get(id).await?;
    Ok((StatusCode::CREATED, [(LOCATION, path("schedules", id))], Json(schedule)).into_response())
}

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    NamedSchedule(id): NamedSchedule,
    Params(()): Params<()>,
) -> Result<Json<Schedule>, Refusal> {
    Ok(Json(desk.host.schedules().get(id).await?))
}

pub(super) async fn remove(
    State(desk): State<Arc<Desk>>,
    NamedSchedule(id): NamedSchedule,
    Params(()): Params<()>,
) -> Result<StatusCode, Refusal> {
    desk.host.schedules().remove(id, Party::Person).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn pause(
    State(desk): State<Arc<Desk>>,
    NamedSchedule(id): NamedSchedule,
    Params(()): Params<()>,
) -> Result<Json<Schedule>, Refusal> {
    let schedules = desk.host.schedules();
    schedules.pause(id, Party::Person).await?;
    Ok(Json(schedules.get(id).await?))
}

pub(super) async fn resume(
    State(desk): State<Arc<Desk>>,
    NamedSchedule(id): NamedSchedule,
    Params(()): Params<()>,
) -> Result<Json<Schedule>, Refusal> {
    let schedules = desk.host.schedules();
    schedules.resume(id, Party::Person).await?;
    Ok(Json(schedules.get(id).await?))
}

pub(super) async fn fire(
    State(desk): State<Arc<Desk>>,
    NamedSchedule(id): NamedSchedule,
    Params(()): Params<()>,
) -> Result<Response, Refusal> {
    let task = desk.host.schedules().fire_now(id, Party::Person).await?;
    Ok(tasks::told(&task))
}
