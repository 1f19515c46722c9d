//! What `notify` may be told.

use std::time::Duration;

/// Who is told what.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// Where messages go.
    pub receivers: Vec<ReceiverConfig>,
    /// Which incidents go to which receiver; every route that matches is taken.
    pub routes: Vec<RouteConfig>,
}

/// One webhook.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiverConfig {
    /// Named by routes.
    pub name: String,
    /// Where to post to.
    pub url: String,
    /// How often a delivery is tried.
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// How long one try may take, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
}

/// One route.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// A receiver's name.
    pub receiver: String,
    /// The tenant that reads there: it gets incidents in which its own services suffer, cut to what it may see. The operator's
    /// tenant gets every incident, whole.
    pub tenant: String,
}

fn default_attempts() -> u32 {
    5
}

fn default_timeout() -> u64 {
    10
}

impl ReceiverConfig {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

impl NotifyConfig {
    /// Names the first setting that cannot work, its value, and what would be right.
    pub fn validate(&self) -> Result<(), String> {
        for (at, receiver) in self.receivers.iter().enumerate() {
            let url = reqwest::Url::parse(&receiver.url);
            if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
                return Err(format!(
                    "notify.receivers[{at}].url {:?}: must be an http or https URL",
                    receiver.url
                ));
            }
            if receiver.max_attempts == 0 {
                return Err(format!(
                    "notify.receivers[{at}].max_attempts 0: must be at least 1"
                ));
            }
        }
        for (at, route) in self.routes.iter().enumerate() {
            if !self
                .receivers
                .iter()
                .any(|receiver| receiver.name == route.receiver)
            {
                let known: Vec<&str> = self
                    .receivers
                    .iter()
                    .map(|receiver| receiver.name.as_str())
                    .collect();
                return Err(format!(
                    "notify.routes[{at}].receiver {:?}: must be one of the receivers {}",
                    route.receiver,
                    known.join(", ")
                ));
            }
            demarc_proto::TenantId::new(route.tenant.clone())
                .map_err(|error| format!("notify.routes[{at}].tenant: {error}"))?;
        }
        Ok(())
    }
}
