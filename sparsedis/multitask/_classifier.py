"""Sparse multi-task representation learning from tasks of classification."""

import warnings

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin

from sparsedis._scores import task_numbers
from sparsedis.multitask._base import BaseRepresentation
from sparsedis.tasks._classes import decode_classes, encode_classes
from sparsedis.tasks._forms import read_targets
from sparsedis.tasks._ids import read_task_ids


class SparseMultiTaskClassifier(ClassifierMixin, BaseRepresentation):
    r"""Representation shared by many classification tasks with sparse linear heads.

    One encoder f serves all the tasks; each has its own head, a logistic regression on
    the features, and the encoder is trained through the solutions by implicit
    differentiation. By default heads have a squared l2 penalty in training; afterwards
    the factors that they show are counted, the encoder is trained on with as many
    features and no others, these are rotated to where the heads are sparsest, and each
    head gets the features that its task needs.

    With ``rotation=None`` the heads are sparse in training (Eq. 4 of [1]_ with the
    categorical likelihood):

    .. math::

        \min_f \frac{1}{T} \sum_t \ell_t(\hat W_t) \quad \text{with} \quad
        \hat W_t = \arg\min_W \ell_t(W) + \lambda_t \sum_j \|W_j\|_2

    where :math:`\ell_t` is the mean log loss of task t at the logits :math:`f(X_t) W`.
    A task with two classes has one logit, and the penalty is the l1 norm.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of features. "auto" counts the factors that the heads of the tasks show.
        With ``rotation=None``, `fit` counts by a first training, and `fit_stream` needs
        a number.

    rotation : {"sparsest"} or None, default="sparsest"
        "sparsest": features are the linear map of what was trained in which the heads
        of the tasks are sparsest. None: what was trained.

    selection : {"bic", "cv", "1se"}, default="bic"
        How each head gets its features after a rotation. Heads of classes are chosen
        by the Bayesian information criterion, whatever is asked for.

    alpha : float, array-like of shape (n_tasks,) or "auto", default="auto"
        Strength of the penalty in training, of all tasks or of each. With
        ``alpha_mode="relative"`` a fraction, in (0, 1], of the smallest penalty that
        makes a task's head zero, or for "l2" of the mean curvature. "auto": 0.0001 for
        "l2", else 0.4, or 0.05 where ``penalty_at="outer"``.

    penalty : {"auto", "l1", "elasticnet", "l2"}, default="auto"
        Of the heads in training. "auto": "l2" where a rotation follows, else, and for
        ``penalty_at="outer"``, "l1". "l1": a feature serves all the classes of a task
        or none. "elasticnet": with a squared l2 term besides. "l2": dense heads, which
        do not disentangle by themselves.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself.

    alpha_warmup : float in [0, 1], default=0.4
        Fraction of the steps over which `alpha` rises linearly to its value.

    learn_alpha : bool, default=False
        Whether to learn `alpha`, which is then where to start, by its hypergradient.
        Needs `inner_fraction`.

    l2 : float, default=0.01
        Squared l2 term of "elasticnet", absolute.

    penalty_at : {"inner", "outer"}, default="inner"
        Where the l1 penalty stands. "outer": in the loss of the encoder, the heads
        having a tiny ridge term alone (Eq. 60, Appendix B.3).

    inner_fraction : float in (0, 1), default=None
        Share of a task's samples in a step that its head is fitted on; the loss of the
        encoder is that of the others. None: both use all of them.

    encoder : str, torch module or callable, default="auto"
        "auto", "mlp", "conv", "conv4", "resnet12" or "identity", a torch module, or a
        class or function that makes one from ``(input_shape, n_components)``.

    normalization : {"batch", "layer", None}, default="batch"
        Normalisation, without learned scale and shift, appended to any encoder.

    refit : {"relaxed", "lasso"}, default="relaxed"
        Final heads with ``rotation=None``: logistic regression on the features that
        the penalty selects, with the squared l2 penalty that is scikit-learn's default
        (``C=1``), or the penalised solution itself. After a rotation they always are
        "relaxed", on the features of `selection`.

    fit_intercept : bool, default=True
        Whether heads have intercepts, which are not penalised.

    solver : {"auto", "batched", "celer"}, default="auto"
        Of the sparse heads. celer has those with two classes, without intercept and
        sample weights; the others are solved by "batched" whatever is asked for.

    max_iter : int, default=400
        Steps of training. With ``n_components="auto"`` and a rotation `fit` adds .3
        times as many, at half of `lr`, with the features that were counted.

    batch_size : int, default=100
        Samples per task in a step of `fit`.

    task_batch_size : int, default=100
        Tasks in a step of `fit`.

    lr : float, default=4e-3
        Learning rate.

    lr_schedule : {"cosine", "constant"}, default="cosine"
        Decay of the learning rate to zero over `max_iter` steps, or none.

    optimizer : type, default=torch.optim.AdamW
        Optimiser class, or a function that makes one from parameters and ``lr``.

    weight_decay : float or "auto", default="auto"
        Decay of the weights, per step and unit of the learning rate. "auto": with a
        rotation and AdamW 3 in `fit` and 1 in `fit_stream`, else 0; other optimisers
        keep what they have.

    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of the encoder in training.

    early_stopping : bool or "auto", default="auto"
        Whether `fit` sets rows aside, judges the heads of the others there after every
        epoch of 20 steps, keeps the best weights, and stops when they get no better.
        "auto": with a rotation, where that leaves at least 5 rows to set aside.

    validation_fraction : float in (0, 1), default=0.1
        Share of the rows set aside for early stopping.

    n_iter_no_change : int, default=5
        Epochs without improvement after which early stopping stops.

    warm_start : bool, default=False
        Whether a further `fit` or `fit_stream` starts from the present weights.

    callbacks : list of skorch callbacks, default=None
        Called during training; an epoch is 20 steps.

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

    classes_ : ndarray, or list of n_tasks ndarray
        Classes of each task; not in a list when the y of `fit` had one dimension and
        no `task`.

    coef_ : ndarray, (n_tasks, n_components) or (n_tasks, n_classes, n_components)
        Heads on the features: the logit of the second class when all tasks have two,
        else the logits of up to the largest number of classes. NaN for tasks without
        two classes.

    intercept_ : ndarray of shape (n_tasks,) or (n_tasks, n_classes)
        Intercepts; -inf for classes that other tasks have alone.

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
        Per step: "loss", "alpha" and "active" (mean share of features that a head
        uses); with early stopping "valid_loss", NaN but at the end of an epoch.

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
    sparsedis.SparseMultiTaskRepresentation : The same for tasks of regression, which
        says more of the parameters.
    sparsedis.implicit.logistic : The inner problem as a layer for other models.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023.

    Examples
    --------
    >>> from sparsedis import SparseMultiTaskClassifier
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(
    ...     n_samples=200, n_tasks=40, n_factors=4, random_state=0
    ... )
    >>> est = SparseMultiTaskClassifier(max_iter=50, random_state=0)
    >>> est.fit(X, Y > 0).predict(X).shape
    (200, 40)
    """

    _likelihood = "categorical"

    def predict(self, X, task=None):
        """Most probable classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Classes, in the dtype of those of all the tasks together. For tasks that
            had a single class, that class; NaN or None for tasks without any label.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        scores = self._scores(X, task)
        if task is not None:
            names = read_task_ids(task, len(scores))
            return self._labels(scores, task_numbers(names, self.tasks_))
        labels = self._labels(scores, np.arange(len(self.tasks_)))
        return labels[:, 0] if self._layout == "single" else labels

    def predict_proba(self, X, task=None):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        task : array-like of shape (n_samples,), default=None
            The task to predict for each row, by its name in ``tasks_``.

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes), or list of n_tasks of them
            One array when the y of `fit` had one dimension, or with `task`: it has as
            many columns as any task has classes, the last ones zero where a task has
            fewer, and NaN for tasks without any label. Otherwise one array per task,
            without columns for tasks without any label. A task that had a single class
            is certain of it.

        Raises
        ------
        AttributeError
            After `fit_stream`, which leaves no heads.
        ValueError
            For an id of a task that `fit` has not seen.
        """
        scores = self._scores(X, task)
        if self.coef_.ndim == 2:
            p = np.stack([expit(-scores), expit(scores)], -1)
        else:
            p = softmax(scores, axis=-1)
        counts = np.array([len(classes) for classes in self._classes])
        tasks = slice(None)
        if task is not None:
            tasks = task_numbers(read_task_ids(task, len(p)), self.tasks_)
        # A task of a single class has no head, and no doubt; one without labels has
        # no classes.
        certain = np.where(np.arange(p.shape[-1]) == 0, 1.0, 0.0)
        lone = (counts == 1)[tasks]
        p[np.broadcast_to(lone, p.shape[:-1])] = certain
        if task is not None:
            return p
        each = [p[:, t, :count] for t, count in enumerate(counts)]
        return each[0] if self._layout == "single" else each

    def score(self, X, y, task=None, sample_weight=None):
        """Mean over the tasks of the accuracy.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels), torch Dataset or array on disk
            Inputs, as in `fit`.

        y, task : array-like
            Labels in any form that `fit` takes. Tasks without labels here, or without
            two classes in `fit`, do not count.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
            Mean accuracy.

        Raises
        ------
        ValueError
            When no task can be scored.

        Warns
        -----
        UserWarning
            When y holds a class that its task did not have in `fit`: such labels count
            as errors.
        """
        n_tasks = len(self.tasks_)
        right, total, new = np.zeros(n_tasks), np.zeros(n_tasks), {}
        for values, scores, tasks, weight in self._judged(X, y, task, sample_weight):
            hits = self._labels(scores, tasks).astype(object) == values.astype(object)
            hits = hits.astype(bool)
            weight = np.ones(len(values)) if weight is None else weight
            right += np.bincount(tasks, weight * hits, minlength=n_tasks)
            total += np.bincount(tasks, weight, minlength=n_tasks)
            self._find_new_classes(values[~hits], tasks[~hits], new)
        scored = total > 0
        if not scored.any():
            raise ValueError(
                "y must label a sample of a task that had two classes in fit."
            )
        if new:
            some = ", ".join(f"{label!r} in task {t}" for t, label in new.items())
            warnings.warn(
                f"y holds classes that fit has not seen ({some[:200]}); they count as "
                "errors.",
                UserWarning,
                stacklevel=2,
            )
        return float((right[scored] / total[scored]).mean())

    def _read(self, y, n_samples, task, weight):
        name = type(self).__name__
        targets = read_targets(y, n_samples, task, real=False, estimator=name)
        targets, classes = encode_classes(targets, weight)
        single = [t for t, own in enumerate(classes) if len(own) == 1]
        if all(len(own) < 2 for own in classes):
            raise ValueError(
                f"{name} needs labels of at least two classes in some task; y has one "
                f"class alone, {classes[single[0]].tolist()[0]!r}."
            )
        if single:
            names = ", ".join(str(targets.names[t]) for t in single[:5])
            warnings.warn(
                f"{len(single)} of {len(classes)} tasks have a single class ({names}"
                f"{', ...' if len(single) > 5 else ''}), and get no head; it is what "
                "they predict.",
                UserWarning,
                stacklevel=3,
            )
        self._classes = classes
        return targets

    def _fit_heads(self, table, scale, targets):
        super()._fit_heads(table, scale, targets)
        self._name_classes()

    def _restore(self, fitted):
        super()._restore(fitted)
        vars(self).pop("classes_", None)
        if "coef_" in fitted:
            self._name_classes()

    def _name_classes(self):
        single = self._layout == "single"
        self.classes_ = self._classes[0] if single else self._classes

    def _labels(self, scores, tasks):
        """Labels of the highest scores, of tasks along the last axis but outputs."""
        if self.coef_.ndim == 2:
            codes = (scores > 0).astype(int)
        else:
            codes = np.where(np.isnan(scores), -np.inf, scores).argmax(-1)
        return decode_classes(codes, tasks, self._classes)

    def _find_new_classes(self, y, tasks, new):
        """Note a label, by the name of its task, that the task did not have."""
        known = {}
        for label, t in zip(y.tolist(), tasks.tolist(), strict=True):
            if t not in known:
                known[t] = set(self._classes[t].tolist())
            if label not in known[t]:
                new.setdefault(self.tasks_[t], label)
