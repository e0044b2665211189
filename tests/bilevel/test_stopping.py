"""Weights that did best, beside what was learned with them."""

from types import SimpleNamespace

from torch import nn

from sparsedis.bilevel._stopping import KeepBest


def test_the_best_weights_are_kept():
    module, criterion = (nn.Linear(1, 1, bias=False) for _ in range(2))
    net = SimpleNamespace(module_=module, criterion_=criterion)

    def train(weights):
        callback.on_train_begin(net)
        for net.n_steps_, weight in enumerate(weights, 1):
            nn.init.constant_(module.weight, weight)
            nn.init.constant_(criterion.weight, -weight)
            callback.on_batch_end(net)
        callback.on_train_end(net)

    callback = KeepBest(lambda net: float(net.module_.weight.detach()), 2)
    train([0.0, 3.0, 5.0, 2.0, 5.0])
    assert callback.step_ == [2, 4, 5]
    assert callback.accuracy_ == [3.0, 2.0, 5.0]
    assert callback.best_step_ == 5
    train([9.0, 8.0, 1.0, 7.0])
    assert (callback.step_, callback.best_step_) == ([2, 4], 2)
    assert float(module.weight.detach()) == 8.0
    assert float(criterion.weight.detach()) == -8.0
