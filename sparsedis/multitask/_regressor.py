"""Sparse multi-task representation learning as a scikit-learn estimator."""

import numpy as np
import torch
from sklearn.base import RegressorMixin

from sparsedis._scores import TaskR2
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.tasks._forms import read_targets


class SparseMultiTaskRepresentation(RegressorMixin, BaseRepresentation):
    r"""Representation shared by many regression tasks with sparse linear heads.

    One encoder f serves all the tasks; each task t has its own head, the exact
    solution of a convex problem on the features, and the encoder is trained through
    that solution by implicit differentiation. By default the heads are Ridge heads on
    more features than are needed, which finds the span of the factors behind the
    tasks. Then their heads say how many factors there are, the features are rotated to
    where the heads are sparsest (Eq. 2 of [1]_), and each head gets the features that
    its task needs. Nothing has to be chosen, and no penalty shrinks the predictions.

    With ``rotation=None`` the encoder itself is trained to have sparse heads, which is
    the method of the paper (Eq. 4):

    .. math::

        \min_f \frac{1}{T} \sum_t \frac{1}{2 n_t} \|y_t - f(X_t) \hat w_t\|^2
        \quad \text{with} \quad
        \hat w_t = \arg\min_w \frac{1}{2 n_t} \|y_t - f(X_t) w\|^2
        + \lambda_t \|w\|_1

    With enough tasks of varied sparse supports the features are the factors behind
    the tasks, up to order and scale (Theorem 3.1): they are disentangled.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of features. "auto" counts the factors that the heads of the tasks show:
        32 features are trained, or as many as the tasks have outputs; those of a torch
        module or of "identity" are as many as these give. With ``rotation=None``, `fit`
        counts by a first training, and `fit_stream` needs a number.

    rotation : {"sparsest"} or None, default="sparsest"
        "sparsest": features are the linear map of what was trained in which the heads
        of the tasks are sparsest. None: what was trained, where the penalty of the
        heads is to separate the factors.

    selection : {"bic", "cv", "1se"}, default="bic"
        How each head gets its features after a rotation: by the Bayesian information
        criterion, by cross-validation, or as the fewest features within a standard
        error of the best in it. For classes, and without a rotation, see
        :class:`~sparsedis.SparseMultiTaskClassifier` and `refit`.

    alpha : float, array-like of shape (n_tasks,) or "auto", default="auto"
        Strength of the penalty, of all tasks or of each. With
        ``alpha_mode="relative"`` a fraction, in (0, 1], of the smallest penalty that
        makes a task's head zero, or for "l2" of the mean curvature, computed for every
        task at every step; no gradient flows through it. "auto": 0.01 for "l2", else
        0.4, or 0.05 where ``penalty_at="outer"``. After a rotation it shapes the
        training alone. With ``rotation=None`` small values leave correlated factors
        mixed: the shrinkage of the heads then costs less with mixed features.

    penalty : {"auto", "l1", "elasticnet", "l2"}, default="auto"
        Of the heads in training. "auto": "l2" where a rotation follows, else, and for
        ``penalty_at="outer"``, "l1". "l1": Lasso heads ("inner-Lasso"), by rows where
        targets are vectors, so that a feature serves all the outputs of a task or none.
        "elasticnet": with a squared l2 term besides. "l2": Ridge heads ("inner-Ridge"),
        which do not disentangle by themselves.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself (on
        targets of unit variance when ``normalize_y=True``).

    alpha_warmup : float in [0, 1], default=0.4
        Fraction of the steps over which `alpha` rises linearly to its value. A large
        penalty from the first step can switch a feature off for good.

    learn_alpha : bool, default=False
        Whether to learn `alpha`, which is then where to start, by its hypergradient:
        one number for all tasks, a fraction through a sigmoid. Needs
        `inner_fraction`; `alpha_warmup` is not used.

    l2 : float, default=0.01
        Squared l2 term of "elasticnet", absolute. Normalised features have variance 1:
        0.01 adds one percent to it.

    penalty_at : {"inner", "outer"}, default="inner"
        Where the l1 penalty stands. "outer": in the loss of the encoder, the heads
        having a tiny ridge term alone (Eq. 60, Appendix B.3).

    inner_fraction : float in (0, 1), default=None
        Share of a task's samples in a step that its head is fitted on; the loss of the
        encoder is that of the others (Eq. 5). None: both use all of them (Eq. 4).

    encoder : str, torch module or callable, default="auto"
        "auto", "mlp", "conv", "conv4", "resnet12" or "identity", where "auto" is "conv"
        for images ``(n, height, width, channels)``, else "mlp" (see
        :mod:`sparsedis.encoders`). A module is copied; a class or function is called
        with ``(input_shape, n_components)``. Images reach it as
        ``(n, channels, height, width)``. Its weights become float32, whatever they
        were.

    normalization : {"batch", "layer", None}, default="batch"
        Normalisation, without learned scale and shift, appended to any encoder. It
        keeps the norm of the features, and so the meaning of the penalty, fixed. With
        "layer" the features of a row sum to zero, so that they depend on each other.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``rotation=None``: least squares (for "elasticnet" with its l2
        term) on the features that the penalty selects, so that predictions are not
        shrunk, or the penalised solution itself. After a rotation they always are least
        squares, on the features of `selection`.

    fit_intercept : bool, default=True
        Whether heads have an intercept, which is not penalised.

    normalize_y : bool, default=True
        Whether `fit` trains on targets of unit variance per task, so that no task's
        unit rules the loss. Undone in `coef_` and `intercept_`. Where targets share a
        unit and factors are strongly correlated, False disentangles better. The
        targets of a stream are taken as they are.

    solver : {"auto", "batched", "celer"}, default="auto"
        Of the sparse heads, see :func:`sparsedis.implicit.lasso`. "auto": in training
        celer for wide problems on a CPU, where it is faster, else the solver
        that takes all tasks of a step at once; for the final heads, and in `adapt`,
        celer for up to 1000 tasks.

    max_iter : int, default=400
        Steps of training.

    batch_size : int, default=100
        Samples per task in a step of `fit`. Where labels are dense these rows are
        shared by all the tasks of the step.

    task_batch_size : int, default=100
        Tasks in a step of `fit`.

    lr : float, default=4e-3
        Learning rate.

    lr_schedule : {"cosine", "constant"}, default="cosine"
        Decay of the learning rate to zero over `max_iter` steps, or none.

    optimizer : type, default=torch.optim.AdamW
        Optimiser class, or a function that makes one from parameters and ``lr``.

    weight_decay : float or "auto", default="auto"
        Decay of the weights, per step and unit of the learning rate, which keeps the
        encoder from learning rows by heart. "auto": with a rotation and AdamW 3 in
        `fit` and 1 in `fit_stream`, else 0; other optimisers keep what they have.

    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of the encoder in training. Its weights, the normalisation and
        `transform` stay in float32, the inner problems in float64.

    early_stopping : bool or "auto", default="auto"
        Whether `fit` sets rows aside, fits heads on the others after every epoch of 20
        steps and judges them there ("valid_loss"), keeps the best weights, and stops
        when they get no better. "auto": with a rotation, where that leaves at least 5
        rows to set aside. The final heads use all rows.

    validation_fraction : float in (0, 1), default=0.1
        Share of the rows set aside for early stopping.

    n_iter_no_change : int, default=5
        Epochs without improvement after which early stopping stops.

    warm_start : bool, default=False
        Whether a further `fit` or `fit_stream` starts from the present weights.

    callbacks : list of skorch callbacks, default=None
        Called during training; an epoch is 20 steps. GradientNormClipping and
        ProgressBar are among them, or for a bar of scikit-learn's
        ``set_callbacks(sklearn.callback.ProgressBar())``.

    checkpoint : str or path-like, default=None
        A folder for the state of training, written after every epoch. The same fit,
        interrupted and called again, goes on from there, and learns the same bit for
        bit; a finished one is not trained again. Other parameters, data or seeds have
        files of their own in it, so that a search can share it. `random_state` must be
        an int.

    device : str or torch.device, default="auto"
        Where to train and encode. "auto": a CUDA device where there is one, else the
        CPU.

    random_state : int, RandomState instance or None, default=None
        Decides initial weights and batches.

    verbose : int, default=0
        Whether to print skorch's log of the epochs.

    Attributes
    ----------
    module_ : torch.nn.Module
        Encoder and normalisation, and behind them the rotation.

    n_components_ : int
        Number of features.

    coef_ : ndarray, (n_tasks, n_components) or (n_tasks, n_outputs, n_components)
        Heads on the features. NaN for a task without any label. Not after
        `fit_stream`, whose tasks are gone.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_outputs)
        Intercepts of the heads.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, ids of the long form, or 0, 1, ...

    alpha_ : ndarray of shape (n_tasks,)
        Absolute penalty of each head; 0 after a rotation.

    support_ : ndarray of shape (n_tasks, n_components) of bool
        Features that each head uses.

    feature_usage_ : ndarray of shape (n_components,)
        Number of heads that use each feature; after `fit_stream`, the share of the
        heads of the last steps.

    stability_ : ndarray of shape (n_components,)
        Correlation of each feature with that which halves of the tasks lead to; below
        0.95 it may be no factor. Only with a rotation, as the next three.

    spike_ : ndarray of shape (n_components,)
        Standard deviation of the coefficients of the rotated heads that count as zero.

    count_ : object
        Evidence of each number of factors, and their number, ``count_.n_factors``.

    rotation_ : object
        The rotation of the heads, and how it was found.

    learned_alpha_ : float
        The fraction that ``learn_alpha=True`` has learned.

    history_ : dict of ndarray
        Per step: "loss" (outer loss), "alpha" and "active" (mean share of features
        that a head uses); with early stopping "valid_loss", NaN but at the end of an
        epoch. ``pandas.DataFrame(est.history_)`` is a table of it.

    n_iter_ : int
        Steps done.

    n_features_in_ : int
        Number of features of the input; for images, their height.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the input features, where X has names.

    input_shape_ : tuple of int
        Shape of one input.

    See Also
    --------
    sparsedis.SparseMultiTaskClassifier : The same for tasks of classification.
    sparsedis.implicit.lasso : The inner problem as a layer for other models.

    Notes
    -----
    Inputs are not scaled: put a :class:`~sklearn.preprocessing.StandardScaler` before
    the estimator for tables whose columns have different units.

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

    _parameter_constraints = {  # noqa: RUF012 - scikit-learn's protocol
        **BaseRepresentation._parameter_constraints,
        "normalize_y": ["boolean"],
    }

    _likelihood = "gaussian"

    def __init__(
        self,
        n_components="auto",
        *,
        rotation="sparsest",
        selection="bic",
        alpha="auto",
        penalty="auto",
        alpha_mode="relative",
        alpha_warmup=0.4,
        learn_alpha=False,
        l2=0.01,
        penalty_at="inner",
        inner_fraction=None,
        encoder="auto",
        normalization="batch",
        refit="relaxed",
        fit_intercept=True,
        normalize_y=True,
        solver="auto",
        max_iter=400,
        batch_size=100,
        task_batch_size=100,
        lr=4e-3,
        lr_schedule="cosine",
        optimizer=torch.optim.AdamW,
        weight_decay="auto",
        precision="float32",
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=5,
        warm_start=False,
        callbacks=None,
        checkpoint=None,
        device="auto",
        random_state=None,
        verbose=0,
    ):
        super().__init__(
            n_components,
            rotation=rotation,
            selection=selection,
            alpha=alpha,
            penalty=penalty,
            alpha_mode=alpha_mode,
            alpha_warmup=alpha_warmup,
            learn_alpha=learn_alpha,
            l2=l2,
            penalty_at=penalty_at,
            inner_fraction=inner_fraction,
            encoder=encoder,
            normalization=normalization,
            refit=refit,
            fit_intercept=fit_intercept,
            solver=solver,
            max_iter=max_iter,
            batch_size=batch_size,
            task_batch_size=task_batch_size,
            lr=lr,
            lr_schedule=lr_schedule,
            optimizer=optimizer,
            weight_decay=weight_decay,
            precision=precision,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            callbacks=callbacks,
            checkpoint=checkpoint,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.normalize_y = normalize_y

    def predict(self, X, task=None):
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
            Predictions of all the tasks, without the axis of tasks where the y of `fit`
            had none or with `task`.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        scores = self._scores(X, task)
        return scores[:, 0] if task is None and self._layout == "single" else scores

    def score(self, X, y, task=None, sample_weight=None):
        """Mean over the tasks of the coefficient of determination R2.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels in any form that `fit` takes. Tasks with fewer than two labels here,
            or none in `fit`, do not count.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

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
            each.add(values, prediction, tasks, weight)
        r2 = each.result()
        if np.isnan(r2).all():
            raise ValueError(
                "y must label at least two samples of a task that had labels in fit."
            )
        return float(np.nanmean(r2))

    def _read(self, y, n_samples, task, weight):
        name = type(self).__name__
        return read_targets(y, n_samples, task, real=True, estimator=name)
