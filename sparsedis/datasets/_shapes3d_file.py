"""The original 3D Shapes images, read from their HDF5 file."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparsedis._optional import import_optional
from sparsedis._warn import warn

from ._checks import check_index
from ._grid import FACTOR_NAMES, FactorGrid

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

    from sparsedis._typing import PathLike

FILE_NAME = "3dshapes.h5"
_EXPECTED = (
    "expected the 3D Shapes layout: datasets `images`, uint8 of shape "
    "(n, 64, 64, 3), and `labels`, numbers of shape (n, 6)"
)
_IMAGE_SHAPE = (64, 64, 3)
# Links, by h5py's names, that may lead out of the file.
_FOREIGN = {"ExternalLink": "a link to another file", "SoftLink": "a link"}
# Deflate packs at most about a thousand bytes in one: a larger ratio cannot be real.
_MOST_PACKED = 2**11
# An image that needs more than this to be decompressed draws a warning.
_SLOW_BYTES = 2**20


class Shapes3DFile(FactorGrid):
    """The original 3D Shapes images, read from ``3dshapes.h5`` on demand.

    It has the interface of :class:`Shapes3D`. The grid of factor values is derived from
    the labels, so a file with fewer values of some factors works too.

    Parameters
    ----------
    path : str or path-like
        The file, with datasets ``images``, uint8 of shape (n, 64, 64, 3), and
        ``labels`` of shape (n, 6), all combinations of the factor values once, the last
        factor fastest.

    Attributes
    ----------
    path : pathlib.Path
        The file.

    factor_names : tuple of str
        Names of the factors, the last one varies fastest in the order of images.

    factor_values : tuple of ndarray
        Values of each factor on the grid.

    factor_sizes : tuple of int
        Number of values of each factor.

    n_images : int
        Number of images.

    image_size : int
        Height and width of the images in pixels, 64.

    image_shape : tuple of int
        Shape of an image, ``(64, 64, 3)``.

    Raises
    ------
    ImportError
        When h5py is not installed.
    FileNotFoundError
        When there is no such file.
    OSError
        When the file is truncated, damaged or not HDF5.
    ValueError
        When the datasets have another layout, lie in another file or are links, or the
        labels are not a full grid.

    Warns
    -----
    UserWarning
        When single images are slow to read, see Notes.

    See Also
    --------
    fetch_shapes3d : Find or download the file.
    Shapes3D : Images of the same factors without any file.

    Notes
    -----
    The published file stores the images in compressed chunks that cut across thousands
    of them, so that a single image costs tens of megabytes of decompression. To draw
    images at random, as training does, write a copy with :meth:`save_by_image` once and
    open that one.

    The file is opened when first needed, again after :meth:`close`, in each process
    anew, and after unpickling. The object is a context manager that closes it.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> import numpy as np
    >>> from sparsedis.datasets import Shapes3DFile
    >>> labels = [[0, 0, 0, 1, shape, angle] for shape in (0, 1) for angle in (-30, 30)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/small.h5", "w") as file:
    ...         file["images"] = np.zeros((4, 64, 64, 3), dtype=np.uint8)
    ...         file["labels"] = np.array(labels, dtype=float)
    ...     with Shapes3DFile(f"{folder}/small.h5") as shapes:
    ...         print(shapes.factor_sizes, shapes.images([3, 0, 3]).shape)
    (1, 1, 1, 1, 2, 2) (3, 64, 64, 3)
    """

    factor_names = FACTOR_NAMES

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        self._handle = None
        labels = self._check_layout()
        self.factor_values = self._check_grid(labels)

    def __repr__(self):
        return f"{type(self).__name__}({str(self.path)!r})"

    def __getstate__(self):
        return {"path": self.path, "factor_values": self.factor_values}

    def __setstate__(self, state):
        self.__dict__.update(state, _handle=None)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @property
    def image_size(self) -> int:
        """Height and width of the images in pixels."""
        return _IMAGE_SHAPE[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, ``(64, 64, 3)``."""
        return _IMAGE_SHAPE

    def close(self) -> None:
        """Close the file; it is opened again when next needed."""
        if self._handle is not None:
            pid, file = self._handle
            self._handle = None
            if pid == os.getpid():  # the parent's handle is the parent's to close
                file.close()

    def images(self, index: ArrayLike) -> np.ndarray:
        """Read images.

        Parameters
        ----------
        index : int or array-like of int of shape (n,)
            Indices of images, in any order and with repetitions; each distinct image
            is read once.

        Returns
        -------
        ndarray of shape (n, 64, 64, 3), uint8
            The images.

        Raises
        ------
        ValueError
            When an index is not an integer in ``[0, n_images)``.
        OSError
            When the file is damaged.
        """
        index = check_index(index, self.n_images)
        distinct, inverse = np.unique(index, return_inverse=True)
        out = np.empty((len(distinct), *_IMAGE_SHAPE), dtype=np.uint8)
        data = self._file()["images"]
        try:
            for part in _parts(distinct, data.chunks):
                rows = distinct[part]
                block = data[rows[0] : rows[-1] + 1]
                out[part] = block if len(block) == len(rows) else block[rows - rows[0]]
        except (OSError, RuntimeError) as error:
            raise self._damaged("images", error) from error
        if len(distinct) == len(index) and (inverse[:-1] < inverse[1:]).all():
            return out  # the index was sorted, without repetitions
        return out[inverse]

    def save_by_image(self, path: PathLike) -> Self:
        """Write a copy of the file from which single images are quick to read.

        Parameters
        ----------
        path : str or path-like
            The new file, which must not exist. Each image is a compressed chunk of its
            own; the copy of the published file is several times larger than it.

        Returns
        -------
        Shapes3DFile
            The copy.

        Raises
        ------
        FileExistsError
            When there is a file already.
        """
        h5py = import_optional("h5py", "Shapes3DFile")
        path = Path(path)
        if path.exists():
            raise FileExistsError(f"path must be a new file, {path} exists.")
        source = self._file()["images"]
        # Whole chunks at a time: each is decompressed once.
        step = source.chunks[0] if source.chunks else 1024
        partial = path.with_name(path.name + ".partial")
        try:
            with h5py.File(partial, "w") as file:
                file["labels"] = self._file()["labels"][:]
                target = file.create_dataset(
                    "images",
                    shape=source.shape,
                    dtype=np.uint8,
                    chunks=(1, *_IMAGE_SHAPE),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=False,
                )
                for start in range(0, len(source), step):
                    target[start : start + step] = source[start : start + step]
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return type(self)(path)

    def _file(self):
        if self._handle is None or self._handle[0] != os.getpid():
            h5py = import_optional("h5py", "Shapes3DFile")
            if not self.path.is_file():
                raise FileNotFoundError(
                    f"{self.path} is not a file; expected {FILE_NAME} of 3D Shapes. "
                    "`fetch_shapes3d(download_if_missing=True)` downloads it, "
                    "`Shapes3D` renders such images without a file."
                )
            try:
                file = h5py.File(self.path, "r")
            except OSError as error:
                raise OSError(
                    f"{self.path} is truncated or not an HDF5 file ({error}); "
                    f"{_EXPECTED}."
                ) from error
            try:
                self._check_stored(file, h5py)
            except BaseException:
                file.close()
                raise
            self._handle = (os.getpid(), file)
        return self._handle[1]

    def _check_stored(self, file, h5py):
        """Refuse to read other files, which a file can name."""
        for name in ("images", "labels"):
            try:
                # The target of a link is not opened.
                link = file.get(name, getlink=True)
                if link is None:
                    continue
                kind = _FOREIGN.get(type(link).__name__)
                data = file[name] if kind is None else None
                if isinstance(data, h5py.Dataset):
                    if data.external:
                        kind = "stored in another file"
                    elif data.is_virtual:
                        kind = "a virtual data set"
            except (OSError, RuntimeError, KeyError) as error:
                raise self._damaged(name, error) from error
            if kind is not None:
                raise ValueError(
                    f"{self.path}: {name} is {kind}, but must be stored in the file "
                    f"itself; {_EXPECTED}."
                )

    def _damaged(self, name, error):
        return OSError(
            f"{self.path}: {name} cannot be read, the file is damaged ({error})."
        )

    def _check_layout(self):
        """Check the datasets and return the labels."""
        file = self._file()
        try:
            for name in ("images", "labels"):
                if not hasattr(file.get(name), "shape"):
                    raise ValueError(
                        f"{self.path} has no dataset {name!r}, it has {sorted(file)}; "
                        f"{_EXPECTED}."
                    )
            images, labels = file["images"], file["labels"]
            if images.shape[1:] != _IMAGE_SHAPE or images.dtype != np.uint8:
                raise ValueError(
                    f"{self.path}: images are {images.dtype} of shape {images.shape}; "
                    f"{_EXPECTED}."
                )
            if (
                labels.shape != (len(images), len(FACTOR_NAMES))
                or labels.dtype.kind not in "iuf"
                or len(images) == 0
            ):
                raise ValueError(
                    f"{self.path}: labels are {labels.dtype} of shape {labels.shape}, "
                    f"images have shape {images.shape}; {_EXPECTED}, n > 0."
                )
            if images.chunks and images.chunks[0] > 1:
                n_bytes = images.chunks[0] * np.prod(_IMAGE_SHAPE)
                if n_bytes > _SLOW_BYTES and images.compression:
                    warn(
                        f"{self.path} is stored in chunks across {images.chunks[0]} "
                        f"images: each image read at random decompresses "
                        f"{n_bytes / 2**20:.0f} MiB. Write a copy with "
                        "`save_by_image` once and open that one.",
                        UserWarning,
                    )
            return self._read_labels(labels)
        except BaseException:
            self.close()
            raise

    def _read_labels(self, labels):
        if labels.nbytes > _MOST_PACKED * labels.id.get_storage_size():
            raise ValueError(
                f"{self.path}: labels have shape {labels.shape}, but most of them are "
                f"not stored; {_EXPECTED}."
            )
        try:
            return np.asarray(labels[:], dtype=float)
        except (OSError, RuntimeError) as error:
            raise self._damaged("labels", error) from error

    def _check_grid(self, labels):
        """Values of each factor, if the labels are their full grid in order."""
        sizes = [len(np.unique(column)) for column in labels.T]
        if np.prod(sizes) == len(labels) and np.isfinite(labels).all():
            grid = labels.reshape(*sizes, len(sizes))
            values = []
            for j in range(len(sizes)):
                column = np.moveaxis(grid[..., j], j, -1)
                v = column[(0,) * (len(sizes) - 1)].copy()
                if not (column == v).all():
                    break
                v.setflags(write=False)
                values.append(v)
            else:
                return tuple(values)
        self.close()
        raise ValueError(
            f"{self.path}: the {len(labels)} labels are not the full grid of their "
            f"values, {' x '.join(map(str, sizes))}; expected all combinations of the "
            f"factors {FACTOR_NAMES} once each, the last one fastest."
        )


def _parts(distinct, chunks):
    """Slices of the sorted indices that one read serves best.

    Runs without gap where images are stored one by one; all the images of a chunk where
    chunks cut across them, since each chunk is decompressed as a whole.
    """
    if len(distinct) == 0:
        return
    if chunks and chunks[0] > 1:
        new = np.diff(distinct // chunks[0]) > 0
    else:
        new = np.diff(distinct) > 1
    ends = [0, *(np.flatnonzero(new) + 1), len(distinct)]
    for start, stop in pairwise(ends):
        yield slice(start, stop)
