"""Weights that did best, beside what was learned with them."""

from types import SimpleNamespace

from skorch.callbacks import Callback
from torch import nn

from sparsedis.bilevel._stopping import KeepBest
from tests.bilevel._trainings import X, Y, representation


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


def test_the_best_penalty_is_that_of_the_best_weights():
    class Watch(Callback):
        def __init__(self):
            self.found = []

        def on_epoch_end(self, net, **kwargs):
            loss = net.history[-1, "valid_loss"]
            self.found.append((loss, net.criterion_.penalty()))

    watch = Watch()
    est = representation(
        learn_alpha=True,
        inner_fraction=0.5,
        alpha=0.1,
        early_stopping=True,
        n_iter_no_change=2,
        max_iter=400,
        lr=0.03,
        callbacks=[watch],
    )
    est.fit(X, Y)
    best = min(range(len(watch.found)), key=watch.found.__getitem__)
    assert best < len(watch.found) - 1
    assert est.learned_alpha_ == watch.found[best][1] != watch.found[-1][1]
