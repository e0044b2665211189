"""Omniglot: small files of its layout, and the real ones where they are."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsedis.datasets import load_omniglot, split_classes

PUBLISHED = "omniglot/images_background_small1.zip"
CHARACTERS = {"Greek": 2, "Early_Aramaic": 1, "Latin": 3}
N_IMAGES, N_CLASSES = 12, 6


def drawing(seed):
    """A 1-bit image of 105 x 105 pixels, as the files hold them."""
    black = np.random.default_rng(seed).random((15, 15)) < 0.3
    return Image.fromarray(~np.kron(black, np.ones((7, 7), dtype=bool)))


@pytest.fixture
def folder(tmp_path):
    """A folder of alphabets, two drawings a character."""
    root = tmp_path / "images_background_small1"
    for alphabet, n_characters in CHARACTERS.items():
        for character in range(1, n_characters + 1):
            path = root / alphabet / f"character{character:02d}"
            path.mkdir(parents=True)
            for drawer in (1, 2):
                drawing(character).save(path / f"{character:04d}_{drawer:02d}.png")
    return root


def pack(folder, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def test_what_is_loaded(folder):
    omniglot = load_omniglot(folder)
    assert omniglot.data.shape == (N_IMAGES, 28, 28, 1)
    assert omniglot.data.dtype == np.uint8
    assert omniglot.target.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert omniglot.target_names.tolist() == [
        "Early_Aramaic/character01",
        "Greek/character01",
        "Greek/character02",
        "Latin/character01",
        "Latin/character02",
        "Latin/character03",
    ]
    alphabets = ["Early_Aramaic", *["Greek"] * 2, *["Latin"] * 3]
    assert omniglot.alphabets.tolist() == alphabets
    assert omniglot.groups.tolist() == np.repeat(alphabets, 2).tolist()
    assert omniglot.filenames[1] == "Early_Aramaic/character01/0001_02.png"
    assert omniglot.skipped == []
    assert "3 alphabets" in omniglot.DESCR
    assert f"Images: {N_IMAGES}. Classes: {N_CLASSES}." in omniglot.DESCR


def test_drawings_are_black_on_white(folder):
    data = load_omniglot(folder, image_size=105).data
    expected = np.asarray(drawing(3)).astype(np.uint8) * 255
    np.testing.assert_array_equal(data[-1, ..., 0], expected)
    small = load_omniglot(folder, image_size=15).data[-1, ..., 0].astype(int)
    # A pixel of 7 x 7 others mixes with its neighbours, but less than half.
    np.testing.assert_array_equal(small > 127, expected[3::7, 3::7] > 127)


def test_everywhere_it_may_lie(folder, tmp_path, monkeypatch):
    expected = load_omniglot(folder).data
    name = "images_background_small1.zip"
    (tmp_path / "data" / "omniglot").mkdir(parents=True)
    outer = pack(folder, tmp_path / "outer.zip", "some/images_background_small1/")
    inner = pack(folder, tmp_path / "data" / "omniglot" / name)
    for path in (tmp_path, outer, str(inner), inner.parent):
        np.testing.assert_array_equal(load_omniglot(path).data, expected)
    monkeypatch.setenv("SPARSEDIS_DATA", str(tmp_path / "data"))
    np.testing.assert_array_equal(load_omniglot().data, expected)


def test_other_subsets(folder, tmp_path):
    pack(folder / "Latin", tmp_path / "images_evaluation.zip", "Latin/")
    alphabets = load_omniglot(tmp_path, subset="images_evaluation").alphabets
    assert set(alphabets) == {"Latin"}
    with pytest.raises(ValueError, match=r"subset must be one of .* got 'small'"):
        load_omniglot(tmp_path, subset="small")


def test_rotations_are_classes(folder):
    plain = load_omniglot(folder)
    turned = load_omniglot(folder, rotations=True)
    assert turned.data.shape == (4 * N_IMAGES, 28, 28, 1)
    assert len(turned.target_names) == len(turned.alphabets) == 4 * N_CLASSES
    assert np.bincount(turned.target).tolist() == [2] * 4 * N_CLASSES
    for quarter, ending in enumerate(("", "/rot090", "/rot180", "/rot270")):
        part = slice(quarter * N_IMAGES, (quarter + 1) * N_IMAGES)
        expected = [np.rot90(image, quarter) for image in plain.data]
        np.testing.assert_array_equal(turned.data[part], expected)
        names = plain.target_names[plain.target]
        expected = [name + ending for name in names]
        assert turned.target_names[turned.target[part]].tolist() == expected
        assert turned.groups[part].tolist() == plain.groups.tolist()
        assert turned.filenames[part] == plain.filenames
    classes = [name.split("/")[0] for name in turned.target_names]
    assert turned.alphabets.tolist() == classes


def test_return_X_y(folder):
    X, y = load_omniglot(folder, rotations=True, return_X_y=True)
    assert X.shape == (48, 28, 28, 1)
    assert y.shape == (48,)


def test_foreign_files_are_passed_over(folder, tmp_path):
    Image.new("1", (105, 105)).save(folder / "Latin" / "alphabet.png")
    Image.new("L", (105, 105)).save(folder / "Latin" / "character01" / "scan.jpg")
    (folder / "strokes" / "Latin" / "character01").mkdir(parents=True)
    (folder / "strokes" / "Latin" / "character01" / "0001_01.txt").write_text("0,0")
    assert len(load_omniglot(folder).data) == N_IMAGES
    outside = zipfile.ZipFile(pack(folder, tmp_path / "a.zip"), "a")
    with outside as archive:
        archive.writestr("../Latin/character09/0009_01.png", b"outside")
        archive.writestr("__MACOSX/Latin/character09/._0009_01.png", b"of macOS")
    assert len(load_omniglot(tmp_path / "a.zip").data) == N_IMAGES


def test_damaged_files(folder):
    (folder / "Greek" / "character01" / "0001_02.png").write_bytes(b"damaged")
    name = "Greek/character01/0001_02.png"
    with pytest.raises(ValueError, match=rf"could not read 1 of 12 .*\s+{name}: "):
        load_omniglot(folder)
    with pytest.warns(UserWarning, match="skipped 1 of 12 files"):
        omniglot = load_omniglot(folder, on_error="skip", rotations=True)
    assert [line.split(":")[0] for line in omniglot.skipped] == [name]
    assert omniglot.data.shape[0] == 4 * (N_IMAGES - 1)


def test_an_alphabet_in_two_places(folder, tmp_path):
    pack(folder, tmp_path / "a.zip", "images_background/")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("images_background_small1/Latin/character01/1.png", b"")
    message = (
        "the alphabet Latin in two places of .*, images_background and "
        "images_background_small1"
    )
    with pytest.raises(ValueError, match=message):
        load_omniglot(tmp_path / "a.zip")


def test_errors_say_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("SPARSEDIS_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match="SPARSEDIS_DATA is not set: pass path="
    ):
        load_omniglot()
    monkeypatch.setenv("SPARSEDIS_DATA", str(tmp_path))
    message = rf"looked for {tmp_path}/omniglot \(from the environment variable"
    with pytest.raises(FileNotFoundError, match=message):
        load_omniglot()
    with pytest.raises(FileNotFoundError, match=r"looked for .*/nowhere \(from path\)"):
        load_omniglot(tmp_path / "nowhere")
    message = (
        rf"looked in {tmp_path} for images_background_small1, images_background_small1"
        rf"\.zip and files ALPHABET/characterNN/\*\.png, and found none of them\. The"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_omniglot(tmp_path)


def test_another_subset_than_asked_for_is_not_taken(folder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="It holds images_background_small1, whi"
    ):
        load_omniglot(tmp_path, subset="images_evaluation")


def test_bad_size(folder):
    with pytest.raises(
        ValueError, match="image_size must be an integer >= 1, got None"
    ):
        load_omniglot(folder, image_size=None)


@pytest.mark.skipif(
    not Path(os.environ.get("SPARSEDIS_DATA", "nowhere"), PUBLISHED).exists(),
    reason=f"the environment variable SPARSEDIS_DATA names no folder with {PUBLISHED}",
)
def test_the_published_file():
    omniglot = load_omniglot(image_size=105)
    assert omniglot.data.shape == (2720, 105, 105, 1)
    assert np.unique(omniglot.data).tolist() == [0, 255]
    n_characters = dict(
        zip(*np.unique(omniglot.alphabets, return_counts=True), strict=True)
    )
    assert n_characters == {
        "Balinese": 24,
        "Early_Aramaic": 22,
        "Greek": 24,
        "Korean": 40,
        "Latin": 26,
    }
    assert np.bincount(omniglot.target).tolist() == [20] * 136
    small = load_omniglot()
    # Ink is not lost where images shrink.
    means = [bunch.data.mean((1, 2, 3)) for bunch in (omniglot, small)]
    assert np.abs(means[0] - means[1]).max() < 3
    learn, unseen = split_classes(
        small.target, [3, 2], groups=small.groups, random_state=0
    )
    assert len(learn) + len(unseen) == 2720
    assert not set(small.groups[learn]) & set(small.groups[unseen])
