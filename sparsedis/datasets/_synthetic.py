"""Synthetic tasks: Gaussian factors, an injective mixing, sparse linear targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from ._checks import as_generator, check_count, check_number, check_option
from ._coefficients import draw_fixed, make_task_coefficients, make_task_targets

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike

    from sparsedis._typing import Seed

MIXINGS = ("linear", "mlp")
# Largest over smallest singular value of the linear map to the features.
_CONDITION = 4.0
# A unit's slope below 0, which leaves it invertible.
_SLOPE = 0.2
_BIAS_SCALE = 0.5


class SparseTaskModel:
    """A generative model of inputs: correlated Gaussian factors, mixed injectively.

    Factors z are drawn from a Gaussian with mean 0, variance 1 and covariance `rho` of
    each pair. Inputs are x = f(z), with a mixing f that is drawn once per model and can
    be inverted: the factors can be recovered from the inputs, and a representation is
    disentangled when it recovers them up to order and scale (Definition 1.1).

    Parameters
    ----------
    n_factors : int, default=10
        Number of factors.

    n_features : int, default=None
        Number of features of an input, at least `n_factors`. None: `n_factors`.

    mixing : {"linear", "mlp"}, default="linear"
        - "linear": x = z A, with a random matrix A of condition number 4.
        - "mlp": `n_layers` times an orthogonal map, a bias and a leaky ReLU of slope
          0.2 below 0, which are all invertible, then a map as in "linear".

    n_layers : int, default=2
        Number of nonlinear layers of "mlp".

    rho : float, default=0.0
        Covariance of each pair of factors, in (-1 / (n_factors - 1), 1).

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines the mixing.

    See Also
    --------
    make_sparse_tasks : Inputs and targets of such a model as arrays.
    SparseTaskStream : Fresh tasks on such a model at every step.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.datasets import SparseTaskModel
    >>> model = SparseTaskModel(5, n_features=8, mixing="mlp", rho=0.9, random_state=0)
    >>> X, Z = model.sample(100, random_state=0)
    >>> X.shape, Z.shape
    ((100, 8), (100, 5))
    >>> np.allclose(model.unmix(X), Z)
    True
    """

    def __init__(
        self,
        n_factors: int = 10,
        n_features: int | None = None,
        *,
        mixing: Literal["linear", "mlp"] = "linear",
        n_layers: int = 2,
        rho: float = 0.0,
        random_state: Seed = None,
    ) -> None:
        self.n_factors = check_count(n_factors, "n_factors")
        self.n_features = (
            self.n_factors
            if n_features is None
            else check_count(n_features, "n_features", minimum=self.n_factors)
        )
        self.mixing = check_option(mixing, "mixing", MIXINGS)
        self.n_layers = check_count(n_layers, "n_layers")
        low = -1 / (self.n_factors - 1) if self.n_factors > 1 else -np.inf
        self.rho = check_number(rho, "rho", low, 1, low_open=True, high_open=True)
        self.random_state = random_state

        rng = as_generator(random_state)
        self._layers = []
        if mixing == "mlp":
            for _ in range(self.n_layers):
                weights = _orthonormal(self.n_factors, self.n_factors, rng)
                bias = _BIAS_SCALE * rng.standard_normal(self.n_factors)
                self._layers.append((weights, bias))
        left = _orthonormal(self.n_factors, self.n_factors, rng)
        right = _orthonormal(self.n_features, self.n_factors, rng)
        scale = np.geomspace(_CONDITION**0.5, _CONDITION**-0.5, self.n_factors)
        self._map = (left * scale) @ right.T
        self._inverse_map = (right / scale) @ left.T
        covariance = np.full((self.n_factors,) * 2, self.rho)
        np.fill_diagonal(covariance, 1.0)
        self._root = np.linalg.cholesky(covariance)

    def __repr__(self):
        return (
            f"{type(self).__name__}(n_factors={self.n_factors}, "
            f"n_features={self.n_features}, mixing={self.mixing!r}, "
            f"n_layers={self.n_layers}, rho={self.rho}, "
            f"random_state={self.random_state})"
        )

    def sample(
        self, n_samples: int, random_state: Seed = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw inputs and their factors.

        Parameters
        ----------
        n_samples : int
            Number of inputs.

        random_state : int, RandomState instance, Generator instance or None, \
default=None
            Determines the draws.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), float64
            Inputs.

        Z : ndarray of shape (n_samples, n_factors), float64
            Their factors.
        """
        n_samples = check_count(n_samples, "n_samples", minimum=0)
        noise = as_generator(random_state).standard_normal((n_samples, self.n_factors))
        Z = noise @ self._root.T
        return self.mix(Z), Z

    def mix(self, Z: ArrayLike) -> np.ndarray:
        """Inputs of given factors.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_factors)
            Factors, from any distribution.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float64
            Inputs.
        """
        Z = _check_columns(Z, "Z", self.n_factors)
        for weights, bias in self._layers:
            Z = Z @ weights + bias
            Z = np.where(Z > 0, Z, _SLOPE * Z)
        return Z @ self._map

    def unmix(self, X: ArrayLike) -> np.ndarray:
        """Factors of given inputs, the inverse of :meth:`mix`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.

        Returns
        -------
        ndarray of shape (n_samples, n_factors), float64
            Factors.
        """
        Z = _check_columns(X, "X", self.n_features) @ self._inverse_map
        for weights, bias in reversed(self._layers):
            Z = np.where(Z > 0, Z, Z / _SLOPE)
            Z = (Z - bias) @ weights.T
        return Z


def make_sparse_tasks(
    n_samples: int = 100,
    n_tasks: int = 20,
    n_factors: int = 10,
    *,
    n_features: int | None = None,
    mixing: Literal["linear", "mlp"] = "linear",
    n_layers: int = 2,
    rho: float = 0.0,
    support: Literal["bernoulli", "fixed", "blocks", "all"] | ArrayLike = "bernoulli",
    distribution: Literal["gaussian", "laplace"] = "gaussian",
    p: float = 0.5,
    size: int | None = None,
    block_size: int | None = None,
    noise_ratio: float = 0.1,
    labelled: float = 1.0,
    return_bunch: bool = False,
    random_state: Seed = None,
) -> Any:
    """Make regression tasks that share inputs and depend on few factors each.

    Factors z are correlated Gaussians, inputs an injective mixing of them, and the
    targets of each task are linear in a few of the factors, ``y = z.w + noise``.

    Parameters
    ----------
    n_samples : int, default=100
        Number of inputs.

    n_tasks : int, default=20
        Number of tasks.

    n_factors : int, default=10
        Number of factors.

    n_features : int, default=None
        Number of features of an input, at least `n_factors`. None: `n_factors`.

    mixing : {"linear", "mlp"}, default="linear"
        From factors to inputs, see :class:`SparseTaskModel`.

    n_layers : int, default=2
        Number of nonlinear layers of "mlp".

    rho : float, default=0.0
        Covariance of each pair of factors, in (-1 / (n_factors - 1), 1).

    support : {"bernoulli", "fixed", "blocks", "all"} or array-like of bool of shape \
(n_tasks, n_factors), default="bernoulli"
        The factors that each task uses, see :func:`make_supports`.

    distribution : {"gaussian", "laplace"}, default="gaussian"
        Distribution of the coefficients, see :func:`make_task_coefficients`.

    p : float in (0, 1], default=0.5
        See :func:`make_supports`.

    size : int, default=None
        See :func:`make_supports`.

    block_size : int, default=None
        See :func:`make_supports`.

    noise_ratio : float, default=0.1
        Norm of each task's noise relative to its noiseless targets, over all samples.

    labelled : float in (0, 1], default=1.0
        Share of the samples that each task labels, at random; at least one sample. The
        other targets are NaN.

    return_bunch : bool, default=False
        Whether to return the ground truth too.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines everything.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        Inputs. Only without `return_bunch`.

    Y : ndarray of shape (n_samples, n_tasks), float64
        Targets, one column per task. Only without `return_bunch`.

    bunch : :class:`~sklearn.utils.Bunch`
        Only with `return_bunch`, with the attributes

        - data : ndarray of shape (n_samples, n_features), the inputs
        - target : ndarray of shape (n_samples, n_tasks), the targets
        - factors : ndarray of shape (n_samples, n_factors), the factors
        - coef : ndarray of shape (n_tasks, n_factors), the tasks' coefficients
        - model : SparseTaskModel, which makes more inputs of the same mixing

    Raises
    ------
    ValueError
        When an argument is out of range.

    See Also
    --------
    SparseTaskStream : Fresh tasks at every step.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.datasets import make_sparse_tasks
    >>> X, Y = make_sparse_tasks(50, 8, 5, n_features=12, labelled=0.2, random_state=0)
    >>> X.shape, Y.shape
    ((50, 12), (50, 8))
    >>> np.isfinite(Y).sum(axis=0)
    array([10, 10, 10, 10, 10, 10, 10, 10])
    """
    n_samples = check_count(n_samples, "n_samples")
    n_tasks = check_count(n_tasks, "n_tasks")
    labelled = check_number(labelled, "labelled", 0, 1, low_open=True)
    rng = as_generator(random_state)
    model = SparseTaskModel(
        n_factors,
        n_features,
        mixing=mixing,
        n_layers=n_layers,
        rho=rho,
        random_state=rng,
    )
    coef = make_task_coefficients(
        n_tasks,
        model.n_factors,
        support=support,
        distribution=distribution,
        p=p,
        size=size,
        block_size=block_size,
        random_state=rng,
    )
    X, Z = model.sample(n_samples, random_state=rng)
    Y = make_task_targets(Z, coef, noise_ratio=noise_ratio, random_state=rng)
    n_labels = max(1, round(labelled * n_samples))
    if n_labels < n_samples:
        Y[~draw_fixed(n_tasks, n_samples, n_labels, rng)] = np.nan
    Y = np.ascontiguousarray(Y.T)
    if not return_bunch:
        return X, Y
    return Bunch(data=X, target=Y, factors=Z, coef=coef, model=model)


def _orthonormal(n_rows, n_columns, rng):
    """A matrix with orthonormal columns, uniform over all of them."""
    q, r = np.linalg.qr(rng.standard_normal((n_rows, n_columns)))
    return q * np.sign(np.diag(r))


def _check_columns(array, name, n_columns):
    array = np.asarray(array, dtype=float)
    if array.ndim != 2 or array.shape[1] != n_columns:
        raise ValueError(
            f"{name} must have shape (n_samples, {n_columns}), got {array.shape}."
        )
    return array
