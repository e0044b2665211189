"""Images of any folder or zip file, good and damaged."""

import io
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsedis.datasets import load_image_folder, split_classes


def noise(n=1, size=(8, 6), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


def png(image):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, "png")
    return buffer.getvalue()


def fill(root, files):
    """Write files, from names to images or bytes, in a folder; returns it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else png(content))
    return root


def pack(path, files):
    """Write the same files in a zip file; returns its path."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(
                name, content if isinstance(content, bytes) else png(content)
            )
    return path


IMAGES = noise(5)
FILES = {
    "dog/2.png": IMAGES[0],
    "cat/9.png": IMAGES[1],
    "dog/1.PNG": IMAGES[2],
    "dog/1.png": IMAGES[3],
    "ant/x.y.png": IMAGES[4],
}


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_images_classes_and_their_order(tmp_path, kind):
    path = fill(tmp_path, FILES) if kind == "folder" else pack(tmp_path / "a", FILES)
    bunch = load_image_folder(str(path))
    assert bunch.filenames == sorted(FILES)
    assert bunch.data.dtype == np.uint8
    np.testing.assert_array_equal(bunch.data, IMAGES[[4, 1, 2, 3, 0]])
    assert bunch.target_names.tolist() == ["ant", "cat", "dog"]
    assert bunch.target.tolist() == [0, 1, 2, 2, 2]
    assert bunch.groups is None
    assert bunch.skipped == []
    assert str(path) in bunch.DESCR
    assert "5 images of 3 classes" in bunch.DESCR


def test_return_X_y(tmp_path):
    X, y = load_image_folder(fill(tmp_path, FILES), return_X_y=True)
    assert X.shape == (5, 8, 6, 3)
    assert y.tolist() == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_no_image_of_a_class_is_passed_over(tmp_path, kind):
    foreign = {
        "README.md": b"text",
        "dog/notes.txt": b"text",
        "cover.png": b"lies in no class folder",
        "dog/._2.png": b"hidden",
        ".cache/dog/1.png": b"hidden",
        "__MACOSX/dog/1.png": b"what macOS adds",
    }
    if kind == "folder":
        path = fill(tmp_path, FILES | foreign)
    else:
        outside = {
            "../dog/1.png": b"outside",
            "dog/../../1.png": b"outside",
            "/dog/1.png": b"outside",
            "dog/": b"",
            "wolf.png/": b"",
        }
        path = pack(tmp_path / "images.zip", FILES | foreign | outside)
    before = sorted(tmp_path.rglob("*"))
    assert load_image_folder(path).filenames == sorted(FILES)
    assert sorted(tmp_path.rglob("*")) == before  # nothing was unpacked


def test_groups_are_the_folders_of_classes(tmp_path):
    names = ["train/dog/1", "train/cat/1", "val/fox/2", "val/fox/1", "test/old/ant/1"]
    files = {f"{name}.png": IMAGES[0] for name in names}
    bunch = load_image_folder(fill(tmp_path, files))
    assert bunch.target_names.tolist() == [
        "test/old/ant",
        "train/cat",
        "train/dog",
        "val/fox",
    ]
    assert bunch.groups.tolist() == ["test/old", "train", "train", "val", "val"]
    parts = split_classes(bunch.target, [["train"], ["val"]], groups=bunch.groups)
    assert [part.tolist() for part in parts] == [[1, 2], [3, 4]]


def test_links_are_followed_once(tmp_path):
    fill(tmp_path / "store", {"1.png": IMAGES[0]})
    root = fill(tmp_path / "root", {"cat/1.png": IMAGES[1]})
    (root / "dog").symlink_to(tmp_path / "store")
    (root / "cat" / "loop").symlink_to(root)
    assert load_image_folder(root).filenames == ["cat/1.png", "dog/1.png"]


def test_a_folder_that_cannot_be_listed_is_no_empty_folder(tmp_path, monkeypatch):
    fill(tmp_path, FILES)
    listed = os.scandir

    def scandir(path):
        if Path(path).name == "dog":
            raise PermissionError(f"Permission denied: {path}")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="dog"):
        load_image_folder(tmp_path)


def test_all_kinds_of_images_become_colours_or_grey(tmp_path):
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    (tmp_path / "a").mkdir()
    red.save(tmp_path / "a/1.png")
    red.convert("P").save(tmp_path / "a/2.gif")
    red.convert("CMYK").save(tmp_path / "a/3.tif")
    red.convert("RGBA").save(tmp_path / "a/4.webp", lossless=True)
    red.save(tmp_path / "a/5.bmp")
    bunch = load_image_folder(tmp_path)
    assert bunch.data.shape == (5, 4, 4, 3)
    assert np.abs(bunch.data.astype(int) - [200, 0, 0]).max() <= 4  # few colours in 2
    grey = load_image_folder(tmp_path, color=False)
    assert grey.data.shape == (5, 4, 4, 1)
    assert np.abs(grey.data.astype(int) - round(0.299 * 200)).max() <= 2


def test_transparent_pixels_are_white(tmp_path):
    (tmp_path / "a").mkdir()
    ink = np.zeros((2, 2, 4), dtype=np.uint8)
    ink[0, :, 3] = 255
    Image.fromarray(ink, "RGBA").save(tmp_path / "a/1.png")
    data = load_image_folder(tmp_path, color=False).data
    assert data[0, ..., 0].tolist() == [[0, 0], [255, 255]]


def test_resized_images_are_averages(tmp_path):
    # Alternating pixels: taking every other one would give black or white.
    stripes = np.tile(np.array([0, 255], dtype=np.uint8), (32, 16))
    fill(tmp_path, {"a/1.png": stripes, "a/2.png": stripes[:20]})
    data = load_image_folder(tmp_path, image_size=(8, 4), color=False).data
    assert data.shape == (2, 8, 4, 1)
    assert 100 < data.min() <= data.max() < 155


def test_an_integer_size_is_a_square_and_the_same_size_changes_nothing(tmp_path):
    fill(tmp_path, FILES)
    assert load_image_folder(tmp_path, image_size=5).data.shape == (5, 5, 5, 3)
    np.testing.assert_array_equal(
        load_image_folder(tmp_path, image_size=(8, 6)).data,
        load_image_folder(tmp_path).data,
    )


def test_the_memory_is_that_of_the_images(tmp_path):
    files = {f"a/{i}.png": image for i, image in enumerate(noise(60, (80, 80)))}
    fill(tmp_path, files)
    load_image_folder(tmp_path)  # what Pillow imports on its first use
    tracemalloc.start()
    data = load_image_folder(tmp_path).data
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * data.nbytes


def test_images_of_unequal_size_are_named(tmp_path):
    sizes = {"a/1.png": (8, 6), "b/1.png": (8, 6), "b/2.png": (6, 8), "b/3.png": (9, 9)}
    fill(tmp_path, {name: noise(size=size)[0] for name, size in sizes.items()})
    message = (
        r"unequal size: pass image_size.*a/1.png has 8 x 6 .* 2 others:\s+"
        r"b/2.png: 6 x 8\s+b/3.png: 9 x 9$"
    )
    for on_error in ("raise", "skip"):
        with pytest.raises(ValueError, match=message):
            load_image_folder(tmp_path, on_error=on_error)


def damaged():
    image = png(noise(size=(40, 40))[0])
    deep, script = io.BytesIO(), io.BytesIO()
    Image.new("L", (8, 6)).save(script, "eps")
    Image.fromarray(np.full((8, 6), 1000, dtype=np.uint16)).save(deep, "png")
    return {
        "bad/empty.png": b"",
        "bad/text.png": b"no image at all",
        "bad/truncated.png": image[:2000],
        "dog/flipped.png": image[:300] + bytes(100) + image[400:],
        "dog/deep.png": deep.getvalue(),
        "dog/script.png": script.getvalue(),  # to be opened by another program
    }


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_damaged_files_are_named_one_by_one(tmp_path, kind):
    files = FILES | damaged()
    path = fill(tmp_path, files) if kind == "folder" else pack(tmp_path / "a", files)
    with pytest.raises(ValueError, match="could not read 6 of 11 files in ") as error:
        load_image_folder(path)
    assert f" in {path} (" in str(error.value)
    for name in damaged():
        assert f"\n  {name}: " in str(error.value)
    assert "mode 'I;16', and only 8 bits are read" in str(error.value)
    assert "script.png: cannot identify image file" in str(error.value)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_damaged_files_are_skipped_on_request(tmp_path, kind):
    files = FILES | damaged()
    path = fill(tmp_path, files) if kind == "folder" else pack(tmp_path / "a", files)
    with pytest.warns(UserWarning, match="skipped 6 of 11 files") as record:
        bunch = load_image_folder(path, on_error="skip")
    assert record[0].filename == __file__
    assert [line.split(":")[0] for line in bunch.skipped] == sorted(damaged())
    assert all(line in str(record[0].message) for line in bunch.skipped)
    # A class without any image left is none.
    assert bunch.target_names.tolist() == ["ant", "cat", "dog"]
    assert bunch.filenames == sorted(FILES)
    np.testing.assert_array_equal(bunch.data, IMAGES[[4, 1, 2, 3, 0]])


def test_a_message_names_twenty_files(tmp_path):
    fill(tmp_path, {f"a/{i:02d}.png": b"no image" for i in range(25)})
    with pytest.raises(ValueError, match="could not read 25 of 25 files") as error:
        load_image_folder(tmp_path)
    lines = str(error.value).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  ... and 5 more."


def test_nothing_left_to_skip_to(tmp_path):
    fill(tmp_path, {"a/1.png": b"no image"})
    with pytest.raises(ValueError, match=r"any file in .*:\s+a/1.png: "):
        load_image_folder(tmp_path, on_error="skip")


def test_files_that_a_zip_cannot_give(tmp_path):
    path = pack(tmp_path / "a.zip", FILES)
    content = bytearray(path.read_bytes())
    name = content.index(b"dog/2.png")
    content[name + 60] ^= 255  # in the compressed data: its checksum is wrong
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"1 of 5 files.*\s+dog/2.png: Bad CRC-32"):
        load_image_folder(path)


def test_files_that_unpack_to_gigabytes_are_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/1.png", png(IMAGES[0]))
        with archive.open("a/2.png", "w", force_zip64=True) as file:
            for _ in range(2**8 + 1):
                file.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"a/2.png: unpacks to more than 2\d+ bytes"):
        load_image_folder(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer >= 1, got 0"),
        ({"image_size": 2.5}, "image_size must be an integer >= 1, got 2.5"),
        ({"image_size": (4, 0)}, "image_size must be an integer >= 1, got 0"),
        ({"image_size": (1, 2, 3)}, r"a pair \(height, width\) or None, got \(1, 2, 3"),
        ({"on_error": "ignore"}, r"on_error must be one of \('raise', 'skip'\)"),
    ],
)
def test_bad_arguments(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_image_folder(fill(tmp_path, FILES), **options)


def test_paths_without_classes(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        load_image_folder(tmp_path / "nowhere")
    fill(tmp_path, {"1.png": IMAGES[0], "a/notes.txt": b"text"})
    with pytest.raises(
        FileNotFoundError, match=r"images in subfolders of .*found none"
    ):
        load_image_folder(tmp_path)
    whole = pack(tmp_path / "a.zip", FILES).read_bytes()
    for content in (b"text", whole[: len(whole) // 2]):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(
            ValueError, match="neither a folder nor a complete zip file"
        ):
            load_image_folder(tmp_path / "a.zip")


def test_without_pillow(tmp_path, monkeypatch):
    fill(tmp_path, {"a/1.png": b"never opened"})
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    message = "load_image_folder needs pillow: pip install pillow"
    with pytest.raises(ImportError, match=message):
        load_image_folder(tmp_path)
