"""Parameters of the estimators of a shared representation."""

from collections.abc import Callable
from dataclasses import KW_ONLY
from numbers import Integral, Real
from os import PathLike
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions

from sparsedis.bilevel._declaration import declared
from sparsedis.bilevel._estimator import BilevelEstimator
from sparsedis.heads import LinearHead


@declared
class RepresentationParameters(BilevelEstimator):
    r"""Parameters of the estimators of a shared representation.

    Parameters
    ----------
    n_components : int or "auto", default="auto"
        Number of features. "auto": training uses 32 features, or the number of outputs
        of all tasks if that is smaller, and `fit` then counts the factors from the
        heads. A torch module or "identity" determines the number itself. With
        ``rotation=None``, `fit` counts in a first training, and `fit_stream` needs a
        number.

    rotation : {"sparsest"} or None, default="sparsest"
        "sparsest": the features are the linear map of the trained features that makes
        the heads of the tasks sparsest. None: the trained features themselves; the
        penalty of the heads has to separate the factors.

    head : LinearHead, default=None
        Loss and penalty of the heads, such as ``LinearHead(Huber(), L2())``, see
        :class:`~sparsedis.heads.LinearHead`. None: the squared error, or the log loss
        for classes, with `penalty`. A head replaces `penalty` and `l2`, and `penalty`
        must be "auto". The rotation treats all targets as numbers, or as classes, and
        final heads have the loss of the head. Parameters of a loss, such as the `delta`
        of Huber's, are in the units of training: with `normalize_y` standard deviations
        of the targets, estimated by the median absolute deviation for Huber's loss. The
        rotation is not robust to outliers; ``rotation=None`` avoids it.

    linear : {"auto"} or None, default="auto"
        "auto": the scores of each task are a weighted mean of those of its head and of
        a linear model on X, with weights from their errors on held-out rows, see
        `linear_`. Scores are numbers, logits, or logarithms of mean counts, and the
        models are Ridge, logistic and Poisson regressions with an l2 penalty. For
        numbers in tables of up to 3000 rows, the mean of Ridge and of two kernel Ridge
        regressions on X takes the place of Ridge, with weights from leave-one-out
        errors. For numbers and classes and an encoder that is an
        :class:`~sparsedis.encoders.MLP`, the mean of the head and such a model on X and
        the last hidden units takes the place of the head, which repeats more of the
        noise of labels that the encoder was trained on. For tables of up to 1000
        columns with held-out rows (see `early_stopping`; `adapt` has folds), with a
        rotation and without a `head`, where the linear models take only seconds. The
        held-out rows also choose the l2 penalty of the heads of classes, see `linear_`.
        None: the heads alone predict, with a penalty of 1.

    alpha : float, array-like of shape (n_tasks,) or "auto", default="auto"
        Strength of the penalty, for all tasks or for each. With
        ``alpha_mode="relative"`` a fraction, in (0, 1], of the smallest penalty that
        makes a task's head zero, or for "l2" of the mean curvature, computed for every
        task at every step; no gradient flows through it. "auto": for "l2" 0.01, or
        0.0001 if labels are classes; otherwise 0.4, or 0.05 if ``penalty_at="outer"``.
        With a rotation, and ``encoder="auto"`` on a table of classes with held-out rows
        (see `early_stopping`), `fit` trains a second time, for noisy labels, if heads
        explain less than half of the held-out loss of constants: with a penalty of
        0.01, a dropout of 0.3 and, if labels are dense, four times as many samples in a
        step. It is kept if the same heads then predict the held-out rows at least 3%
        better; the largest "alpha" in `history_` tells. With a rotation `alpha` affects
        only the training. With ``rotation=None`` small values leave correlated factors
        mixed, since the shrinkage of the heads costs less with mixed features.

    penalty : {"auto", "l1", "elasticnet", "l2"}, default="auto"
        Penalty of the heads in training. "auto": "l2" if a rotation follows; otherwise,
        and for ``penalty_at="outer"``, "l1". "l1": sparse heads ("inner-Lasso"); for
        vector targets or more than two classes by rows, so that all outputs of a task
        use a feature or none does. "elasticnet": "l1" with an additional squared l2
        term. "l2": dense heads ("inner-Ridge"), which do not disentangle by themselves.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty :math:`\lambda` itself.

    alpha_warmup : float in [0, 1], default=0.4
        Fraction of the steps over which `alpha` rises linearly to its value. A large
        penalty from the first step can switch a feature off for good.

    learn_alpha : bool, default=False
        Whether to learn `alpha` by its hypergradient, starting from the given value:
        one number for all tasks, a fraction through a sigmoid. Requires
        `inner_fraction`; `alpha_warmup` is not used.

    l2 : float, default=0.01
        Squared l2 term of "elasticnet", absolute. Normalised features have variance 1:
        0.01 adds one percent to it.

    penalty_at : {"inner", "outer"}, default="inner"
        Problem that has the l1 penalty. "outer": the loss of the encoder; the heads
        then have only a tiny ridge term (Eq. 60, Appendix B.3).

    inner_fraction : float in (0, 1), default=None
        Share of a task's samples in a step used to fit its head. The loss of the
        encoder uses the others (Eq. 5). None: both use all samples (Eq. 4).

    encoder : str, torch module or callable, default="auto"
        "auto", "mlp", "conv", "conv4", "resnet12" or "identity", where "auto" is "conv"
        for images ``(n, height, width, channels)``, else "mlp", and where a rotation
        follows, with a dropout of 0.1 (0.3 for noisy classes, see `alpha`) and, for
        classes, ``skip=True`` (see :class:`~sparsedis.encoders.MLP`). `fit`
        standardises the columns that an MLP receives, and `fit_stream` does so by the
        first batch if it has 30 rows, unless you pass it as a module or with
        ``standardize=False``. A module is copied; a class or function is called with
        ``(input_shape, n_components)``. It receives images as ``(n, channels, height,
        width)``. Its weights are converted to float32.

    normalization : {"batch", "layer", None}, default="batch"
        Normalisation, without learned scale and shift, appended to any encoder. It
        fixes the norm of the features, and thus the meaning of the penalty. With
        "layer" the features of a row sum to zero, so they are linearly dependent.

    fit_intercept : bool, default=True
        Whether heads have an intercept, which is not penalised.

    max_iter : int, default=400
        Number of training steps.

    batch_size : int, default=100
        Samples per task in a step of `fit`. If labels are dense, all tasks of the step
        share these rows.

    task_batch_size : int, default=100
        Tasks in a step of `fit`.

    lr : float, default=4e-3
        Learning rate.

    lr_schedule : {"cosine", "constant", "average"}, default="cosine"
        "cosine": the learning rate decays to zero over `max_iter` steps. "constant": it
        does not. "average": it does not, and the final weights are the mean of those of
        the last 30 % of the steps, which extrapolates better from few or correlated
        images. With early stopping, the mean over some steps is validated instead.

    optimizer : type, default=torch.optim.AdamW
        Optimiser class, or a function that makes one from parameters and ``lr``. The
        class AdamW has ``betas=(0.8, 0.95)`` in `fit_stream`, where it needs half as
        many steps as with its defaults.

    weight_decay : float or "auto", default="auto"
        Decay of the weights, per step and unit of the learning rate, which reduces
        overfitting of the encoder. "auto": with a rotation and AdamW 3 in `fit` and 1
        in `fit_stream`, otherwise 0; other optimisers keep their own default.

    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of the encoder in training. Its weights, the normalisation and
        `transform` stay in float32, the inner problems in float64.

    early_stopping : bool or "auto", default="auto"
        Whether `fit` holds out rows, fits heads on the others after every epoch of 20
        steps and evaluates them on the held-out rows ("valid_loss"), keeps the best
        weights, and stops if they do not improve. The weights are then a moving mean
        over up to 20 steps, which varies less than the last ones. "auto": True with a
        rotation, if at least 5 rows can be held out; with fewer, `fit` warns. The final
        heads use all rows.

    validation_fraction : float in (0, 1) or "auto", default="auto"
        Share of the rows held out for early stopping. "auto": a tenth, but 50 rows
        where there are fewer than 500, and a fifth where there are fewer than 250.

    n_iter_no_change : int, default=5
        Number of epochs without improvement after which training stops.

    warm_start : bool, default=False
        Whether the next `fit` or `fit_stream` starts from the current weights. After a
        fit to classes with ``n_components="auto"`` it has only the counted features.

    random_state : int, RandomState instance or None, default=None
        Determines the initial weights and the batches.

    Attributes
    ----------
    module_ : torch.nn.Module
        Encoder and normalisation, followed by the rotation.

    n_components_ : int
        Number of features.

    tasks_ : ndarray of shape (n_tasks,)
        Names of the tasks: columns of a DataFrame, ids of the long form, or 0, 1, ...

    alpha_ : ndarray of shape (n_tasks,)
        Absolute penalty of each head; 0 after a rotation.

    support_ : ndarray of shape (n_tasks, n_components) of bool
        Features that each head uses.

    feature_usage_ : ndarray of shape (n_components,)
        Number of heads that use each feature; after `fit_stream`, the share of the
        heads of the last steps.

    linear_ : object
        The models on X: ``linear_.share``, of shape (n_tasks,), is the share of the
        heads in the predictions, ``linear_.coef`` and ``linear_.intercept`` are the
        linear ones, ``linear_.readout`` and ``linear_.readout_intercept`` those on
        hidden units and X that have half of this share, if any,
        ``linear_.kernel_share`` is the share of kernel Ridge regressions in their mean
        with the linear models, and ``linear_.score_heads``, ``linear_.score_linear``,
        ``linear_.score_inputs`` and ``linear_.score`` the explained share of the
        deviance of each task (R2 for numbers) on held-out rows, of heads alone, linear
        models alone, all models on X and the predictions. Only where `linear` says;
        after `adapt` by cross-validation.

    stability_ : ndarray of shape (n_components,)
        Correlation of each feature with its match from halves of the tasks; below 0.95
        the feature may not be a factor. Only with a rotation, as the next three.

    spike_ : ndarray of shape (n_components,)
        Standard deviation of the coefficients of the rotated heads that count as zero.

    count_ : object
        Evidence for each number of factors, and the selected number,
        ``count_.n_factors``.

    rotation_ : object
        The rotation of the heads, and the results of its starts.

    learned_alpha_ : float
        Fraction learned with ``learn_alpha=True``.

    history_ : dict of ndarray
        Per step: "loss" (outer loss), "alpha" (0 for heads that are trained with the
        encoder, see `max_iter`) and "active" (mean share of features that a head uses);
        with early stopping "valid_loss", which is NaN except at the end of an epoch.
        ``pandas.DataFrame(est.history_)`` gives a table.

    n_iter_ : int
        Number of training steps done; only those of the training that was kept.
    """

    _parameter_constraints: ClassVar = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "rotation": [StrOptions({"sparsest"}), None],
        "selection": [StrOptions({"bic", "cv", "1se"})],
        "linear": [StrOptions({"auto"}), None],
        "head": [LinearHead, None],
        "alpha": [
            Interval(Real, 0, None, closed="left"),
            "array-like",
            StrOptions({"auto"}),
        ],
        "penalty": [StrOptions({"auto", "l1", "elasticnet", "l2"})],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "alpha_warmup": [Interval(Real, 0, 1, closed="both")],
        "learn_alpha": ["boolean"],
        "l2": [Interval(Real, 0, None, closed="left")],
        "penalty_at": [StrOptions({"inner", "outer"})],
        "inner_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "encoder": [
            StrOptions({"auto", "mlp", "conv", "conv4", "resnet12", "identity"}),
            torch.nn.Module,
            callable,
        ],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "refit": [StrOptions({"relaxed", "lasso"})],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"auto", "batched", "celer"})],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "task_batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"cosine", "constant", "average"})],
        "optimizer": [callable],
        "weight_decay": [
            Interval(Real, 0, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "early_stopping": ["boolean", StrOptions({"auto"})],
        "validation_fraction": [
            Interval(Real, 0, 1, closed="neither"),
            StrOptions({"auto"}),
        ],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    n_components: int | str = "auto"
    _: KW_ONLY
    rotation: str | None = "sparsest"
    selection: str = "bic"
    linear: str | None = "auto"
    head: LinearHead | None = None
    alpha: float | np.ndarray | str = "auto"
    penalty: str = "auto"
    alpha_mode: str = "relative"
    alpha_warmup: float = 0.4
    learn_alpha: bool = False
    l2: float = 0.01
    penalty_at: str = "inner"
    inner_fraction: float | None = None
    encoder: str | torch.nn.Module | Callable = "auto"
    normalization: str | None = "batch"
    refit: str = "relaxed"
    fit_intercept: bool = True
    solver: str = "auto"
    max_iter: int = 400
    batch_size: int = 100
    task_batch_size: int = 100
    lr: float = 4e-3
    lr_schedule: str = "cosine"
    optimizer: Callable = torch.optim.AdamW
    weight_decay: float | str = "auto"
    precision: str = "float32"
    early_stopping: bool | str = "auto"
    validation_fraction: float | str = "auto"
    n_iter_no_change: int = 5
    warm_start: bool = False
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    device: str | torch.device = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
