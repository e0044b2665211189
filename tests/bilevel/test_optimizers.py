"""Optimisers without torch's compiler."""

import pickle
import subprocess
import sys

import pytest
import torch

from sparsedis.bilevel._optimizers import light, takes_groups

FIT = """
import sys, warnings
import numpy as np
from sparsedis import SparseMultiTaskRepresentation

warnings.simplefilter("ignore")  # three steps find no factors
X = np.random.default_rng(0).standard_normal((30, 4))
SparseMultiTaskRepresentation(2, max_iter=3, random_state=0).fit(X, X[:, :3])
sys.exit("torch._dynamo" in sys.modules)
"""


def weights_after_steps(optimizer, **options):
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 3)
    X = torch.randn(20, 4)
    made = optimizer(net.parameters(), lr=0.1, **options)

    def loss():
        made.zero_grad()
        value = (net(X) ** 2).mean()
        value.backward()
        return value

    for step in range(6):
        made.step(loss)
        if step == 2:
            state = pickle.loads(pickle.dumps(made.state_dict()))
            made = optimizer(net.parameters(), lr=0.3)
            made.load_state_dict(state)
    return net.weight.detach()


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.Adam, {}),
        (torch.optim.AdamW, {"fused": True, "weight_decay": 0.3}),
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_steps_are_those_of_torch(optimizer, options):
    found = weights_after_steps(light(optimizer), **options)
    torch.testing.assert_close(
        found, weights_after_steps(optimizer, **options), rtol=0, atol=0
    )


def test_others_are_not_replaced():
    assert light(torch.optim.RMSprop) is None
    assert light(lambda weights, lr: torch.optim.Adam(weights, lr)) is None


def test_a_fit_does_not_load_the_compiler():
    # Importing it takes longer than the fit of a small table.
    subprocess.run([sys.executable, "-c", FIT], check=True)


def test_whether_an_optimizer_takes_groups():
    assert takes_groups(torch.optim.AdamW, 0.1)
    assert takes_groups(lambda params, lr: torch.optim.SGD(params, lr), 0.1)
    assert not takes_groups(lambda params, lr: torch.optim.LBFGS(params, lr), 0.1)
