"""Files are written whole or not at all, and read at once."""

import io
import os
import stat
import sys

import pytest

from sparsedis._persistence._file_io import read_file, write_file

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(
    tmp_path, umask, mask, expected
):
    os.umask(mask)
    write_file(tmp_path / "a", b"new")
    assert mode(tmp_path / "a") == expected


@posix
@pytest.mark.parametrize("kept", [0o600, 0o664, 0o755])
def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path, umask, kept):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(kept)
    write_file(path, b"new")
    assert (mode(path), path.read_bytes()) == (kept, b"new")


@posix
def test_a_file_that_is_being_written_is_as_private_as_the_earlier_one(
    tmp_path, umask, monkeypatch
):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o600)
    seen = []

    def fsync(handle):
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            seen.append((stat.S_IMODE(found.st_mode), found.st_size))

    monkeypatch.setattr(os, "fsync", fsync)
    write_file(path, b"secret")
    assert seen == [(0o600, 6)]  # on the disk whole, before it takes the name


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch, step, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)) as raised:
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]
    if isinstance(error, OSError):
        assert raised.value.filename == str(path)


@posix
def test_a_killed_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    pid = os.fork()
    if pid == 0:
        os.fsync = lambda _: os._exit(9)  # all is written, nothing is renamed
        write_file(path, b"new")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert path.read_bytes() == b"old"


def test_a_file_that_must_not_be_written_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o444)
    system = os.open

    def refuse(name, flags, *args, **kwargs):
        # As the system does, but for root, who may write everything.
        if os.fspath(name) == str(path) and flags & os.O_WRONLY:
            raise PermissionError(13, "Permission denied", name)
        return system(name, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="a"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@posix
def test_links_stay_links(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "to" / "a")
    for content in (b"first", b"second"):
        write_file(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "to" / "a").read_bytes() == content


def test_places_without_a_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        write_file(tmp_path / "nowhere" / "a", b"new")
    assert error.value.filename == str(tmp_path / "nowhere" / "a")
    assert "None" not in str(error.value)
    with pytest.raises(IsADirectoryError):
        write_file(tmp_path, b"new")
    with pytest.raises(FileNotFoundError, match="There is no file"):
        read_file(tmp_path)
    if os.path.exists("/dev/null"):
        write_file("/dev/null", b"new")
        assert not os.path.isfile("/dev/null")


@pytest.mark.parametrize("form", [str, os.fsencode, lambda path: path])
def test_paths_of_all_forms(tmp_path, form):
    write_file(form(tmp_path / "ä"), b"content")
    assert read_file(form(tmp_path / "ä")) == (b"content", str(tmp_path / "ä"))


def test_file_objects(tmp_path):
    buffer = io.BytesIO(b"before")
    buffer.seek(6)
    write_file(buffer, b"after")
    assert buffer.getvalue() == b"beforeafter"
    buffer.seek(6)
    assert read_file(buffer) == (b"after", "The BytesIO")
    for buffering in (0, -1):
        with open(tmp_path / "a", "wb", buffering=buffering) as file:
            write_file(file, b"content")
        with open(tmp_path / "a", "rb", buffering=buffering) as file:
            assert read_file(file) == (b"content", str(tmp_path / "a"))


def test_file_objects_that_take_a_part_at_a_time():
    class Slow(io.RawIOBase):
        taken = b""

        def write(self, content):
            self.taken += bytes(content[:3])
            return min(3, len(content))

    slow = Slow()
    write_file(slow, b"12345678")
    assert slow.taken == b"12345678"
    slow.write = lambda _: None
    with pytest.raises(BlockingIOError, match="no more"):
        write_file(slow, b"1")


def test_text_is_refused(tmp_path):
    with open(tmp_path / "a", "w+") as file:
        with pytest.raises(ValueError, match=r"binary mode, mode 'wb'; got TextIO"):
            write_file(file, b"content")
        with pytest.raises(ValueError, match=r"a must be open in binary mode.*str"):
            read_file(file)
    assert (tmp_path / "a").read_bytes() == b""
    with pytest.raises(TypeError):
        write_file(3, b"content")
