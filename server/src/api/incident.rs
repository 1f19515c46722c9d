//! Questions, incidents, reports; each cut to what the tenant may see.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequestParts, Path, Query, State},
    http::request::Parts,
    response::Html,
};
use demarc_incident::{Audience, Incident, Question, SymptomKind};
use demarc_proto::{Nanos, TenantId, TimeRange};
use demarc_report::{Language, render};
use serde_json::{Value as Body, json};

use super::{
    params::{Params, duration, time},
    prometheus::success,
};
use crate::{
    app::App,
    status::ApiError,
    tenant::{self, Tenant},
};

/// Most incidents that one list shows.
const MAX_LISTED: u32 = 100;

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuestionBody {
    service: String,
    /// A duration before now, or a time.
    since: String,
    until: Option<String>,
    symptom: Option<SymptomKind>,
    /// Times of peace to compare with, each `[from, to]`.
    #[serde(default)]
    compare_with: Vec<(String, String)>,
}

pub(crate) async fn demarcate(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    body: axum::body::Bytes,
) -> Result<Json<Body>, ApiError> {
    let asked: QuestionBody = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("body: {error}")))?;
    let now = app.clock.now();
    let at = |name: &str, text: &str| {
        let moment = match duration(text) {
            // A bare number is a time in Unix seconds, not a duration.
            Ok(before) if text.parse::<f64>().is_err() => Ok(now.minus(before)),
            _ => time(text),
        };
        moment.map_err(|fault| {
            ApiError::bad_request(format!("{name}: {fault}, nor a duration such as 10m"))
        })
    };
    let question = Question {
        tenant: tenant.clone(),
        since: at("since", &asked.since)?,
        until: asked
            .until
            .as_deref()
            .map(|text| at("until", text))
            .transpose()?,
        history: asked
            .compare_with
            .iter()
            .map(|(from, to)| {
                let (from, to) = (at("compare_with", from)?, at("compare_with", to)?);
                let reversed = format!("compare_with [{from}, {to}]: must begin before it ends");
                TimeRange::new(from, to).ok_or_else(|| ApiError::bad_request(reversed))
            })
            .collect::<Result<_, _>>()?,
        service: asked.service,
        symptom: asked.symptom.unwrap_or(SymptomKind::Any),
    };
    let verdict = app.demarcation.ask(&question).await?;
    let audience = audience(&app, &tenant, Nanos(verdict.until));
    success(json!(audience.verdict(&verdict)))
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    params: Params,
) -> Result<Json<Body>, ApiError> {
    let incidents = app.demarcation.registry().list(MAX_LISTED).await?;
    let mut seen = Vec::new();
    for incident in incidents
        .iter()
        .filter(|incident| concerns(&app, incident, &tenant))
    {
        let is_wanted = params
            .get("state")
            .is_none_or(|state| (state == "open") == incident.is_open());
        if is_wanted {
            seen.push(cut(&app, incident, &tenant));
        }
    }
    success(json!(seen))
}

pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Body>, ApiError> {
    let incident = find(&app, &tenant, &id).await?;
    success(json!(cut(&app, &incident, &tenant)))
}

#[derive(Debug, serde::Deserialize)]
pub(crate) struct ReportParams {
    lang: Option<String>,
}

pub(crate) async fn report(
    State(app): State<Arc<App>>,
    Reader(tenant): Reader,
    Path(id): Path<String>,
    Query(params): Query<ReportParams>,
) -> Result<Html<String>, ApiError> {
    let language: Language = match &params.lang {
        None => Language::default(),
        Some(text) => text.parse().map_err(ApiError::bad_request)?,
    };
    let incident = find(&app, &tenant, &id).await?;
    let audience = audience(&app, &tenant, judged_at(&incident));
    let responsibility = app.topology.responsibility();
    Ok(Html(render(
        &incident,
        &audience,
        &responsibility,
        (language, &app.report),
    )?))
}

pub(crate) async fn verify(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Json<Body>, ApiError> {
    find(&app, &tenant, &id).await?;
    match app.demarcation.verify(&id).await? {
        Some(verification) => success(json!(verification)),
        None => Err(ApiError::not_found(format!(
            "incident {id} has no verdict yet"
        ))),
    }
}

/// Who was told what; for the operator alone.
pub(crate) async fn notifications(
    State(app): State<Arc<App>>,
    Tenant(tenant): Tenant,
) -> Result<Json<Body>, ApiError> {
    if tenant != app.operator {
        let sentence = format!(
            "tenant {tenant}: only the operator {} sees deliveries",
            app.operator
        );
        return Err(ApiError::bad_request(sentence));
    }
    success(json!(app.notifier.deliveries()))
}

/// A tenant that a browser may name in the URL, as it sends no header of its own.
pub(crate) struct Reader(TenantId);

impl<S: Send + Sync> FromRequestParts<S> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        #[derive(serde::Deserialize)]
        struct Named {
            tenant: Option<String>,
        }
        let named = Query::<Named>::try_from_uri(&parts.uri)
            .ok()
            .and_then(|query| query.0.tenant);
        if let (Some(named), None) = (named, parts.headers.get(tenant::HEADER)) {
            return tenant::of(Some(named.as_bytes()))
                .map(Self)
                .map_err(ApiError::bad_request);
        }
        Tenant::from_request_parts(parts, state)
            .await
            .map(|Tenant(tenant)| Self(tenant))
    }
}

/// An incident that concerns the tenant; another's is not there.
async fn find(app: &App, tenant: &TenantId, id: &str) -> Result<Incident, ApiError> {
    let incident = app.demarcation.registry().get(id).await?;
    incident
        .filter(|incident| concerns(app, incident, tenant))
        .ok_or_else(|| {
            ApiError::not_found(format!("incident {id:?} is not there for tenant {tenant}"))
        })
}

fn concerns(app: &App, incident: &Incident, tenant: &TenantId) -> bool {
    *tenant == app.operator || incident.tenants.contains(tenant.as_str())
}

fn cut(app: &App, incident: &Incident, tenant: &TenantId) -> Incident {
    audience(app, tenant, judged_at(incident)).incident(incident)
}

/// The topology that an incident was judged on is the one that says who may see what of it.
fn judged_at(incident: &Incident) -> Nanos {
    Nanos(
        incident
            .verdict()
            .map_or(incident.opened_at, |verdict| verdict.until),
    )
}

fn audience(app: &App, tenant: &TenantId, at: Nanos) -> Audience {
    Audience::new(tenant, &app.operator, &app.topology.graph_at(at))
}
