//! The loop around the pure core: takes observations in, keeps them in the store, hands out graphs.

use std::sync::Arc;

use demarc_proto::{Clock, Nanos, Observation, TenantId};
use demarc_store::Store;
use parking_lot::Mutex;

use crate::{
    Graph, Responsibility, TopologyConfig, TopologyError, calls, identify, persist, state::State,
};

/// All entities and relations of all tenants.
#[derive(Debug)]
pub struct Topology {
    store: Arc<Store>,
    config: TopologyConfig,
    responsibility: Responsibility,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Topology {
    /// Reads back what the store knows.
    pub async fn open(
        store: Arc<Store>,
        config: TopologyConfig,
        responsibility: Responsibility,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, TopologyError> {
        let mut state = State::default();
        for tenant in store.tenants() {
            persist::load(&mut state, &store.snapshot(&tenant), &config).await?;
        }
        state.mark_persisted();
        let state = Mutex::new(state);
        Ok(Arc::new(Self {
            store,
            config,
            responsibility,
            clock,
            state,
        }))
    }

    /// Takes observations in, in any order.
    pub fn observe(&self, observations: &[Observation]) {
        let mut state = self.state.lock();
        for observation in observations {
            merge(&mut state, observation, &self.config);
        }
    }

    /// The graph as it was at `at`.
    pub fn graph_at(&self, at: Nanos) -> Arc<Graph> {
        let state = self.state.lock();
        Arc::new(Graph::of(&state, &self.responsibility, &self.config, at))
    }

    /// Who answers for what.
    pub fn responsibility(&self) -> &Responsibility {
        &self.responsibility
    }

    /// The tenant that sees everything.
    pub fn operator(&self) -> Option<TenantId> {
        TenantId::new(self.config.operator_tenant.clone()).ok()
    }

    /// Writes what changed since the last call to the store.
    #[tracing::instrument(skip_all, err)]
    pub async fn persist(&self) -> Result<(), TopologyError> {
        let rows = {
            let mut state = self.state.lock();
            let graph = Graph::of(&state, &self.responsibility, &self.config, self.clock.now());
            persist::changed(&mut state, &graph, &self.config)
        };
        for (tenant, rows) in rows {
            if let Ok(tenant) = TenantId::new(tenant) {
                self.store.append(&tenant, rows).await?;
            }
        }
        Ok(())
    }
}

/// Merges one observation; the order of observations does not matter.
pub(crate) fn merge(state: &mut State, observation: &Observation, config: &TopologyConfig) {
    match observation {
        Observation::Resource(seen) => identify::resource(state, seen, config),
        Observation::Calls(seen) => calls::calls(state, seen, config),
    }
}
