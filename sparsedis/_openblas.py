"""One thread of OpenBLAS, which numpy uses, for work of many small operations."""

import threading
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


class _Running:
    """Limit of OpenBLAS, and the number of those who need it."""

    lock = threading.Lock()
    number = 0
    limit = None


@contextmanager
def one_for_openblas():
    """Let OpenBLAS use one thread.

    The number of threads belongs to the process. It is one while any thread is inside.

    Yields
    ------
    None

    Examples
    --------
    >>> import numpy as np
    >>> from sparsedis._openblas import one_for_openblas
    >>> with one_for_openblas():
    ...     product = np.eye(3) @ np.ones(3)
    """
    with _Running.lock:
        if not _Running.number:
            _Running.limit = _openblas().limit(limits=1)
        _Running.number += 1
    try:
        yield
    finally:
        with _Running.lock:
            _Running.number -= 1
            if not _Running.number:
                _Running.limit.restore_original_limits()


@cache
def _openblas():
    return ThreadpoolController().select(internal_api="openblas")
