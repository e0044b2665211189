"""Reading and atomic writing of files, at paths or as file objects."""

import contextlib
import errno
import io
import os
import secrets
import stat


def write_file(file, content):
    """Write a file completely or not at all.

    At a path, a new file replaces an earlier one only when it is complete and on the
    disk. It has the permissions of the earlier file, or those that `open` gives.

    Parameters
    ----------
    file : str, path-like, or file object
        A file object open for writing in binary mode, or an object with such a
        `write`, is also accepted.

    content : bytes

    Raises
    ------
    ValueError
        When the file object is open for text.
    OSError
        When the file cannot be written; an earlier file does not change.
    """
    if hasattr(file, "write"):
        _write_all(file, content)
        return
    # If the path is a link, replace its target.
    path = os.path.realpath(os.fsdecode(file))
    earlier = os.stat(path) if os.path.exists(path) else None
    if earlier is not None and stat.S_ISDIR(earlier.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if earlier is not None and not stat.S_ISREG(earlier.st_mode):
        with open(path, "wb") as device:  # a device cannot be replaced
            device.write(content)
        return
    if earlier is not None:
        # Do not replace a read-only file.
        os.close(os.open(path, os.O_WRONLY))
    folder = os.path.dirname(path)
    partial = os.path.join(folder, f".sparsedis-{secrets.token_hex(8)}.partial")
    try:
        _write_new(partial, content, earlier)
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError) and error.errno is not None:
            # Not the name of the partial file.
            raise OSError(error.errno, error.strerror, path) from None
        raise
    _sync_folder(folder)


def read_file(file):
    """Read a complete file.

    Parameters
    ----------
    file : str, path-like, or file object
        A file object open for reading in binary mode, or an object with such a
        `read`, is also accepted.

    Returns
    -------
    content : bytes

    name : str
        Name of the file for messages.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file object is open for text, or the file does not fit in memory.
    """
    if hasattr(file, "read"):
        name = getattr(file, "name", None)
        name = name if isinstance(name, str) else f"The {type(file).__name__}"
        read = file.read
    else:
        name = os.fsdecode(file)
        if not os.path.isfile(name):
            raise FileNotFoundError(f"There is no file {name}.")

        def read():
            with open(name, "rb") as opened:
                return opened.read()

    try:
        content = read()
    except MemoryError:
        raise ValueError(f"{name} does not fit in memory.") from None
    if not isinstance(content, bytes | bytearray | memoryview):
        raise ValueError(
            f"{name} must be open in binary mode, mode 'rb'; it gives "
            f"{type(content).__name__}."
        )
    return bytes(content), name


def _write_all(file, content):
    if isinstance(file, io.TextIOBase):
        raise ValueError(
            "The file must be open for writing in binary mode, mode 'wb'; got "
            f"{type(file).__name__}, which accepts text."
        )
    rest = content
    while len(rest):
        written = file.write(rest)
        if written is None and not isinstance(file, io.RawIOBase):
            return  # a `write` without a result has written everything
        if not written:
            raise BlockingIOError(errno.EAGAIN, "The file accepts no more data now", 0)
        rest = memoryview(rest)[written:]


def _write_new(path, content, earlier):
    mode = 0o666 if earlier is None else stat.S_IMODE(earlier.st_mode)

    def opener(path, flags):
        return os.open(path, flags, mode)

    with open(path, "xb", opener=opener) as file:
        if earlier is not None:
            if hasattr(os, "chown"):
                # Only root may change the owner of a file.
                with contextlib.suppress(OSError):
                    os.chown(path, earlier.st_uid, earlier.st_gid)
            os.chmod(path, mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder):
    """Sync the new name to the disk too, if the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
