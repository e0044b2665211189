"""Random changes of images."""

import numpy as np
import pytest
import torch

from sparsedis.meta_learning._augment import crop_and_flip


def test_no_augmentation_is_none():
    images = torch.rand(2, 5, 5, 1)
    assert crop_and_flip(images, 0, False) is images


def test_a_shift_repeats_the_border():
    images = torch.arange(6 * 7).reshape(1, 6, 7, 1).repeat(200, 1, 1, 1)
    padded = np.pad(images[0, :, :, 0], 2, mode="edge")
    shifts = [padded[i : i + 6, j : j + 7] for i in range(5) for j in range(5)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        moved = crop_and_flip(images, 2, False)[..., 0].numpy()
    seen = [
        next(i for i, shift in enumerate(shifts) if np.array_equal(image, shift))
        for image in moved
    ]
    assert set(seen) == set(range(25))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_flip_mirrors_about_half_of_the_images(dtype):
    image = torch.arange(24).reshape(1, 3, 4, 2).to(dtype)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flipped = crop_and_flip(image.repeat(200, 1, 1, 1), 0, True)
    assert flipped.dtype == dtype
    same = (flipped == image).all((1, 2, 3))
    mirrored = (flipped == image.flip(2)).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 70 < same.sum() < 130
