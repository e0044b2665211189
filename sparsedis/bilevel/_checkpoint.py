"""Files of the training state, to continue after an interruption."""

import io
import json
import os
from dataclasses import is_dataclass
from functools import partial
from hashlib import sha256

import joblib
import numpy as np
import torch
from skorch.callbacks import LoadInitState
from skorch.history import History
from torch.nn.parameter import is_lazy

from sparsedis._persistence._file_io import read_file, write_file
from sparsedis.distributed import processes

_MAGIC = b"sparsedis training 1\n"

# Parameters that do not affect the result.
_IDLE = ("callbacks", "checkpoint", "device", "verbose", "warm_start")


class TrainingFile:
    """File with the state of one training run, written after each epoch.

    The name of the file depends on the parameters, the data and the initial weights, so
    the candidates of a search can share a folder.

    Parameters
    ----------
    folder : str or path-like
        Created if it is missing.

    prefix : str
        Start of the file name.

    key : str
        Identifies the training run, see :func:`identify`.
    """

    def __init__(self, folder, prefix, key):
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            what = f"checkpoint must be a folder that can be made: {error.strerror}"
            raise OSError(error.errno, what, os.fspath(folder)) from None
        self.path = os.path.join(folder, f"{prefix}{key[:20]}.training")
        self.key = key
        self._written = False

    def save(self, net, *, ended=False):
        """Write the state of a net, and replace an earlier state.

        If the weights are not finite, the file does not change. Of processes that
        share the training, the first one writes it.

        Raises
        ------
        ValueError
            When the state of the encoder or the optimiser contains anything but
            tensors, numbers, text and containers of these.
        """
        if not net.is_sound() or processes().rank > 0:
            return
        buffer = io.BytesIO()
        torch.save(_state_of(net) | {"key": self.key, "ended": ended}, buffer)
        content = buffer.getvalue()
        if not self._written:
            self._check_readable(content)
        write_file(self.path, _MAGIC + _digest(content) + b"\n" + content)
        self._written = True

    def restore(self, net):
        """Load the state in the file, if there is one, into a net.

        Returns
        -------
        ended : bool
            Whether the training had finished.

        Raises
        ------
        ValueError
            When the file is damaged or belongs to another training run.
        """
        if not os.path.exists(self.path):
            return False
        whole, _ = read_file(self.path)
        digest, _, content = whole[len(_MAGIC) :].partition(b"\n")
        if not whole.startswith(_MAGIC) or _digest(content) != digest:
            raise ValueError(
                f"checkpoint: {self.path} is damaged, or of another version, so "
                "training cannot continue: delete it to start again."
            )
        state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
        if state["key"] != self.key:
            raise ValueError(
                f"checkpoint: {self.path} belongs to training with other parameters "
                "or data: move or delete it to start again."
            )
        _give_back(net, state)
        return state["ended"]

    def _check_readable(self, content):
        try:
            torch.load(io.BytesIO(content), "cpu", weights_only=True)
        except Exception as error:
            raise ValueError(
                "checkpoint: the encoder or the optimizer has state other than "
                f"tensors, numbers and text, which cannot be saved: {error}"
            ) from error


def _digest(content):
    return sha256(content).hexdigest().encode()


def checkpoint_of(estimator, module, *contents):
    """Checkpoint file of a training run, if it has one, and the callbacks to call.

    skorch's LoadInitState gives the folder of its Checkpoint. The files that skorch
    writes there do not contain the complete state.

    Parameters
    ----------
    estimator : BaseEstimator

    module : torch.nn.Module
        The module at the start of training.

    *contents : object
        Training data.

    Returns
    -------
    checkpoint : TrainingFile or None

    callbacks : list
        Callbacks of the estimator, without LoadInitState.

    Raises
    ------
    ValueError
        When an entry of `callbacks` is none, two folders are given, or `random_state`
        is not an int.
    """
    callbacks, folder, prefix = [], estimator.checkpoint, ""
    for callback in estimator.callbacks or []:
        plain = callback[-1] if isinstance(callback, tuple) else callback
        if not hasattr(plain, "on_train_begin"):
            raise ValueError(
                "callbacks must hold skorch callbacks, or pairs of a name and one; got "
                f"{callback!r}."
            )
        if not isinstance(plain, LoadInitState):
            callbacks.append(callback)
            continue
        if folder is not None:
            raise ValueError(
                f"Training can continue from only one folder: got {folder!r}, and "
                "another one by LoadInitState in callbacks."
            )
        folder = plain.checkpoint.dirname or os.curdir
        prefix = plain.checkpoint.fn_prefix
    if folder is None:
        return None, callbacks
    if not isinstance(estimator.random_state, int | np.integer):
        raise ValueError(
            "random_state must be an int with checkpoint or LoadInitState, to "
            "continue with the same random numbers; got "
            f"{estimator.random_state!r}."
        )
    key = identify(estimator, module, *contents)
    return TrainingFile(folder, prefix, key), callbacks


def identify(estimator, module, *contents):
    """Hash of a training run: class, parameters, initial weights and data.

    Parameters
    ----------
    estimator : BaseEstimator

    module : torch.nn.Module

    *contents : object
        Arrays and containers of arrays.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    kind = type(estimator)
    parameters = {
        name: _plain_of(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in _IDLE
    }
    weights = {name: _plain_of(value) for name, value in module.state_dict().items()}
    whole = (
        f"{kind.__module__}.{kind.__qualname__}",
        parameters,
        repr(module),
        weights,
        [_plain_of(value) for value in contents],
    )
    return joblib.hash(whole, hash_name="sha1", coerce_mmap=True)


def _plain_of(value):
    """Representation of a value that always has the same hash."""
    # A lazy layer has no weights before the first step.
    if isinstance(value, torch.Tensor) and not is_lazy(value):
        value = value.detach().cpu().contiguous()
        return str(value.dtype), value.shape, value.flatten().view(torch.uint8).numpy()
    if value is None or isinstance(value, str | int | float | np.generic | np.ndarray):
        return value
    if isinstance(value, dict):
        return {name: _plain_of(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_of(item) for item in value]
    if is_dataclass(value):
        return _plain_of(vars(value))
    if isinstance(value, partial):
        return _plain_of([value.func, value.args, value.keywords])
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _state_of(net):
    return {
        "n_steps": net.n_steps_,
        "module": net.module_.state_dict(),
        "criterion": net.criterion_.state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        # Text loads faster than pickled lists of thousands of numbers.
        "history": json.dumps(net.history.to_list(), default=np.generic.item),
        "randomness": net.randomness.state,
        "callbacks": {name: _fitted(callback) for name, callback in net.callbacks_},
    }


def _give_back(net, state):
    net.module_.load_state_dict(state["module"])
    net.criterion_.load_state_dict(state["criterion"])
    net.optimizer_.load_state_dict(state["optimizer"])
    net.history = History(json.loads(state["history"]))
    net.randomness.state = state["randomness"]
    net.n_steps_ = state["n_steps"]
    net.note_good()
    for name, callback in net.callbacks_:
        for key, value in state["callbacks"].get(name, {}).items():
            there = vars(callback).get(key)
            if hasattr(there, "load_state_dict"):
                there.load_state_dict(value)
            else:
                setattr(callback, key, value)


def _fitted(callback):
    """Fitted attributes of a callback, by skorch's convention of names."""
    found = {}
    for key, value in vars(callback).items():
        if not key.endswith("_") or key.startswith("_"):
            continue
        has_state = hasattr(value, "state_dict") and not isinstance(value, type)
        try:
            found[key] = _storable(value.state_dict() if has_state else value)
        except TypeError:
            continue  # e.g. a progress bar, which is created again when training starts
    return found


def _storable(value):
    """Convert to numbers, text, tensors and containers of these, or raise TypeError."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return value
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_storable(item) for item in value)
    raise TypeError
