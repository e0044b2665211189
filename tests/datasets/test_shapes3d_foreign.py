"""Files of the layout of 3D Shapes that name other files, or are damaged."""

import itertools

import numpy as np
import pytest

from sparsedis.datasets import Shapes3DFile

h5py = pytest.importorskip("h5py")


def labels():
    return np.array(list(itertools.product([0.0, 1.0], repeat=6)))


def images():
    return np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), dtype=np.uint8)


def external(file, name, data, outside):
    (outside / "raw").write_bytes(data.tobytes())
    layout = [(str(outside / "raw"), 0, data.nbytes)]
    file.create_dataset(name, data.shape, data.dtype, external=layout)


def elsewhere(outside, data):
    with h5py.File(outside / "other.h5", "w") as other:
        other["x"] = data
    return str(outside / "other.h5")


def external_link(file, name, data, outside):
    file[name] = h5py.ExternalLink(elsewhere(outside, data), "/x")


def link_through_a_link(file, name, data, outside):
    file["group"] = h5py.ExternalLink(elsewhere(outside, data), "/")
    file[name] = h5py.SoftLink("/group/x")


def virtual(file, name, data, outside):
    layout = h5py.VirtualLayout(data.shape, data.dtype)
    layout[:] = h5py.VirtualSource(
        elsewhere(outside, data), "x", shape=data.shape, dtype=data.dtype
    )
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("name", ["images", "labels"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (external, "stored in another file"),
        (external_link, "a link to another file"),
        (link_through_a_link, "a link"),
        (virtual, "a virtual data set"),
    ],
)
def test_other_files_are_not_read(tmp_path, name, make, message):
    (tmp_path / "outside").mkdir()
    parts = {"images": images(), "labels": labels()}
    bad = tmp_path / "bad.h5"
    with h5py.File(bad, "w") as file:
        make(file, name, parts.pop(name), tmp_path / "outside")
        for other, data in parts.items():
            file[other] = data
    match = rf"bad\.h5: {name} is {message}, but must be stored in the file itself"
    with pytest.raises(ValueError, match=match):
        Shapes3DFile(bad)
    # Nor where the file was another one when it was looked at.
    copy = tmp_path / "copy.h5"
    with h5py.File(copy, "w") as file:
        file["images"], file["labels"] = images(), labels()
    with Shapes3DFile(copy) as shapes:
        shapes.close()
        bad.replace(copy)
        with pytest.raises(ValueError, match=f"{name} is {message}"):
            shapes.images(0)


def test_labels_that_are_not_stored_take_no_memory(tmp_path):
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        n = 10**11
        file.create_dataset("images", (n, 64, 64, 3), "u1", chunks=(1, 64, 64, 3))
        file.create_dataset("labels", (n, 6), "f8", chunks=(1024, 6))
    with pytest.raises(ValueError, match=r"empty.h5: labels .* are not stored; expect"):
        Shapes3DFile(path)


def test_damaged_labels(tmp_path):
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["images"] = images()
        stored = file.create_dataset(
            "labels", data=labels(), compression="gzip", chunks=(64, 6)
        )
        file.flush()
        chunk = stored.id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(raw)
    with pytest.raises(OSError, match=r"file\.h5: labels cannot be read, the file is"):
        Shapes3DFile(path)
