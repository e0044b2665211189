"""Numbers, streams, encoders and callbacks that fail at a random step."""

import copy
import warnings

import numpy as np
import torch
from skorch.callbacks import Callback

from benchmarks.faults._workloads import (
    LABELS,
    X,
    Y,
    batches,
    flaws,
    meta_learner,
    representation,
)
from sparsedis import SparseMultiTaskClassifier

_STEPS = 25


class InjectedError(RuntimeError):
    """The error of a fault."""


class _Hook(Callback):
    """Do something at a step, in any method of a callback."""

    def __init__(self, method, step, do):
        self.method, self.step, self.do = method, step, do
        setattr(self, method, self._act)

    def _act(self, net, **kwargs):
        if net.n_steps_ >= self.step:
            self.do(net)


class _Encoder(torch.nn.Module):
    """Do something to the features of a call in training."""

    def __init__(self, input_shape, n_components, step, do):
        super().__init__()
        self.layer = torch.nn.Linear(*input_shape, n_components)
        self.step, self.do, self.n_calls = step, do, 0

    def forward(self, x):
        Z = self.layer(x)
        self.n_calls += self.training
        return self.do(Z) if self.training and self.n_calls > self.step else Z


def _raise(_):
    raise InjectedError("injected")


def _nan_gradients(net):
    for parameter in net.module_.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)


def _nan_weights(net):
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.fill_(torch.inf)


# What fails, as parameters of an estimator from a step. Numbers fail for good, as
# they do where training diverges.
_FAULTS = {
    "error of a callback": lambda step, rng: {
        "callbacks": [
            _Hook(rng.choice(["on_batch_begin", "on_batch_end"]), step, _raise)
        ]
    },
    "error after an epoch": lambda step, rng: {
        "callbacks": [_Hook("on_epoch_end", step, _raise)]
    },
    "error at the end": lambda step, rng: {
        "callbacks": [_Hook("on_train_end", 0, _raise)]
    },
    "error of the encoder": lambda step, rng: {"encoder": _encoder(step, _raise)},
    "NaN features": lambda step, rng: {
        "encoder": _encoder(step, lambda Z: Z * torch.nan)
    },
    "one infinite feature": lambda step, rng: {
        "encoder": _encoder(step, lambda Z: Z.index_fill(1, torch.tensor(0), torch.inf))
    },
    "features of other shape": lambda step, rng: {
        "encoder": _encoder(step, lambda Z: Z[:, :1])
    },
    "NaN gradients": lambda step, rng: {
        "callbacks": [_Hook("on_grad_computed", step, _nan_gradients)]
    },
    "infinite weights": lambda step, rng: {
        "callbacks": [_Hook("on_batch_end", step, _nan_weights)]
    },
    "learning rate": lambda step, rng: {
        "lr": 10.0 ** rng.uniform(10, 38),
        "optimizer": torch.optim.SGD,
    },
}


def _encoder(step, do):
    return lambda shape, k: _Encoder(shape, k, step, do)


def _kinds():
    classifier = SparseMultiTaskClassifier(3, random_state=0, max_iter=_STEPS)
    return {
        "table": (representation(max_iter=_STEPS), lambda est: est.fit(X, Y)),
        "lasso": (
            representation(max_iter=_STEPS, rotation=None, alpha=0.1),
            lambda est: est.fit(X, Y),
        ),
        "classes": (classifier, lambda est: est.fit(X, Y > 0)),
        "stream": (
            representation(max_iter=_STEPS),
            lambda est: est.fit_stream(batches()),
        ),
        "episodes": (meta_learner(max_iter=_STEPS), lambda est: est.fit(X, LABELS)),
    }


def steps(times):
    """Cause failures in a second fit: it must raise an error and keep valid weights.

    Parameters
    ----------
    times : int
        Number of runs of each fault in each kind of fit.

    Yields
    ------
    name : str

    flaw : str or None
    """
    for kind, (est, fit) in _kinds().items():
        rng = np.random.default_rng(0)
        fit(est)
        before = est.transform(X)
        for name, make in _FAULTS.items():
            for _ in range(times):
                step = int(rng.integers(_STEPS))
                again = copy.deepcopy(est).set_params(**make(step, rng))
                yield f"{name} from step {step} of {kind}", _fails(again, fit, before)


def _fails(est, fit, before):
    """Errors after a fit that must fail."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit(est)
    except (InjectedError, ValueError):
        pass
    except Exception as error:
        return f"raised {error!r}"
    else:
        return flaws(est) or "no error"
    flaw = flaws(est)
    # If there are heads, everything must be that of the first fit.
    mixed = "coef_" in vars(est) and not np.array_equal(est.transform(X), before)
    return flaw or ("heads of the first fit on other weights" if mixed else None)


def streams(times):
    """Let streams fail, or yield invalid batches, at a random step.

    Parameters
    ----------
    times : int
        Number of runs of each fault.

    Yields
    ------
    name : str

    flaw : str or None
    """
    rng = np.random.default_rng(0)
    broken = {
        "an error": None,
        "NaN in X": lambda X, Y: (np.where(X > 0, np.nan, X), Y),
        "infinity in Y": lambda X, Y: (X, np.where(Y > 0, np.inf, Y)),
        "no label": lambda X, Y: (X, np.full_like(Y, np.nan)),
        "other features": lambda X, Y: (X[:, :-1], Y),
        "other rows": lambda X, Y: (X, Y[:-1]),
        "no rows": lambda X, Y: (X[:0], Y[:0]),
        "text": lambda X, Y: (np.full(X.shape, "text"), Y),
        "huge numbers": lambda X, Y: (1e39 * X, Y),
        "no pair": lambda X, Y: X,
        "nothing": lambda X, Y: None,
    }
    for name, make in broken.items():
        for _ in range(times):
            step = int(rng.integers(1, _STEPS))
            est = representation(max_iter=_STEPS)

            def source(step=step, make=make):
                for i, batch in enumerate(batches()):
                    if i == step and make is None:
                        _raise(batch)
                    yield batch if i != step else make(*batch)

            try:
                est.fit_stream(source())
            except (InjectedError, TypeError, ValueError):
                flaw = flaws(est)
            except Exception as error:
                flaw = f"raised {error!r}"
            else:
                flaw = "no error"
            yield f"stream with {name} at step {step}", flaw
