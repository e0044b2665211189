"""Sparse multi-task representation learning as a scikit-learn estimator."""

from __future__ import annotations

from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.base import RegressorMixin

from sparsedis._scores import TaskR2
from sparsedis.bilevel._declaration import declared
from sparsedis.inputs._forms import read_targets
from sparsedis.inputs._ids import read_task_ids
from sparsedis.inputs._known_tasks import task_numbers
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.multitask._predictor import Numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch.utils.data import Dataset

    from sparsedis._typing import SparseMatrix


@declared
class SparseMultiTaskRepresentation(RegressorMixin, BaseRepresentation):
    r"""Representation shared by many regression tasks with sparse linear heads.

    One encoder f serves all the tasks; each task t has its own head, the exact
    solution of a convex problem on the features, and the encoder is trained through
    that solution by implicit differentiation. By default training uses Ridge heads on
    more features than needed, which finds the span of the factors behind the tasks.
    Then `fit` counts the factors from the heads, rotates the features to the sparsest
    heads (Eq. 2 of [1]_), and selects the features that each task needs. The defaults
    need no tuning, and no penalty shrinks the predictions.

    With ``rotation=None`` the encoder is trained with sparse heads, the method of the
    paper (Eq. 4):

    .. math::

        \min_f \frac{1}{T} \sum_t \frac{1}{2 n_t} \|y_t - f(X_t) \hat w_t\|^2
        \quad \text{with} \quad
        \hat w_t = \mathrm{arg}\min_w \frac{1}{2 n_t} \|y_t - f(X_t) w\|^2
        + \lambda_t \|w\|_1

    With enough tasks of varied sparse supports the features are the factors behind
    the tasks, up to order and scale (Theorem 3.1): they are disentangled.

    Parameters
    ----------
    selection : {"bic", "cv", "1se"}, default="bic"
        Selection of the features of each head after a rotation: by the Bayesian
        information criterion, by cross-validation, or as the fewest features within one
        standard error of the best cross-validation score. For classes see
        :class:`~sparsedis.SparseMultiTaskClassifier`; without a rotation see `refit`.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself (on
        targets of unit variance when ``normalize_y=True``).

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``rotation=None``: least squares (for "elasticnet" with its l2
        term) on the features that the penalty selects, so that predictions are not
        shrunk, or the penalised solution itself. After a rotation heads are always
        least squares, on the features of `selection`.

    solver : {"auto", "batched", "celer"}, default="auto"
        Solver of the sparse heads, see :func:`sparsedis.implicit.lasso`. "auto": celer
        for wide problems on a CPU, where it is faster, otherwise the batched solver,
        which solves all tasks at once.

    normalize_y : bool, default=True
        Whether `fit` trains on targets of unit variance per task, so that no task
        dominates the loss because of its unit. `coef_` and `intercept_` are scaled
        back. If targets share a unit and factors are strongly correlated, False
        disentangles better. The targets of a stream are not scaled.

    Attributes
    ----------
    coef_ : ndarray, (n_tasks, n_components) or (n_tasks, n_outputs, n_components)
        Heads on the features. NaN for a task without any label. Not available after
        `fit_stream`, which does not keep the tasks.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)
        Intercepts of the heads.

    See Also
    --------
    sparsedis.SparseMultiTaskClassifier : The same for classification tasks.
    sparsedis.implicit.lasso : The inner problem as a layer for other models.

    Notes
    -----
    The built-in encoder of tables standardises its inputs, so columns may have any
    units (see :class:`~sparsedis.encoders.MLP`). The inputs of a stream and those of
    your own encoder are not scaled.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskRepresentation
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(
    ...     n_samples=300, n_tasks=60, n_factors=4, random_state=0
    ... )
    >>> est = SparseMultiTaskRepresentation(max_iter=100, random_state=0)
    >>> Z = est.fit_transform(X, Y)
    >>> Z.shape, est.coef_.shape
    ((300, 4), (60, 4))
    """

    _parameter_constraints: ClassVar = {
        **BaseRepresentation._parameter_constraints,
        "normalize_y": ["boolean"],
    }

    _likelihood = "gaussian"

    _: KW_ONLY
    normalize_y: bool = True

    def predict(
        self, X: ArrayLike | Dataset, task: ArrayLike | None = None
    ) -> np.ndarray:
        """Predictions of every task, or of one task for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        y : ndarray of shape (n_samples,), (n_samples, n_tasks) or (n_samples, \
n_tasks, n_outputs)
            Predictions of all tasks; without the axis of tasks if the y of `fit` had
            none, or with `task`.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        scores = self._predictions(self._scores(X, task))
        return scores[:, 0] if task is None and self._layout == "single" else scores

    def predict_interval(
        self,
        X: ArrayLike,
        task: ArrayLike | None = None,
        *,
        confidence_level: float = 0.9,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions, and intervals that hold new labels with a given probability.

        Split conformal prediction: half the width of the interval of a task is the
        error of the right rank among its held-out labels, or, for tasks with too few of
        them, among those of all the tasks, in units of the task. The probability is
        that of a new row like those of `fit`, not of each value of X. It is
        approximate, since these rows also stop the training and set the shares of
        `linear_`.

        Parameters
        ----------
        X, task : array-like
            As in `predict`.

        confidence_level : float in (0, 1), default=0.9
            Probability that the interval of a task holds a new label.

        Returns
        -------
        y : ndarray
            As `predict` returns it.

        intervals : ndarray of shape (n_samples, 2) or (n_samples, n_tasks, 2)
            Lower and upper ends; infinite where all tasks together have too few
            held-out labels for `confidence_level`.

        Raises
        ------
        ValueError
            If nothing was held out (see `linear`), targets are vectors, or
            `confidence_level` is out of range.
        """
        margin = self._margins(confidence_level)
        y = self.predict(X, task)
        if task is not None:
            margin = margin[task_numbers(read_task_ids(task, len(y)), self.tasks_)]
        elif y.ndim == 1:
            margin = margin[0]
        return y, np.stack([y - margin, y + margin], -1)

    def score(
        self,
        X: ArrayLike | Dataset,
        y: ArrayLike | SparseMatrix,
        task: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Mean over the tasks of the coefficient of determination R2.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels in any form that `fit` takes. Tasks with fewer than two labels here,
            or none in `fit`, are left out.

        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
default=None
            Weights of the samples or the labels, as in `fit`.

        Returns
        -------
        score : float
            Mean R2.

        Raises
        ------
        ValueError
            When no task can be scored.
        """
        judged = self._judged(X, y, task, sample_weight)
        each = TaskR2(len(self.tasks_))
        for values, prediction, tasks, weight in judged:
            each.add(values, self._predictions(prediction), tasks, weight)
        return each.mean()

    def _predictions(self, scores):
        """Predictions of the targets from the scores of the heads."""
        return self._head.loss.predict(torch.from_numpy(scores)).numpy()

    def _reading(self):
        return Numbers(self._head.loss, self._layout == "single")

    def _read(self, y, n_samples, task, weight):
        name = type(self).__name__
        targets = read_targets(y, n_samples, task, weight, real=True, estimator=name)
        if self.head is not None:
            self._check_head()
            values = targets.values[np.isfinite(targets.values)]
            self.head.loss.check_targets(torch.from_numpy(values)[None])
        return targets
