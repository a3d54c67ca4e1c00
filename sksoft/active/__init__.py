"""Which rows are worth a label: uncertainty, diverse batches, committees, streams, synthesis, and a loop."""

from sksoft.active.active_learning_loop import ActiveLearningLoop
from sksoft.active.array_query import query_uncertain
from sksoft.active.uncertainty_sampler import UncertaintySampler

__all__ = ["ActiveLearningLoop", "UncertaintySampler", "query_uncertain"]
