"""Means of the weights over the steps of a training."""

import copy

import torch
from skorch.callbacks import Callback

# Share of the steps, the last ones, over which weights are averaged.
SHARE = 0.3


class AverageWeights(Callback):
    """Replace the weights of the module at the end by their mean over the last steps.

    With a constant learning rate, weights scatter around a minimum, and their mean is
    nearer to it than any of them [1]_; networks also generalise better [2]_.

    Parameters
    ----------
    max_iter : int
        Number of steps of the training.

    Attributes
    ----------
    mean_ : dict of str to tensor
        Mean of the weights so far.

    n_averaged_ : int
        Number of steps in it.

    References
    ----------
    .. [1] B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by
       averaging", SIAM Journal on Control and Optimization 30, 1992.
    .. [2] P. Izmailov et al., "Averaging weights leads to wider optima and better
       generalization", UAI 2018.
    """

    def __init__(self, max_iter):
        self.max_iter = max_iter

    def on_train_begin(self, net, **kwargs):
        self.mean_, self.n_averaged_ = {}, 0

    def on_batch_end(self, net, training=False, **kwargs):
        if training and net.n_steps_ > (1 - SHARE) * self.max_iter:
            self.n_averaged_ += 1
            state = net.module_.state_dict()
            self.mean_ = moving_mean(self.mean_, state, self.n_averaged_)

    def on_train_end(self, net, **kwargs):
        if self.n_averaged_:
            net.module_.load_state_dict(self.mean_)


def moving_mean(mean, state, span):
    """Move a mean towards a state, by 1 / span; copy what has no mean of its shape.

    Parameters
    ----------
    mean, state : dict of str to tensor

    span : int

    Returns
    -------
    dict of str to tensor
        Changes `state`.
    """
    for name, new in state.items():
        old = mean.get(name)
        if (
            isinstance(new, torch.Tensor)
            and new.is_floating_point()
            and old is not None
            and old.shape == new.shape
        ):
            state[name] = torch.lerp(old.to(new), new, 1 / span)
        else:
            state[name] = copy.deepcopy(new)
    return state
