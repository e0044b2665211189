"""Newton's method for two classes without a sparse penalty."""

import torch

# Maximal number of steps, and the largest gradient at which to stop, in units in which
# curvatures are about one.
_STEPS, _TOL = 20, 1e-10

# With gradients above _FAR, a line search in _LINE_STEPS Newton steps chooses a length
# in the range _LENGTHS: if classes are nearly separable, coefficients are large and
# Newton steps are too short.
_FAR = 1e-4
_LENGTHS = 0.5, 16.0
_LINE_STEPS = 3

# Maximal number of elements in an array of products of features.
_BLOCK = 2**22


def smooth_newton(problem, V):
    """Minimise the loss with a ridge term, or without a penalty.

    Parameters
    ----------
    problem : Logistic
        Problem with two classes.

    V : tensor of shape (n_tasks, k, 1)
        Starting point.

    Returns
    -------
    V : tensor of shape (n_tasks, k, 1)
        Solution, or the last point before a step with a singular Hessian.

    n_iter : int
        Number of steps for the whole batch.
    """
    Z, scale, ridge = problem.Z, problem.scale, problem.ridge
    gauge = torch.zeros_like(scale)
    gauge[:, -1:] = problem.gauge[:, 0] if problem.fit_intercept else 0.0
    # Other solvers handle tasks whose Hessian is singular despite the shift, for
    # example with constant features.
    shift = torch.diag_embed(ridge + gauge + 1e-12)
    target = problem.onehot[..., 1]
    # A task with a single class has no loss: the probability of its class is 1.
    weight = problem.weight[..., 0] * ~problem.absent.any(-1, keepdim=True)

    def gradient_at(v, p):
        residual = weight * (p - target)
        if len(Z) == 1:
            return scale * (residual @ Z[0]) + ridge * v
        return scale * (residual.unsqueeze(1) @ Z).squeeze(1) + ridge * v

    def logits(v):
        if len(Z) == 1:
            return (scale * v) @ Z[0].T
        return (Z @ (scale * v).unsqueeze(-1)).squeeze(-1)

    v = V[..., 0]
    eta = logits(v)
    p = torch.sigmoid(eta)
    gradient = gradient_at(v, p)
    n_iter = 0
    while n_iter < _STEPS:
        n_iter += 1
        hessian = weighted_gram(Z, weight * p * (1 - p))
        hessian = scale.unsqueeze(-1) * hessian * scale.unsqueeze(-2) + shift
        factor, failed = torch.linalg.cholesky_ex(hessian)
        step = -torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
        along = logits(step)
        length = torch.ones_like(eta[:, :1])
        far = gradient.abs().amax(1, keepdim=True) > _FAR
        if bool(far.any()):
            slope = (ridge * v * step).sum(1, keepdim=True)
            bend = (ridge * step**2).sum(1, keepdim=True)
            best = _best_length(eta, along, target, weight, slope, bend)
            length = torch.where(far, best, length)
        sound = (failed == 0) & torch.isfinite(length[:, 0] * step.sum(1))
        length = torch.where(sound.unsqueeze(1), length, 0.0)
        step = torch.where(sound.unsqueeze(1), step, 0.0)
        v = v + length * step
        eta = logits(v)
        p = torch.sigmoid(eta)
        gradient = gradient_at(v, p)
        if not bool((sound & (gradient.abs().amax(1) > _TOL)).any()):
            break
    return v.unsqueeze(-1), n_iter


def _best_length(eta, along, target, weight, slope, bend):
    """Length of a step that minimises the loss, by Newton's method in one dimension.

    Parameters
    ----------
    eta, along : tensor of shape (n_tasks, n_samples)
        Logits, and their change with a step of length one.

    target, weight : tensor of shape (n_tasks, n_samples)

    slope, bend : tensor of shape (n_tasks, 1)
        First and second derivative of the ridge term along the step.

    Returns
    -------
    tensor of shape (n_tasks, 1)
    """
    length = torch.ones_like(slope)
    for _ in range(_LINE_STEPS):
        p = torch.sigmoid(eta + length * along)
        first = (weight * (p - target) * along).sum(1, keepdim=True)
        second = (weight * p * (1 - p) * along**2).sum(1, keepdim=True)
        first, second = first + slope + length * bend, second + bend
        length = (length - first / second.clamp_min(1e-300)).clamp(*_LENGTHS)
    return length


def weighted_gram(Z, weight):
    """Gram matrices of the features, with the weights of each task.

    Parameters
    ----------
    Z : tensor of shape (n_tasks, n_samples, k) or (1, n_samples, k)

    weight : tensor of shape (n_tasks, n_samples)

    Returns
    -------
    tensor of shape (n_tasks, k, k)
    """
    k = Z.shape[-1]
    if len(Z) > 1 or 2 * len(weight) <= k:
        return Z.mT @ (weight.unsqueeze(-1) * Z)
    # If tasks share their features, one matrix product serves all of them.
    i, j = torch.triu_indices(k, k, device=Z.device)
    flat = weight.new_zeros(len(weight), len(i))
    size = max(1, _BLOCK // len(i))
    for rows, share in zip(Z[0].split(size), weight.split(size, 1), strict=True):
        flat += share @ (rows[:, i] * rows[:, j])
    gram = flat.new_empty(len(flat), k, k)
    gram[:, i, j] = flat
    gram[:, j, i] = flat
    return gram
