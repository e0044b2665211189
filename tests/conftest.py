"""What all tests share."""

import torch

# The problems are small: more threads would only wait for each other, all the more
# where tests run side by side.
torch.set_num_threads(1)
