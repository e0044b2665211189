"""Everything that can be timed: this package's layers and their peers.

A contestant prepares a problem, untimed, and returns a function without arguments that
solves it and differentiates the solution: what that function does is timed. Nothing is
imported before it is needed, so that the peers can live in another environment.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.solvers.problems import lasso_gradient


@dataclass(frozen=True)
class Contestant:
    """A name, what it does to a problem, and what must be installed for it."""

    name: str
    prepare: Callable
    modules: tuple = ()
    install: str = ""


def _torch_layer(Z, G, layer):
    import torch

    Z, G = torch.from_numpy(Z).requires_grad_(), torch.from_numpy(G)

    def call():
        W = layer(Z)
        (grad,) = torch.autograd.grad(W, Z, G)
        return W.detach(), grad

    return call


def our_lasso(problem):
    """The layer of this package."""
    import torch

    from sparsedis.implicit import lasso

    y, alpha = (torch.from_numpy(problem[name]) for name in ("y", "alpha"))
    return _torch_layer(problem["Z"], problem["G"], lambda Z: lasso(Z, y, alpha))


def our_svm(problem):
    """The layer of this package."""
    import torch

    from sparsedis.implicit import group_lasso_svm

    y, alpha, l2 = (torch.from_numpy(problem[name]) for name in ("y", "alpha", "l2"))
    c = problem["G"].shape[-1]
    return _torch_layer(
        problem["Z"],
        problem["G"],
        lambda Z: group_lasso_svm(Z, y, alpha, l2, n_classes=c),
    )


def _task_loop(problem, solve):
    """One task after the other; the closed-form gradient of all of them at once."""
    Z, y, alpha, G = (problem[name] for name in ("Z", "y", "alpha", "G"))
    tasks = [
        (np.asfortranarray(z), target, a)
        for z, target, a in zip(Z, y, alpha.tolist(), strict=True)
    ]

    def call():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            w = np.stack([solve(*task) for task in tasks])
        return w, lasso_gradient(Z, y, w, G)

    return call


def celer_loop(problem):
    """celer's homotopy, at a gap that gives the accuracy of the others."""
    from celer import celer_path

    def solve(Z, y, alpha):
        tol = 1e-12 * (y @ y) / (2 * len(y))
        return celer_path(Z, y, "lasso", alphas=[alpha], tol=tol)[1][:, 0]

    return _task_loop(problem, solve)


def sklearn_loop(problem):
    """scikit-learn's coordinate descent."""
    from sklearn.linear_model import Lasso

    def solve(Z, y, alpha):
        model = Lasso(alpha, fit_intercept=False, tol=1e-12, max_iter=100_000)
        return model.fit(Z, y).coef_

    return _task_loop(problem, solve)


def cvxpylayers_lasso(problem):
    """The Lasso as a cone program, differentiated through its optimality conditions."""
    import cvxpy as cp
    import torch
    from cvxpylayers.torch import CvxpyLayer

    n, k = problem["Z"].shape[1:]
    w = cp.Variable(k)
    Z, y, alpha = cp.Parameter((n, k)), cp.Parameter(n), cp.Parameter(nonneg=True)
    cost = cp.sum_squares(Z @ w - y) / (2 * n) + alpha * cp.norm1(w)
    layer = CvxpyLayer(
        cp.Problem(cp.Minimize(cost)), parameters=[Z, y, alpha], variables=[w]
    )
    data = [torch.from_numpy(problem[name]) for name in ("y", "alpha")]
    # Its default tolerance leaves an error of 1e-4 in as much time.
    how = {"eps": 1e-10, "n_jobs_forward": 1, "n_jobs_backward": 1}
    return _torch_layer(
        problem["Z"], problem["G"], lambda Z: layer(Z, *data, solver_args=how)[0]
    )


def _jax_layer(problem, names, solve, one_by_one=False):
    """Compile solve(Z, ...) over the tasks, with its gradient."""
    import jax

    jax.config.update("jax_enable_x64", True)
    data = [jax.numpy.asarray(problem[name]) for name in ("Z", *names)]
    G = jax.numpy.asarray(problem["G"])

    def value(Z, rest):
        if one_by_one:
            W = jax.lax.map(lambda task: solve(*task), (Z, *rest))
        else:
            W = jax.vmap(solve)(Z, *rest)
        return (W * G).sum(), W

    both = jax.jit(jax.value_and_grad(value, has_aux=True))

    def call():
        (_, W), grad = jax.block_until_ready(both(data[0], data[1:]))
        return W, grad

    return call


def _jaxopt_lasso(problem, make):
    import jax.numpy as jnp

    def solve(Z, y, alpha):
        start = jnp.zeros(Z.shape[1], Z.dtype)
        return make().run(start, hyperparams_prox=alpha, data=(Z, y)).params

    return _jax_layer(problem, ("y", "alpha"), solve)


def jaxopt_coordinates(mended=False, **options):
    """Block coordinate descent of jaxopt; its step size is n times too small."""

    def prepare(problem):
        from jaxopt import BlockCoordinateDescent, objective, prox

        class Mended(type(objective.least_squares)):
            def columnwise_lipschitz_const(self, data):
                return super().columnwise_lipschitz_const(data) / data[0].shape[0]

        fun = Mended() if mended else objective.least_squares
        return _jaxopt_lasso(
            problem,
            lambda: BlockCoordinateDescent(fun, prox.prox_lasso, **options),
        )

    return prepare


def jaxopt_proximal(**options):
    """Accelerated proximal gradient of jaxopt."""

    def prepare(problem):
        from jaxopt import ProximalGradient, objective, prox

        return _jaxopt_lasso(
            problem,
            lambda: ProximalGradient(
                objective.least_squares, prox.prox_lasso, **options
            ),
        )

    return prepare


def published_svm(maxiter):
    """Proximal block coordinate descent on the dual, as the paper describes it.

    Passes over the rows of the dual variables in float32, with the steps that the
    smoothness of the dual allows, differentiated by the implicit differentiation of
    jaxopt at its defaults. Classes come first and features last, which is several
    times faster than the other way round, and tasks stay in the cache, one by one.
    """

    def prepare(problem):
        import jax
        import jax.numpy as jnp
        from jaxopt import BlockCoordinateDescent
        from jaxopt.objective import CompositeLinearFunction
        from jaxopt.projection import projection_simplex

        n_classes = problem["G"].shape[-1]

        def shrink(V, alpha):
            square = (V**2).sum(0)
            length = jnp.sqrt(jnp.where(square > 0, square, 1))
            return jnp.maximum(1 - alpha / length, 0) * V

        class Dual(CompositeLinearFunction):
            def b(self, data):
                return data[1] - 1

            def subfun(self, predictions, data):
                _, _, V, alpha, l2 = data
                return (shrink(V - predictions, alpha) ** 2).sum() / (2 * l2)

            def make_linop(self, data):
                return _Rows(data[0])

            def columnwise_lipschitz_const(self, data):
                return (data[0] ** 2).sum(1) / data[4]

        def block_prox(row, hyperparams, scaling=1.0):
            return projection_simplex(row)

        def solve(Z, y, alpha, l2):
            Y = jax.nn.one_hot(y, n_classes, dtype=Z.dtype)
            alpha, l2 = alpha.astype(Z.dtype), l2.astype(Z.dtype)
            data = Z, Y, Y.T @ Z, alpha, l2
            solver = BlockCoordinateDescent(
                Dual(), block_prox, maxiter=maxiter, tol=0.0
            )
            beta = solver.run(jnp.full_like(Y, 1 / n_classes), None, data=data).params
            return shrink((Y - beta).T @ Z, alpha).T / l2

        return _jax_layer(problem, ("y", "alpha", "l2"), solve, one_by_one=True)

    return prepare


class _Rows:
    """The linear operator ``beta -> beta' Z``, a row of beta and Z at a time."""

    def __init__(self, Z):
        self.Z = Z

    def matvec(self, beta):
        return beta.T @ self.Z

    def rmatvec_element(self, x, i):
        return x @ self.Z[i]

    def update_matvec(self, x, change, i):
        return x + self.Z[i] * change[:, None]


def qpth_svm(problem):
    """The dual of the dense SVM as a batch of quadratic programs, in float64."""
    import torch
    from qpth.qp import QPFunction

    n_tasks, n = problem["y"].shape
    c = problem["G"].shape[-1]
    one_hot = torch.eye(c, dtype=torch.float64)[torch.from_numpy(problem["y"])]
    l2 = torch.from_numpy(problem["l2"])[:, None, None]
    eye = torch.eye(n * c, dtype=torch.float64)
    lower, zero = -eye, torch.zeros(n * c, dtype=torch.float64)
    sums = torch.kron(torch.eye(n), torch.ones(1, c)).double()
    ones = torch.ones(n, dtype=torch.float64)

    def layer(Z):
        own = Z.double()
        gram = own @ own.mT / l2
        # The smallest ridge that lets qpth factorise.
        ridge = 1e-9 * gram.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]
        quadratic = torch.kron(gram, torch.eye(c, dtype=torch.float64)) + ridge * eye
        linear = (one_hot - 1 - gram @ one_hot).flatten(1)
        solver = QPFunction(verbose=-1, check_Q_spd=False)
        beta = solver(quadratic, linear, lower, zero, sums, ones)
        beta = beta.view(n_tasks, n, c)
        return (own.mT @ (one_hot - beta) / l2).to(Z)

    return _torch_layer(problem["Z"], problem["G"], layer)


_JAXOPT = {"modules": ("jax", "jaxopt"), "install": "pip install jax jaxopt"}

CONTESTANTS = {
    "lasso": [
        Contestant("sparsedis", our_lasso, ("sparsedis",), "pip install -e ."),
        Contestant("celer_path, loop", celer_loop, ("celer",), "pip install celer"),
        Contestant(
            "scikit-learn, loop", sklearn_loop, ("sklearn",), "pip install scikit-learn"
        ),
        Contestant(
            "cvxpylayers",
            cvxpylayers_lasso,
            ("cvxpylayers",),
            "pip install cvxpylayers",
        ),
        Contestant("jaxopt BCD, defaults", jaxopt_coordinates(), **_JAXOPT),
        Contestant(
            "jaxopt BCD, 20,000 iterations",
            jaxopt_coordinates(maxiter=20_000, tol=1e-12),
            **_JAXOPT,
        ),
        Contestant(
            "jaxopt BCD, step mended",
            jaxopt_coordinates(mended=True, tol=1e-10),
            **_JAXOPT,
        ),
        Contestant("jaxopt FISTA, defaults", jaxopt_proximal(), **_JAXOPT),
        Contestant(
            "jaxopt FISTA, tol 1e-10",
            jaxopt_proximal(maxiter=10_000, tol=1e-10),
            **_JAXOPT,
        ),
    ],
    "svm": [
        Contestant("sparsedis", our_svm, ("sparsedis",), "pip install -e ."),
        Contestant("published BCD, 100 passes", published_svm(100), **_JAXOPT),
        Contestant("published BCD, 1,000 passes", published_svm(1000), **_JAXOPT),
    ],
    "dense svm": [
        Contestant("sparsedis", our_svm, ("sparsedis",), "pip install -e ."),
        Contestant(
            "qpth",
            qpth_svm,
            ("qpth",),
            "pip install setuptools wheel && "
            "pip install --no-deps --no-build-isolation qpth",
        ),
    ],
}
# A thousand passes would take minutes, and the smaller problem shows what they bring.
CONTESTANTS["wide svm"] = [
    CONTESTANTS["svm"][0],
    Contestant("published BCD, 300 passes", published_svm(300), **_JAXOPT),
]
