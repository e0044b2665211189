"""The checks of heads pass what is right, and name what is wrong."""

import pytest
import torch

from sparsedis.heads import (
    GroupLassoSVMHead,
    Head,
    LinearHead,
    PrototypeHead,
    RidgeHead,
    check_head,
    check_loss,
    check_penalty,
)
from sparsedis.solvers.losses import (
    Huber,
    Logistic,
    Multinomial,
    Poisson,
    Squared,
    log_loss,
)
from sparsedis.solvers.penalties import L1, L2, MCP, ElasticNet, GroupL1, NonNegativeL1

TARGETS = {
    Logistic(): [0, 1] * 10,
    Multinomial(4): [0, 1, 2, 3] * 5,
    Poisson(): [0, 1, 3, 2, 0] * 4,
}


@pytest.mark.parametrize(
    "loss", [Squared(), Huber(0.8), Logistic(), Multinomial(4), Poisson()], ids=repr
)
def test_losses_pass(loss):
    check_loss(loss, targets=TARGETS.get(loss))


@pytest.mark.parametrize("loss", [Squared(), Huber(0.8)], ids=repr)
def test_losses_of_vectors_pass(loss):
    check_loss(loss, n_outputs=2)


@pytest.mark.parametrize("n_scores", [1, 2])
@pytest.mark.parametrize(
    "penalty",
    [L1(), L1([1, 0, 2, 1]), GroupL1(), ElasticNet(0.3), NonNegativeL1(), L2(), MCP()],
    ids=repr,
)
def test_penalties_pass(penalty, n_scores):
    if penalty.single and n_scores > 1:
        with pytest.raises(ValueError, match="supports one score only"):
            check_penalty(penalty, n_scores=n_scores)
    else:
        check_penalty(penalty, n_scores=n_scores)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "head",
    [
        GroupLassoSVMHead(),
        RidgeHead(),
        PrototypeHead(),
        LinearHead(log_loss, GroupL1()),
        LinearHead(log_loss, L2()),
    ],
    ids=repr,
)
def test_heads_pass(head, n_classes):
    check_head(head, n_classes=n_classes)


def wrong_loss(**methods):
    return type("Wrong", (Huber,), methods)()


def wrong_penalty(**methods):
    return type("Wrong", (L1,), methods)()


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (
            wrong_loss(gradient=lambda self, s, y: y.unsqueeze(-1) - s),
            "gradient is not the derivative of value",
        ),
        (
            wrong_loss(hessian=lambda self, s, y: torch.zeros(*s.shape, 1)),
            "hessian is not the derivative of gradient",
        ),
        (
            wrong_loss(conjugate=lambda self, u, y: u[..., 0] ** 2),
            "conjugate and value do not add up",
        ),
        (wrong_loss(curvature=0.5), "curvature=0.5 is not an upper bound"),
        (wrong_loss(value=lambda self, s, y: s), "one number per sample"),
    ],
)
def test_wrong_losses_are_named(loss, match):
    with pytest.raises(AssertionError, match=match):
        check_loss(loss)


@pytest.mark.parametrize(
    ("penalty", "match"),
    [
        (
            wrong_penalty(prox=lambda self, W, alpha, step: 0.5 * W),
            "prox does not minimise its definition",
        ),
        (
            wrong_penalty(
                gradient=lambda self, W, alpha: 2 * alpha[..., None] * W.sign()
            ),
            "gradient is not the derivative of value",
        ),
        (
            wrong_penalty(
                alpha_max=lambda self, gradient: 0.5 * gradient.abs().amax((1, 2))
            ),
            "zero is not stationary above alpha_max",
        ),
    ],
)
def test_wrong_penalties_are_named(penalty, match):
    with pytest.raises(AssertionError, match=match):
        check_penalty(penalty)


class Detached(Head):
    """A head whose gradient is lost."""

    penalties = ("l2",)

    def fit_classes(self, Z, y, n_classes, alpha, l2, *, relative):
        W, b = RidgeHead().fit_classes(Z, y, n_classes, alpha, l2, relative=relative)
        return W.detach() + 0 * (Z.sum() + l2), b


class Guessing(Head):
    """A head that knows nothing."""

    def fit_classes(self, Z, y, n_classes, alpha, l2, *, relative):
        return Z.new_zeros(len(Z), Z.shape[-1], n_classes) * Z.sum(), None


def test_wrong_heads_are_named():
    with pytest.raises(AssertionError, match="gradient of a solution does not match"):
        check_head(Detached())
    with pytest.raises(AssertionError, match="accuracy on separate classes"):
        check_head(Guessing())
    bad = Guessing()
    bad.penalties = ("l3",)
    with pytest.raises(AssertionError, match=r"penalties may be .* got \['l3'\]"):
        check_head(bad)
