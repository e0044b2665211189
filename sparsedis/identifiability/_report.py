"""All checks on one set of tasks, as a report."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch, check_random_state, check_scalar

from sparsedis.identifiability._heads import AssumptionCheck, check_heads
from sparsedis.identifiability._intra_support import intra_support_variability
from sparsedis.identifiability._mixing import mixing
from sparsedis.identifiability._supports import n_supports_needed, support_variability
from sparsedis.identifiability._variability import (
    check_representation_variability,
    task_variability,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from sparsedis._typing import RandomState

# Mean correlation with the features of halves of the tasks from which a feature counts
# as settled: it was .99 and more where features were factors, .77 to .87 where not.
STABLE = 0.95

# Larger tables of counts than this are plotted without the numbers.
MAX_ANNOTATED = 15


@dataclass(frozen=True)
class IdentifiabilityReport:
    """Results of :func:`check_identifiability`.

    Parameters
    ----------
    checks : dict of str to AssumptionCheck
        The outcomes by number of the assumption: "3.3", "3.4", "3.5" and "3.6".

    supports : ndarray of shape (n_tasks, n_features) of bool
        Features that each head uses.

    mixing : ndarray of shape (n_features, n_features) or None
        A mixture that makes no head denser, if :func:`find_mixing` finds one.

    stability : ndarray of shape (n_features,) or None
        Agreement of each feature with its match when halves of the tasks decide, from
        0 to 1, where it is known.

    Examples
    --------
    >>> from sparsedis.identifiability import check_identifiability
    >>> report = check_identifiability([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0]])
    >>> report.verdict
    'fails'
    >>> report.groups
    [array([0, 1])]
    >>> report.n_further_tasks(failure_probability=0.01, p=0.5)
    20
    """

    checks: dict
    supports: np.ndarray
    mixing: np.ndarray | None
    stability: np.ndarray | None = None

    @property
    def trusted(self) -> np.ndarray:
        """Whether each feature is a factor, of shape (n_features,), as far as is known.

        It is not where halves of the tasks disagree on it (stability below .95), where
        no task separates it from another feature, or where no task uses it.
        """
        trusted = np.ones(self.supports.shape[1], dtype=bool)
        if self.stability is not None:
            trusted &= self.stability >= STABLE
        # The first of a pair can hold a part of the second.
        trusted[self.unseparated_pairs[:, 0]] = False
        return trusted

    @property
    def verdict(self) -> str:
        """Verdict of all checks together: "holds", "fails" or "undecidable".

        "fails" if an assumption fails, or a mixture is found that makes no head denser;
        "holds" if all assumptions that were checked hold.
        """
        verdicts = {check.verdict for check in self.checks.values()}
        if "fails" in verdicts or self.mixing is not None:
            return "fails"
        return "undecidable" if "undecidable" in verdicts else "holds"

    @property
    def unseparated_pairs(self) -> np.ndarray:
        """Ordered pairs of features that no task separates, of shape (n_pairs, 2)."""
        return self.checks["3.6"].details.unseparated_pairs

    @property
    def groups(self) -> list[np.ndarray]:
        """Groups of features that can stay mixed, as a list of arrays."""
        return self.checks["3.6"].details.groups

    @property
    def density(self) -> float:
        """Mean share of the features that a head uses."""
        return float(self.supports.mean())

    def n_further_tasks(
        self, failure_probability: float = 0.05, p: float | None = None
    ) -> float:
        """Find how many further random tasks would separate all pairs of features.

        Parameters
        ----------
        failure_probability : float in (0, 1), default=0.05
            Accepted probability that some pair is still not separated.

        p : float in (0, 1), default=None
            Probability that a further task uses a feature, independently of all others.
            None: the :attr:`density` of the tasks so far.

        Returns
        -------
        int or inf
            Number of tasks by Proposition B.7, applied to the pairs that are left.
            Infinite if `p` is None and the :attr:`density` is 0 or 1.
        """
        n_pairs = len(self.unseparated_pairs)
        if p is None:
            p = self.density
            if n_pairs == 0:
                return 0
            if p in (0.0, 1.0):
                return math.inf
        return n_supports_needed(
            self.supports.shape[1], p, failure_probability, n_pairs=n_pairs
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Plot how many tasks separate each pair of features.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to plot. None: a new figure.

        Returns
        -------
        matplotlib Axes
            With a cell for each ordered pair. Pairs that no task separates are framed.
        """
        from matplotlib.patches import Rectangle

        if ax is None:
            from matplotlib import pyplot as plt

            ax = plt.subplots()[1]
        counts = self.checks["3.6"].details.n_separating
        n_features = len(counts)
        shown = np.ma.masked_array(counts, np.eye(n_features, dtype=bool))
        image = ax.imshow(shown, cmap="viridis", vmin=0)
        ax.figure.colorbar(image, ax=ax, label="number of tasks")
        if n_features <= MAX_ANNOTATED:
            middle = counts.max() / 2
            for i, j in np.argwhere(~shown.mask):
                color = "white" if counts[i, j] < middle else "black"
                ax.text(j, i, counts[i, j], ha="center", va="center", color=color)
        for i, j in self.unseparated_pairs:
            ax.add_patch(
                Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, color="red", lw=2)
            )
        ax.set(
            xlabel="feature not used",
            ylabel="feature used",
            title=f"ordered pairs never separated: {len(self.unseparated_pairs)} of "
            f"{n_features * (n_features - 1)}",
            xticks=range(n_features),
            yticks=range(n_features),
        )
        return ax

    def __repr__(self):
        n_tasks, n_features = self.supports.shape
        n_distinct = len(np.unique(self.supports, axis=0))
        lines = [
            f"IdentifiabilityReport: {self.verdict}",
            f"{n_tasks} tasks, {n_features} features, {n_distinct} distinct supports, "
            f"{self.density:.0%} of the features used by a task",
        ]
        width = max(len(check.title) for check in self.checks.values())
        for check in self.checks.values():
            title = check.title.ljust(width)
            lines.append(
                f"{check.assumption}  {title}  {check.verdict:<11}  {check.reason}"
            )
        if self.groups:
            groups = " ".join(str(set(group.tolist())) for group in self.groups)
            lines.append(f"groups of features that can stay mixed: {groups}")
        if len(self.unseparated_pairs):
            n_further = self.n_further_tasks()
            lines.append(
                "no number of tasks like these separates the features"
                if math.isinf(n_further)
                else f"{n_further} further random tasks separate all features with "
                "probability .95 or more"
            )
        if self.stability is not None:
            lines += self._lines_of_trust()
        if self.mixing is not None:
            lines.append("found a mixture of features that makes no head denser")
        return "\n".join(lines)

    def _lines_of_trust(self):
        trusted = self.trusted
        lines = [f"trusted as factors: {trusted.sum()} of {len(trusted)} features"]
        low = np.flatnonzero(self.stability < STABLE)
        if len(low):
            shown = ", ".join(f"{j} ({self.stability[j]:.2f})" for j in low[:10])
            lines.append(
                f"halves of the tasks disagree on: {shown}{', ...' * (len(low) > 10)}; "
                f"{len(self.supports)} more tasks would make halves as large as all "
                "tasks now"
            )
        return lines


def check_identifiability(
    coef: ArrayLike,
    features: ArrayLike | None = None,
    *,
    stability: ArrayLike | None = None,
    exhaustive: bool = False,
    tol: float = 1e-6,
    rank_tol: float = 1e-10,
    max_subsets: int = 2_000,
    random_state: RandomState = None,
) -> IdentifiabilityReport:
    """Check the assumptions under which tasks identify disentangled features.

    Assumptions 3.3 to 3.6 guarantee that sparse multi-task learning recovers the
    features up to order and scale. They are about true features and heads, which are
    known in simulations. On learned features and heads the outcome is only a hint.

    Parameters
    ----------
    coef : array-like, (n_tasks, n_features) or (n_tasks, n_outputs, n_features)
        Coefficients of the heads of the tasks, such as ``coef_`` of an estimator. Heads
        with NaN, of tasks without labels, are left out, with a warning.

    features : array-like of shape (n_samples, n_features), default=None
        Features of inputs, for Assumption 3.3. None: it is not checked.

    stability : array-like of shape (n_features,), default=None
        Agreement of the features with those of halves of the tasks, such as
        ``stability_`` of an estimator. None: features are trusted by the supports
        alone.

    exhaustive : bool, default=False
        Assume that the distribution of tasks draws no other heads, instead of taking
        them for a sample.

    tol : float, default=1e-6
        Coefficients (norms over the outputs) up to this part of the largest of their
        head count as zero.

    rank_tol : float, default=1e-10
        Relative threshold for linear dependence. Arrays computed in float32 need about
        1e-5.

    max_subsets : int, default=2000
        Largest number of subsets of heads that Assumption 3.5 tries for each support.

    random_state : int, RandomState instance or None, default=None
        Draws these subsets. Pass an int for the same report at every call.

    Returns
    -------
    IdentifiabilityReport
        With the outcome of each check, the groups of features that can stay mixed, and
        a plot.

    Raises
    ------
    ValueError
        If an array has another shape, `coef` holds infinity or no head without NaN, or
        `features` holds NaN or infinity or has another number of columns.

    See Also
    --------
    check_representation_variability : Assumption 3.3.
    check_task_variability : Assumption 3.4.
    check_intra_support_variability : Assumption 3.5.
    check_support_variability : Assumption 3.6.
    find_mixing : A mixture of features that makes no head denser.

    References
    ----------
    .. [1] Lachapelle et al., "Synergies between disentanglement and sparsity:
       generalization and identifiability in multi-task learning", ICML 2023,
       Section 3.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.identifiability import check_identifiability
    >>> rng = np.random.default_rng(0)
    >>> supports = rng.random((60, 3)) < 0.5
    >>> supports[:, 1] |= supports[:, 0]
    >>> check_identifiability(supports * rng.standard_normal((60, 3)))
    IdentifiabilityReport: fails
    ...
    groups of features that can stay mixed: {0, 1}
    ...
    """
    check_scalar(rank_tol, "rank_tol", numbers.Real, min_val=0)
    check_scalar(max_subsets, "max_subsets", numbers.Integral, min_val=1)
    heads, supports = check_heads(coef, tol)
    n_features = heads.shape[2]
    if features is None:
        representation = AssumptionCheck(
            "3.3", "representation varies", "not checked", "no features given.", Bunch()
        )
    else:
        representation = check_representation_variability(features, rank_tol=rank_tol)
        found = np.shape(features)[1]
        if found != n_features:
            raise ValueError(
                f"features must have the columns of coef, {n_features}; got {found}."
            )
    if stability is not None:
        stability = np.asarray(stability, dtype=float)
        if stability.shape != (n_features,) or np.isnan(stability).any():
            raise ValueError(
                f"stability must hold a number for each of the {n_features} features, "
                f"got {stability} of shape {stability.shape}."
            )
    checks = [
        representation,
        task_variability(heads, rank_tol),
        intra_support_variability(
            heads,
            supports,
            exhaustive,
            rank_tol,
            max_subsets,
            check_random_state(random_state),
        ),
        support_variability(supports),
    ]
    return IdentifiabilityReport(
        checks={check.assumption: check for check in checks},
        supports=supports,
        mixing=mixing(heads, supports, rank_tol),
        stability=stability,
    )
