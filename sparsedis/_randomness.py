"""A state of torch's random numbers of one's own, whatever other threads draw."""

import threading
from contextlib import contextmanager

import torch

# Modules draw from generators that the whole process shares.
_LOCK = threading.RLock()


class TorchRandomness:
    """Random numbers that a seed decides, and that leave torch's generators alone.

    Parameters
    ----------
    seed : int

    device : torch.device
        Generators of the CPU, and of this device where it is a GPU, are lent.

    Examples
    --------
    >>> import torch
    >>> from sparsedis._randomness import TorchRandomness
    >>> one, other = (TorchRandomness(0, torch.device("cpu")) for _ in range(2))
    >>> with one.lent():
    ...     numbers = torch.rand(4)
    >>> _ = torch.rand(7)
    >>> with other.lent():
    ...     bool((torch.rand(4) == numbers).all())
    True
    """

    def __init__(self, seed, device):
        self._cuda = device if device.type == "cuda" else None
        with _LOCK:
            before = self._states()
            torch.default_generator.manual_seed(seed)
            if self._cuda is not None:
                with torch.cuda.device(self._cuda):
                    torch.cuda.manual_seed(seed)
            self._own = self._states()
            self._set(before)

    @contextmanager
    def lent(self):
        """Let torch draw these numbers; other threads wait for their turn."""
        with _LOCK:
            before = self._states()
            self._set(self._own)
            try:
                yield
            finally:
                self._own = self._states()
                self._set(before)

    @property
    def state(self):
        """States of the generators, as tensors: of the CPU, then of the GPU."""
        return self._own

    @state.setter
    def state(self, states):
        # What was begun on another device goes on with numbers of its own there.
        self._own = [*states[: len(self._own)], *self._own[len(states) :]]

    def _states(self):
        states = [torch.get_rng_state()]
        if self._cuda is not None:
            states.append(torch.cuda.get_rng_state(self._cuda))
        return states

    def _set(self, states):
        torch.set_rng_state(states[0])
        if self._cuda is not None:
            torch.cuda.set_rng_state(states[1], self._cuda)
