"""Episodic training: heads on the supports, an outer loss on the queries."""

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn

from sparsedis.bilevel._module import to_device
from sparsedis.bilevel._steps import SteppedNet
from sparsedis.meta_learning._augment import crop_and_flip
from sparsedis.meta_learning._heads import active_features

UNSOUND = "NaN, infinite or huge features"

# What is known of every step, and its name in skorch's history.
RECORDED = {"loss": "train_loss", "accuracy": "accuracy", "active": "active"}


class EpisodicModel(nn.Module):
    """A representation, and the head that is learned with it.

    Parameters
    ----------
    representation : torch.nn.Module
        From inputs to features ``(n, k)``.

    head : Head
    """

    def __init__(self, representation, head):
        super().__init__()
        self.representation = representation
        self.head = head


class EpisodicNet(SteppedNet):
    """One step encodes the images of a few episodes, fits their heads, descends.

    Parameters
    ----------
    module : EpisodicModel

    X : ndarray of shape (n_samples, ...)
        Inputs; only the rows of a step are ever copied.

    sampler : EpisodeSampler

    episodes_per_batch : int

    l1_warmup : float
        Share of the steps over which l1 rises to its value.

    label_smoothing : float

    crop_padding : int

    horizontal_flip : bool

    **kwargs : dict
        Passed to :class:`~sparsedis.bilevel._steps.SteppedNet`. What the encoder and
        the augmentation draw is drawn from `randomness`.
    """

    def __init__(
        self,
        module,
        *,
        X,
        sampler,
        episodes_per_batch,
        l1_warmup,
        label_smoothing,
        crop_padding,
        horizontal_flip,
        **kwargs,
    ):
        self.X = X
        self.sampler = sampler
        self.episodes_per_batch = episodes_per_batch
        self.l1_warmup = l1_warmup
        self.label_smoothing = label_smoothing
        self.crop_padding = crop_padding
        self.horizontal_flip = horizontal_flip
        # The loss is that of the queries; skorch asks for a criterion all the same.
        super().__init__(module, criterion=nn.Identity, **kwargs)

    def fit_episodes(self):
        """Train for ``max_iter`` steps, or until a callback ends it."""
        self.good_ = None
        self.fit_batches(self._episodes())
        if not self.is_sound():
            self.fail("NaN or infinite weights")
        return self

    def _episodes(self):
        while True:
            yield self.sampler.sample(self.episodes_per_batch)

    def is_sound(self):
        """Whether weights and statistics are finite."""
        return all(bool(torch.isfinite(v).all()) for v in self._state().values())

    def train_step_single(self, batch, **fit_params):
        """Encode, fit the heads of Eq. 6, differentiate the loss of Eq. 5."""
        self._set_training(True)
        rows = to_device(self.X[batch.rows], self.device)
        with self.randomness.lent():
            if rows.ndim == 4:
                rows = crop_and_flip(rows, self.crop_padding, self.horizontal_flip)
            Z = self.module_.representation(rows)
        if not is_sound(Z):
            self.fail(UNSOUND)
        support, query, labels, answers = episode_tensors(batch, self.device)
        n_ways = batch.classes.shape[1]
        head = self.module_.head
        rise = self.l1_warmup * self.max_iter
        ramp = min(1.0, (self.n_steps_ + 1) / rise) if rise else 1.0
        W, b = head.fit(Z[support], labels, n_ways, ramp)
        logits = head.logits(Z[query], W, b).flatten(0, 1)
        answers = answers.flatten()
        loss = nn.functional.cross_entropy(
            logits, answers, label_smoothing=self.label_smoothing
        )
        if not bool(torch.isfinite(loss.detach())):
            self.fail("a NaN or infinite loss")
        self.note_good()
        loss.backward()
        right = logits.detach().argmax(-1) == answers
        record = {
            "accuracy": float(right.double().mean()),
            "active": float(active_features(W).double().mean()),
        }
        step = {"loss": loss.detach(), "y_pred": None, "record": record}
        return step | {"size": batch.n_episodes}

    def _state(self):
        return self.module_.state_dict()

    def note_good(self):
        """Keep the weights at hand: they have given a finite loss."""
        if self.good_ is None:
            self.good_ = copy_state(self.module_)
        else:
            for name, value in self._state().items():
                self.good_[name].copy_(value)

    def fail(self, what):
        """Go back to the last good weights, and raise the error that says so."""
        kept = "No weights have given a finite loss yet."
        if self.good_ is not None:
            self.module_.load_state_dict(self.good_)
            kept = "The estimator keeps the weights of the last finite loss."
        raise ValueError(
            f"Training led to {what} at step {self.n_steps_}: lower lr (now "
            f"{self.lr:g}) or scale the inputs. {kept}"
        )


class KeepBest(Callback):
    """Validate every so often; end with the weights that did best.

    Parameters
    ----------
    validate : callable
        From an :class:`EpisodicModel` to an accuracy.

    every : int
        Steps between validations. The last step is always followed by one.

    Attributes
    ----------
    step_, accuracy_ : list
        When it validated, and what it found.

    best_ : dict of tensor
        The weights that did best.

    best_step_ : int
        The step whose weights stand, once training has ended well.
    """

    def __init__(self, validate, every):
        self.validate = validate
        self.every = every

    def on_train_begin(self, net, **kwargs):
        self.step_, self.accuracy_ = [], []

    def on_batch_end(self, net, **kwargs):
        if net.n_steps_ % self.every == 0:
            self._validate(net)

    def on_train_end(self, net, **kwargs):
        if net.n_steps_ and (not self.step_ or self.step_[-1] != net.n_steps_):
            self._validate(net)
        if self.step_:
            net.module_.load_state_dict(self.best_)
            self.best_step_ = self.step_[int(np.argmax(self.accuracy_))]

    def _validate(self, net):
        try:
            accuracy = self.validate(net.module_)
        except ValueError:
            net.fail(UNSOUND)
        if not self.step_ or accuracy > max(self.accuracy_):
            self.best_ = copy_state(net.module_)
        self.step_.append(net.n_steps_)
        self.accuracy_.append(accuracy)


def is_sound(Z):
    """Whether features are finite, and small enough for the heads not to overflow."""
    return bool(torch.isfinite(Z.detach().float().square().sum()))


def copy_state(module):
    """Weights and statistics of a module, detached from it."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def episode_tensors(batch, device):
    """Positions and labels of a batch of episodes, as tensors.

    Parameters
    ----------
    batch : EpisodeBatch

    device : torch.device or str

    Returns
    -------
    support, query : tensor of shape (n_episodes, n_samples) of int64

    support_labels, query_labels : tensor of the same shapes
    """
    arrays = batch.support, batch.query, batch.support_labels, batch.query_labels
    support, query, *labels = (torch.as_tensor(a, device=device) for a in arrays)
    return support, query, labels[0].expand_as(support), labels[1].expand_as(query)
