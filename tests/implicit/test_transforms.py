"""Layers inside of torch.func and torch.compile."""

from functools import partial

import pytest
import torch
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from sparsedis.implicit import (
    glm,
    glm_alpha_max,
    group_lasso_svm,
    group_lasso_svm_alpha_max,
    lasso,
    lasso_alpha_max,
    logistic,
    logistic_alpha_max,
    multitask_lasso,
    multitask_lasso_alpha_max,
    ridge,
    ridge_alpha_max,
)
from sparsedis.solvers.losses import Huber, Squared
from sparsedis.solvers.penalties import L1, MCP, GroupL1

N_TASKS, N_SAMPLES, K = 3, 20, 4


def both_targets(y):
    return torch.stack([y, -2 * y + y * y], -1)


# Layers as functions of Z, y, alpha and l2.
LAYERS = {
    "lasso": lambda Z, y, alpha, l2: lasso(Z, y, alpha, l2=l2),
    "lasso with intercept": lambda Z, y, alpha, l2: torch.cat(
        [
            part.reshape(*y.shape[:-1], -1)
            for part in lasso(Z, y, alpha, l2=l2, fit_intercept=True)
        ],
        -1,
    ),
    "multitask_lasso": lambda Z, y, alpha, l2: multitask_lasso(
        Z, both_targets(y), alpha, l2=l2
    ),
    "ridge": lambda Z, y, alpha, l2: ridge(Z, y, alpha + l2),
    "logistic": lambda Z, y, alpha, l2: logistic(Z, y > 0, alpha, l2=l2),
    "multinomial": lambda Z, y, alpha, l2: logistic(
        Z, (y > 0).int() + (y > 1), alpha, l2=l2, n_classes=3
    ),
    "glm": lambda Z, y, alpha, l2: glm(Z, y, alpha, loss=Huber(), penalty=MCP(), l2=l2),
    "glm of vectors": lambda Z, y, alpha, l2: glm(
        *(Z, both_targets(y), alpha),
        loss=Squared(),
        penalty=GroupL1(),
        l2=l2,
        multi_output=True,
    ),
    "svm": lambda Z, y, alpha, l2: group_lasso_svm(Z, y > 0, 10 * alpha, l2),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    return LAYERS[request.param]


@pytest.fixture
def inputs():
    """Z, y, alpha and l2 of a batch of tasks."""
    generator = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=generator, dtype=torch.float64)
    Z = draw(N_TASKS, N_SAMPLES, K)
    y = Z[..., 0] - Z[..., 1] + 0.3 * draw(N_TASKS, N_SAMPLES)
    alpha = torch.linspace(0.05, 0.1, N_TASKS, dtype=torch.float64)
    return Z, y, alpha, torch.linspace(0.1, 0.2, N_TASKS, dtype=torch.float64)


def task(inputs, t):
    return [value[t] for value in inputs]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def score(layer, *inputs):
    """A number that is not linear in the solutions, and in Z."""
    return (layer(*inputs) ** 3).sum() + (inputs[0] ** 2).sum()


def reference(layer, inputs, at=(0, 2, 3)):
    """Gradients of the score by backward."""
    inputs = [value.clone().requires_grad_(i in at) for i, value in enumerate(inputs)]
    return torch.autograd.grad(score(layer, *inputs), [inputs[i] for i in at])


def each(function, inputs):
    """Results for one task after the other, stacked."""
    found = [function(*task(inputs, t)) for t in range(N_TASKS)]
    if isinstance(found[0], torch.Tensor):
        return torch.stack(found)
    return tuple(map(torch.stack, zip(*found, strict=True)))


def test_vmap_is_a_loop(layer, inputs):
    close(vmap(layer)(*inputs), each(layer, inputs))


def test_vmap_of_any_axis(inputs):
    Z, y, alpha, l2 = inputs
    found = vmap(LAYERS["lasso"], (1, None, None, 0), -1)(
        Z.transpose(0, 1), y[0], alpha[0], l2
    )
    close(found, lasso(Z, y[0], alpha[0], l2=l2).T)


@pytest.mark.parametrize("name", ["y", "alpha", "mask", "sample_weight"])
def test_vmap_of_one_argument(name, inputs):
    Z, y, *_ = inputs
    given = {
        "y": y,
        "alpha": torch.tensor([0.05, 0.5]),
        "mask": torch.arange(N_SAMPLES) < torch.tensor([[9], [15]]),
        "sample_weight": y.square(),
    }[name]
    own = {"y": y, "alpha": 0.1}

    def solve(value):
        # A batch of tasks, also within vmap.
        return lasso(Z, **{**own, name: value})

    close(vmap(solve)(given), torch.stack([solve(value) for value in given]))


@pytest.mark.parametrize("name", ["mask", "sample_weight"])
def test_axes_of_arrays_are_those_of_tasks(name, inputs):
    Z, y, *_ = inputs
    # As many tasks as the axis of vmap has entries.
    array = (y.square() > 0.1).numpy() if name == "mask" else y.square().numpy()

    def solve(Z, y):
        return lasso(Z, y, 0.1, **{name: array})

    close(
        vmap(solve)(Z, y), torch.stack([solve(*own) for own in zip(Z, y, strict=True)])
    )


def test_lists_of_penalties_need_tasks(inputs):
    Z, y, *_ = inputs
    solve = partial(lasso, alpha=[0.1] * N_TASKS)
    with pytest.raises(ValueError, match="alpha must be a number or one per task"):
        solve(Z[0], y[0])
    with pytest.raises(ValueError, match="alpha must be a number or one per task"):
        vmap(solve)(Z, y)


def test_vmap_keeps_the_certificate(inputs):
    Z, y, alpha, _ = inputs

    def certify(Z, y, alpha):
        w, info = lasso(Z, y, alpha, return_info=True)
        assert info.certificate == "gap"
        return w, info.gap, info.support, info.converged

    w, gap, support, converged = vmap(certify)(Z, y, alpha)
    assert torch.equal(support, w != 0)
    assert gap.shape == converged.shape == (N_TASKS,)
    assert bool(converged.all())


def test_vmap_leaves_the_start_out(inputs):
    Z, y, alpha, _ = inputs
    start = lasso(Z[0], y[0], alpha[0])
    found = vmap(partial(lasso, start=start))(Z, y, alpha)
    close(found, lasso(Z, y, alpha))


def test_vmap_of_starts(inputs):
    Z, y, *_ = inputs
    expected = lasso(Z, y, 0.1, fit_intercept=True)

    def solve(w, b):
        return lasso(Z, y, 0.1, fit_intercept=True, start=(w, b))

    starts = (torch.stack([part, 2 * part]) for part in expected)
    for found, part in zip(vmap(solve)(*starts), expected, strict=True):
        close(found, torch.stack([part, part]))


def test_arguments_of_too_few_axes():
    for name, shapes in (("Z", [(5, 1), (5, 1)]), ("y", [(5, 1, 2), (5,)])):
        with pytest.raises(ValueError, match=f"{name} must have at least"):
            vmap(lasso, (0, 0, None))(*map(torch.ones, shapes), 0.1)


def test_grad_is_backward(layer, inputs):
    found = grad(partial(score, layer), (0, 2, 3))(*inputs)
    close(found, reference(layer, inputs))


def test_vmap_of_grad_is_a_loop(layer, inputs):
    found = vmap(grad(partial(score, layer), (0, 2, 3)))(*inputs)
    close(found, each(lambda *own: reference(layer, own), inputs))


def test_vmap_of_grad_with_a_shared_argument(inputs):
    Z, *rest = inputs
    layer = LAYERS["lasso"]
    # Every task has a gradient of its own in the shared features.
    found = vmap(grad(partial(score, layer)), (None, 0, 0, 0))(Z[0], *rest)
    shared = [Z[:1].expand_as(Z), *rest]
    close(found, each(lambda *own: reference(layer, own, (0,)), shared)[0])


def test_grad_of_vmap_is_the_sum(layer, inputs):
    Z, *rest = inputs

    def total(Z, *rest):
        return vmap(partial(score, layer), (None, 0, 0, 0))(Z, *rest).sum()

    expected = each(lambda *own: reference(layer, own), [Z[:1].expand_as(Z), *rest])
    found = grad(total, (0, 2, 3))(Z[0], *rest)
    close(found[0], expected[0].sum(0))
    close(found[1:], expected[1:])


def test_jacrev_is_the_jacobian(layer, inputs):
    Z, *rest = task(inputs, 0)
    expected = torch.autograd.functional.jacobian(lambda Z: layer(Z, *rest), Z)
    close(jacrev(layer)(Z, *rest), expected)


def test_vmap_of_jacrev_is_a_loop(inputs):
    layer = LAYERS["lasso"]
    close(vmap(jacrev(layer))(*inputs), each(jacrev(layer), inputs))


def test_nested_vmap_is_a_loop(inputs):
    Z, y, alpha, l2 = inputs
    one = grad(partial(score, LAYERS["ridge"]))
    found = vmap(vmap(one, (0, 0, None, None)), (None, None, 0, 0))(Z, y, alpha, l2)
    expected = [[one(Z[t], y[t], alpha[s], l2[s]) for t in range(3)] for s in range(3)]
    close(found, torch.stack([torch.stack(row) for row in expected]))


def test_vjp_keeps_its_solutions(inputs):
    Z, y, alpha, _ = inputs
    w, pull = vjp(lambda Z: lasso(Z, y, alpha), Z)
    for cotangent in (torch.ones_like(w), w):
        leaf = Z.clone().requires_grad_()
        (expected,) = torch.autograd.grad(lasso(leaf, y, alpha), leaf, cotangent)
        close(pull(cotangent)[0], expected)


def test_errors_within_vmap_are_those_of_the_layer(inputs):
    Z, y, *_ = inputs
    Z[1, 2] = torch.nan
    with pytest.raises(ValueError, match="Z must be finite"):
        vmap(lasso, (0, 0, None))(Z, y, 0.1)


# torch itself compiles a part of its forward mode by this function.
forward_mode = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script`:DeprecationWarning"
)


@pytest.fixture(params=[name for name in LAYERS if name != "svm"])
def forward_layer(request):
    return LAYERS[request.param]


@forward_mode
def test_forward_mode_is_that_of_reverse_mode(forward_layer, inputs):
    Z, y, alpha, l2 = task(inputs, 0)

    def solution(*theta):
        return forward_layer(theta[0], y, *theta[1:])

    theta, at = (Z, alpha, l2), (0, 1, 2)
    expected = jacrev(solution, at)(*theta)
    close(jacfwd(solution, at)(*theta), expected)
    tangents = Z.sin(), alpha + 1, l2 - 1
    w, found = jvp(solution, theta, tangents)
    close(w, solution(*theta))
    total = sum(
        (jacobian * t).reshape(*w.shape, -1).sum(-1)
        for jacobian, t in zip(expected, tangents, strict=True)
    )
    close(found, total)
    step = 1e-6
    high, low = (
        solution(*(p + sign * t for p, t in zip(theta, tangents, strict=True)))
        for sign in (step, -step)
    )
    torch.testing.assert_close(found, (high - low) / 2 / step, rtol=1e-6, atol=1e-7)
    with torch.autograd.forward_ad.dual_level():
        dual = map(torch.autograd.forward_ad.make_dual, theta, tangents)
        w, found = torch.autograd.forward_ad.unpack_dual(solution(*dual))
    close(w, solution(*theta))
    close(found, total)


@forward_mode
def test_forward_mode_of_batches(forward_layer, inputs):
    Z, y, alpha, l2 = inputs
    expected = each(jacrev(forward_layer), inputs)
    close(vmap(jacfwd(forward_layer))(*inputs), expected)
    # Tangents, features and penalties of which only some have the axis of vmap.
    tangents = torch.stack([Z.sin(), Z.cos()])

    def push(tangent, alpha):
        return jvp(lambda Z: forward_layer(Z, y, alpha, l2), (Z,), (tangent,))[1]

    alphas = torch.stack([alpha, 2 * alpha])
    found = vmap(push)(tangents, alphas)
    close(
        found, torch.stack([push(*both) for both in zip(tangents, alphas, strict=True)])
    )


RELATIVE = {
    "lasso": lambda Z, y: lasso(Z, y, 0.1 * lasso_alpha_max(Z, y)),
    "multitask_lasso": lambda Z, y: multitask_lasso(
        Z, both_targets(y), 0.1 * multitask_lasso_alpha_max(Z, both_targets(y))
    ),
    "ridge": lambda Z, y: ridge(Z, y, 0.1 * ridge_alpha_max(Z, y)),
    "logistic": lambda Z, y: logistic(Z, y > 0, 0.1 * logistic_alpha_max(Z, y > 0)),
    "glm": lambda Z, y: glm(Z, y, 0.1 * glm_alpha_max(Z, y, **HUBER), **HUBER),
}
HUBER = {"loss": Huber(), "penalty": L1()}


@forward_mode
@pytest.mark.parametrize("name", RELATIVE)
def test_relative_penalties_are_constants(name, inputs):
    layer, (Z, y, *_) = RELATIVE[name], inputs
    leaf = Z.clone().requires_grad_()
    (expected,) = torch.autograd.grad((layer(leaf, y) ** 3).sum(), leaf)
    close(grad(lambda Z: (layer(Z, y) ** 3).sum())(Z), expected)
    total = (expected * Z.sin()).sum()
    close(jvp(lambda Z: (layer(Z, y) ** 3).sum(), (Z,), (Z.sin(),))[1], total)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(Z, Z.sin())
        slope = torch.autograd.forward_ad.unpack_dual((layer(dual, y) ** 3).sum())
    close(slope.tangent, total)


def svm_by_alpha_max(Z, y):
    alpha = 0.1 * group_lasso_svm_alpha_max(Z, y > 0)
    return group_lasso_svm(Z, y > 0, alpha, 1.0)


@pytest.mark.parametrize("name", [*RELATIVE, "svm"])
def test_vmap_of_relative_penalties_is_a_loop(name, inputs):
    layer = {**RELATIVE, "svm": svm_by_alpha_max}[name]
    close(vmap(layer)(*inputs[:2]), each(layer, inputs[:2]))
    slope = grad(lambda Z, y: (layer(Z, y) ** 3).sum())
    close(vmap(slope)(*inputs[:2]), each(slope, inputs[:2]))


def test_vmap_of_a_bound_with_shared_arguments(inputs):
    Z, y, *_ = inputs
    mask = torch.arange(N_SAMPLES) < 12
    bound = partial(lasso_alpha_max, mask=mask, fit_intercept=True)
    close(vmap(bound, (0, None))(Z, y[0]), bound(Z, y[0]))
    both = vmap(vmap(bound, (None, 0)), (0, None))(Z, y)
    close(both, torch.stack([bound(one, y) for one in Z]))


@forward_mode
def test_forward_mode_with_all_arguments(inputs):
    Z, y, alpha, _ = inputs
    mask = torch.arange(N_SAMPLES) < torch.tensor([[N_SAMPLES], [9], [15]])
    weight = torch.linspace(1, 2, N_SAMPLES)
    how = {"mask": mask, "sample_weight": weight, "fit_intercept": True}

    def solution(Z, y, alpha):
        *results, info = lasso(Z, y, alpha, return_info=True, **how)
        assert bool(info.converged.all())
        return tuple(results)

    # Features that all tasks share, in single precision.
    primals = Z[0].float(), y.float(), alpha.float()
    tangents = tuple(map(torch.cos, primals))
    results, found = jvp(solution, primals, tangents)
    assert all(part.dtype == torch.float32 for part in (*results, *found))
    _, pull = vjp(solution, *primals)
    cotangents = tuple(map(torch.sin, results))
    forward = sum((a * b).sum() for a, b in zip(found, cotangents, strict=True))
    pulled = zip(pull(cotangents), tangents, strict=True)
    torch.testing.assert_close(forward, sum((a * b).sum() for a, b in pulled))


@forward_mode
def test_forward_mode_of_dependent_features_is_refused(inputs):
    Z, y, *_ = task(inputs, 0)
    # Both copies are in the support of a Ridge solution, which is of minimum norm.
    Z = torch.cat([Z, Z[:, :1]], -1)
    with (
        pytest.warns(RuntimeWarning, match="linearly dependent"),
        pytest.raises(RuntimeError, match="no second derivative, and none in forward"),
    ):
        jvp(lambda y: ridge(Z, y, 0.0), (y,), (y.sin(),))


@forward_mode
def test_forward_mode_is_refused(inputs):
    layer = LAYERS["svm"]
    Z, *rest = task(inputs, 0)
    for transform in (
        lambda: jvp(lambda Z: layer(Z, *rest), (Z,), (Z,)),
        lambda: jacfwd(layer)(Z, *rest),
        lambda: vmap(jacfwd(layer))(*inputs),
        lambda: hessian(partial(score, LAYERS["lasso"]))(Z, *rest),
    ):
        with pytest.raises(NotImplementedError, match="no derivative in forward mode"):
            transform()
    with (
        torch.autograd.forward_ad.dual_level(),
        pytest.raises(NotImplementedError, match="no derivative in forward mode"),
    ):
        layer(torch.autograd.forward_ad.make_dual(Z, Z), *rest)


@forward_mode
def test_reverse_mode_of_forward_mode_is_refused(inputs):
    Z, *rest = task(inputs, 0)

    def slope(Z):
        return jvp(lambda Z: lasso(Z, *rest[:2]), (Z,), (Z,))[1].sum()

    with pytest.raises(RuntimeError, match="no second derivative"):
        grad(slope)(Z)


def test_second_derivatives_by_func_are_refused(layer, inputs):
    gradient = grad(partial(score, layer))
    with pytest.raises(RuntimeError, match="no second derivative"):
        jacrev(gradient)(*task(inputs, 0))
    with pytest.raises(RuntimeError, match="no second derivative"):
        vmap(grad(lambda *own: gradient(*own).sum()))(*inputs)


class Net(torch.nn.Module):
    """An encoder, and heads on its features."""

    def __init__(self, head):
        super().__init__()
        self.encode = torch.nn.Linear(K, K, dtype=torch.float64)
        self.head = head

    def forward(self, X, y):
        Z = torch.tanh(self.encode(X))
        return (Z @ self.head(Z, y).unsqueeze(-1)).squeeze(-1).sin()


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net(lambda Z, y: lasso(Z, y, 0.01))


def parameter_gradients(module, net, inputs):
    X, y, *_ = inputs
    return torch.autograd.grad((module(X, y) - y).square().sum(), net.parameters())


def test_ensembles_of_modules(net, inputs):
    X, y, *_ = inputs
    stacked = {k: torch.stack([v, 2 * v]).detach() for k, v in net.named_parameters()}

    def loss(parameters):
        return (functional_call(net, parameters, (X, y)) - y).square().sum()

    found = vmap(grad(loss))(stacked)
    for i in range(2):
        own = {k: v[i].clone().requires_grad_() for k, v in stacked.items()}
        expected = torch.autograd.grad(loss(own), list(own.values()))
        close([part[i] for part in found.values()], list(expected))


# torch itself reads this attribute while it compiles.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_modules(net, inputs):
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(net, backend=backend)
    assert torch.equal(compiled(*inputs[:2]), net(*inputs[:2]))
    # One before the layer and one after it.
    assert len(graphs) == 2
    found = parameter_gradients(compiled, net, inputs)
    close(found, parameter_gradients(net, net, inputs))


# As above.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_vmap_and_compile(inputs):
    Z, y, *_ = inputs

    def compiled(function):
        return torch.compile(function, backend="eager")

    solve = partial(lasso, alpha=0.1)
    expected = solve(Z, y)
    close(vmap(compiled(lambda Z, y: solve(Z, y)))(Z, y), expected)
    close(compiled(lambda Z, y: vmap(solve)(Z, y))(Z, y), expected)
    close(compiled(lasso_alpha_max)(Z, y), lasso_alpha_max(Z, y))
