"""Zip files and folders: found by any program's names, and never trusted."""

import contextlib
import io
import os
import random
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from sparsedis.datasets import _image_files as image_files
from sparsedis.datasets import load_image_folder


def png(value=0):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (value, value, value)).save(buffer, "png")
    return buffer.getvalue()


def pack(path, files, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_backslashes_part_folders(tmp_path):
    files = {
        "cat/1.png": png(1),
        "dog\\1.png": png(2),
        "dog/2.png": png(3),
        "ant\\small\\1.png": png(4),
        "ant\\small\\": b"",
        "..\\dog\\1.png": b"outside",
        "\\dog\\1.png": b"outside",
        "dog\\.hidden.png": b"hidden",
        "__MACOSX\\dog\\1.png": b"what macOS adds",
    }
    bunch = load_image_folder(pack(tmp_path / "a.zip", files))
    assert bunch.filenames == ["ant/small/1.png", "cat/1.png", "dog/1.png", "dog/2.png"]
    assert bunch.target_names.tolist() == ["ant/small", "cat", "dog"]
    assert bunch.data[:, 0, 0, 0].tolist() == [4, 1, 2, 3]


def test_one_name_with_both_slashes_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", {"dog/1.png": png(1), "dog\\1.png": png(2)})
    with pytest.raises(ValueError, match=r"a.zip holds dog/1.png twice"):
        load_image_folder(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_of_files_of_one_name_the_last_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("dog/1.png", png(1))
        archive.writestr("dog/1.png", png(2))
    assert load_image_folder(tmp_path / "a.zip").data.max() == 2


def forge(path, size, content=None):
    """Change the size, and the checksum, that a zip file gives of its only member."""
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        first = data.index(signature) + at
        if content is not None:
            data[first : first + 4] = zlib.crc32(content).to_bytes(4, "little")
        data[first + 8 : first + 12] = size.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_what_is_unpacked_counts_and_not_what_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "_LARGEST", 2**20)
    method = zipfile.ZIP_DEFLATED
    # It says more than can be, and is an image all the same.
    path = pack(tmp_path / "large.zip", {"dog/1.png": png(7)}, method)
    assert load_image_folder(forge(path, 2**31)).data.max() == 7
    # It says a byte, and is 200 MB.
    path = pack(tmp_path / "small.zip", {"dog/1.png": bytes(2 * 10**8)}, method)
    forge(path, 1, b"\0")
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"small.zip .*\s+dog/1.png: "):
        load_image_folder(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7
    # It says what is true.
    path = pack(tmp_path / "true.zip", {"dog/1.png": bytes(2**20 + 1)}, method)
    with pytest.raises(ValueError, match=r"dog/1.png: unpacks to more than 1048576 b"):
        load_image_folder(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_would_be_unpacked_at_once_is_refused(tmp_path, method):
    path = pack(tmp_path / "a.zip", {"dog/1.png": bytes(10**8)}, method)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf"dog/1.png: is packed by method {method} "):
        load_image_folder(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7


def test_damaged_zip_files_are_named(tmp_path):
    whole = pack(tmp_path / "a.zip", {"dog/1.png": png(), "cat/1.png": png()})
    whole = whole.read_bytes()
    rng, failed = random.Random(0), 0
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "a.zip").write_bytes(data)
        with contextlib.suppress(FileNotFoundError):  # without images in folders
            try:
                load_image_folder(tmp_path / "a.zip")
            except ValueError:
                failed += 1
    assert failed > 150
    data = bytearray(whole)
    data[data.rfind(b"PK\x01\x02")] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.zip is a damaged zip file: Bad magic"):
        load_image_folder(tmp_path / "a.zip")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of POSIX")
def test_what_never_ends_is_not_read(tmp_path):
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.png").write_bytes(png())
    os.mkfifo(tmp_path / "dog" / "2.png")
    with pytest.raises(ValueError, match=r"dog/2.png: is not a file"):
        load_image_folder(tmp_path)
    with pytest.raises(ValueError, match="neither a folder nor a complete zip file"):
        load_image_folder(tmp_path / "dog" / "2.png")


@pytest.mark.skipif(sys.platform == "win32", reason="files have no holes")
def test_files_that_are_too_large_are_not_read(tmp_path):
    (tmp_path / "dog").mkdir()
    with open(tmp_path / "dog" / "1.png", "wb") as file:
        file.truncate(2**33)
    with pytest.raises(ValueError, match=r"dog/1.png: has 8589934592 bytes, which no"):
        load_image_folder(tmp_path)


ARROW = np.zeros((6, 10, 3), dtype=np.uint8)
ARROW[:3, :5] = 255  # the corner at the top left is white
TURNED = {
    1: ARROW,
    2: ARROW[:, ::-1],
    3: ARROW[::-1, ::-1],
    4: ARROW[::-1],
    5: ARROW.transpose(1, 0, 2),
    6: np.rot90(ARROW, -1),
    7: ARROW[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(ARROW),
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("orientation", [*TURNED, 0, 9])
def test_photographs_are_upright(tmp_path, suffix, color, orientation):
    photo = Image.fromarray(ARROW)
    exif = photo.getexif()
    exif[0x0112] = orientation
    (tmp_path / "a").mkdir()
    how = {"lossless": True} if suffix == "webp" else {}
    photo.save(tmp_path / "a" / f"1.{suffix}", exif=exif, **how)
    expected = TURNED.get(orientation, ARROW)[..., : 3 if color else 1]
    data = load_image_folder(tmp_path, color=color).data
    np.testing.assert_array_equal(data, expected[None])
    # Sizes are those of the upright image.
    resized = load_image_folder(tmp_path, image_size=(20, 10), color=color).data
    assert resized.shape[1:3] == (20, 10)


def test_damaged_exif_data_does_not_lose_the_pixels(tmp_path):
    (tmp_path / "a").mkdir()
    for i, exif in enumerate((b"nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12")):
        Image.fromarray(ARROW).save(tmp_path / "a" / f"{i}.png", exif=exif)
    data = load_image_folder(tmp_path).data
    np.testing.assert_array_equal(data, np.stack([ARROW, ARROW]))


def test_images_that_do_not_fit_in_memory(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(png())

    def empty(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(ValueError, match="1 images, the first of 6 x 8 pixels, which"):
        load_image_folder(tmp_path)
