"""The layouts of miniImageNet, in small."""

import pickle
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from sparsedis.datasets import load_mini_imagenet, split_classes

CLASSES = {"train": ["n03", "n01", "n02"], "val": ["n05"], "test": ["n04", "n06"]}
N_PER_CLASS = 2
CATEGORY = {
    "train": "miniImageNet_category_split_train_phase_train.pickle",
    "val": "miniImageNet_category_split_val.pickle",
    "test": "miniImageNet_category_split_test.pickle",
}


def images_of(subset, size=84):
    rng = np.random.default_rng(len(subset))
    n = N_PER_CLASS * len(CLASSES[subset])
    return rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def labels_of(subset):
    """Labels in which the images of a class do not follow each other."""
    return CLASSES[subset] * N_PER_CLASS


def write_lists(root):
    (root / "images").mkdir()
    for subset in CLASSES:
        lines = ["filename,label"]
        pairs = zip(images_of(subset), labels_of(subset), strict=True)
        for i, (image, label) in enumerate(pairs):
            lines.append(f"{label}_{i}.png,{label}")
            Image.fromarray(image).save(root / "images" / f"{label}_{i}.png")
        (root / f"{subset}.csv").write_text("\n".join(lines) + "\n")


def dump(path, content):
    with path.open("wb") as file:
        pickle.dump(content, file)


def write_cache(root):
    for subset, names in CLASSES.items():
        labels = np.array(labels_of(subset))
        class_dict = {name: np.flatnonzero(labels == name).tolist() for name in names}
        content = {"image_data": images_of(subset), "class_dict": class_dict}
        dump(root / f"mini-imagenet-cache-{subset}.pkl", content)


def write_category(root, named=True):
    number = {name: i for i, name in enumerate(chain(*CLASSES.values()))}
    for subset in CLASSES:
        labels = [number[name] for name in labels_of(subset)]
        content = {"data": images_of(subset), "labels": labels}
        if named:
            content["catname2label"] = {n: number[n] for n in CLASSES[subset]}
        dump(root / CATEGORY[subset], content)


LAYOUTS = pytest.mark.parametrize("write", [write_lists, write_cache, write_category])


@LAYOUTS
def test_all_subsets(tmp_path, write):
    write(tmp_path)
    bunch = load_mini_imagenet(tmp_path, trust=True)
    np.testing.assert_array_equal(
        bunch.data, np.concatenate([*map(images_of, CLASSES)])
    )
    assert bunch.data.dtype == np.uint8
    assert bunch.target_names.tolist() == ["n01", "n02", "n03", "n04", "n05", "n06"]
    labels = [label for subset in CLASSES for label in labels_of(subset)]
    assert bunch.target_names[bunch.target].tolist() == labels
    assert bunch.groups.tolist() == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    assert bunch.skipped == []
    assert "Images: 12" in bunch.DESCR
    assert "6 classes" in bunch.DESCR
    parts = [["train"], ["val"], ["test"]]
    train, val, test = split_classes(bunch.target, parts, groups=bunch.groups)
    assert (len(train), len(val), len(test)) == (6, 2, 4)


@LAYOUTS
def test_one_subset(tmp_path, write, monkeypatch):
    (tmp_path / "mini_imagenet").mkdir()
    write(tmp_path / "mini_imagenet")
    monkeypatch.setenv("SPARSEDIS_DATA", str(tmp_path))
    X, y = load_mini_imagenet(subset="test", trust=True, return_X_y=True)
    np.testing.assert_array_equal(X, images_of("test"))
    assert y.tolist() == [0, 1, 0, 1]


@LAYOUTS
def test_sizes(tmp_path, write):
    write(tmp_path)
    small = load_mini_imagenet(tmp_path, trust=True, image_size=(20, 30)).data
    assert small.shape == (12, 20, 30, 3)
    for new, old in zip(small, np.concatenate([*map(images_of, CLASSES)]), strict=True):
        expected = Image.fromarray(old).resize((30, 20), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(new, np.asarray(expected))
    assert load_mini_imagenet(tmp_path, trust=True, image_size=None).data.shape[1] == 84


class Touch:
    """Writes a file when it is unpickled, as an attacker's would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


@pytest.mark.parametrize("trust", [False, None, 1, "yes"])
def test_pickles_are_opened_when_trusted_only(tmp_path, trust):
    dump(tmp_path / "mini-imagenet-cache-val.pkl", Touch(tmp_path / "touched"))
    with pytest.raises(ValueError, match=f"Pass trust=True if .* got trust={trust!r}"):
        load_mini_imagenet(tmp_path, subset="val", trust=trust)
    assert not (tmp_path / "touched").exists()
    with pytest.raises(ValueError, match="must hold a dict"):
        load_mini_imagenet(tmp_path, subset="val", trust=True)
    assert (tmp_path / "touched").exists()


def test_lists_are_preferred_to_pickles(tmp_path):
    write_lists(tmp_path)
    dump(tmp_path / "mini-imagenet-cache-val.pkl", Touch(tmp_path / "touched"))
    assert load_mini_imagenet(tmp_path, subset="val", trust=True).target_names == [
        "n05"
    ]
    assert not (tmp_path / "touched").exists()


def test_numbers_for_names_stay_apart(tmp_path):
    write_category(tmp_path, named=False)
    names = load_mini_imagenet(tmp_path, trust=True).target_names.tolist()
    assert names == ["test_4", "test_5", "train_0", "train_1", "train_2", "val_3"]


class Python2Pickler(pickle._Pickler):
    """Writes strings of characters and of bytes alike, as Python 2 did."""

    def save_string(self, string):
        content = string if isinstance(string, bytes) else string.encode()
        self.write(pickle.BINSTRING + len(content).to_bytes(4, "little") + content)
        self.memoize(string)

    dispatch = pickle._Pickler.dispatch | {str: save_string, bytes: save_string}


def test_pickles_of_python_2(tmp_path):
    content = {"data": images_of("val"), "labels": [70, 70], "catname2label": {"é": 70}}
    path = tmp_path / CATEGORY["val"]
    with path.open("wb") as file:
        Python2Pickler(file, protocol=2).dump(content)
    # Where numpy's functions were then.
    path.write_bytes(path.read_bytes().replace(b"numpy._core.", b"numpy.core."))
    with pytest.raises(UnicodeDecodeError), path.open("rb") as file:
        pickle.load(file)
    bunch = load_mini_imagenet(tmp_path, subset="val", trust=True)
    np.testing.assert_array_equal(bunch.data, images_of("val"))


IMAGES = np.zeros((2, 84, 84, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], r"must hold a dict .*; it has \[\]"),
        ({"images": IMAGES}, r"must hold a dict .*; it has \['images'\]"),
        ({"data": IMAGES / 255, "labels": [0, 0]}, "uint8; got ndarray of float64"),
        ({"data": IMAGES[0], "labels": [0]}, r"of shape \(n, height, width, 3\)"),
        ({"data": IMAGES[:0], "labels": []}, r"shape \(0, 84, 84, 3\)"),
        ({"data": [[0]], "labels": [0]}, "got list of None"),
        ({"data": IMAGES, "labels": [0]}, "each of its 2 images one class"),
        ({"image_data": IMAGES, "class_dict": {"a": [0, 1], "b": [1]}}, "2 images one"),
        ({"image_data": IMAGES, "class_dict": {"a": [0]}}, "2 images one class"),
        ({"image_data": IMAGES, "class_dict": {"a": [0, 2]}}, "2 images one class"),
        ({"image_data": IMAGES, "class_dict": {}}, "2 images one class"),
        ({"image_data": IMAGES, "class_dict": [0, 0]}, "must name classes; got Attr"),
        (
            {"image_data": IMAGES, "class_dict": {"a": ["x"]}},
            "must name classes; got V",
        ),
        (
            {"image_data": IMAGES, "class_dict": {"a": None}},
            "must name classes; got Ty",
        ),
        ({"data": IMAGES, "labels": 3}, "must name classes; got TypeError"),
        ({"data": IMAGES, "labels": [[0], [1]]}, "must name classes; got TypeError"),
        (
            {"data": IMAGES, "labels": [0, 1], "catname2label": [1]},
            "must name classes; got AttributeError",
        ),
        ({"data": IMAGES[:, :0], "labels": [0, 0]}, r"shape \(2, 0, 84, 3\)"),
    ],
)
def test_pickles_that_hold_something_else(tmp_path, content, message):
    dump(tmp_path / "mini-imagenet-cache-val.pkl", content)
    with pytest.raises(ValueError, match=rf"mini-imagenet-cache-val.pkl .*{message}"):
        load_mini_imagenet(tmp_path, subset="val", trust=True)


def test_damaged_pickles(tmp_path):
    write_cache(tmp_path)
    path = tmp_path / "mini-imagenet-cache-test.pkl"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cache-test.pkl could not be unpickled: "):
        load_mini_imagenet(tmp_path, trust=True)


def test_pickles_of_unequal_size(tmp_path):
    write_cache(tmp_path)
    content = {"image_data": images_of("val", 32), "class_dict": {"n05": [0, 1]}}
    dump(tmp_path / "mini-imagenet-cache-val.pkl", content)
    with pytest.raises(ValueError, match=r"unequal size.* \[\(32, 32\), \(84, 84\)\]"):
        load_mini_imagenet(tmp_path, trust=True, image_size=None)
    assert load_mini_imagenet(tmp_path, trust=True).data.shape == (12, 84, 84, 3)


def test_damaged_and_missing_images(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "images" / "n05_0.png").unlink()
    (tmp_path / "images" / "n04_0.png").write_bytes(b"damaged")
    message = r"could not read 2 of 12 files .*\s+n05_0.png: .*\s+n04_0.png: "
    with pytest.raises(ValueError, match=message):
        load_mini_imagenet(tmp_path)
    with pytest.warns(UserWarning, match="skipped 2 of 12 files") as record:
        bunch = load_mini_imagenet(tmp_path, on_error="skip")
    assert record[0].filename == __file__
    assert len(bunch.skipped) == 2
    assert bunch.groups.tolist() == ["train"] * 6 + ["val"] + ["test"] * 3
    labels = ["n03", "n01", "n02"] * 2 + ["n05", "n06", "n04", "n06"]
    assert bunch.target_names[bunch.target].tolist() == labels


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "file,label\na.png,n1",
            r"val.csv must have the columns .*\['file', 'label'\]",
        ),
        ("", "val.csv must have the columns filename and label, it has None"),
        ("filename,label\n", "val.csv list no image"),
        ("filename,label\n../a.png,n1", r"val.csv, line 2: .* got '../a.png', 'n1'"),
        ("filename,label\n/etc/a.png,n1", "val.csv, line 2: .* got '/etc/a.png'"),
        ("filename,label\na.png", "val.csv, line 2: .* got 'a.png', None"),
        ("filename,label\na.png,n1\na.png,n1", "line 3: a.png is listed before, as n1"),
        (b"filename,label\n\xff\xfe,x\n", "val.csv is not a list in UTF-8: 'utf-8'"),
        (
            f"filename,label\n{'x' * 200_000},n1",
            "val.csv is not a list .*: field larger",
        ),
        ("filename,label\na\0.png,n1", "val.csv.* (line 2|line contains NUL)"),
    ],
)
def test_damaged_lists(tmp_path, lines, message):
    write_lists(tmp_path)
    lines = lines if isinstance(lines, bytes) else lines.encode()
    (tmp_path / "val.csv").write_bytes(lines)
    with pytest.raises(ValueError, match=message):
        load_mini_imagenet(tmp_path, subset="val")


def test_subsets_share_no_class(tmp_path):
    write_cache(tmp_path)
    content = {"image_data": images_of("val"), "class_dict": {"n02": [0, 1]}}
    dump(tmp_path / "mini-imagenet-cache-val.pkl", content)
    with pytest.raises(ValueError, match="n02 is in train and in val"):
        load_mini_imagenet(tmp_path, trust=True)


def test_what_is_not_there(tmp_path, monkeypatch):
    write_cache(tmp_path)
    (tmp_path / "mini-imagenet-cache-test.pkl").unlink()
    message = (
        r"looked in .* for train.csv, val.csv, test.csv or mini-imagenet-cache-train"
    )
    with pytest.raises(FileNotFoundError, match=message):
        load_mini_imagenet(tmp_path, trust=True)
    with pytest.raises(
        FileNotFoundError, match=r"for test.csv or mini-imagenet-cache-test"
    ):
        load_mini_imagenet(tmp_path, subset="test", trust=True)
    with pytest.raises(ValueError, match="subset must be one of"):
        load_mini_imagenet(tmp_path, subset="novel")
    monkeypatch.delenv("SPARSEDIS_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="mini_imagenet/ holds the data set"):
        load_mini_imagenet()
