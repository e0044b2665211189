"""Endless streams of fresh sparse tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..inputs._batch import TaskBatch
from ._checks import as_generator, check_count, check_number, check_option
from ._coefficients import make_task_coefficients, make_task_targets
from ._factors import FactorDistribution

if TYPE_CHECKING:
    from typing import Any, Literal

    from sparsedis._typing import Seed

LAYOUTS = ("shared", "separate")


class SparseTaskStream:
    """Fresh tasks at every step, the training data of Section 5.1.

    An endless iterable of :class:`~sparsedis.tasks.TaskBatch`. Each step draws inputs
    with their latents z, and sparse coefficients w of new tasks, and gives the targets
    ``y = z.w + noise``.

    Parameters
    ----------
    data : object
        Source of inputs and latents: a grid of images (:class:`Shapes3D`,
        :class:`Shapes3DFile`, anything with ``images(index)`` and ``factor_values``),
        or a model with ``sample(n_samples, random_state)`` that returns inputs and
        latents (:class:`SparseTaskModel`).

    factor_distribution : FactorDistribution, default=None
        Distribution over the images of the grid. None: ``FactorDistribution(data)``.
        Must be None when `data` is a model, which has its own.

    n_tasks : int, default=100
        Tasks per step.

    n_samples : int, default=100
        Samples per task.

    layout : {"shared", "separate"}, default="shared"
        "shared": all the tasks of a step have the same `n_samples` inputs, which makes
        a step cheap, since each distinct input is encoded once. "separate": each task
        draws its own; the paper has ``n_tasks=8, n_samples=50``.

    support : {"bernoulli", "fixed", "blocks", "all"}, default="bernoulli"
        Supports of the coefficients, see :func:`make_supports`.

    distribution : {"gaussian", "laplace"}, default="gaussian"
        Distribution of the coefficients, see :func:`make_task_coefficients`.

    p : float in (0, 1], default=0.5
        See :func:`make_supports`.

    size : int, default=None
        See :func:`make_supports`.

    block_size : int, default=None
        See :func:`make_supports`.

    noise_ratio : float, default=0.1
        Relative norm of the noise on the targets, see :func:`make_task_targets`.

    random_state : int, RandomState instance, Generator instance or None, default=None
        With an int each ``iter(stream)`` starts the same sequence of batches again.

    Raises
    ------
    ValueError
        When an argument is out of range.

    See Also
    --------
    make_sparse_tasks : A fixed set of tasks as arrays.

    Examples
    --------
    >>> from itertools import islice
    >>> from sparsedis.datasets import FactorDistribution, Shapes3D, SparseTaskStream
    >>> shapes = Shapes3D(image_size=16)
    >>> stream = SparseTaskStream(
    ...     shapes,
    ...     FactorDistribution(shapes, rho=0.9, noise=1.0, random_state=0),
    ...     n_tasks=8,
    ...     n_samples=20,
    ...     layout="separate",
    ...     random_state=0,
    ... )
    >>> for batch in islice(stream, 2):
    ...     print(batch.y.shape, batch.index.shape, batch.rows.shape[1:])
    (8, 20) (8, 20) (16, 16, 3)
    (8, 20) (8, 20) (16, 16, 3)
    """

    def __init__(
        self,
        data: Any,
        factor_distribution: FactorDistribution | None = None,
        *,
        n_tasks: int = 100,
        n_samples: int = 100,
        layout: Literal["shared", "separate"] = "shared",
        support: Literal["bernoulli", "fixed", "blocks", "all"] = "bernoulli",
        distribution: Literal["gaussian", "laplace"] = "gaussian",
        p: float = 0.5,
        size: int | None = None,
        block_size: int | None = None,
        noise_ratio: float = 0.1,
        random_state: Seed = None,
    ) -> None:
        if isinstance(data, FactorDistribution):
            raise ValueError(
                "data must be the images or a model; a FactorDistribution is passed "
                f"as factor_distribution, got data={data!r}."
            )
        if hasattr(data, "images"):
            if factor_distribution is None:
                factor_distribution = FactorDistribution(data)
            if factor_distribution.n_images != data.n_images:
                raise ValueError(
                    f"factor_distribution is over {factor_distribution.n_images} "
                    f"images, data has {data.n_images}."
                )
            self.n_factors = factor_distribution.n_factors
        elif hasattr(data, "sample"):
            if factor_distribution is not None:
                raise ValueError(
                    "factor_distribution must be None when data is a model that "
                    f"draws its own factors, got {factor_distribution!r}."
                )
            self.n_factors = data.n_factors
        else:
            raise ValueError(
                "data must have `images(index)` (a grid of images) or "
                f"`sample(n_samples, random_state)` (a model), got {data!r}."
            )
        self.data = data
        self.factor_distribution = factor_distribution
        self.n_tasks = check_count(n_tasks, "n_tasks")
        self.n_samples = check_count(n_samples, "n_samples")
        self.layout = check_option(layout, "layout", LAYOUTS)
        self.noise_ratio = check_number(
            noise_ratio, "noise_ratio", 0, np.inf, high_open=True
        )
        self._coef_options = {
            "support": support,
            "distribution": distribution,
            "p": p,
            "size": size,
            "block_size": block_size,
        }
        # Invalid arguments raise here instead of at the first step.
        make_task_coefficients(0, self.n_factors, **self._coef_options)
        self.random_state = random_state

    def __repr__(self):
        return (
            f"{type(self).__name__}({self.data!r}, n_tasks={self.n_tasks}, "
            f"n_samples={self.n_samples}, layout={self.layout!r})"
        )

    def __iter__(self):
        rng = as_generator(self.random_state)
        while True:
            yield self.draw(rng)

    def draw(self, random_state: Seed = None, *, return_truth: bool = False) -> Any:
        """Draw the tasks of one step.

        Parameters
        ----------
        random_state : int, RandomState instance, Generator instance or None, \
default=None
            Determines the step.

        return_truth : bool, default=False
            Whether to return latents and coefficients too.

        Returns
        -------
        batch : TaskBatch
            The tasks. Each distinct input is in ``rows`` once.

        latents : ndarray of shape (n_rows, n_factors), float64
            Latents of ``batch.rows``. Only with `return_truth`.

        coef : ndarray of shape (n_tasks, n_factors), float64
            Coefficients of the tasks. Only with `return_truth`.
        """
        rng = as_generator(random_state)
        shared = self.layout == "shared"
        shape = (1 if shared else self.n_tasks, self.n_samples)
        rows, latents, index = self._draw_rows(shape, rng)
        coef = make_task_coefficients(
            self.n_tasks, self.n_factors, random_state=rng, **self._coef_options
        )
        y = make_task_targets(
            latents[index[0] if shared else index],
            coef,
            noise_ratio=self.noise_ratio,
            random_state=rng,
        )
        if shared:
            # None: every task has every row, in order.
            index = None if len(rows) == self.n_samples else index[0]
        batch = TaskBatch(rows, y, index)
        return (batch, latents, coef) if return_truth else batch

    def _draw_rows(self, shape, rng):
        """Distinct inputs, their latents, and which of them each sample is."""
        n_draws = shape[0] * shape[1]
        if self.factor_distribution is None:
            rows, latents = self.data.sample(n_draws, random_state=rng)
            return rows, latents, np.arange(n_draws).reshape(shape)
        drawn, _ = self.factor_distribution.sample(n_draws, random_state=rng)
        drawn = drawn.reshape(shape)
        # Sorted, so that inputs without repetition come in the order of the samples.
        drawn.sort(axis=1)
        distinct, index = np.unique(drawn, return_inverse=True)
        latents = self.factor_distribution.latents(distinct)
        return self.data.images(distinct), latents, index.reshape(shape)
