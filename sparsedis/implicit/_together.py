"""Features that tasks share, although each of them has only some of their rows."""

# Smallest variance of a feature in a task, relative to the square of its largest value
# in all of them, that sums over the rows of all tasks keep precise.
_PRECISE = 1e-6


def spread_together(tasks, fit_intercept):
    """Mean squares of the features of each task, if their features can be shared.

    Parameters
    ----------
    tasks : Tasks
        Read with ``together=True``.

    fit_intercept : bool
        Whether the features are centred, in each task.

    Returns
    -------
    tensor of shape (n_tasks, k), or None
        None if tasks share no features, or have no weights, or if features need the
        centre or the unit of a task, for example those that are constant in it.
    """
    if tasks.weight is None or len(tasks.Z) == len(tasks.y):
        return None
    share, Z = tasks.share(), tasks.Z[0].detach()
    if fit_intercept:
        Z = (Z - share.mean(0) @ Z) * (share > 0).any(0).unsqueeze(-1)
    square = Z * Z
    spread = share @ square
    if fit_intercept:
        spread = spread - (share @ Z).square()
    largest = square.amax(0)
    precise = (spread > _PRECISE * largest) | (largest == 0)
    return spread if bool(precise.all()) else None
