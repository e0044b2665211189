"""Further training on tables of classes, with the counted features only."""

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from sparsedis._randomness import TorchRandomness
from sparsedis._warn import warn
from sparsedis.bilevel._module import device_blocks, to_device
from sparsedis.bilevel._net import NonFiniteError
from sparsedis.bilevel._optimizers import takes_groups
from sparsedis.inputs._table import TaskTable
from sparsedis.multitask._counting import counting_problem
from sparsedis.multitask._kept_heads import KeptHeads
from sparsedis.multitask._narrowing import take_over
from sparsedis.multitask._noise import NoiseTraining
from sparsedis.multitask._rotation import directions_of_table
from sparsedis.multitask._table_heads import fit_heads

# Features beside those with evidence that a first round keeps: straight features may
# show more factors.
_SPARE = 3

# Steps of a round, learning rate and weight decay, relative to those of the training.
_STEPS, _LR, _DECAY = 0.75, 0.5, 10 / 3

# Learning rate of the heads, in that of the encoder.
_HEADS_LR = 5.0

# Size of a batch, in that of the estimator.
_BATCHES = 2.5

# Relative penalty of the initial heads.
_ALPHA = 1e-4


class FurtherTraining(NoiseTraining):
    """Training that straightens the features of classes.

    Class labels with little noise say on which side of a boundary a row lies, and
    little about the distance. So an encoder with many features uses some of them for
    nonlinear functions of the factors, and bends the others. Linear heads of hardly
    more features than there are factors, fitted to all labels rather than to those of a
    batch, need straight features.
    """

    def _straighten(self, table, split, random_state, data):
        """Continue training with fewer features, in two rounds.

        The first round keeps a few features more than have evidence, the second one
        those that are counted after it.

        Returns
        -------
        FactorCount or None
            The last count among more features than were then kept.
        """
        count = None
        if not self._bends or self.n_components != "auto" or self._module_alone:
            return None
        for spare in (_SPARE, 0):
            Z = self._features_of(table)
            found, components, mean = directions_of_table(Z, table)
            k = found.n_factors
            if k and spare:
                k = min(int(np.argmax(found.evidence)) + spare, len(components))
            if not 0 < k < self._n_trained or not self.n_iter_:
                continue
            how = f"further training, with {k} features"
            directions = components[:k], mean
            try:
                with self._another_training(how):
                    self._train_narrow(table, *directions, split, random_state, data)
            except NonFiniteError as error:
                what, _, _ = str(error).partition(":")
                warn(
                    f"The result is that without {how}. {what}: lower lr (now "
                    f"{self.lr:g}).",
                    UserWarning,
                )
                break
            count = found
        return count

    @property
    def _bends(self):
        """Whether the tasks leave the encoder free to bend the factors."""
        return self._likelihood == "categorical"

    def _train_narrow(self, table, components, mean, split, random_state, data):
        """Continue training with some directions of the features.

        The rows held out are the same, so that the encoder has seen none of them.
        """
        wide, history, device = self.module_, self.history_, self._device()
        rows = to_device(next(iter(table.blocks())), device)
        components, mean = (
            torch.tensor(array, dtype=torch.float32, device=device)
            for array in (components, mean)
        )
        seed = random_state.randint(np.iinfo(np.int32).max)
        with TorchRandomness(seed, device).lent():
            kind = self._noisy, self._skips
            narrow = self._new_module(self.input_shape_, len(components), *kind)
            narrow = narrow.to(device)
            if any(map(is_lazy, narrow.parameters())):
                # Inputs give lazy weights their shapes.
                narrow.eval().encode(rows[:1])
        self._standardize(narrow.encoder, table.blocks())
        options = {}
        # New weights need all the steps.
        if take_over(narrow, wide, components, mean, rows):
            options = self._with_kept_heads(narrow, split.trained)
        self._train_table(
            table,
            len(components),
            random_state,
            data,
            split,
            make=lambda: narrow,
            **options,
        )
        self.history_ = {
            name: np.concatenate([history[name], values])
            for name, values in self.history_.items()
        }
        self.n_iter_ = len(self.history_["loss"])

    def _with_kept_heads(self, module, table):
        """Options of a training that starts from a trained module and its heads."""
        device = self._device()
        module.set_statistics(device_blocks(table.blocks(), device))
        Z = self._features_of(table, module.eval())
        alpha = np.full(table.labels.n_tasks, _ALPHA)
        # Tasks that teach nothing need no head, as those with a single class.
        n_classes = np.where(table.teaching, table.n_classes, 1)
        taught = TaskTable(table.X, table.at, table.labels, n_classes)
        heads = fit_heads(
            Z, taught, alpha, counting_problem(self._problem()), refit="lasso"
        )
        judged_with = getattr(self, "learned_alpha_", self._alpha)
        lr = _LR * self.lr
        groups = {}
        if takes_groups(self.optimizer, lr):
            how = {"lr": _HEADS_LR * lr, "weight_decay": 0.0}
            groups["optimizer__param_groups"] = [("W", how), ("intercept", how)]
        return groups | {
            "objective": KeptHeads(
                self._problem(), judged_with, heads.coef, heads.intercept, device
            ),
            "batches": _BATCHES,
            "decay": _DECAY,
            "max_iter": max(1, round(_STEPS * self.max_iter)),
            "lr": lr,
        }
