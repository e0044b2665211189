"""Directions in which the dual variables may move on a face of their simplices.

The entries of beta that may be positive define a face. Let ``d_i`` be their indicator
for sample i, and ``D_i = diag(d_i)``. The projection onto the directions of sample i is
``Pi_i = Q' (D_i - d_i d_i' / |d_i|^2) Q``, with the basis Q of
:mod:`sparsedis.solvers.svm`. The matrix ``Pi`` has the blocks ``Pi_i``.
"""

import torch


def project_gram(gram, blocks):
    """Return ``Pi (A (x) I) Pi``, given the (m, m) blocks of Pi and A, (n, n).

    The block of the samples i and k is ``A_ik Pi_i Pi_k``.
    """
    n_tasks, n, m, _ = blocks.shape
    tall = blocks.flatten(1, 2)
    pairs = torch.bmm(tall, tall.mT)
    pairs.view(n_tasks, n, m, n, m).mul_(gram[:, :, None, :, None])
    return pairs


def face_projector(face, simplices):
    """Return the blocks ``Pi_i`` of the projection, one per sample.

    Parameters
    ----------
    face : tensor of shape (n_tasks, n_samples, n_classes) of bool
        Entries of beta that may be positive.
    simplices : Simplices

    Returns
    -------
    tensor of shape (n_tasks, n_samples, m, m)
    """
    on = face.to(simplices.basis)
    mean = torch.bmm(on, simplices.basis) / on.sum(-1, keepdim=True).clamp_min(1).sqrt()
    return simplices.blocks(on) - mean.unsqueeze(-1) * mean.unsqueeze(-2)


def face_system(simplices, face, hessian):
    """Return ``Pi H Pi + h (I - Pi)``, the matrix of a Newton step on a face.

    h is the largest diagonal entry of ``Pi H Pi``. The second term sets the part of a
    step that leaves the face to zero.

    Parameters
    ----------
    simplices : Simplices
    face : tensor of shape (n_tasks, n_samples, n_classes) of bool
    hessian : callable
        ``hessian(blocks)`` returns ``Pi H Pi``, given the blocks of Pi. It is positive
        semi-definite, of shape (n_tasks, n_samples * m, n_samples * m).

    Returns
    -------
    matrix : tensor of shape (n_tasks, n_samples * m, n_samples * m)

    border : tensor of shape (n_tasks, n_samples * m, m) or None
        ``Pi E``.

    blocks : tensor of shape (n_tasks, n_samples, m, m)
        The blocks of ``Pi``.
    """
    blocks = face_projector(face, simplices)
    n_tasks, n, m, _ = blocks.shape
    matrix = hessian(blocks)
    height = matrix.diagonal(dim1=-2, dim2=-1).amax(-1)
    # A matrix of zeros is replaced by the identity, so that the step is finite.
    matrix.diagonal(dim1=-2, dim2=-1).add_((height <= 0).unsqueeze(-1))
    height = torch.where(height > 0, height, 1.0)
    rest = torch.eye(m, dtype=matrix.dtype, device=matrix.device) - blocks
    rest = (height[:, None, None, None] * rest).permute(0, 2, 3, 1)
    matrix.view(n_tasks, n, m, n, m).diagonal(dim1=1, dim2=3).add_(rest)
    border = None
    if simplices.border is not None:
        border = blocks @ simplices.border.reshape(n_tasks, n, m, -1)
        border = border.reshape(n_tasks, n * m, -1)
    return matrix, border, blocks
