"""Private state of torch's random numbers, independent of other threads."""

import threading
from contextlib import contextmanager

import torch

# Modules draw from global generators, which one thread at a time may replace.
_LOCK = threading.RLock()


class TorchRandomness:
    """Random numbers from a seed, without changing torch's global generators.

    Parameters
    ----------
    seed : int

    device : torch.device
        The generator of the CPU is used, and that of this device if it is a GPU.

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
        """Let torch draw these numbers, while other threads wait."""
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
        """States of the generators of the CPU and of the GPU, if any, as tensors."""
        return self._own

    @state.setter
    def state(self, states):
        # If training started on another device, the numbers on this one are new.
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
