"""Modules with layers: ensembles by torch.func, and torch.compile."""

from functools import partial

import pytest
import torch
from torch.func import functional_call, grad, vmap

from sparsedis.implicit import lasso, lasso_alpha_max
from tests.implicit._transforms import K, close


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
