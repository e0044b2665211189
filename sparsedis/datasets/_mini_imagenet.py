"""miniImageNet: 100 classes of natural images, in three published subsets."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from ._checks import check_option
from ._decode import decode_images
from ._image_files import data_path, read_image_file
from ._image_folder import make_bunch
from ._mini_pickles import PICKLES, read_pickles

if TYPE_CHECKING:
    from typing import Any, Literal

    from sparsedis._typing import PathLike

SUBSETS = ("train", "val", "test")
_URL = "https://github.com/twitter-research/meta-learning-lstm"
_DESCR = """\
miniImageNet
------------
Natural images of {n_classes} classes of ImageNet, in the subsets {subsets} of Ravi and
Larochelle, here {height} x {width} pixels.

Images: {n}.
From: {path}
Source: O. Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016;
S. Ravi, H. Larochelle, "Optimization as a Model for Few-Shot Learning", ICLR 2017.
"""


def load_mini_imagenet(
    path: PathLike | None = None,
    *,
    subset: Literal["all", "train", "val", "test"] = "all",
    image_size: int | tuple[int, int] | None = 84,
    trust: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    return_X_y: bool = False,
) -> Any:
    """Load miniImageNet, natural images of 100 classes, from files that are there.

    Two layouts are known; there is no download, since the images are ImageNet's.

    - The lists of Ravi and Larochelle, ``train.csv``, ``val.csv`` and ``test.csv`` with
      the columns ``filename`` and ``label``, and the files in the folder ``images``.
    - Pickles: ``mini-imagenet-cache-train.pkl``, and the same with val and test; or
      ``miniImageNet_category_split_train_phase_train.pickle``,
      ``miniImageNet_category_split_val.pickle`` and the same with test.

    Parameters
    ----------
    path : str or path-like, default=None
        The folder of these files. None: the folder ``mini_imagenet`` in the folder that
        the environment variable ``SPARSEDIS_DATA`` names.

    subset : {"all", "train", "val", "test"}, default="all"
        Which classes: the 64 to learn from, the 16 to choose parameters with, the 20
        to be tested on, or all of them. From pickles, "all" needs twice the memory of
        the images (1.2 GiB) for a moment.

    image_size : int, tuple of int or None, default=84
        Side of the images, or ``(height, width)``, to which all are resized. None: they
        have one size, and keep it.

    trust : bool, default=False
        Whether pickles may be opened. That runs any code that their author put in
        them, so set it for files from a source that you trust only.

    on_error : {"raise", "skip"}, default="raise"
        Handling of image files that cannot be read: raise an error that names them,
        or leave them out with a warning that names them.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, height, width, 3), uint8
            The images.
        target : ndarray of shape (n_samples,), int
            Classes, as positions in ``target_names``.
        target_names : ndarray of shape (n_classes,), str
            Names of the classes, sorted.
        groups : ndarray of shape (n_samples,), str
            The subset of each image, which :func:`split_classes` can split by.
        skipped : list of str
            Files that were left out, with the reasons.
        DESCR : str
            Description of the data set.

    (data, target) : tuple if `return_X_y` is True
        The first two of these.

    Raises
    ------
    FileNotFoundError
        When the folder holds neither layout, or not all of the subsets asked for.
    ValueError
        When pickles are there and `trust` is not True, files cannot be read (each is
        named) or hold something else, or two subsets share a class.
    ImportError
        When Pillow is not installed.

    Warns
    -----
    UserWarning
        When files are skipped.

    See Also
    --------
    split_classes : The subsets as positions, ``parts=[["train"], ["val"], ["test"]]``.

    References
    ----------
    .. [1] O. Vinyals et al., "Matching Networks for One Shot Learning", NeurIPS 2016.
    .. [2] S. Ravi, H. Larochelle, "Optimization as a Model for Few-Shot Learning",
       ICLR 2017.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sparsedis.datasets import load_mini_imagenet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = "filename,label\\nn01532829_1.jpg,n01532829\\n"
    ...     _ = (Path(folder) / "train.csv").write_text(lines)
    ...     (Path(folder) / "images").mkdir()
    ...     Image.new("RGB", (84, 84)).save(Path(folder) / "images/n01532829_1.jpg")
    ...     X, y = load_mini_imagenet(folder, subset="train", return_X_y=True)
    >>> X.shape, y.tolist()
    ((1, 84, 84, 3), [0])
    """
    check_option(subset, "subset", ("all", *SUBSETS))
    path = data_path(path, "load_mini_imagenet", "mini_imagenet", _URL)
    subsets = SUBSETS if subset == "all" else (subset,)
    lists, pickles = _find(path, subsets)
    if lists:
        names, labels, groups = _read_lists(lists)
        data, kept, skipped = decode_images(
            names,
            lambda name: read_image_file(path / "images" / name),
            user="load_mini_imagenet",
            path=path,
            image_size=image_size,
            color=True,
            on_error=on_error,
        )
        labels, groups = ([v[position] for position in kept] for v in (labels, groups))
    else:
        data, labels, groups = read_pickles(pickles, trust, image_size)
        skipped = []
    _check_disjoint(labels, groups)
    description = _DESCR.format(
        n_classes=len(set(labels)),
        subsets=", ".join(subsets),
        height=data.shape[1],
        width=data.shape[2],
        n=len(data),
        path=path,
    )
    return make_bunch(data, labels, groups, description, return_X_y, skipped=skipped)


def _find(path, subsets):
    """The lists, or else the pickles, that hold the subsets; by subset."""
    layouts = [{name: f"{name}.csv" for name in SUBSETS}, *PICKLES]
    for layout in layouts:
        files = {name: path / layout[name] for name in subsets}
        if all(file.is_file() for file in files.values()):
            return (files, {}) if layout is layouts[0] else ({}, files)
    wanted = " or ".join(
        ", ".join(layout[name] for name in subsets) for layout in layouts
    )
    raise FileNotFoundError(
        f"load_mini_imagenet looked in {path} for {wanted}, and found no such set of "
        f"files. The lists are at {_URL}; the images are ImageNet's."
    )


def _read_lists(files):
    """File names, labels and subsets of all the lines of the lists."""
    rows = {}
    for subset, path in files.items():
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                _read_list(csv.DictReader(file), path, subset, rows)
        except (csv.Error, UnicodeError) as error:
            raise ValueError(f"{path} is not a list in UTF-8: {error}.") from error
    if not rows:
        raise ValueError(f"{', '.join(map(str, files.values()))} list no image.")
    labels, groups = zip(*rows.values(), strict=True)
    return list(rows), labels, groups


def _read_list(lines, path, subset, rows):
    """Add the lines of a list to the rows, by file name."""
    if not {"filename", "label"} <= set(lines.fieldnames or ()):
        raise ValueError(
            f"{path} must have the columns filename and label, it has "
            f"{lines.fieldnames}."
        )
    for line in lines:
        name, label = line["filename"], line["label"]
        if not name or not label or {"/", "\\", "\0"} & set(name) or name[0] == ".":
            raise ValueError(
                f"{path}, line {lines.line_num}: expected the name of a file "
                f"in the folder images and a label, got {name!r:.100}, {label!r:.100}."
            )
        if name in rows:
            raise ValueError(
                f"{path}, line {lines.line_num}: {name} is listed before, as "
                f"{rows[name][0]} in {rows[name][1]}."
            )
        rows[name] = label, subset


def _check_disjoint(labels, groups):
    first = {}
    for label, group in dict.fromkeys(zip(labels, groups, strict=True)):
        if first.setdefault(label, group) != group:
            raise ValueError(
                f"The subsets must not share classes: {label!s} is in {first[label]!s} "
                f"and in {group!s}."
            )
