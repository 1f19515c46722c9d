//! Spans as whole traces, each of the time before or of the disturbance.

use std::collections::HashMap;

use demarc_proto::Nanos;

use super::{Window, spans::Span};

/// Which time something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Before,
    During,
}

impl Phase {
    /// Before is 0, during is 1.
    pub(crate) fn place(self) -> usize {
        usize::from(self == Self::During)
    }
}

/// Spans with their parents and children, by their place in the list.
#[derive(Debug)]
pub(crate) struct Forest<'a> {
    pub(crate) spans: Vec<&'a Span>,
    pub(crate) parents: Vec<Option<usize>>,
    pub(crate) children: Vec<Vec<usize>>,
    /// The time of each span's trace; `None` for a trace of neither.
    pub(crate) phases: Vec<Option<Phase>>,
    /// By trace and span id.
    pub(crate) by_id: HashMap<(&'a [u8], &'a [u8]), usize>,
}

impl<'a> Forest<'a> {
    /// Ties spans together. A trace belongs whole to the time in which its first span started: it is never cut.
    pub(crate) fn of(spans: Vec<&'a Span>, window: &Window) -> Self {
        let mut by_id = HashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().copied().enumerate() {
            by_id
                .entry((span.trace.as_slice(), span.id.as_slice()))
                .or_insert(at);
        }
        let parent = |span: &'a Span| {
            let parent = span.parent.as_ref()?;
            by_id
                .get(&(span.trace.as_slice(), parent.as_slice()))
                .copied()
        };
        let mut parents: Vec<Option<usize>> = spans.iter().copied().map(parent).collect();
        break_circles(&mut parents);
        let mut children = vec![Vec::new(); spans.len()];
        for (at, parent) in parents.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(at);
            }
        }
        for siblings in &mut children {
            siblings.sort_by_key(|at| (spans[*at].start, *at));
        }
        let mut starts: HashMap<&[u8], Nanos> = HashMap::new();
        for span in &spans {
            let start = starts.entry(&span.trace).or_insert(span.start);
            *start = (*start).min(span.start);
        }
        let began = |span: &Span| starts[span.trace.as_slice()];
        let guarded = spans
            .iter()
            .filter(|span| window.is_well_before(began(span)));
        let is_young = guarded.count() < MIN_BEFORE_SPANS;
        let phase = |span: &Span| window.phase(began(span), is_young);
        Self {
            parents,
            children,
            phases: spans.iter().copied().map(phase).collect(),
            spans,
            by_id,
        }
    }

    /// Whether a request to its service begins with the span: a root, or what another service called.
    pub(crate) fn is_entry(&self, at: usize) -> bool {
        self.parents[at].is_none_or(|parent| self.spans[parent].service != self.spans[at].service)
    }

    /// The span with which the request began that a span is part of.
    pub(crate) fn entry_of(&self, mut at: usize) -> usize {
        while let Some(parent) = self.parents[at].filter(|_| !self.is_entry(at)) {
            at = parent;
        }
        at
    }

    /// Number of spans below each span.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        let mut sizes = vec![0; self.spans.len()];
        for root in 0..self.spans.len() {
            if self.parents[root].is_some() {
                continue;
            }
            // Parents before children, then summed up from the end.
            let mut order = vec![root];
            let mut next = 0;
            while next < order.len() {
                order.extend(&self.children[order[next]]);
                next += 1;
            }
            for at in order.into_iter().skip(1).rev() {
                if let Some(parent) = self.parents[at] {
                    sizes[parent] += 1 + sizes[at];
                }
            }
        }
        sizes
    }
}

/// With fewer spans than this well before the onset, those right before it count as well.
const MIN_BEFORE_SPANS: usize = 20;

/// Cuts the parent of one span of each circle: senders make mistakes.
fn break_circles(parents: &mut [Option<usize>]) {
    // The walk in which a span was last met; 0 is none.
    let mut met = vec![0; parents.len()];
    for start in 0..parents.len() {
        let mut at = start;
        while met[at] == 0 {
            met[at] = start + 1;
            match parents[at] {
                Some(parent) if met[parent] == start + 1 => parents[at] = None,
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_parents_is_cut_once() {
        let mut parents = vec![Some(1), Some(2), Some(0), Some(0), None, Some(5)];
        break_circles(&mut parents);
        assert_eq!(parents, [Some(1), Some(2), None, Some(0), None, None]);
    }
}
