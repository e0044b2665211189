"""Memory that training reuses from step to step."""

from functools import cache

import torch

# A little less than the largest block whose size glibc learns from, 32 MiB.
_LARGEST = 2**25 - 2**16


@cache
def keep_freed_memory():
    """Let the process keep the memory of freed blocks, up to 64 MiB, for new ones.

    glibc gives memory back to the system once more of it is free than twice the largest
    block freed so far. On images every step did so, and a tenth of its time went into
    asking for the memory again. Freeing one large block that was never written to, and
    hence never took memory, ends this. Other C libraries are not affected.

    Examples
    --------
    >>> from sparsedis.bilevel._memory import keep_freed_memory
    >>> keep_freed_memory()
    """
    torch.empty(_LARGEST, dtype=torch.uint8)
