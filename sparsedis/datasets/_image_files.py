"""Image files in folders and zip files, found and read without unpacking anything."""

import os
import re
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

ENVIRONMENT = "SPARSEDIS_DATA"
_SUFFIX = re.compile(r"\.(bmp|gif|jpe?g|p[gp]m|png|tiff?|webp)", re.IGNORECASE)
# Largest size of a file, unpacked or not: larger ones only fill the memory.
_LARGEST = 2**28
# Bytes that are unpacked at a time.
_PIECE = 2**16
# Compression methods that zipfile unpacks a piece at a time. With the others, a hundred
# bytes could be unpacked into a hundred megabytes at once.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def data_path(path, user, folder, url):
    """Return the path of a data set: `path`, or its folder in ``$SPARSEDIS_DATA``.

    Parameters
    ----------
    path : str, path-like or None
        Path given by the user.

    user : str
        Name of the loader, for error messages.

    folder : str
        Name of the data set's folder in ``$SPARSEDIS_DATA``.

    url : str
        Source of the data set, for error messages.

    Returns
    -------
    pathlib.Path
        A path that exists.

    Raises
    ------
    FileNotFoundError
        If the path does not exist, or neither `path` nor the variable is set.
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
    """List the images of a folder or a zip file, and open it for reading.

    Images are recognised by their suffixes. Hidden files, those that macOS adds to zip
    files, and names that lead out of a zip file are skipped. Backslashes in a zip file,
    which some programs of Windows write, separate folders as slashes do.

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
        When it is a file, and not a zip file, or a damaged one.
    OSError
        When a folder in it cannot be listed, or the file not be opened.
    """
    path = Path(path)
    if path.is_dir():
        names = sorted(filter(_is_image, _walk(path)))
        yield names, lambda name: read_image_file(path / name)
        return
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there.")
    if not path.is_file():
        raise ValueError(f"{path} is neither a folder nor a complete zip file.")
    with path.open("rb") as file:
        archive = _open_zip(file, path)
        members = _members(archive, path)
        yield sorted(members), lambda name: _unzip(archive, members[name])


def read_image_file(path):
    """Read a file that should be an image.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        When it is no file, or too large for an image.
    OSError
        When it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("is not a file")  # reading a device may never end
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"has {size} bytes, which no image needs")
        return file.read()


def _open_zip(file, path):
    if not zipfile.is_zipfile(file):
        raise ValueError(f"{path} is neither a folder nor a complete zip file.")
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # damaged directories raise nearly anything
        raise ValueError(f"{path} is a damaged zip file: {error}.") from error


def _members(archive, path):
    """Images of a zip file, by their names with slashes."""
    members = {}
    for member in archive.infolist():
        name = member.filename.replace("\\", "/")
        if not _is_image(name):
            continue
        # Of several files with one name the last is read, as zipfile does.
        earlier = members.setdefault(name, member)
        if earlier.filename != member.filename:
            raise ValueError(
                f"{path} holds {name} twice, as {earlier.filename!r} and as "
                f"{member.filename!r}."
            )
        members[name] = member
    return members


def _unzip(archive, member):
    """Return the content of a file in a zip; its header may give a wrong size."""
    if member.compress_type not in _PACKED:
        raise ValueError(
            f"is packed by method {member.compress_type} of zip files, and only 0 "
            "(stored) and 8 (deflated) are read"
        )
    content = bytearray()
    with archive.open(member) as file:
        while piece := file.read(_PIECE):
            content += piece
            if len(content) > _LARGEST:
                raise ValueError(
                    f"unpacks to more than {_LARGEST} bytes, which no image needs"
                )
    return bytes(content)


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
