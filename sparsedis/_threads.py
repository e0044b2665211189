"""Number of threads of torch and of numpy, which follows the size of the work."""

from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

from sparsedis._openblas import one_for_openblas

# Numbers for each thread, as many as torch gives it in simple operations.
_SHARE = 2**15


@contextmanager
def threads_for(size):
    """Use fewer threads for small work.

    Threads wait for each other in every operation. Beside other processes, this may
    take far longer than a small operation.

    ``torch.set_num_threads`` would also change the number for threads that start in
    the meantime, for good. The number of OpenMP belongs to the calling thread. MKL
    follows it, unless the user has called ``torch.set_num_threads``. The number of
    OpenBLAS, which numpy uses, belongs to the process: it is one while any thread does
    small work.

    Parameters
    ----------
    size : int
        Numbers that the work reads at a time, such as the inputs of a training step.

    Yields
    ------
    None

    Examples
    --------
    >>> import torch
    >>> from sparsedis._threads import threads_for
    >>> with threads_for(100 * 30):
    ...     torch.get_num_threads()
    1
    """
    # Ask first: torch sets the number of a new thread when it is first used there.
    allowed = torch.get_num_threads()
    wanted = max(1, size // _SHARE)
    with ExitStack() as stack:
        if wanted == 1:
            stack.enter_context(one_for_openblas())
        if wanted < allowed:
            stack.enter_context(_openmp().limit(limits=wanted))
        yield


@cache
def _openmp():
    return ThreadpoolController().select(user_api="openmp")
