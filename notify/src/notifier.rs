//! Delivers, with retries, and keeps a record.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use demarc_incident::{Audience, Incident};
use demarc_proto::{Clock, Nanos, TenantId};
use demarc_topology::Graph;
use serde::Serialize;
use tracing::{info, warn};

use crate::{NotifyConfig, NotifyError, ReceiverConfig, message::Message};

/// Deliveries that are remembered.
const RECORD: usize = 1000;
/// Wait before the second try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a notice is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// An incident began.
    Opened,
    /// Its verdict says something new.
    Verdict,
    /// It is over.
    Resolved,
}

/// Something to tell.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The incident.
    pub incident: Incident,
    /// Why now.
    pub occasion: Occasion,
    /// The topology, which says what each reader may see.
    pub graph: Arc<Graph>,
}

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The receiver.
    pub receiver: String,
    /// The incident.
    pub incident: String,
    /// Why.
    pub occasion: Occasion,
    /// When the last try ended, Unix nanoseconds.
    pub at: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed in the end; `None` when it was taken.
    pub error: Option<String>,
}

/// Tells receivers of incidents.
#[derive(Debug)]
pub struct Notifier {
    config: NotifyConfig,
    operator: TenantId,
    external_url: String,
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    record: Mutex<VecDeque<Delivery>>,
}

impl Notifier {
    /// A notifier whose messages link to `external_url`.
    pub fn new(
        config: NotifyConfig,
        operator: TenantId,
        external_url: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (client, record) = (reqwest::Client::new(), Mutex::default());
        Self {
            config,
            operator,
            external_url,
            client,
            clock,
            record,
        }
    }

    /// Sends a notice to every receiver that a route leads to, at the same time; returns when each took it or was given up.
    #[tracing::instrument(skip_all, fields(incident = notice.incident.id))]
    pub async fn notify(&self, notice: &Notice) -> Vec<Delivery> {
        let mut tasks = Vec::new();
        for route in &self.config.routes {
            let receiver = self
                .config
                .receivers
                .iter()
                .find(|receiver| receiver.name == route.receiver);
            let (Some(receiver), Ok(tenant)) = (receiver, TenantId::new(route.tenant.clone()))
            else {
                continue;
            };
            let concerns =
                tenant == self.operator || notice.incident.tenants.contains(tenant.as_str());
            if concerns {
                tasks.push(self.deliver(receiver, tenant, notice));
            }
        }
        futures::future::join_all(tasks).await
    }

    /// The newest deliveries, the oldest of them first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    async fn deliver(
        &self,
        receiver: &ReceiverConfig,
        tenant: TenantId,
        notice: &Notice,
    ) -> Delivery {
        let audience = Audience::new(&tenant, &self.operator, &notice.graph);
        let incident = audience.incident(&notice.incident);
        let message = Message::new(
            &incident,
            notice.occasion,
            &receiver.name,
            &self.external_url,
        );
        let mut wait = FIRST_WAIT;
        let mut attempts = 1;
        let error = loop {
            match self.post(receiver, &tenant, &message).await {
                Ok(()) => break None,
                Err(error) if !error.is_retryable() || attempts >= receiver.max_attempts => {
                    break Some(error);
                }
                Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            attempts += 1;
        };
        match &error {
            None => info!(receiver = receiver.name, attempts, "notification delivered"),
            Some(error) => {
                let cause: &dyn std::error::Error = error;
                warn!(
                    receiver = receiver.name,
                    attempts, cause, "notification given up"
                );
            }
        }
        let Nanos(at) = self.clock.now();
        let delivery = Delivery {
            receiver: receiver.name.clone(),
            incident: notice.incident.id.clone(),
            occasion: notice.occasion,
            at,
            attempts,
            error: error.map(|error| error.to_string()),
        };
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push_back(delivery.clone());
        if record.len() > RECORD {
            record.pop_front();
        }
        delivery
    }

    async fn post(
        &self,
        receiver: &ReceiverConfig,
        tenant: &TenantId,
        message: &Message<'_>,
    ) -> Result<(), NotifyError> {
        let name = || receiver.name.clone();
        let answer = self
            .client
            .post(&receiver.url)
            .timeout(receiver.timeout())
            .header("X-Scope-OrgID", tenant.as_str())
            .json(message)
            .send()
            .await
            .map_err(|source| NotifyError::Unreachable {
                receiver: name(),
                source,
            })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(NotifyError::Refused {
            receiver: name(),
            status: status.as_u16(),
        })
    }
}
