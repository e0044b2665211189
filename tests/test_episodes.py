"""Episodes: what is drawn, how evenly, and what is refused."""

import numpy as np
import pytest

from sparsedis.episodes import EpisodeSampler

Y = np.repeat(np.array(["a", "b", "c", "d"]), [6, 7, 8, 9])
Y = Y[np.random.RandomState(0).permutation(len(Y))]


def sampler(y=Y, **params):
    defaults = {"n_ways": 3, "n_shots": 2, "n_queries": 3, "random_state": 0}
    return EpisodeSampler(y, **(defaults | params))


def test_an_episode_draws_classes_and_samples_without_replacement():
    batch = sampler().sample(50)
    assert batch.support.shape == (50, 6)
    assert batch.query.shape == (50, 9)
    for e in range(50):
        rows = batch.rows[np.concatenate([batch.support[e], batch.query[e]])]
        assert len(np.unique(rows)) == 15
        assert len(np.unique(batch.classes[e])) == 3


def test_labels_name_the_classes_of_an_episode():
    batch = sampler().sample(50)
    for e, classes in enumerate(batch.classes):
        for samples, labels in (
            (batch.support[e], batch.support_labels),
            (batch.query[e], batch.query_labels),
        ):
            np.testing.assert_array_equal(Y[batch.rows[samples]], classes[labels])


def test_each_distinct_row_is_listed_once():
    batch = sampler().sample(20)
    used = batch.rows[np.concatenate([batch.support.ravel(), batch.query.ravel()])]
    np.testing.assert_array_equal(batch.rows, np.unique(used))


def test_every_class_and_sample_gets_its_share():
    batch = sampler().sample(4000)
    _, counts = np.unique(batch.classes, return_counts=True)
    np.testing.assert_allclose(counts / 4000, 3 / 4, atol=0.03)
    shots = np.bincount(batch.rows[batch.support].ravel(), minlength=len(Y))
    size = np.array([np.sum(label == Y) for label in Y])
    np.testing.assert_allclose(shots / 4000, 3 / 4 * 2 / size, atol=0.03)


def test_the_seed_decides():
    first, again, other = (sampler(random_state=s).sample(9) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.support, again.support)
    np.testing.assert_array_equal(first.rows, again.rows)
    np.testing.assert_array_equal(first.classes, again.classes)
    assert not np.array_equal(first.classes, other.classes)


def test_episodes_do_not_depend_on_how_many_are_drawn_at_a_time():
    together, one_by_one = sampler().sample(5), sampler()
    for e in range(5):
        one = one_by_one.sample(1)
        np.testing.assert_array_equal(
            one.rows[one.query[0]], together.rows[together.query[e]]
        )


def test_classes_restrict_the_draw():
    batch = sampler(classes=["d", "b", "c"]).sample(30)
    assert set(batch.classes.ravel()) == {"b", "c", "d"}
    assert set(Y[batch.rows]) == {"b", "c", "d"}


@pytest.mark.parametrize("labels", [[3, 1, 4, 1.5], [0, 1, 2, 3], [True, False]])
def test_labels_of_any_type(labels):
    y = np.repeat(np.array(labels[:2]), 5)
    batch = sampler(y, n_ways=2).sample(1)
    assert set(batch.classes.ravel()) == set(labels[:2])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_ways": 5}, "n_ways=5 need at least 5 classes, got 4"),
        (
            {"n_shots": 3, "n_queries": 4},
            r"3 \+ 4 = 7 samples of a class, and 1 of 4 classes have fewer: 'a' has 6",
        ),
        (
            {"n_shots": 5, "n_queries": 15},
            r"5 \+ 15 = 20 .* 4 of 4 classes have fewer: 'a' has 6",
        ),
        ({"classes": ["a", "b", "x", "z"]}, r"does not have \['x', 'z'\]"),
        ({"classes": ["a", "b"]}, "at least 3 classes, got 2"),
        ({"n_ways": 1}, "n_ways must be an int >= 2, got 1"),
        ({"n_shots": 0}, "n_shots must be an int >= 1, got 0"),
        ({"n_queries": 1.5}, "n_queries must be an int >= 1, got 1.5"),
    ],
)
def test_what_cannot_be_drawn(params, message):
    with pytest.raises(ValueError, match=message):
        sampler(**params)


@pytest.mark.parametrize("number", [0, -1, 1.5])
def test_a_number_of_episodes_that_cannot_be_drawn(number):
    with pytest.raises(
        ValueError, match=f"n_episodes must be an int >= 1, got {number}"
    ):
        sampler().sample(number)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.linspace(0, 1, 30), "Unknown label type: continuous"),
        (np.repeat([0, 1, np.nan], 10), "every sample; 10 of 30 are missing"),
        (np.repeat([0, 1, np.inf], 10), "infinity"),
        (np.repeat(["a", "b", None], 10), "every sample; 10 of 30 are missing"),
        (np.zeros((30, 2)), "1d array"),
    ],
)
def test_what_is_no_label(y, message):
    with pytest.raises(ValueError, match=message):
        sampler(y)


def test_numbers_that_come_as_objects_are_labels():
    y = np.repeat([3, 1, 2], 10)
    expected, found = (
        EpisodeSampler(labels, n_ways=2, n_shots=1, n_queries=2, random_state=0)
        for labels in (y, y.astype(object))
    )
    assert found.classes.dtype == expected.classes.dtype
    np.testing.assert_array_equal(found.sample(4).classes, expected.sample(4).classes)
