"""The original file's reader, on small files of its layout."""

import hashlib
import http.server
import pickle
import sys
import threading
from functools import partial

import numpy as np
import pytest

from sparsedis.datasets import (
    FactorDistribution,
    Shapes3D,
    Shapes3DFile,
    SparseTaskStream,
    fetch_shapes3d,
)

h5py = pytest.importorskip("h5py")

VALUES = (
    [0.0, 0.1, 0.2],
    [0.5],
    [0.3, 0.9],
    [0.75, 1.25],
    [0.0, 1.0, 2.0, 3.0],
    [-30.0, 0.0, 30.0],
)
SIZES = (3, 1, 2, 2, 4, 3)
N_IMAGES = 144


def full_grid(values=VALUES):
    columns = np.meshgrid(*values, indexing="ij")
    return np.stack([c.ravel() for c in columns], axis=1)


def noise_images(n=N_IMAGES):
    return np.random.default_rng(0).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def write(path, images=None, labels=None, **options):
    with h5py.File(path, "w") as file:
        images = noise_images() if images is None else images
        file.create_dataset("images", data=images, **options)
        file["labels"] = full_grid() if labels is None else labels
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp("shapes") / "3dshapes.h5")


@pytest.fixture
def shapes(path):
    with Shapes3DFile(path) as shapes:
        yield shapes


def test_grid_comes_from_the_labels(shapes):
    assert shapes.factor_names == Shapes3D.factor_names
    assert shapes.factor_sizes == SIZES
    assert shapes.n_images == len(shapes) == N_IMAGES
    assert shapes.image_size == 64
    assert shapes.image_shape == (64, 64, 3)
    for values, expected in zip(shapes.factor_values, VALUES, strict=True):
        np.testing.assert_array_equal(values, expected)
    index = np.arange(N_IMAGES)
    np.testing.assert_array_equal(shapes.factors(index), full_grid())
    np.testing.assert_array_equal(
        shapes.factors_to_index(shapes.index_to_factors(index)), index
    )


@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": (1, 64, 64, 3)}, {"chunks": (32, 16, 64, 1), "compression": 1}],
    ids=["contiguous", "by image", "across images"],
)
@pytest.mark.parametrize(
    "index",
    [
        5,
        [],
        np.arange(N_IMAGES),
        [143, 0, 17],
        [3, 3, 3],
        [31, 32, 33, 64, 100, 31, 2],
        np.random.default_rng(1).integers(0, N_IMAGES, 300),
    ],
    ids=["scalar", "empty", "all", "unsorted", "repeated", "mixed", "random"],
)
def test_images(tmp_path, options, index):
    stored = noise_images()
    with Shapes3DFile(write(tmp_path / "file.h5", stored, **options)) as shapes:
        images = shapes.images(index)
    assert images.dtype == np.uint8
    expected = stored[np.atleast_1d(np.asarray(index, dtype=int))]
    np.testing.assert_array_equal(images, expected)


def test_chunks_across_images_are_read_once(tmp_path, monkeypatch):
    path = write(tmp_path / "file.h5", chunks=(32, 64, 64, 3))
    with Shapes3DFile(path) as shapes:
        reads = []
        original = h5py.Dataset.__getitem__

        def count(self, args):
            reads.append(args)
            return original(self, args)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", count)
        shapes.images([70, 1, 66, 30, 5, 70])
    assert reads == [slice(1, 31), slice(66, 71)]


def test_slow_chunks_are_announced_and_can_be_mended(tmp_path):
    slow = write(tmp_path / "slow.h5", chunks=(144, 8, 8, 1), compression="gzip")
    with pytest.warns(UserWarning, match="chunks across 144 images.*save_by_image"):
        shapes = Shapes3DFile(slow)
    with shapes, shapes.save_by_image(tmp_path / "fast.h5") as fast:
        np.testing.assert_array_equal(fast.images(np.arange(144)), noise_images())
        np.testing.assert_array_equal(fast.factors(7), shapes.factors(7))
        assert fast._file()["images"].chunks == (1, 64, 64, 3)
        with pytest.raises(FileExistsError, match=r"fast\.h5 exists"):
            shapes.save_by_image(fast.path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fast.h5", "slow.h5"]


def test_pickle_closes_and_opens_again(path):
    shapes = Shapes3DFile(path)
    expected = shapes.images([1, 2])
    copy = pickle.loads(pickle.dumps(shapes))
    assert copy._handle is None
    np.testing.assert_array_equal(copy.images([1, 2]), expected)
    copy.close()
    shapes.close()
    shapes.close()
    np.testing.assert_array_equal(shapes.images([1, 2]), expected)
    shapes.close()


def test_another_process_opens_its_own_handle(shapes, monkeypatch):
    shapes.images(0)
    mine = shapes._handle[1]
    monkeypatch.setattr("sparsedis.datasets._shapes3d_file.os.getpid", lambda: -1)
    shapes.images(0)
    assert shapes._handle[1] is not mine
    mine.close()


def test_context_manager_closes(path):
    with Shapes3DFile(path) as shapes:
        file = shapes._file()
        assert file
    assert not file  # h5py: false once closed
    assert repr(shapes) == f"Shapes3DFile({str(path)!r})"


def test_same_interface_as_the_rendered_grid(tmp_path):
    # The file holds rendered images: both data sets agree in everything.
    rendered = Shapes3D()
    names = set(dir(rendered)) - {"render"}
    positions = np.stack(np.unravel_index(np.arange(16), (2, 1, 1, 2, 2, 2)), 1)
    index = rendered.factors_to_index(positions)
    path = write(tmp_path / "f.h5", rendered.images(index), rendered.factors(index))
    with Shapes3DFile(path) as stored:
        assert {n for n in names if not n.startswith("_")} <= set(dir(stored))
        np.testing.assert_array_equal(
            stored.factors(range(16)), rendered.factors(index)
        )
        np.testing.assert_array_equal(stored.images(range(16)), rendered.images(index))


def test_stream_from_the_file(tmp_path):
    values = ([0.0, 0.5],) * 3 + ([0.75, 1.25], [0.0, 1.0], [-30.0, 30.0])
    labels = full_grid(values)
    path = write(tmp_path / "f.h5", noise_images(64), labels)
    with Shapes3DFile(path) as shapes:
        distribution = FactorDistribution(shapes, rho=0.5, noise=1.0, random_state=0)
        stream = SparseTaskStream(shapes, distribution, n_tasks=3, n_samples=20)
        batch, latents, _ = stream.draw(0, return_truth=True)
    row = [(noise_images(64) == image).all((1, 2, 3)).argmax() for image in batch.rows]
    np.testing.assert_array_equal(latents, distribution.latents(row))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.h5 is not a file; expected"):
        Shapes3DFile(tmp_path / "none.h5")
    with pytest.raises(FileNotFoundError, match="is not a file"):
        Shapes3DFile(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 100, 5_000, 1_000_000])
def test_truncated_file(tmp_path, path, n_bytes):
    truncated = tmp_path / "cut.h5"
    truncated.write_bytes(path.read_bytes()[:n_bytes])
    match = r"cut\.h5 is truncated or not an HDF5 file .*; expected the 3D Shapes"
    with pytest.raises(OSError, match=match):
        Shapes3DFile(truncated)


def test_damaged_images(tmp_path):
    path = write(tmp_path / "file.h5", chunks=(1, 64, 64, 3), compression="gzip")
    with Shapes3DFile(path) as shapes:
        shapes.images(0)
        chunk = shapes._file()["images"].id.get_chunk_info(5)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset : chunk.byte_offset + 200] = bytes(200)
    path.write_bytes(raw)
    with Shapes3DFile(path) as shapes:
        shapes.images(4)
        with pytest.raises(OSError, match=r"file\.h5: images cannot be read"):
            shapes.images(5)


def write_nothing(path):
    with h5py.File(path, "w") as file:
        file["pictures"] = np.zeros(3)


def write_group(path):
    with h5py.File(path, "w") as file:
        file.create_group("images")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (write_nothing, r"no dataset 'images', it has \['pictures'\]"),
        (write_group, "no dataset 'images'"),
        (partial(write, images=np.zeros((144, 64, 64, 3))), "images are float64"),
        (
            partial(write, images=np.zeros((144, 3, 64, 64), np.uint8)),
            r"shape \(144, 3, 64, 64\)",
        ),
        (
            partial(write, images=np.zeros((144, 64, 64), np.uint8)),
            r"shape \(144, 64, 64\)",
        ),
        (partial(write, labels=np.zeros((143, 6))), r"labels .* of shape \(143, 6\)"),
        (partial(write, labels=np.zeros((144, 5))), r"labels .* of shape \(144, 5\)"),
        (partial(write, labels=np.full((144, 6), b"a")), r"labels are \|S1"),
        (
            partial(write, images=noise_images(0), labels=np.zeros((0, 6))),
            r"labels .* of shape \(0, 6\)",
        ),
    ],
)
def test_other_layouts(tmp_path, make, match):
    path = tmp_path / "other.h5"
    make(path)
    with pytest.raises(ValueError, match=match) as error:
        Shapes3DFile(path)
    assert str(path) in str(error.value)
    assert "expected the 3D Shapes layout: datasets `images`" in str(error.value)


@pytest.mark.parametrize(
    "labels",
    [
        full_grid()[::-1].copy()[np.random.default_rng(0).permutation(144)],
        full_grid(VALUES[::-1])[:, ::-1].copy(),  # first factor fastest
        np.where(np.arange(144)[:, None] == 9, full_grid()[8], full_grid()),
        np.where(np.arange(144)[:, None] == 9, np.nan, full_grid()),
        np.random.default_rng(0).normal(size=(144, 6)),
    ],
    ids=["shuffled", "first fastest", "duplicate", "nan", "continuous"],
)
def test_labels_that_are_no_grid(tmp_path, labels):
    path = write(tmp_path / "other.h5", labels=labels)
    with pytest.raises(ValueError, match="not the full grid") as error:
        Shapes3DFile(path)
    assert str(path) in str(error.value)
    path.unlink()  # the handle was released: this fails on Windows otherwise


def test_index_is_checked(shapes):
    with pytest.raises(ValueError, match=r"index must lie in \[0, 144\)"):
        shapes.images([0, 144])


@pytest.mark.parametrize("module", ["h5py", "pooch"])
def test_missing_dependency_says_what_to_install(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module}: pip install {module}"):
        fetch_shapes3d(tmp_path, download_if_missing=True)


class TestFetch:
    @pytest.fixture
    def server(self, path, monkeypatch):
        """The small file on a local web server, and the requests it got."""
        pytest.importorskip("pooch")
        monkeypatch.setenv("NO_PROXY", "*")
        requests = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format, *args):
                requests.append(args[0])

        with http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=path.parent)
        ) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}/3dshapes.h5", requests
            server.shutdown()
            thread.join()

    def test_nothing_is_downloaded_unasked(self, tmp_path, server):
        url, requests = server
        with pytest.raises(
            FileNotFoundError, match="download_if_missing=True"
        ) as error:
            fetch_shapes3d(tmp_path, url=url)
        assert str(tmp_path / "3dshapes.h5") in str(error.value)
        assert requests == []

    def test_download_once(self, tmp_path, path, server):
        url, requests = server
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for _ in range(2):
            with fetch_shapes3d(
                tmp_path / "new",
                download_if_missing=True,
                url=url,
                checksum=f"sha256:{digest}",
            ) as shapes:
                assert shapes.path == tmp_path / "new" / "3dshapes.h5"
                assert shapes.factor_sizes == SIZES
        assert len(requests) == 1

    def test_another_file_is_not_kept(self, tmp_path, server):
        # The small file does not have the checksum of the published one.
        with pytest.raises(ValueError, match="hash"):
            fetch_shapes3d(tmp_path, download_if_missing=True, url=server[0])
        assert list(tmp_path.iterdir()) == []

    def test_checksum_is_required(self, tmp_path):
        with pytest.raises(ValueError, match=r"checksum must be a string .* got None"):
            fetch_shapes3d(tmp_path, download_if_missing=True, checksum=None)

    def test_default_folder_is_scikit_learns(self, tmp_path, path, monkeypatch):
        monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
        (tmp_path / "3dshapes.h5").write_bytes(path.read_bytes())
        with fetch_shapes3d() as shapes:
            assert shapes.path == tmp_path / "3dshapes.h5"
