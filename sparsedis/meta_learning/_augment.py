"""Random shifts and flips of images, as tensors."""

import torch


def crop_and_flip(images, padding, flip):
    """Shift each image by up to ``padding`` pixels, and mirror it with probability 1/2.

    Pixels from outside an image repeat its border, which continues any background.
    This is the random crop of a padded image.

    Parameters
    ----------
    images : tensor of shape (n, height, width, channels)
        Images of any dtype.

    padding : int
        Largest shift, in both directions; 0 for none.

    flip : bool
        Whether to mirror images left to right with probability 1/2.

    Returns
    -------
    tensor of shape (n, height, width, channels)
    """
    if not padding and not flip:
        return images
    n, height, width = images.shape[:3]
    device = images.device
    rows = torch.arange(height, device=device).expand(n, height)
    columns = torch.arange(width, device=device).expand(n, width)
    if flip:
        mirrored = torch.rand(n, 1, device=device) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if padding:
        shift = torch.randint(-padding, padding + 1, (2, n, 1), device=device)
        rows = (rows + shift[0]).clamp(0, height - 1)
        columns = (columns + shift[1]).clamp(0, width - 1)
    each = torch.arange(n, device=device)[:, None, None]
    return images[each, rows[:, :, None], columns[:, None, :]]
