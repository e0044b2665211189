"""Smooth functions plus a penalty on rows, for a batch of tasks."""


class Problem:
    """Base class of batches of problems.

    Attributes
    ----------
    names : tuple of str
        Attributes with one entry per task, or a single entry for all tasks.
    penalty : Norms or Scaled
    sweeps : bool
        Whether the solver may call `sweep`.

    Methods
    -------
    gradient(V)
        Gradient of ``f``, of shape (n_tasks, k, c). The units are such that the
        diagonal blocks of its derivative are about 1.
    linear_term(V)
        ``f''(V) V - f'(V)``, of shape (n_tasks, k, c).
    hessian(V, rows)
        Blocks of ``f''(V)`` for some :class:`Rows`, of shape (n_tasks, s, c, s, c).
    along(V, step, lengths)
        ``f(V + t step)``, up to a constant, for lengths t of shape (n_tasks, m).
    gap(V)
        Relative duality gap, or squared violation of the optimality conditions, of
        shape (n_tasks,). Infinite or NaN if V is far from the solution.
    stationarity(W, *theta)
        Gradient of the objective in W, in the units of the features, for nonzero rows;
        other rows are undefined. Autograd can differentiate it with respect to
        ``theta``, the tensors that define the problem.
    sweep(V, n_sweeps)
        The point after block coordinate descent from V.
    objective(V)
        Loss plus penalty, of shape (n_tasks,). Only for penalties that are not convex.
    take(at)
        The problem of the tasks with indices ``at``.
    """

    names: tuple[str, ...] = ("penalty",)
    sweeps = False

    def take(self, at):
        part = object.__new__(type(self))
        for name in self.names:
            value = getattr(self, name)
            if name == "penalty":
                value = value.take(at)
            elif value is not None and len(value) > 1:
                value = value[at]
            setattr(part, name, value)
        return part
