//! A deployment laid out on this machine: which processes, on which processors, on which ports, through which links.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    ports,
    role::{CallConfig, Defect, Protocol, Role, RoleConfig},
    scenario::{Deployment, Service, ServiceKind},
};

/// Every process of a deployment.
#[derive(Debug)]
pub(crate) struct System {
    /// In the order in which they are started: what is called comes before its callers.
    pub(crate) processes: Vec<RoleConfig>,
    /// Where the load goes, and how much of it.
    pub(crate) load: Vec<(String, SocketAddr, f64)>,
    /// The file that lists each host's processes.
    pub(crate) lists: BTreeMap<String, PathBuf>,
}

/// Where telemetry goes and files are.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) otlp: &'a str,
    pub(crate) dir: &'a Path,
}

impl System {
    /// Lays a deployment out.
    pub(crate) fn plan(deployment: &Deployment, around: &Surroundings<'_>) -> anyhow::Result<Self> {
        let mut plan = Plan {
            deployment,
            around,
            cores: cores(&deployment.hosts),
            addresses: BTreeMap::new(),
            forwards: BTreeMap::new(),
        };
        let names = deployment.services.iter().map(|one| &one.name);
        for name in names.chain(deployment.externals.iter().map(|one| &one.name)) {
            plan.addresses.insert(name.clone(), ports::free()?);
        }
        let mut processes = Vec::new();
        for external in &deployment.externals {
            let mut config = plan.process(&external.name, Role::Gateway, "", "")?;
            config.listen = plan.addresses[&external.name];
            config.work_ms = external.latency_ms as f64;
            processes.push(config);
        }
        let mut services = Vec::new();
        for service in &deployment.services {
            services.push(plan.service(service)?);
        }
        let lists = plan.agents(&mut processes)?;
        for link in &deployment.links {
            let role = Role::Link {
                source: link.from.clone(),
                destination: link.to.clone(),
                forwards: plan.forwards.get(&link.name).cloned().unwrap_or_default(),
            };
            processes.push(plan.process(&link.name, role, "", &deployment.operator)?);
        }
        processes.extend(services);
        let load = deployment
            .load
            .iter()
            .map(|load| {
                let address = plan
                    .addresses
                    .get(&load.to)
                    .context("load.to names no service")?;
                Ok((load.to.clone(), *address, load.per_second))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            processes,
            load,
            lists,
        })
    }
}

struct Plan<'a> {
    deployment: &'a Deployment,
    around: &'a Surroundings<'a>,
    cores: BTreeMap<String, Vec<usize>>,
    addresses: BTreeMap<String, SocketAddr>,
    forwards: BTreeMap<String, Vec<(SocketAddr, SocketAddr)>>,
}

impl Plan<'_> {
    fn process(
        &self,
        name: &str,
        role: Role,
        host: &str,
        tenant: &str,
    ) -> anyhow::Result<RoleConfig> {
        Ok(RoleConfig {
            role,
            name: name.to_owned(),
            namespace: String::new(),
            tenant: tenant.to_owned(),
            host: host.to_owned(),
            version: "2.3.1".to_owned(),
            cores: self.cores.get("").cloned().unwrap_or_default(),
            listen: ports::free()?,
            control: ports::free()?,
            otlp: self.around.otlp.to_owned(),
            work_ms: 0.0,
            calls: Vec::new(),
            defect: Defect::default(),
        })
    }

    /// One agent for each host; returns the files that list the hosts' processes.
    fn agents(&self, processes: &mut Vec<RoleConfig>) -> anyhow::Result<BTreeMap<String, PathBuf>> {
        let mut lists = BTreeMap::new();
        for host in &self.deployment.hosts {
            let path = self.around.dir.join(format!("{host}.json"));
            let role = Role::Agent {
                processes: path.clone(),
            };
            let name = format!("agent-{host}");
            processes.push(self.process(&name, role, host, &self.deployment.operator)?);
            lists.insert(host.clone(), path);
        }
        Ok(lists)
    }

    fn service(&mut self, service: &Service) -> anyhow::Result<RoleConfig> {
        let role = match service.kind {
            ServiceKind::Http => Role::Http,
            ServiceKind::Worker => Role::Worker,
            ServiceKind::Database => Role::Database,
        };
        let mut config = self.process(&service.name, role, &service.host, &service.tenant)?;
        config.namespace.clone_from(&service.namespace);
        config.listen = self.addresses[&service.name];
        config.work_ms = service.work_ms;
        config.cores = self.cores.get(&service.host).cloned().with_context(|| {
            format!(
                "service {:?}: host {:?} is not one of hosts",
                service.name, service.host
            )
        })?;
        for call in &service.calls {
            let direct = self.addresses.get(&call.to).copied().with_context(|| {
                format!(
                    "service {:?} calls {:?}, which is not there",
                    service.name, call.to
                )
            })?;
            let callee = self
                .deployment
                .services
                .iter()
                .find(|one| one.name == call.to);
            let external = self
                .deployment
                .externals
                .iter()
                .find(|one| one.name == call.to);
            let protocol = match callee {
                Some(callee) if callee.kind == ServiceKind::Database => {
                    Protocol::Sql(call.statement)
                }
                _ => Protocol::Http,
            };
            let known_port = external.map_or(direct.port(), |external| external.port);
            config.calls.push(CallConfig {
                to: call.to.clone(),
                protocol,
                address: self.route(&service.host, callee.map(|callee| &callee.host), direct)?,
                known_as: (call.to.clone(), known_port),
                share: call.share,
            });
        }
        Ok(config)
    }

    /// The address that leads to `direct` from a host: that of the link between the two, where there is one.
    fn route(
        &mut self,
        from: &str,
        to: Option<&String>,
        direct: SocketAddr,
    ) -> anyhow::Result<SocketAddr> {
        let link = self
            .deployment
            .links
            .iter()
            .find(|link| link.from == from && Some(&link.to) == to);
        let Some(link) = link else { return Ok(direct) };
        let forwards = self.forwards.entry(link.name.clone()).or_default();
        if let Some((listen, _)) = forwards.iter().find(|(_, target)| *target == direct) {
            return Ok(*listen);
        }
        let listen = ports::free()?;
        forwards.push((listen, direct));
        Ok(listen)
    }
}

/// The processors of each host, and under "" of everything that is on no host. The first host gets the last processor for
/// itself, so that it can be used up without anything else noticing; the others share what is left.
fn cores(hosts: &[String]) -> BTreeMap<String, Vec<usize>> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let shared: Vec<usize> = if count > 1 {
        (0..count - 1).collect()
    } else {
        vec![0]
    };
    let mut cores = BTreeMap::from([(String::new(), shared.clone())]);
    for (at, host) in hosts.iter().enumerate() {
        cores.insert(
            host.clone(),
            if at == 0 {
                vec![count - 1]
            } else {
                shared.clone()
            },
        );
    }
    cores
}
