"""Download of the original 3D Shapes file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.datasets import get_data_home

from sparsedis._optional import import_optional

from ._shapes3d_file import FILE_NAME, Shapes3DFile

if TYPE_CHECKING:
    from sparsedis._typing import PathLike

URL = "https://storage.googleapis.com/3d-shapes/3dshapes.h5"
SHA256 = "0a0f6ed98baff276a50f3a081a7434d788da63cb135a98189b2a5b5769be1785"


def fetch_shapes3d(
    data_home: PathLike | None = None,
    *,
    download_if_missing: bool = False,
    url: str = URL,
    checksum: str = f"sha256:{SHA256}",
) -> Shapes3DFile:
    """Open the original 3D Shapes file, and download it when asked to.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of ``3dshapes.h5``. None: scikit-learn's data folder, see
        :func:`sklearn.datasets.get_data_home`.

    download_if_missing : bool, default=False
        Whether to download the file (255 MiB) when it is not there.

    url : str, default="https://storage.googleapis.com/3d-shapes/3dshapes.h5"
        Where to download from.

    checksum : str, default="sha256:0a0f6ed9..."
        Expected hash of the download, as ``"algorithm:digest"``; the default is that
        of the published file. A download that differs is deleted.

    Returns
    -------
    Shapes3DFile
        The data set.

    Raises
    ------
    FileNotFoundError
        When the file is not there and must not be downloaded.
    ImportError
        When h5py, or pooch for a download, is not installed.
    ValueError
        When the download does not have the checksum, or the file is not the data set.

    See Also
    --------
    Shapes3D : Images of the same factors without any file.

    Examples
    --------
    >>> from sparsedis.datasets import fetch_shapes3d
    >>> fetch_shapes3d("/no/such/folder")
    Traceback (most recent call last):
        ...
    FileNotFoundError: /no/such/folder/3dshapes.h5 is not there...
    """
    folder = Path(get_data_home() if data_home is None else data_home).expanduser()
    path = folder / FILE_NAME
    if not path.exists():
        if not download_if_missing:
            raise FileNotFoundError(
                f"{path} is not there. Pass download_if_missing=True to download it "
                f"(255 MiB) from {url}, or data_home=, the folder that holds "
                f"{FILE_NAME}. `Shapes3D` renders such images without a file."
            )
        if not isinstance(checksum, str) or not checksum:
            raise ValueError(
                'checksum must be a string "algorithm:digest", which a download is '
                f"checked against, got {checksum!r}."
            )
        import_optional("h5py", "fetch_shapes3d")  # before the download, not after
        pooch = import_optional("pooch", "fetch_shapes3d")
        pooch.retrieve(url, known_hash=checksum, fname=FILE_NAME, path=folder)
    return Shapes3DFile(path)
