//! The server's configuration: defaults, then the file, then `DEMARC_SECTION__KEY` in the environment, then flags.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, bail};
use demarc_incident::IncidentConfig;
use demarc_ingest::IngestConfig;
use demarc_notify::NotifyConfig;
use demarc_proto::TenantId;
use demarc_query::QueryConfig;
use demarc_report::ReportConfig;
use demarc_rules::{RuleSet, RulesConfig, Scope};
use demarc_store::StoreConfig;
use demarc_topology::{Responsibility, TopologyConfig};

use crate::{
    cli::ServerArgs,
    connection::SocketsConfig,
    memory::{self, MemoryConfig},
    telemetry::TelemetryConfig,
    tls::TlsConfig,
};

/// Everything that the server may be told. The empty file is valid.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    /// Arrow Flight SQL.
    pub(crate) flight: SocketAddr,
    /// SQL over PostgreSQL's protocol.
    pub(crate) postgres: SocketAddr,
    /// How receivers of notifications reach the HTTP API; the address that it listens on when empty.
    pub(crate) external_url: String,
    /// The responsibility file.
    pub(crate) responsibility_file: Option<PathBuf>,
    /// Prometheus rule files.
    pub(crate) rule_files: Vec<RuleFile>,
    /// Whether the shipped rules are evaluated for every tenant.
    pub(crate) shipped_rules: bool,
    pub(crate) memory: MemoryConfig,
    pub(crate) store: StoreConfig,
    pub(crate) ingest: IngestConfig,
    pub(crate) query: QueryConfig,
    pub(crate) topology: TopologyConfig,
    pub(crate) rules: RulesConfig,
    pub(crate) incident: IncidentConfig,
    pub(crate) notify: NotifyConfig,
    pub(crate) report: ReportConfig,
    pub(crate) telemetry: TelemetryConfig,
    pub(crate) sockets: SocketsConfig,
    pub(crate) tls: TlsConfig,
}

/// One rule file.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub(crate) path: PathBuf,
    /// Whose data; every tenant's when absent.
    #[serde(default)]
    pub(crate) tenant: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            data_dir: PathBuf::from("demarc-data"),
            http: local(9400),
            otlp_grpc: local(4317),
            otlp_http: local(4318),
            flight: local(9401),
            postgres: local(9402),
            external_url: String::new(),
            responsibility_file: None,
            rule_files: Vec::new(),
            shipped_rules: true,
            memory: MemoryConfig::default(),
            store: StoreConfig::default(),
            ingest: IngestConfig::default(),
            query: QueryConfig::default(),
            topology: TopologyConfig::default(),
            rules: RulesConfig::default(),
            incident: IncidentConfig::default(),
            notify: NotifyConfig::default(),
            report: ReportConfig::default(),
            telemetry: TelemetryConfig::default(),
            sockets: SocketsConfig::default(),
            tls: TlsConfig::default(),
        }
    }
}

impl Config {
    /// Reads file, environment and flags, and checks what they say.
    pub(crate) fn load(args: ServerArgs) -> anyhow::Result<Self> {
        let mut table = toml::Table::new();
        if let Some(path) = &args.config {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("read configuration file {}", path.display()))?;
            table = text
                .parse()
                .with_context(|| format!("configuration file {}", path.display()))?;
        }
        overlay(&mut table, std::env::vars())?;
        memory::fit(&mut table, memory::of_system());
        let mut config: Self = table.try_into().context("configuration")?;
        config.data_dir = args.data_dir.unwrap_or(config.data_dir);
        config.http = args.http.unwrap_or(config.http);
        config.otlp_grpc = args.otlp_grpc.unwrap_or(config.otlp_grpc);
        config.otlp_http = args.otlp_http.unwrap_or(config.otlp_http);
        config.flight = args.flight.unwrap_or(config.flight);
        config.postgres = args.postgres.unwrap_or(config.postgres);
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> anyhow::Result<()> {
        for (section, checked) in [
            ("store", self.store.validate()),
            ("ingest", self.ingest.validate()),
            ("query", self.query.validate()),
            ("incident", self.incident.validate()),
            ("notify", self.notify.validate()),
            ("report", self.report.validate()),
            ("telemetry", self.telemetry.validate()),
            ("sockets", self.sockets.validate()),
        ] {
            if let Err(sentence) = checked {
                bail!("configuration: [{section}] {sentence}");
            }
        }
        self.operator()?;
        self.tls.open(&[]).context("configuration")?;
        Ok(())
    }

    pub(crate) fn operator(&self) -> anyhow::Result<TenantId> {
        TenantId::new(self.topology.operator_tenant.clone()).context("topology.operator_tenant")
    }

    pub(crate) fn responsibility(&self) -> anyhow::Result<Responsibility> {
        let Some(path) = &self.responsibility_file else {
            return Ok(Responsibility::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("responsibility_file {}", path.display()))?;
        Responsibility::from_yaml(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn rule_sets(&self) -> anyhow::Result<Vec<RuleSet>> {
        let mut sets = Vec::new();
        if self.shipped_rules {
            sets.push(RuleSet::defaults());
        }
        for file in &self.rule_files {
            let scope = match &file.tenant {
                None => Scope::EveryTenant,
                Some(tenant) => {
                    Scope::Tenant(TenantId::new(tenant.clone()).context("rule_files.tenant")?)
                }
            };
            let text = std::fs::read_to_string(&file.path)
                .with_context(|| format!("rule_files.path {}", file.path.display()))?;
            sets.push(
                RuleSet::from_yaml(scope, &text)
                    .with_context(|| file.path.display().to_string())?
                    .in_file(file.path.display().to_string()),
            );
        }
        Ok(sets)
    }
}

/// Lays `DEMARC_SECTION__KEY=value` over the table; a value that is no TOML is a text.
fn overlay(
    table: &mut toml::Table,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    for (name, value) in variables {
        let Some((section, key)) = name
            .strip_prefix("DEMARC_")
            .and_then(|rest| rest.split_once("__"))
        else {
            continue;
        };
        let (section, key) = (section.to_lowercase(), key.to_lowercase());
        let parsed = format!("value = {value}").parse::<toml::Table>().ok();
        let value = parsed.and_then(|mut table| table.remove("value"));
        let text = || std::env::var(&name).map(toml::Value::String);
        let value = match value {
            Some(value) => value,
            None => text().with_context(|| name.clone())?,
        };
        let entry = table
            .entry(section)
            .or_insert_with(|| toml::Table::new().into());
        let Some(section) = entry.as_table_mut() else {
            bail!("{name}: there is no such section")
        };
        section.insert(key, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_file_is_a_valid_configuration() {
        let config: Config = toml::Table::new().try_into().unwrap();
        config.validate().unwrap();
    }

    #[test]
    fn the_environment_lies_over_the_file() {
        let mut table: toml::Table = "[store]\nflush_rows = 5\n".parse().unwrap();
        let variables = [("DEMARC_STORE__FLUSH_ROWS".to_owned(), "7".to_owned())];
        overlay(&mut table, variables.into_iter()).unwrap();
        let config: Config = table.try_into().unwrap();
        assert_eq!(config.store.flush_rows, 7);
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let table: toml::Table = "[store]\nflush_row = 5\n".parse().unwrap();
        let error = Config::try_from_table(table).unwrap_err();
        assert!(error.contains("flush_row"), "{error}");
    }

    impl Config {
        fn try_from_table(table: toml::Table) -> Result<Self, String> {
            table
                .try_into()
                .map_err(|error: toml::de::Error| error.to_string())
        }
    }
}
