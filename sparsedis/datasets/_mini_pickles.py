"""The pickles in which miniImageNet circulates."""

import pickle

import numpy as np

from sparsedis._optional import import_optional

from ._decode import check_image_size, resize

# File names by subset; the first kind holds image_data and class_dict, the second data
# and labels.
PICKLES = (
    {name: f"mini-imagenet-cache-{name}.pkl" for name in ("train", "val", "test")},
    {
        "train": "miniImageNet_category_split_train_phase_train.pickle",
        "val": "miniImageNet_category_split_val.pickle",
        "test": "miniImageNet_category_split_test.pickle",
    },
)


def read_pickles(files, trust, image_size):
    """Read all the images of some pickles.

    Parameters
    ----------
    files : dict of str to pathlib.Path
        The pickle of each subset.

    trust : bool
        Whether they may be opened.

    image_size : int, pair of int or None
        Height and width to resize to; None keeps the size, which all must share.

    Returns
    -------
    data : ndarray of shape (n, height, width, 3), uint8
        The images.

    labels : ndarray of shape (n,), str
        Names of their classes.

    groups : ndarray of shape (n,), str
        Their subsets.

    Raises
    ------
    ValueError
        When `trust` is not True, or a pickle is damaged or holds something else.
    """
    if trust is not True:
        raise ValueError(
            f"{', '.join(map(str, files.values()))}: opening a pickle runs any code "
            "that its author put in it. Pass trust=True if you trust where it is from; "
            f"got trust={trust!r}."
        )
    size = check_image_size(image_size)
    parts = [_read_pickle(path, subset, size) for subset, path in files.items()]
    images, labels = zip(*parts, strict=True)
    sizes = {part.shape[1:3] for part in images}
    if len(sizes) > 1:
        raise ValueError(
            "load_mini_imagenet found images of unequal size, pass image_size to "
            f"resize them: {sorted(sizes)}."
        )
    # A single subset stays where it is.
    data = images[0] if len(images) == 1 else np.concatenate(images)
    groups = np.repeat(list(files), [len(part) for part in images])
    return data, np.concatenate(labels), groups


def _read_pickle(path, subset, size):
    """Images and labels of one pickle."""
    try:
        with path.open("rb") as file:
            content = pickle.load(file, encoding="latin1")  # most are of Python 2
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(f"{path} could not be unpickled: {error!r}.") from error
    content = content if isinstance(content, dict) else {}
    if {"image_data", "class_dict"} <= content.keys():
        images = _check_images(content["image_data"], path)
        read = _labels_of_dict
    elif {"data", "labels"} <= content.keys():
        images = _check_images(content["data"], path)
        read = _labels_of_list
    else:
        raise ValueError(
            f"{path} must hold a dict with image_data and class_dict, or with data and "
            f"labels; it has {sorted(map(str, content))}."
        )
    try:
        labels = read(content, subset, len(images))
    except Exception as error:  # the content may be anything
        raise ValueError(f"{path} must name classes; got {error!r}.") from error
    if labels is None or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{path} must give each of its {len(images)} images one class."
        )
    return _resize_all(images, size), labels


def _check_images(images, path):
    dtype, shape = getattr(images, "dtype", None), getattr(images, "shape", ())
    is_array = isinstance(images, np.ndarray)
    if (
        not is_array
        or dtype != np.uint8
        or len(shape) != 4
        or shape[3] != 3
        or 0 in shape
    ):
        raise ValueError(
            f"{path} must hold images of shape (n, height, width, 3), uint8; got "
            f"{type(images).__name__} of {dtype} and shape {shape}."
        )
    return images


def _labels_of_dict(content, _, n_images):
    """Name of each image's class, None unless each image is in one class."""
    class_dict = content["class_dict"]
    parts = [np.asarray(index, dtype=int) for index in class_dict.values()]
    order = np.concatenate([*parts, np.zeros(0, dtype=int)])
    if not np.array_equal(np.sort(order), np.arange(n_images)):
        return None
    labels = np.repeat(list(class_dict), [len(part) for part in parts])
    return labels[np.argsort(order)]


def _labels_of_list(content, subset, _):
    names = {v: k for k, v in content.get("catname2label", {}).items()}
    # Without names, another subset could use the same numbers.
    return np.asarray([names.get(v, f"{subset}_{v}") for v in content["labels"]])


def _resize_all(images, size):
    if size is None or size == images.shape[1:3]:
        return images
    pillow = import_optional("PIL.Image", "load_mini_imagenet")
    out = np.empty((len(images), *size, 3), dtype=np.uint8)
    for new, old in zip(out, images, strict=True):
        new[:] = resize(pillow, pillow.fromarray(old), size)
    return out
