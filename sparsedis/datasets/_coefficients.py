"""Supports, coefficients and targets of sparse linear tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._checks import as_generator, check_count, check_number, check_option

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from sparsedis._typing import Seed

SUPPORTS = ("bernoulli", "fixed", "blocks", "all")
DISTRIBUTIONS = ("gaussian", "laplace")


def _draw_bernoulli(n_rows, n_columns, p, rng):
    """Bernoulli rows, drawn again while empty: the law given that a row is not empty.

    Switching on some column of an empty row instead would favour small supports of
    that column, or, done for the whole batch as in the published code, make all
    supports much denser than p.
    """
    out = rng.random((n_rows, n_columns)) < p
    empty = np.flatnonzero(~out.any(1))
    while empty.size:
        out[empty] = rng.random((empty.size, n_columns)) < p
        empty = empty[~out[empty].any(1)]
    return out


def draw_fixed(n_rows, n_columns, size, rng):
    """Rows with exactly `size` columns, all subsets equally likely."""
    rank = rng.random((n_rows, n_columns)).argsort(1).argsort(1)
    return rank < size


def make_supports(
    n_tasks: int,
    n_features: int,
    *,
    kind: Literal["bernoulli", "fixed", "blocks", "all"] = "bernoulli",
    p: float = 0.5,
    size: int | None = None,
    block_size: int | None = None,
    random_state: Seed = None,
) -> np.ndarray:
    """Draw the features that each task uses; no task uses none.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.

    n_features : int
        Number of features.

    kind : {"bernoulli", "fixed", "blocks", "all"}, default="bernoulli"
        - "bernoulli": each feature is in with probability `p`, independently; an empty
          support is drawn again (Section 5.1).
        - "fixed": `size` features, all subsets equally likely.
        - "blocks": consecutive features are in or out together, in blocks of
          `block_size` (Figure 8, which violates Assumption 3.6): each block is in with
          probability `p`, drawn again while empty, or with `size` exactly that many
          blocks. Figure 8 has one block per task, ``size=1``.
        - "all": every task uses every feature (Figure 9).

    p : float in (0, 1], default=0.5
        Probability of each feature or block.

    size : int, default=None
        Number of features of each task for "fixed", of blocks for "blocks".

    block_size : int, default=None
        Number of features per block for "blocks", a divisor of `n_features`.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines the supports.

    Returns
    -------
    ndarray of shape (n_tasks, n_features), bool
        True where a task uses a feature.

    Raises
    ------
    ValueError
        When an argument is out of range, or one that `kind` needs is missing.

    See Also
    --------
    make_task_coefficients : Coefficients on such supports.

    Examples
    --------
    >>> from sparsedis.datasets import make_supports
    >>> make_supports(3, 4, kind="blocks", block_size=2, size=1, random_state=0)
    array([[False, False,  True,  True],
           [False, False,  True,  True],
           [ True,  True, False, False]])
    """
    n_tasks = check_count(n_tasks, "n_tasks", minimum=0)
    n_features = check_count(n_features, "n_features")
    check_option(kind, "kind", SUPPORTS)
    p = check_number(p, "p", 0, 1, low_open=True)
    rng = as_generator(random_state)
    if kind == "all":
        return np.ones((n_tasks, n_features), dtype=bool)
    if kind == "bernoulli":
        return _draw_bernoulli(n_tasks, n_features, p, rng)
    if kind == "fixed":
        size = _check_size(size, "size", n_features, kind)
        return draw_fixed(n_tasks, n_features, size, rng)
    block_size = _check_size(block_size, "block_size", n_features, kind)
    if n_features % block_size:
        raise ValueError(
            f"block_size must divide n_features={n_features}, got {block_size}."
        )
    n_blocks = n_features // block_size
    if size is None:
        blocks = _draw_bernoulli(n_tasks, n_blocks, p, rng)
    else:
        size = _check_size(size, "size", n_blocks, kind)
        blocks = draw_fixed(n_tasks, n_blocks, size, rng)
    return np.repeat(blocks, block_size, axis=1)


def _check_size(value, name, maximum, kind):
    if value is None:
        raise ValueError(f'{name} must be given for "{kind}" supports, got None.')
    value = check_count(value, name)
    if value > maximum:
        raise ValueError(f"{name} must be at most {maximum}, got {value}.")
    return value


def make_task_coefficients(
    n_tasks: int,
    n_features: int,
    *,
    support: Literal["bernoulli", "fixed", "blocks", "all"] | ArrayLike = "bernoulli",
    distribution: Literal["gaussian", "laplace"] = "gaussian",
    p: float = 0.5,
    size: int | None = None,
    block_size: int | None = None,
    random_state: Seed = None,
) -> np.ndarray:
    """Draw sparse coefficients of linear tasks.

    Parameters
    ----------
    n_tasks : int
        Number of tasks.

    n_features : int
        Number of features.

    support : {"bernoulli", "fixed", "blocks", "all"} or array-like of bool of shape \
(n_tasks, n_features), default="bernoulli"
        The features that each task uses, or how to draw them: see
        :func:`make_supports`.

    distribution : {"gaussian", "laplace"}, default="gaussian"
        Distribution of the coefficients on the support, with location 0 and scale 1
        (Section 5.1; "laplace" with ``support="all"`` is Figure 9).

    p : float in (0, 1], default=0.5
        See :func:`make_supports`.

    size : int, default=None
        See :func:`make_supports`.

    block_size : int, default=None
        See :func:`make_supports`.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines supports and coefficients.

    Returns
    -------
    ndarray of shape (n_tasks, n_features), float64
        The coefficients, 0 off the support.

    Raises
    ------
    ValueError
        When an argument is out of range or `support` has another shape.

    See Also
    --------
    make_supports : The supports alone.

    Examples
    --------
    >>> from sparsedis.datasets import make_task_coefficients
    >>> W = make_task_coefficients(100, 6, support="fixed", size=2, random_state=0)
    >>> (W != 0).sum(axis=1).tolist() == [2] * 100
    True
    """
    n_tasks = check_count(n_tasks, "n_tasks", minimum=0)
    n_features = check_count(n_features, "n_features")
    check_option(distribution, "distribution", DISTRIBUTIONS)
    rng = as_generator(random_state)
    if isinstance(support, str):
        check_option(support, "support", SUPPORTS)
        support = make_supports(
            n_tasks,
            n_features,
            kind=support,
            p=p,
            size=size,
            block_size=block_size,
            random_state=rng,
        )
    else:
        support = np.asarray(support)
        if support.shape != (n_tasks, n_features) or support.dtype != bool:
            raise ValueError(
                f"support must be one of {SUPPORTS} or a boolean array of shape "
                f"{(n_tasks, n_features)}, got {support.dtype} of shape "
                f"{support.shape}."
            )
    draw = rng.standard_normal if distribution == "gaussian" else rng.laplace
    return draw(size=(n_tasks, n_features)) * support


def make_task_targets(
    latents: ArrayLike,
    coef: ArrayLike,
    *,
    noise_ratio: float = 0.1,
    random_state: Seed = None,
) -> np.ndarray:
    """Targets of linear tasks, y = z.w + noise.

    The noise is Gaussian, scaled for each task to ``||noise|| = noise_ratio ||z.w||``
    over the task's samples (Section 5.1).

    Parameters
    ----------
    latents : array-like of shape (n_samples, n_features) or \
(n_tasks, n_samples, n_features)
        Latents of the samples, shared by the tasks or one set per task.

    coef : array-like of shape (n_tasks, n_features)
        Coefficients of the tasks.

    noise_ratio : float, default=0.1
        Norm of the noise relative to that of the noiseless targets, at least 0.

    random_state : int, RandomState instance, Generator instance or None, default=None
        Determines the noise.

    Returns
    -------
    ndarray of shape (n_tasks, n_samples), float64
        The targets.

    Raises
    ------
    ValueError
        When the shapes disagree or `noise_ratio` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis.datasets import make_task_targets
    >>> z = np.random.default_rng(0).normal(size=(50, 3))
    >>> w = [[1.0, 0.0, 2.0]]
    >>> noise = make_task_targets(z, w, random_state=0) - w @ z.T
    >>> float(np.linalg.norm(noise) / np.linalg.norm(w @ z.T))
    0.1...
    """
    noise_ratio = check_number(noise_ratio, "noise_ratio", 0, np.inf, high_open=True)
    latents, coef = np.asarray(latents, dtype=float), np.asarray(coef, dtype=float)
    if (
        coef.ndim != 2
        or latents.ndim not in (2, 3)
        or latents.shape[-1] != coef.shape[1]
        or (latents.ndim == 3 and latents.shape[0] != coef.shape[0])
    ):
        raise ValueError(
            "latents must have shape (n_samples, n_features) or (n_tasks, n_samples, "
            f"n_features) and coef (n_tasks, n_features), got {latents.shape} and "
            f"{coef.shape}."
        )
    signal = np.matmul(latents, coef[:, :, None])[..., 0]
    if noise_ratio == 0:
        return signal
    noise = as_generator(random_state).standard_normal(signal.shape)
    noise *= noise_ratio * (
        np.linalg.norm(signal, axis=1, keepdims=True)
        / np.linalg.norm(noise, axis=1, keepdims=True)
    )
    return signal + noise
