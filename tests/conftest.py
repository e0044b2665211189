"""Settings and fixtures of all tests."""

import os

# scikit-learn's checks of array API inputs ask for it, before scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# The problems are small: more threads would only wait for each other, all the more
# where tests run side by side. Libraries of linear algebra read it when they load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from joblib.externals.loky import reusable_executor

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[None, "sparsest"], ids=["plain", "rotated"])
def rotation(request):
    """The two modes of the estimators: what training finds, or that rotated."""
    return request.param


@pytest.fixture(autouse=True, scope="module")
def no_workers_left():
    """End joblib's worker processes with the tests that started them.

    Workers that stay idle for five minutes leave by themselves; one that does so just
    when the next test calls it can take that call with it, which then waits for ever.
    """
    yield
    if reusable_executor._executor is not None:
        reusable_executor._executor.shutdown(wait=True)
