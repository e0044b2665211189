"""Meta-learning with group Lasso SVM heads as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY
from math import prod
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.callback import with_callbacks
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sparsedis._deprecated import check_renamed, renamed_parameters
from sparsedis._fitted import shallow_copy
from sparsedis._threads import threads_for
from sparsedis._typing import keeps_types
from sparsedis.bilevel._declaration import declared
from sparsedis.bilevel._module import whole_unless_trained
from sparsedis.heads import Head
from sparsedis.heads._few_shot import HEADS
from sparsedis.inputs._rows import check_magnitude, warn_of_offsets
from sparsedis.meta_learning._base import BaseMetaLearner
from sparsedis.meta_learning._classifier import FewShotClassifier

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike


@renamed_parameters(
    l1="alpha",
    l1_mode="alpha_mode",
    l1_warmup="alpha_warmup",
    learn_l1="learn_alpha",
)
@declared
class GroupLassoSVMMetaLearner(BaseMetaLearner):
    r"""Representation meta-learned for sparse few-shot classifiers.

    The encoder f is trained on episodes, small classification tasks with a few
    classes. The head of an episode is the exact solution of a convex problem on the
    features of its support. The encoder minimises the cross-entropy of the heads on
    the queries, by implicit differentiation (Eqs. 5-8 of [1]_):

    .. math::

        \min_f \mathbb{E} \; \mathrm{CE}(s \, f(X_q) \hat W, y_q)
        \quad \text{with} \quad
        \hat W = \mathrm{arg}\min_W \mathrm{hinge}(f(X_s) W, y_s)
        + \alpha \sum_j \|W_j\|_2 + \frac{l_2}{2} \|W\|_F^2

    with a learned scale s. With the group penalty, each task uses only some of the
    features. With ``alpha=0`` this is MetaOptNet [2]_; prototypical networks [3]_,
    ridge [4]_ and group Lasso logistic heads are available for comparison.

    Parameters
    ----------
    encoder : str, torch module or callable, default="conv4"
        "conv4" or "resnet12" for images, "mlp", or "identity" for precomputed features,
        which are not trained (see :mod:`sparsedis.encoders`). A module is copied; a
        class or function is called with ``(input_shape, n_components)``. Images reach
        it as ``(n, channels, height, width)``. `fit` standardises the columns that an
        MLP receives, unless you pass it as a module or with ``standardize=False``.

    n_components : int, default=None
        Number of features. None: the number of the architecture; 64 for "mlp".

    head : str or Head, default="group_lasso_svm"
        Head of each episode, fitted to its support: "group_lasso_svm" (dense with
        ``alpha=0``), "logistic" (regression with the same penalties), "ridge"
        (regression on one-hot labels), "prototypes" (the means of the classes), or one
        of :mod:`sparsedis.heads`.

    alpha : float, default=0.1
        Strength of the group penalty of the first two heads. With
        ``alpha_mode="relative"``, it is a fraction, in [0, 1], of a value at which the
        head of a task is zero, computed for each task (see
        :func:`~sparsedis.implicit.group_lasso_svm_alpha_max`). No gradient flows
        through this value.

    l2 : float, default=1.0
        Strength of the squared l2 penalty of all heads except prototypes. Their losses
        are sums over the support.

    alpha_mode : {"relative", "absolute"}, default="relative"
        Whether `alpha` is a fraction or the penalty itself.

    alpha_warmup : float, default=0.5
        Share of the training steps over which `alpha` rises linearly to its value. A
        feature that no head uses receives no gradient: starting from zero trains all
        of them first.

    learn_alpha, learn_l2 : bool, default=False
        Whether to learn a penalty with the encoder, by its hypergradient, starting from
        the given value.

    normalization : {"auto", "batch", "layer"} or None, default="auto"
        Normalisation, without learned scale and shift, appended to the encoder. "auto":
        none after "conv4" and "resnet12", as published, since their blocks normalise;
        "batch" after other encoders. A constant feature is zero after "batch".

    n_ways : int, default=5
        Number of classes of an episode.

    n_shots : int, default=5
        Labelled samples per class when evaluating.

    n_queries : int, default=15
        Samples per class to predict.

    train_shots : int, default=None
        Labelled samples per class in training; None: `n_shots`. Training is often
        better with more than in evaluation.

    episodes_per_batch : int, default=4
        Number of episodes in a training step.

    max_iter : int, default=2000
        Number of training steps.

    lr : float, default=0.1
        Learning rate.

    lr_schedule : {"step", "cosine", "constant"}, default="step"
        "step" multiplies the rate by 0.06, 0.2 and 0.2 after 1/3, 2/3 and 5/6 of the
        steps, as published.

    optimizer : {"sgd", "adam"} or callable, default="sgd"
        "sgd" has Nesterov momentum 0.9. A callable receives the parameters and
        ``lr``, and returns an optimiser.

    weight_decay : float, default=5e-4
        Decay of the weights with "sgd" and "adam". The scale of the logits and the
        penalties have none.

    label_smoothing : float, default=0.0
        Label smoothing of the cross-entropy loss, in [0, 1).

    crop_padding : int, default=0
        Training images are shifted at random by up to this many pixels.

    horizontal_flip : bool, default=False
        Whether training images are mirrored at random.

    validation_classes : float or array-like, default=None
        Classes to hold out, as a share of those in y or by their labels. The weights
        with the best accuracy on episodes of these classes are kept. None: the weights
        of the last step are kept.

    validation_every : int, default=100
        Number of steps between validations.

    validation_episodes : int, default=200
        Number of episodes of a validation, the same each time.

    callbacks : list of skorch callbacks, default=None
        Callbacks for training; an epoch has 20 steps. For a progress bar, call
        ``set_callbacks(sklearn.callback.ProgressBar())``.

    random_state : int, RandomState instance or None, default=None
        Determines initial weights, episodes and augmentation. With an int, every
        evaluation draws the same episodes.

    l1, l1_mode, l1_warmup, learn_l1 : object, default="deprecated"
        Old names of `alpha`, `alpha_mode`, `alpha_warmup` and `learn_alpha`.

        .. deprecated:: 0.1
            They will be removed in version 0.2.

    Attributes
    ----------
    module_ : torch.nn.Module
        Encoder and normalisation.

    head_ : torch.nn.Module
        Fits heads. It contains the parameters that are learned with the encoder: the
        scale of the logits and, if requested, the penalties.

    alpha_, l2_ : float
        Penalties, learned or given.

    classes_ : ndarray of shape (n_classes,)
        Classes of the training episodes.

    validation_classes_ : ndarray
        Classes held out.

    n_components_ : int
        Number of features.

    n_iter_ : int
        Number of training steps; 0 if there is nothing to train.

    best_iter_ : int
        Step of the final weights.

    history_ : dict of ndarray of shape (`n_iter_`,)
        "loss", "accuracy" on the queries, and mean share of "active" features, of each
        step.

    validation_history_ : dict of ndarray
        "step" and "accuracy" of each validation.

    See Also
    --------
    sparsedis.implicit.group_lasso_svm : The head as a layer.
    sparsedis.episodes.EpisodeSampler : Draws the episodes.

    References
    ----------
    .. [1] S. Lachapelle et al., "Synergies between Disentanglement and Sparsity:
       Generalization and Identifiability in Multi-Task Learning", ICML 2023,
       Sections 3.4 and 5.2.
    .. [2] K. Lee et al., "Meta-Learning with Differentiable Convex Optimization",
       CVPR 2019.
    .. [3] J. Snell, K. Swersky, R. Zemel, "Prototypical Networks for Few-shot
       Learning", NeurIPS 2017.
    .. [4] L. Bertinetto et al., "Meta-learning with differentiable closed-form
       solvers", ICLR 2019.

    Examples
    --------
    Twenty classes that differ in two of ten directions; the others are noise:

    >>> import numpy as np
    >>> from sparsedis import GroupLassoSVMMetaLearner
    >>> rng = np.random.RandomState(0)
    >>> y = np.repeat(np.arange(20), 20)
    >>> X = np.c_[8 * rng.normal(size=(20, 2))[y], np.zeros((400, 8))]
    >>> X = (X + rng.normal(size=X.shape)) @ rng.normal(size=(10, 10))
    >>> base, novel = y < 15, y >= 15
    >>> meta = GroupLassoSVMMetaLearner(
    ...     "mlp", n_queries=5, max_iter=15, optimizer="adam", lr=5e-3, random_state=0
    ... )
    >>> meta.fit(X[base], y[base]).transform(X[novel]).shape
    (100, 64)
    >>> result = meta.evaluate(X[novel], y[novel], n_episodes=25)
    >>> result.accuracy > 0.7, result.active_share < 0.5
    (True, True)
    >>> clf = meta.adapt(X[novel][::4], y[novel][::4])
    >>> clf.classes_
    array([15, 16, 17, 18, 19])
    """

    _parameter_constraints: ClassVar = {
        "encoder": [
            StrOptions({"conv4", "resnet12", "mlp", "identity"}),
            torch.nn.Module,
            callable,
        ],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "head": [StrOptions(set(HEADS)), Head],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="neither")],
        "alpha_mode": [StrOptions({"relative", "absolute"})],
        "alpha_warmup": [Interval(Real, 0, 1, closed="both")],
        "learn_alpha": ["boolean"],
        "learn_l2": ["boolean"],
        "normalization": [StrOptions({"auto", "batch", "layer"}), None],
        "n_ways": [Interval(Integral, 2, None, closed="left")],
        "n_shots": [Interval(Integral, 1, None, closed="left")],
        "n_queries": [Interval(Integral, 1, None, closed="left")],
        "train_shots": [Interval(Integral, 1, None, closed="left"), None],
        "episodes_per_batch": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "lr_schedule": [StrOptions({"step", "cosine", "constant"})],
        "optimizer": [StrOptions({"sgd", "adam"}), callable],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "crop_padding": [Interval(Integral, 0, None, closed="left")],
        "horizontal_flip": ["boolean"],
        "validation_classes": [
            Interval(Real, 0, 1, closed="neither"),
            "array-like",
            None,
        ],
        "validation_every": [Interval(Integral, 1, None, closed="left")],
        "validation_episodes": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, None],
        "checkpoint": [str, PathLike, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    encoder: str | torch.nn.Module | Callable = "conv4"
    _: KW_ONLY
    n_components: int | None = None
    head: str = "group_lasso_svm"
    alpha: float = 0.1
    l2: float = 1.0
    alpha_mode: str = "relative"
    alpha_warmup: float = 0.5
    learn_alpha: bool = False
    learn_l2: bool = False
    normalization: str | None = "auto"
    n_ways: int = 5
    n_shots: int = 5
    n_queries: int = 15
    train_shots: int | None = None
    episodes_per_batch: int = 4
    max_iter: int = 2000
    lr: float = 0.1
    lr_schedule: str = "step"
    optimizer: str | Callable = "sgd"
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    crop_padding: int = 0
    horizontal_flip: bool = False
    validation_classes: float | np.ndarray | None = None
    validation_every: int = 100
    validation_episodes: int = 200
    callbacks: list | None = None
    checkpoint: str | PathLike | None = None
    device: str | torch.device = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    l1: float | str = "deprecated"
    l1_mode: str = "deprecated"
    l1_warmup: float | str = "deprecated"
    learn_l1: bool | str = "deprecated"

    @whole_unless_trained
    @keeps_types(with_callbacks)
    @keeps_types(_fit_context(prefer_skip_nested_validation=True))
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn the representation from episodes of the given classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs of the base classes: a table, or images as unsigned 8-bit integers
            (scaled to [0, 1]) or floats.

        y : array-like of shape (n_samples,)
            Labels, of any type.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            When there are fewer classes than `n_ways`, a class has fewer samples than
            an episode needs, X holds NaN or inf, shapes disagree, a parameter is out of
            range, or the loss becomes NaN. In the last case, the estimator keeps the
            weights of the last finite loss.
        """
        check_renamed(self)
        self._check_penalties()
        X, y = self._validate(X, y)
        check_magnitude(X)
        warn_of_offsets(X, vars(self).get("feature_names_in_"))
        random_state = check_random_state(self.random_state)
        base, held_out = self._split_classes(y, random_state)
        with threads_for(self._step_size()):
            self._learn(X, y, base, held_out, random_state)
        self._warn_if_dead()
        return self

    def _step_size(self):
        """Numbers in the inputs of a step, at most."""
        shots = self.n_shots if self.train_shots is None else self.train_shots
        n_episodes, n_rows = self.episodes_per_batch, shots + self.n_queries
        return n_episodes * self.n_ways * n_rows * prod(self.input_shape_)

    def adapt(self, X: ArrayLike, y: ArrayLike) -> FewShotClassifier:
        """Fit the head of a new task to its support set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, \
channels)
            Inputs, as in `fit`.

        y : array-like of shape (n_samples,)
            Labels of any type, of at least two classes; samples per class may differ.

        Returns
        -------
        classifier : FewShotClassifier
            Fitted classifier of raw inputs. It does not change when this estimator is
            fitted again.

        Raises
        ------
        ValueError
            When inputs are not like those of `fit`, or y has only one class.

        Warns
        -----
        UserWarning
            When the head uses no feature.
        """
        check_is_fitted(self, "module_")
        # A copy, since the estimator may be fitted again.
        return FewShotClassifier(FrozenEstimator(shallow_copy(self))).fit(X, y)
