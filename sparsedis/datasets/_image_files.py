"""Image files in folders and zip files, found and read without unpacking anything."""

import os
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

ENVIRONMENT = "SPARSEDIS_DATA"
_SUFFIX = re.compile(r"\.(bmp|gif|jpe?g|p[gp]m|png|tiff?|webp)", re.IGNORECASE)
# What one file in a zip may unpack to: more is no image, but fills the memory.
_LARGEST_MEMBER = 2**28


def data_path(path, user, folder, url):
    """Where a data set is: what the user says, or its folder in the data folder.

    Parameters
    ----------
    path : str, path-like or None
        What the user says.

    user : str
        Who asks, for error messages.

    folder : str
        Name of the data set's folder in ``$SPARSEDIS_DATA``.

    url : str
        Where the data set can be had, for error messages.

    Returns
    -------
    pathlib.Path
        A path that exists.

    Raises
    ------
    FileNotFoundError
        When there is no such path, or neither an argument nor the variable.
    """
    if path is not None:
        found, origin = Path(path).expanduser(), "path"
    elif os.environ.get(ENVIRONMENT):
        found = Path(os.environ[ENVIRONMENT]).expanduser() / folder
        origin = f"the environment variable {ENVIRONMENT}"
    else:
        raise FileNotFoundError(
            f"{user} was given no path, and the environment variable {ENVIRONMENT} is "
            f"not set: pass path=, or set {ENVIRONMENT} to a folder in which "
            f"{folder}/ holds the data set. It is at {url}."
        )
    if not found.exists():
        raise FileNotFoundError(
            f"{user} looked for {found} (from {origin}), which is not there. The data "
            f"set is at {url}."
        )
    return found


@contextmanager
def open_images(path):
    """List the images of a folder or a zip file, to read them.

    Images are known by their suffixes. Hidden files, those that macOS adds to zip
    files, and names that lead out of a zip file are passed over.

    Parameters
    ----------
    path : path-like
        The folder, or the zip file.

    Yields
    ------
    names : list of str
        Paths relative to the folder or in the zip file, with slashes, in order.

    read : callable
        From a name to the bytes of its file.

    Raises
    ------
    FileNotFoundError
        When there is no such path.
    ValueError
        When it is a file, and not a zip file.
    OSError
        When a folder in it cannot be listed.
    """
    path = Path(path)
    if path.is_dir():
        yield (
            sorted(filter(_is_image, _walk(path))),
            lambda name: (path / name).read_bytes(),
        )
        return
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there.")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is neither a folder nor a complete zip file.")
    with zipfile.ZipFile(path) as archive:

        def unzip(name):
            size = archive.getinfo(name).file_size
            if size > _LARGEST_MEMBER:
                raise ValueError(f"unpacks to {size} bytes, which no image needs")
            return archive.read(name)

        yield sorted(filter(_is_image, set(archive.namelist()))), unzip


def _walk(root):
    """Relative paths of all files; through links, and through each folder once."""

    def fail(error):  # a folder that cannot be listed must not go missing silently
        raise error

    seen = set()
    for folder, subfolders, files in os.walk(root, onerror=fail, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        relative = Path(folder).relative_to(root)
        yield from ((relative / file).as_posix() for file in files)


def _is_image(name):
    parts = name.split("/")
    # No part is "", which an absolute path starts with and a folder ends with, or "..".
    foreign = any(not part or part[0] == "." or part == "__MACOSX" for part in parts)
    return not foreign and _SUFFIX.fullmatch(PurePosixPath(name).suffix) is not None
