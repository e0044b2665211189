"""Omniglot: handwritten characters of many alphabets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ._checks import check_count, check_option
from ._decode import decode_images
from ._image_files import data_path, open_images
from ._image_folder import make_bunch

if TYPE_CHECKING:
    from typing import Any, Literal

    from sparsedis._typing import PathLike

_URL = "https://github.com/brendenlake/omniglot"
SUBSETS = (
    "images_background_small1",
    "images_background_small2",
    "images_background",
    "images_evaluation",
)
_PATTERN = re.compile(r"(?:(.*)/)?([^/]+)/(character\d+)/[^/]+\.png")
_DESCR = """\
Omniglot
--------
Handwritten characters of {n_alphabets} alphabets, by 20 people each: black on white,
{size} x {size} pixels (originally 105 x 105).

Images: {n}. Classes: {n_classes}.
From: {path}
Source: {url} (MIT licence).
B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning through
probabilistic program induction", Science 350, 2015.
"""


def load_omniglot(
    path: PathLike | None = None,
    *,
    subset: str = "images_background_small1",
    image_size: int = 28,
    rotations: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    return_X_y: bool = False,
) -> Any:
    """Load Omniglot, handwritten characters of many alphabets, from its official files.

    Files have the names ``ALPHABET/characterNN/*.png``, in a folder or in a zip file,
    which is read without unpacking it; other files are skipped. Images are black on
    white.

    Parameters
    ----------
    path : str or path-like, default=None
        A zip file, a folder of alphabets, or a folder that holds ``<subset>.zip`` or
        ``<subset>/``. None: the folder ``omniglot`` in the folder that the environment
        variable ``SPARSEDIS_DATA`` names.

    subset : str, default="images_background_small1"
        Which of the published sets to look for in `path`: "images_background" (964
        characters of 30 alphabets), "images_evaluation" (659 of 20), or
        "images_background_small1" and "images_background_small2" (5 alphabets each).

    image_size : int, default=28
        Side of the images in pixels.

    rotations : bool, default=False
        Whether to add the characters rotated by 90, 180 and 270 degrees as further
        classes, after the original ones: four times the images and classes [2]_.

    on_error : {"raise", "skip"}, default="raise"
        Handling of files that cannot be read: raise an error that names them, or
        leave them out with a warning that names them.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, image_size, image_size, 1), uint8
            The images, 255 is white.
        target : ndarray of shape (n_samples,), int
            Classes, as positions in ``target_names``.
        target_names : ndarray of shape (n_classes,), str
            Names of the classes, sorted: "Latin/character01", or
            "Latin/character01/rot090" when it is turned.
        alphabets : ndarray of shape (n_classes,), str
            The alphabet of each class.
        groups : ndarray of shape (n_samples,), str
            The alphabet of each image, which :func:`split_classes` can split by.
        filenames : list of str
            Paths of the files, in `path`.
        skipped : list of str
            Files that were left out, with the reasons.
        DESCR : str
            Description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The first two of these.

    Raises
    ------
    FileNotFoundError
        When the data set is not where it was looked for.
    ValueError
        When files cannot be read (each is named), an alphabet is there twice, or an
        argument is out of range.
    ImportError
        When Pillow is not installed.

    Warns
    -----
    UserWarning
        When files are skipped.

    See Also
    --------
    split_classes : Alphabets to learn from and unseen ones.

    References
    ----------
    .. [1] B. Lake, R. Salakhutdinov, J. Tenenbaum, "Human-level concept learning
       through probabilistic program induction", Science 350, 2015.
    .. [2] A. Santoro et al., "Meta-Learning with Memory-Augmented Neural Networks",
       ICML 2016.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sparsedis.datasets import load_omniglot
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for character in ("Greek/character01", "Latin/character01"):
    ...         (Path(folder) / character).mkdir(parents=True)
    ...         image = Image.new("1", (105, 105), 1)
    ...         image.save(Path(folder) / character / "0001_01.png")
    ...     omniglot = load_omniglot(folder)
    >>> omniglot.data.shape, omniglot.alphabets.tolist()
    ((2, 28, 28, 1), ['Greek', 'Latin'])
    """
    size = check_count(image_size, "image_size")
    path = _find(data_path(path, "load_omniglot", "omniglot", _URL), subset)
    with open_images(path) as (names, read):
        names = _characters(names, path, subset)
        data, kept, skipped = decode_images(
            names,
            read,
            user="load_omniglot",
            path=path,
            image_size=size,
            color=False,
            on_error=on_error,
        )
    names = [names[position] for position in kept]
    labels = ["/".join(name.split("/")[-3:-1]) for name in names]
    if rotations:
        turned = [np.rot90(data, turns, axes=(1, 2)) for turns in range(4)]
        data = np.concatenate(turned)
        endings = ("", "/rot090", "/rot180", "/rot270")
        labels = [label + ending for ending in endings for label in labels]
        names = names * 4
    groups = [label.split("/")[0] for label in labels]
    classes = sorted(set(labels))
    return make_bunch(
        data,
        labels,
        groups,
        _DESCR.format(
            n_alphabets=len(set(groups)),
            size=size,
            n=len(data),
            n_classes=len(classes),
            path=path,
            url=_URL,
        ),
        return_X_y,
        alphabets=np.array([label.split("/")[0] for label in classes]),
        filenames=names,
        skipped=skipped,
    )


def _find(path, subset):
    """The folder or zip file of a subset in ``path``, or ``path`` itself."""
    check_option(subset, "subset", SUBSETS)
    if path.is_dir():
        for found in (path / subset, path / f"{subset}.zip"):
            if found.exists():
                return found
    return path


def _characters(names, path, subset):
    """The names that have the official layout, each alphabet from one place."""
    found = [match for match in map(_PATTERN.fullmatch, names) if match]
    # Files deeper in a folder belong to another subset.
    matches = [match for match in found if not (match[1] and path.is_dir())]
    if not matches:
        others = sorted({match[1] for match in found})
        hint = (
            f" It holds {', '.join(others)}, which subset= can name." if others else ""
        )
        raise FileNotFoundError(
            f"load_omniglot looked in {path} for {subset}, {subset}.zip and files "
            f"ALPHABET/characterNN/*.png, and found none of them.{hint} The data set "
            f"is at {_URL}."
        )
    places = {}
    for match in matches:
        place, alphabet, _ = match.groups()
        if places.setdefault(alphabet, place) != place:
            raise ValueError(
                f"load_omniglot found the alphabet {alphabet} in two places of {path}, "
                f"{places[alphabet]} and {place}: pass the path of one of them."
            )
    return [match.string for match in matches]
