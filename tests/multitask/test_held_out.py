"""Shares of heads and linear models by the deviance of held-out labels."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import d2_log_loss_score

from sparsedis.multitask._held_out import HeldOutDeviance, HeldOutErrors
from sparsedis.solvers.losses import Logistic, Multinomial, Poisson, Squared


def held_out(loss, n, n_tasks, seed=0):
    rng = np.random.default_rng(seed)
    c = loss.n_classes - 1 if isinstance(loss, Multinomial) else 1
    linear, heads = torch.from_numpy(rng.standard_normal((2, n_tasks, n, c)))
    noise = torch.from_numpy(rng.standard_normal((n_tasks, n, c)))
    truth = 0.6 * heads + 0.3 * linear + 0.5 * noise
    if isinstance(loss, Poisson):
        y = torch.from_numpy(rng.poisson(truth[..., 0].exp().numpy()).astype(float))
    elif isinstance(loss, Multinomial):
        y = loss.expand(truth).argmax(-1).double()
    elif isinstance(loss, Logistic):
        y = (truth[..., 0] > 0).double()
    else:
        y = truth[..., 0]
    return y, linear, heads


@pytest.mark.parametrize("loss", [Logistic(), Multinomial(3), Poisson()], ids=repr)
def test_share_has_the_least_deviance_near_two_errors_below_that_of_all(loss):
    y, linear, heads = held_out(loss, 4000, 2)
    weight = torch.ones_like(y)
    weight[:, ::2] = 2
    weight[:, ::5] = weight[1] = 0
    judged = HeldOutDeviance(2)
    judged.add(np.arange(2), loss, y, linear, heads, weight)
    share = judged.share()
    assert judged.n_labels.tolist() == [3200, 0]
    weight = 3200 * weight[0] / weight.sum()

    def losses(share):
        value = loss.value(share * heads[0] + (1 - share) * linear[0], y[0])
        return (weight * value).numpy()

    def deviance(share):
        return losses(share).sum()

    best = minimize_scalar(deviance, bounds=(0, 1)).x
    step = 1e-3
    slopes = (losses(best + step) - losses(best - step)) / (2 * step)
    bend = (
        deviance(best + step) - 2 * deviance(best) + deviance(best - step)
    ) / step**2
    common = best - 2 * np.sqrt((slopes**2).sum()) / bend
    assert 0 < common < best - 0.02
    assert share[1] == pytest.approx(common, abs=1e-4)

    def shrunk(share):
        return deviance(share) + 0.5 * 40 * bend / 3200 * (share - common) ** 2

    assert share[0] == pytest.approx(minimize_scalar(shrunk, bounds=(0, 1)).x, abs=1e-4)


def test_scores_are_the_explained_deviance():
    y, linear, heads = held_out(Logistic(), 200, 2)
    weight = torch.ones_like(y)
    weight[:, :20] = 0
    weight[1, 24:] = 0
    judged = HeldOutDeviance(2)
    judged.add(np.arange(2), Logistic(), y, linear, heads, weight)
    share = np.array([0.7, 0.7])
    scores = [heads, linear, 0.7 * heads + 0.3 * linear]
    for found, own in zip(judged.d2(share), scores, strict=True):
        p = expit(own[0, 20:, 0].numpy())
        assert found[0] == pytest.approx(d2_log_loss_score(y[0, 20:].numpy(), p))
        # Too few labels.
        assert np.isnan(found[1])


def test_shares_of_squared_errors_are_those_in_closed_form():
    y, linear, heads = held_out(Squared(), 40, 3)
    linear[1, 30:] = torch.nan
    weight = torch.from_numpy(np.random.default_rng(5).uniform(0.5, 2, (3, 40)))
    judged = HeldOutDeviance(3)
    judged.add(np.arange(3), Squared(), y, linear, heads, weight)
    errors = HeldOutErrors(3)
    errors.add(
        np.arange(3),
        y.T.unsqueeze(-1).numpy(),
        (y.unsqueeze(-1) - linear).swapaxes(0, 1).numpy(),
        (y.unsqueeze(-1) - heads).swapaxes(0, 1).numpy(),
        weight.T.numpy(),
        np.ones(3),
    )
    np.testing.assert_allclose(judged.share(), errors.share(), atol=1e-9)


def test_shares_of_few_labels_are_near_the_common_one():
    y, linear, heads = held_out(Logistic(), 400, 3)
    # The linear model is right about the few labels.
    linear[1] = torch.where(y[1, :, None] > 0, 3.0, -3.0)
    weight = torch.ones_like(y)
    weight[1, 10:] = weight[2] = 0
    judged = HeldOutDeviance(3)
    judged.add(np.arange(3), Logistic(), y, linear, heads, weight)
    share = judged.share()
    alone = HeldOutDeviance(1)
    alone.add(np.array([0]), Logistic(), y[1:2], linear[1:2], heads[1:2], weight[1:2])
    assert alone.share()[0] == 0
    assert 0.4 < share[1] < share[2] < share[0]


@pytest.mark.parametrize("better", ["heads", "linear"])
def test_a_share_may_be_all_or_nothing(better):
    y, *_ = held_out(Logistic(), 100, 2)
    good = 2 * y.unsqueeze(-1) - 1
    given = (-good, good) if better == "heads" else (good, -good)
    judged = HeldOutDeviance(2)
    judged.add(np.arange(2), Logistic(), y, *given, torch.ones_like(y))
    np.testing.assert_array_equal(judged.share(), 1.0 if better == "heads" else 0.0)


def test_without_held_out_labels_heads_predict():
    y, linear, heads = held_out(Logistic(), 10, 2)
    judged = HeldOutDeviance(2)
    judged.add(np.arange(2), Logistic(), y, linear, heads, torch.zeros_like(y))
    np.testing.assert_array_equal(judged.share(), 1)
    assert np.isnan(judged.d2(np.ones(2))).all()
