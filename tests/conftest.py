"""What all tests share."""

import os

# scikit-learn's checks of array API inputs ask for it, before scipy is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

import torch

# The problems are small: more threads would only wait for each other, all the more
# where tests run side by side.
torch.set_num_threads(1)
