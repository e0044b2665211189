"""Further training on tables of classes, with the counted features only."""

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from sparsedis._randomness import TorchRandomness
from sparsedis._warn import warn
from sparsedis.bilevel._module import device_blocks, to_device
from sparsedis.bilevel._net import NonFiniteError
from sparsedis.bilevel._optimizers import takes_groups
from sparsedis.inputs._labels import DenseLabels
from sparsedis.inputs._table import TaskTable
from sparsedis.inputs._table_source import TableSource
from sparsedis.multitask._counting import counting_problem
from sparsedis.multitask._directions import Directions, directions_from_centre
from sparsedis.multitask._kept_heads import KeptHeads
from sparsedis.multitask._narrowing import take_over
from sparsedis.multitask._noise import NoiseTraining
from sparsedis.multitask._rotation import directions_of_table
from sparsedis.multitask._table_heads import fit_heads

# Features beside those with evidence that a first round keeps: straight features may
# show more factors.
_SPARE = 3

# Steps of a round, learning rate and weight decay, relative to those of the training.
# Weights that are new need no more weight decay.
_STEPS, _LR, _DECAY = 0.75, 0.5, 10 / 3

# Learning rate of the heads, in that of the encoder.
_HEADS_LR = 5.0

# Size of a batch, in that of the estimator.
_BATCHES = 2.5

# Relative penalty of the initial heads.
_ALPHA = 1e-4

# Largest spread of the boundaries with which new weights learn directions.
_SPREAD = 0.2


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
            options = {"random_state": random_state, "data": data, "anew": not spare}
            try:
                with self._another_training(how):
                    self._train_narrow(table, *directions, split, **options)
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

    def _train_narrow(
        self, table, components, mean, split, *, random_state, data, anew
    ):
        """Continue training with some directions of the features.

        The rows held out are the same, so that the encoder has seen none of them. If
        `anew`, it continues from new weights, where that is of use.
        """
        wide, history, device = self.module_, self.history_, self._device()
        rows = to_device(next(iter(table.blocks())), device)
        components, mean = (
            torch.tensor(array, dtype=torch.float32, device=device)
            for array in (components, mean)
        )
        narrow = self._narrow_module(len(components), table, rows, random_state)
        options = {}
        # New weights need all the steps.
        if take_over(narrow, wide, components, mean, rows):
            if anew:
                anew = self._start_anew(narrow, table, rows, split, random_state, data)
            decay = 1.0 if anew else _DECAY
            options = self._with_kept_heads(narrow, split.trained, decay)
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

    def _narrow_module(self, width, table, rows, random_state, drops=True):
        """A module with new weights."""
        device = self._device()
        seed = random_state.randint(np.iinfo(np.int32).max)
        with TorchRandomness(seed, device).lent():
            kind = self._noisy, self._skips
            module = self._new_module(self.input_shape_, width, *kind, drops)
            module = module.to(device)
            if any(map(is_lazy, module.parameters())):
                # Inputs give lazy weights their shapes.
                module.eval().encode(rows[:1])
        self._standardize(module.encoder, table.blocks())
        return module

    def _start_anew(self, module, table, rows, split, random_state, data):
        """Replace weights by new ones that have learned directions of their features.

        The distances of features from the point where the boundaries of the tasks meet
        come from early steps of training, where they are all about the same: that bends
        the factors. Weights that learn directions only are free to choose distances.

        Returns
        -------
        bool
            Whether that has been done, since the boundaries meet.
        """
        heads = self._initial_heads(module, split.trained)
        Z = self._features_of(table, module)
        directions, spread = directions_from_centre(Z, heads.coef, heads.intercept)
        if not spread < _SPREAD:
            return False
        # A single task, of vectors.
        labels = DenseLabels(directions[:, None])
        directed, valid = TaskTable(table.X, table.at, labels), None
        if split.valid is not None:
            held_out = np.isin(table.at, split.held_out.at)
            batch = directed.take(np.flatnonzero(held_out)).batch(
                np.zeros(1, dtype=int), 10 * self.batch_size, random_state
            )
            directed, valid = directed.take(np.flatnonzero(~held_out)), (batch, batch)
        # Directions have hardly any noise.
        new = self._narrow_module(Z.shape[1], table, rows, random_state, drops=False)
        # A normalisation would choose distances.
        new.normalization = torch.nn.Identity()
        self._train_on(
            "table",
            TableSource(
                directed,
                n_samples=self.batch_size,
                n_tasks=1,
                random_state=random_state,
            ),
            random_state,
            rows=table.blocks,
            data=data,
            make=lambda: new,
            contents=directed.contents(),
            valid=valid,
            objective=Directions(self._problem(), self._judging_alpha),
        )
        module.encoder.load_state_dict(self.module_.encoder.state_dict())
        return True

    @property
    def _judging_alpha(self):
        return getattr(self, "learned_alpha_", self._alpha)

    def _initial_heads(self, module, table):
        """Heads with hardly any penalty on features whose statistics are set."""
        module.set_statistics(device_blocks(table.blocks(), self._device()))
        Z = self._features_of(table, module.eval())
        alpha = np.full(table.labels.n_tasks, _ALPHA)
        # Tasks that teach nothing need no head, as those with a single class.
        n_classes = np.where(table.teaching, table.n_classes, 1)
        taught = TaskTable(table.X, table.at, table.labels, n_classes)
        problem = counting_problem(self._problem())
        return fit_heads(Z, taught, alpha, problem, refit="lasso")

    def _with_kept_heads(self, module, table, decay):
        """Options of a training that starts from a trained module and its heads."""
        heads = self._initial_heads(module, table)
        kept = heads.coef, heads.intercept, self._device()
        lr = _LR * self.lr
        groups = {}
        if takes_groups(self.optimizer, lr):
            how = {"lr": _HEADS_LR * lr, "weight_decay": 0.0}
            groups["optimizer__param_groups"] = [("W", how), ("intercept", how)]
        return groups | {
            "objective": KeptHeads(self._problem(), self._judging_alpha, *kept),
            "batches": _BATCHES,
            "decay": decay,
            "max_iter": max(1, round(_STEPS * self.max_iter)),
            "lr": lr,
        }
