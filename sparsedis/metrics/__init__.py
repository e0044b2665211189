"""Metrics of codes, given the factors, and of predictions, task by task."""

from sparsedis.metrics._capacity import dci_explicitness
from sparsedis.metrics._dci import dci
from sparsedis.metrics._estimator import DisentanglementScorer
from sparsedis.metrics._exclusivity import measurement_exclusivity
from sparsedis.metrics._fixed_factor import beta_vae_score, factor_vae_score
from sparsedis.metrics._infomec import infomec
from sparsedis.metrics._information import modularity, mutual_information_gap
from sparsedis.metrics._linear import linear_r_score
from sparsedis.metrics._mcc import mean_correlation_coefficient
from sparsedis.metrics._minimality import minimality_sufficiency
from sparsedis.metrics._predictability import explicitness, sap
from sparsedis.metrics._report import (
    DisentanglementReport,
    disentanglement_report,
)
from sparsedis.metrics._resampling import bootstrap_interval, chance_level
from sparsedis.metrics._robustness import interventional_robustness
from sparsedis.metrics._scorer import make_disentanglement_scorer
from sparsedis.metrics._task_scorer import make_task_scorer
from sparsedis.metrics._task_scores import task_scores
from sparsedis.metrics._udr import unsupervised_disentanglement_ranking

__all__ = [
    "DisentanglementReport",
    "DisentanglementScorer",
    "beta_vae_score",
    "bootstrap_interval",
    "chance_level",
    "dci",
    "dci_explicitness",
    "disentanglement_report",
    "explicitness",
    "factor_vae_score",
    "infomec",
    "interventional_robustness",
    "linear_r_score",
    "make_disentanglement_scorer",
    "make_task_scorer",
    "mean_correlation_coefficient",
    "measurement_exclusivity",
    "minimality_sufficiency",
    "modularity",
    "mutual_information_gap",
    "sap",
    "task_scores",
    "unsupervised_disentanglement_ranking",
]
