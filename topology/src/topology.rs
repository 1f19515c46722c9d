//! The loop around the pure core: takes observations in, keeps them in the store, hands out graphs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use demarc_proto::{Clock, EntityId, Nanos, Observation, TenantId};
use demarc_store::{Rows, Store};
use parking_lot::{RwLock, RwLockReadGuard};
use petgraph::{stable_graph::NodeIndex, visit::NodeIndexable};

use crate::{
    ConflictKind, Entity, Graph, ImportReport, ImportRequest, ImportRun, Mappings, Problems,
    Relation, Responsibility, TopologyConfig, TopologyError, UnmappedMetric, calls, identify,
    import::{self, Ground, Importer},
    persist::{self, Amount, RowsByTenant},
    problem,
    sight::Sight,
    state::State,
    view::View,
};

/// Nodes that are read before others get their turn.
const TURN: usize = 512;
/// Observations that are merged before others get their turn: whoever asks waits for no more than these.
const MERGE_TURN: usize = 192;

/// Turns of forgetting after each writing.
const FORGET_TURNS: usize = 50;
/// Rows that are gathered before they are written together.
const WRITE_ROWS: usize = 10_000;
/// Most matrices that are remembered; of more, the newest are.
const MAX_MATRICES: usize = 64;

/// All entities and relations of all tenants.
#[derive(Debug)]
pub struct Topology {
    store: Arc<Store>,
    config: TopologyConfig,
    /// Each matrix with the time since when it is in force; never empty, the oldest first.
    matrices: RwLock<Vec<(Nanos, Arc<Responsibility>)>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) state: RwLock<State>,
}

/// Entities and relations of a graph that is yet to be made.
type Parts = (BTreeMap<EntityId, Entity>, Vec<Relation>);

/// What is asked of the surroundings of an entity.
#[derive(Clone, Debug)]
pub struct Around {
    /// The middle.
    pub entity: EntityId,
    /// How many steps away.
    pub depth: usize,
    /// Most entities in the answer; the nearest come first.
    pub most: usize,
    /// When.
    pub at: Nanos,
}

impl Topology {
    /// Reads back what the store knows.
    pub async fn open(
        store: Arc<Store>,
        config: TopologyConfig,
        responsibility: Responsibility,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, TopologyError> {
        let mut mappings = Mappings::shipped();
        for path in &config.mapping_files {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| {
                TopologyError::Mapping(format!("mapping_files {}: {error}", path.display()))
            })?;
            mappings.add(&text)?;
        }
        let mut state = State::new(Arc::new(mappings));
        let kept = (clock.now().minus(config.history()), Nanos(i64::MAX));
        for tenant in store.tenants() {
            persist::load(&mut state, &store.snapshot(&tenant), kept, &config).await?;
        }
        state.mark_kept();
        Ok(Arc::new(Self {
            store,
            config,
            matrices: RwLock::new(vec![(Nanos(i64::MIN), Arc::new(responsibility))]),
            clock,
            state: RwLock::new(state),
        }))
    }

    /// Takes observations in, in any order.
    pub fn observe(&self, observations: &[Observation]) {
        for turn in observations.chunks(MERGE_TURN) {
            let mut state = self.state.write();
            for observation in turn {
                merge(&mut state, observation, &self.config);
            }
        }
    }

    /// The graph as it was at `at`.
    pub fn graph_at(&self, at: Nanos) -> Arc<Graph> {
        let parts = self.all_parts(self.state.read(), at);
        Arc::new(self.whole(parts, at))
    }

    fn all_parts(&self, mut state: RwLockReadGuard<'_, State>, at: Nanos) -> Parts {
        let nodes: Vec<NodeIndex> = state.graph.node_indices().collect();
        self.parts(&mut state, &nodes, at, |_| true)
    }

    fn whole(&self, (entities, relations): Parts, at: Nanos) -> Graph {
        let graph = Graph::new(at, entities, relations).without_unreached();
        graph.owned_by(&self.responsibility_at(at))
    }

    /// The graph as it was at a time that memory holds no more: read back from the store.
    #[tracing::instrument(skip_all, err)]
    pub async fn recall(&self, at: Nanos) -> Result<Arc<Graph>, TopologyError> {
        let mut state = State::new(self.mappings());
        for tenant in self.store.tenants() {
            let snapshot = self.store.snapshot(&tenant);
            persist::load(&mut state, &snapshot, (at, at), &self.config).await?;
        }
        let state = RwLock::new(state);
        let parts = self.all_parts(state.read(), at);
        Ok(Arc::new(self.whole(parts, at)))
    }

    /// Whether memory holds the graph at `at`, rather than the store alone.
    pub fn remembers(&self, at: Nanos) -> bool {
        at >= self.clock.now().minus(self.config.history())
    }

    /// The entities within some steps of one, and all that ties them; `None` when there is no such entity then.
    pub fn neighbourhood(&self, around: &Around) -> Option<Graph> {
        self.graph_around(around, None)
    }

    /// As [`Self::neighbourhood`], of what `tenant` may see: steps lead over nothing else.
    pub fn visible_neighbourhood(&self, tenant: &TenantId, around: &Around) -> Option<Graph> {
        let is_operator = *tenant.as_str() == self.config.operator_tenant;
        self.graph_around(around, (!is_operator).then_some(tenant))
    }

    fn graph_around(&self, around: &Around, reader: Option<&TenantId>) -> Option<Graph> {
        let mut state = self.state.read();
        let start = state.node(&around.entity)?;
        let nodes = {
            let view = self.view(&state, around.at);
            let mut sight = reader.map(|tenant| Sight {
                view,
                tenant,
                operator: &self.config.operator_tenant,
                asked: HashMap::new(),
            });
            let mut may_see = |node| sight.as_mut().is_none_or(|sight| sight.sees(node));
            view.known(start).filter(|_| may_see(start))?;
            view.around(start, (around.depth, around.most), may_see)
        };
        let mut inside = vec![false; state.graph.node_bound()];
        nodes.iter().for_each(|node| inside[node.index()] = true);
        let is_inside = |node: NodeIndex| inside.get(node.index()) == Some(&true);
        let (entities, relations) = self.parts(&mut state, &nodes, around.at, is_inside);
        // Writers wait for no more than what needs the state.
        drop(state);
        let graph = Graph::new(around.at, entities, relations);
        Some(graph.owned_by(&self.responsibility_at(around.at)))
    }

    /// What is wrong with the graph at `at`; a tenant other than the operator is told of what it may see only.
    pub fn problems(&self, tenant: &TenantId, at: Nanos) -> Problems {
        let graph = self.visible_at(tenant, at);
        let mut problems = Problems::of(&graph);
        let mut state = self.state.read();
        problems.refused = state.refused;
        let nodes: Vec<NodeIndex> = state.graph.node_indices().collect();
        for turn in nodes.chunks(TURN) {
            let view = self.view(&state, at);
            let found = turn.iter().flat_map(|node| view.conflicts(*node));
            problems.conflicts.extend(found);
            RwLockReadGuard::bump(&mut state);
        }
        if *tenant.as_str() != self.config.operator_tenant {
            // The other kinds name who else has an address, and that may be another agency.
            problems.conflicts.retain(|conflict| {
                conflict.kind == ConflictKind::SharedIdentity
                    && graph.get(&conflict.entity).is_some()
            });
            problems.refused = 0;
        }
        problems.conflicts.sort();
        problems.unmapped = self.unmapped(tenant, &graph);
        problems
    }

    /// The metrics that lead to no entity; the operator is told of every tenant's.
    fn unmapped(&self, tenant: &TenantId, graph: &Graph) -> Vec<UnmappedMetric> {
        let mut tenants = vec![tenant.clone()];
        if *tenant.as_str() == self.config.operator_tenant {
            tenants = self.store.tenants();
        }
        let mappings = self.mappings();
        let mut found = Vec::new();
        for tenant in tenants {
            let snapshot = self.store.snapshot(&tenant);
            found.extend(problem::unmapped(&snapshot, &mappings, graph));
        }
        found
    }

    /// The graph as it was at `at`, cut to what a tenant may see.
    pub fn visible_at(&self, tenant: &TenantId, at: Nanos) -> Arc<Graph> {
        let graph = self.graph_at(at);
        match self.operator() {
            Some(operator) if operator != *tenant => Arc::new(graph.visible_to(tenant, &operator)),
            _ => graph,
        }
    }

    fn view<'a>(&'a self, state: &'a State, at: Nanos) -> View<'a> {
        View {
            state,
            config: &self.config,
            at,
        }
    }

    /// The parts of the graph of some nodes, without owners; lets writers have their turn in between. A node that comes to be
    /// meanwhile is not wanted.
    fn parts(
        &self,
        state: &mut RwLockReadGuard<'_, State>,
        nodes: &[NodeIndex],
        at: Nanos,
        is_wanted: impl Fn(NodeIndex) -> bool,
    ) -> Parts {
        let mut entities = BTreeMap::new();
        let mut relations: Vec<Relation> = Vec::new();
        for (number, turn) in nodes.chunks(TURN).enumerate() {
            if number > 0 {
                RwLockReadGuard::bump(state);
            }
            let view = self.view(state, at);
            for node in turn {
                if let Some(entity) = view.entity(*node) {
                    entities.insert(entity.id.clone(), entity);
                    relations.extend(view.relations_from(*node, &is_wanted));
                }
            }
        }
        (entities, relations)
    }

    /// Refuses an id that `tenant` may not tell anything of: only the operator may tell of what is not its own.
    pub fn may_tell_of(&self, tenant: &TenantId, field: &str, id: &EntityId) -> Result<(), String> {
        let operator = &self.config.operator_tenant;
        Importer { tenant, operator }.may_name(field, id)
    }

    /// The tables by which series and resources are read.
    pub fn mappings(&self) -> Arc<Mappings> {
        Arc::clone(&self.state.read().mappings)
    }

    /// Who answers for what, by the matrix that is in force now.
    pub fn responsibility(&self) -> Arc<Responsibility> {
        self.responsibility_at(Nanos(i64::MAX))
    }

    /// Who answered for what at `at`, by the matrix that was in force then.
    pub fn responsibility_at(&self, at: Nanos) -> Arc<Responsibility> {
        let matrices = self.matrices.read();
        let in_force = matrices.iter().rev().find(|(since, _)| *since <= at);
        let (_, matrix) = in_force.unwrap_or(&matrices[0]);
        Arc::clone(matrix)
    }

    /// Puts another matrix in force from now on. What was before is still judged by the one that was in force then, as long as this
    /// process lives; afterwards by `valid_from` and `valid_to` of its rules.
    pub fn answer_by(&self, matrix: Responsibility) {
        let mut matrices = self.matrices.write();
        matrices.push((self.clock.now(), Arc::new(matrix)));
        if matrices.len() > MAX_MATRICES {
            matrices.remove(0);
        }
    }

    /// What the topology was told.
    pub fn config(&self) -> &TopologyConfig {
        &self.config
    }

    /// The tenant that sees everything.
    pub fn operator(&self) -> Option<TenantId> {
        TenantId::new(self.config.operator_tenant.clone()).ok()
    }

    /// Takes an inventory in, or says what that would change. When it returns, what was taken is durable.
    #[tracing::instrument(skip_all, err(level = "debug"), fields(tenant = %request.tenant, source = request.source))]
    pub async fn import(&self, request: &ImportRequest<'_>) -> Result<ImportReport, TopologyError> {
        let read = import::read(request.text, request.format)?;
        let claim = import::claim(&request.source)?;
        let report = {
            let mut state = self.state.write();
            let ground = Ground {
                state: &state,
                claim: &claim,
                now: self.clock.now(),
                mode: request.mode,
            };
            let importer = Importer {
                tenant: &request.tenant,
                operator: &self.config.operator_tenant,
            };
            let mut plan = import::plan(ground, read, importer);
            let report = std::mem::take(&mut plan.report);
            if request.run == ImportRun::Real {
                plan.apply(&mut state, &claim, &self.config);
            }
            report
        };
        if request.run == ImportRun::Real {
            self.write(Amount::Due).await?;
        }
        Ok(report)
    }

    /// Writes what is new to the store; what goes on is left to [`Self::persist`].
    #[tracing::instrument(skip_all, err)]
    pub async fn persist_new(&self) -> Result<(), TopologyError> {
        self.write_queued(Amount::Due).await
    }

    /// Writes what is new or has grown by much to the store, and forgets what is older than the history that is kept.
    #[tracing::instrument(skip_all, err)]
    pub async fn persist(&self) -> Result<(), TopologyError> {
        self.write(Amount::Due).await?;
        let horizon = self.clock.now().minus(self.config.history());
        for _ in 0..FORGET_TURNS {
            self.state.write().forget_some(horizon);
        }
        Ok(())
    }

    /// Writes all that changed to the store: before it closes.
    #[tracing::instrument(skip_all, err)]
    pub async fn close(&self) -> Result<(), TopologyError> {
        self.write(Amount::All).await
    }

    async fn write(&self, amount: Amount) -> Result<(), TopologyError> {
        self.state.write().queue_later();
        self.write_queued(amount).await
    }

    async fn write_queued(&self, amount: Amount) -> Result<(), TopologyError> {
        let matrix = self.responsibility();
        let owners = (&*matrix, self.clock.now());
        let mut rows = RowsByTenant::new();
        loop {
            let changed = persist::changed(&mut self.state.write(), owners, amount, &self.config);
            let is_last = changed.is_none();
            for (tenant, more) in changed.unwrap_or_default() {
                let gathered = rows.entry(tenant).or_default();
                gathered.entities.extend(more.entities);
                gathered.relations.extend(more.relations);
            }
            let count: usize = rows.values().map(Rows::len).sum();
            if is_last || count >= WRITE_ROWS {
                self.append(std::mem::take(&mut rows)).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn append(&self, rows: RowsByTenant) -> Result<(), TopologyError> {
        for (tenant, rows) in rows {
            let Ok(tenant) = TenantId::new(tenant) else {
                continue;
            };
            if let Err(error) = self.store.append(&tenant, rows).await {
                // Which facts these rows were of is not known any more; a row that is written twice does no harm.
                self.state.write().mark_unkept();
                return Err(error.into());
            }
        }
        Ok(())
    }
}

/// Merges one observation; the order of observations does not matter.
pub(crate) fn merge(state: &mut State, observation: &Observation, config: &TopologyConfig) {
    let mappings = Arc::clone(&state.mappings);
    match observation {
        Observation::Resource(seen) => {
            identify::resource(state, seen, config);
            mappings.resource(state, seen, config);
        }
        Observation::Calls(seen) => calls::calls(state, seen, config),
        Observation::Series(seen) => mappings.series(state, seen, config),
    }
}
