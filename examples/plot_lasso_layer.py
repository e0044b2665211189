"""
A Lasso layer inside your own torch model
=========================================

Which features of a network does each digit need? We train an autoencoder of small
images of digits, and ask its code for more than reconstructions: that each digit be
told from the others by *few* features of the code.

No estimator has such a loss. :func:`sparsedis.implicit.lasso` is an ordinary function
of torch tensors, so that the sparse regressions go next to any other term: given
features and targets it returns the exact solutions, and gradients flow through them.
"""

# %%
# The data: 1797 images of 8 x 8 pixels. All are used for reconstruction; labels are
# known for 500 of them.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from sparsedis.implicit import lasso, lasso_alpha_max, ridge

torch.manual_seed(0)
X, digit = load_digits(return_X_y=True)
order = torch.randperm(len(X))
X = torch.tensor(X / 16, dtype=torch.float32)[order]
digit = torch.tensor(digit)[order]
n_labelled, n_features = 500, 16

# One task per digit: +1 for its images, -1 for others. Each row is a task.
targets = 2.0 * (digit == torch.arange(10)[:, None]) - 1.0

# %%
# The model. The normalisation at the end of the encoder has no learned scale: otherwise
# the network would make its features large, and so the penalty small.


def make_model():
    """Encoder and decoder of the images."""
    encoder = nn.Sequential(
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, n_features),
        nn.BatchNorm1d(n_features, affine=False),
    )
    decoder = nn.Sequential(nn.Linear(n_features, 128), nn.ReLU(), nn.Linear(128, 64))
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


# %%
# The ten heads are solved anew at each step, all at once: the features, of shape
# ``(500, 16)``, are shared, and the targets, of shape ``(10, 500)``, say that there are
# ten tasks. The penalty is a fifth of what would make a head zero.


def sparse_heads(Z, y):
    """Lasso heads and intercepts."""
    alpha = 0.2 * lasso_alpha_max(Z, y, fit_intercept=True)
    return lasso(Z, y, alpha, fit_intercept=True)


def dense_heads(Z, y):
    """Ridge heads and intercepts, to compare with."""
    return ridge(Z, y, 0.01, fit_intercept=True)


def train(heads, n_steps=150):
    """Minimise the errors of the reconstructions and of the heads."""
    torch.manual_seed(0)
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(n_steps):
        Z = model["encoder"](X)
        reconstruction = (model["decoder"](Z) - X).square().mean()
        w, intercept = heads(Z[:n_labelled], targets[:, :n_labelled])
        prediction = w @ Z[:n_labelled].T + intercept[:, None]
        supervised = (prediction - targets[:, :n_labelled]).square().mean()
        optimizer.zero_grad()
        (reconstruction + supervised).backward()
        optimizer.step()
    model.eval()
    return model, w.detach(), intercept.detach()


# %%
# Both kinds of heads, on the images without labels:

results = {}
for name, heads in {"Ridge": dense_heads, "Lasso": sparse_heads}.items():
    model, w, intercept = train(heads)
    with torch.no_grad():
        Z = model["encoder"](X[n_labelled:])
        scores = Z @ w.T + intercept
    accuracy = (scores.argmax(1) == digit[n_labelled:]).double().mean()
    used = (w != 0).sum(1).double().mean()
    print(f"{name}: accuracy {accuracy:.3f}, {used:.1f} of {n_features} features")
    results[name] = model, w

# %%
# On the left the heads. On the right what the features of the sparse model stand for:
# the change of the decoded image when one feature rises from its mean by two standard
# deviations (red is ink, blue is less of it).

figure = plt.figure(figsize=(8.5, 4.6), layout="constrained")
left, right = figure.subfigures(1, 2)
axes = left.subplots(2, 1, sharex=True)
for ax, (name, (_, w)) in zip(axes, results.items(), strict=True):
    image = ax.imshow(w.numpy(), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    ax.set(title=f"{name} heads", ylabel="digit", yticks=range(10))
axes[-1].set(xlabel="feature", xticks=range(n_features))
axes[-1].tick_params(axis="x", labelsize=7)
left.colorbar(image, ax=axes, label="coefficient")

model, w = results["Lasso"]
with torch.no_grad():
    moved = model["decoder"](2.0 * torch.eye(n_features))
    moved = moved - model["decoder"](torch.zeros(1, n_features))
    moved = moved.reshape(-1, 8, 8).numpy()
panels = right.subplots(4, 4)
for j, ax in enumerate(panels.flat):
    ax.imshow(moved[j], cmap="RdBu_r", vmin=-0.8, vmax=0.8)
    digits = torch.nonzero(w[:, j]).flatten().tolist()
    ax.set_title(
        f"{j}: " + (", ".join(map(str, digits)) if digits else "none"), fontsize=8
    )
    ax.set_axis_off()
right.suptitle("features, and the digits that use them")
plt.show()
