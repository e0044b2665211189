"""A second training on tables of classes with noisy labels."""

import copy
from functools import partial

import numpy as np
import torch

from sparsedis.bilevel._net import NonFiniteError
from sparsedis.multitask._objective import TaskObjective
from sparsedis.multitask._training import TaskTraining
from sparsedis.solvers.penalties import L2

# Labels may be noisy where heads explain less than this share of the held-out loss of
# constants.
_EXPLAINED = 0.5

# Share by which the held-out loss must become smaller to keep a second training.
_MARGIN = 0.03

# Relative penalty that leaves only the intercepts of heads.
_HUGE = 1e6


class NoiseTraining(TaskTraining):
    """Training of an encoder on tables of clean or noisy classes."""

    def _train_by_noise(self, table, width, random_state, data):
        """Train on a table, and again for noisy labels if this may predict better.

        Noisy classes need a larger penalty and more dropout, with which the features
        behind clean ones would not be the factors. The second training is kept if
        heads on its features predict held-out rows better. Numbers do not benefit:
        their penalty is larger, and suits clean and noisy ones.
        """
        goes_on = self._goes_on()
        split = self._train_table(table, width, random_state, data)
        if goes_on or not self._may_be_noisy(split.valid):
            return split
        with self._another_training("a second training, for noisy classes") as undo:
            self._noisy = True
            # The same heads judge both, so that only the features differ.
            before = self._held_out_loss(split.valid, self._alpha)
            # A copy: what follows does not depend on a training that is not kept.
            draws = copy.deepcopy(random_state)
            make = partial(self._fresh_module, width, table.blocks())
            try:
                self._train_table(table, width, draws, data, split, make=make)
                after = self._held_out_loss(split.valid, self._alpha)
            except NonFiniteError:
                # The first training is sound.
                after = np.inf
            better = after <= (1 - _MARGIN) * before
            if not better:
                undo()
        if self.verbose:
            print(
                f"The labels may be noisy: the loss on held-out rows is {before:.4f}, "
                f"and {after:.4f} after a second training with a larger alpha, batches "
                f"and dropout. The {'second' if better else 'first'} is kept."
            )
        return split

    def _may_be_noisy(self, valid):
        """Whether a training for noisy labels is possible, and may be of use."""
        auto = self.encoder == "auto" and isinstance(self.alpha, str)
        auto = auto and self._likelihood == "categorical"
        ridge = self.rotation is not None and isinstance(self._head.penalty, L2)
        flat = len(self.input_shape_) == 1
        if valid is None or not (auto and ridge and flat):
            return False
        losses = self.history_["valid_loss"]
        losses = losses[np.isfinite(losses)]
        if not len(losses):
            # A callback has ended the training before its first validation.
            return False
        return losses.min() > (1 - _EXPLAINED) * self._held_out_loss(valid, _HUGE)

    @torch.no_grad()
    def _held_out_loss(self, valid, alpha):
        """Loss of heads with a given penalty on the trained features."""
        inner, outer = valid
        Z, Z_outer = (torch.cat(list(self._codes([part.rows]))) for part in valid)
        judge = TaskObjective(self._problem(), alpha)
        return float(judge.judge(Z, inner, Z_outer, outer))
