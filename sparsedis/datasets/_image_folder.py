"""Images in class folders, of any data set."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from ._decode import decode_images
from ._image_files import open_images

if TYPE_CHECKING:
    from typing import Any, Literal

    from sparsedis._typing import PathLike

_DESCR = "{n} images of {n_classes} classes, from {path}."


def load_image_folder(
    path: PathLike,
    *,
    image_size: int | tuple[int, int] | None = None,
    color: bool = True,
    on_error: Literal["raise", "skip"] = "raise",
    return_X_y: bool = False,
) -> Any:
    """Load the images of a folder whose subfolders are classes.

    A class is a folder that holds images, at any depth, and is named by its path: both
    ``path/dog/1.png`` and ``path/train/dog/1.png`` are read, as the classes ``dog`` and
    ``train/dog``. Other files and hidden ones are skipped. Images are read one at a
    time into one array of 8-bit integers, and rotated as their EXIF data says.

    Parameters
    ----------
    path : str or path-like
        The folder, or a zip file of it, which is read without unpacking it.

    image_size : int or tuple of int, default=None
        Side of the images, or ``(height, width)``, to which all are resized (and
        stretched, if need be). None: they have one size, and keep it.

    color : bool, default=True
        Whether images have three channels (red, green, blue), or one (grey).
        Transparent pixels become white.

    on_error : {"raise", "skip"}, default="raise"
        Handling of files that cannot be read: raise an error that names them, or
        leave them out with a warning that names them.

    return_X_y : bool, default=False
        Whether to return ``(data, target)`` only.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch`
        With the attributes

        data : ndarray of shape (n_samples, height, width, 3 or 1), uint8
            The images, ordered by class and file name.
        target : ndarray of shape (n_samples,), int
            Classes, as positions in ``target_names``.
        target_names : ndarray of shape (n_classes,), str
            Names of the classes, sorted.
        groups : ndarray of shape (n_samples,), str, or None
            The folder that each image's class folder lies in, ``train`` for
            ``path/train/dog/1.png``, which :func:`split_classes` can split by. None
            when there is one such folder only.
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
        When `path` is not there or holds no class folders.
    ValueError
        When files cannot be read (each is named), or images differ in size and
        `image_size` is None.
    ImportError
        When Pillow is not installed.

    Warns
    -----
    UserWarning
        When files are skipped.

    See Also
    --------
    split_classes : Classes to learn from and unseen ones.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from sparsedis.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, color in [("leaf", "green"), ("sky", "blue"), ("sky", "cyan")]:
    ...         (Path(folder) / name).mkdir(exist_ok=True)
    ...         image = Image.new("RGB", (40, 30), color)
    ...         image.save(Path(folder) / name / f"{color}.png")
    ...     images = load_image_folder(folder, image_size=16)
    >>> images.data.shape, images.target.tolist(), images.target_names.tolist()
    ((3, 16, 16, 3), [0, 1, 1], ['leaf', 'sky'])
    """
    path = Path(path).expanduser()
    with open_images(path) as (names, read):
        names = [name for name in names if "/" in name]
        if not names:
            raise FileNotFoundError(
                f"load_image_folder looked for images in subfolders of {path}, one "
                "subfolder a class, and found none."
            )
        data, kept, skipped = decode_images(
            names,
            read,
            user="load_image_folder",
            path=path,
            image_size=image_size,
            color=color,
            on_error=on_error,
        )
    names = [names[position] for position in kept]
    classes = [PurePosixPath(name).parent for name in names]
    groups = [group.parent.as_posix() for group in classes]
    return make_bunch(
        data,
        [name.as_posix() for name in classes],
        groups if len(set(groups)) > 1 else None,
        _DESCR.format(n=len(data), n_classes=len(set(classes)), path=path),
        return_X_y,
        filenames=names,
        skipped=skipped,
    )


def make_bunch(data, labels, groups, description, return_X_y, **more):
    """Make the return value of a loader.

    Parameters
    ----------
    data : ndarray of shape (n_samples, height, width, channels)
        The images.

    labels : sequence of str, of length n_samples
        Names of the images' classes.

    groups : sequence of str, of length n_samples, or None
        Groups of the images' classes.

    description : str
        Description of the data set.

    return_X_y : bool
        Whether to return images and targets only.

    **more : dict
        Other attributes.

    Returns
    -------
    Bunch, or tuple of ndarray
        The data set.
    """
    target_names, target = np.unique(labels, return_inverse=True)
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        target_names=target_names,
        groups=None if groups is None else np.asarray(groups),
        DESCR=description,
        **more,
    )
