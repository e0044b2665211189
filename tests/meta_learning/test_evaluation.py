"""Evaluation on episodes, against adapting to each."""

import numpy as np
import pytest

from sparsedis.episodes import EpisodeSampler
from sparsedis.meta_learning import _evaluation
from tests.meta_learning._learners import HEADS, quick


@pytest.mark.parametrize("head", HEADS)
def test_evaluation_is_adapting_to_every_episode(data, head):
    X, y = data
    est = quick(head=head).fit(X, y)
    result = est.evaluate(X, y, n_episodes=8)
    sampler = EpisodeSampler(y, n_ways=3, n_shots=2, n_queries=3, random_state=0)
    accuracies, usage = [], np.zeros(6)
    for _ in range(8):
        batch = sampler.sample(1)
        support, query = batch.rows[batch.support[0]], batch.rows[batch.query[0]]
        clf = est.adapt(X[support], y[support])
        accuracies.append(clf.score(X[query], y[query]))
        usage[clf.active_features_] += 1 / 8
    np.testing.assert_allclose(result.accuracies, accuracies)
    np.testing.assert_allclose(result.feature_usage, usage)
    assert result.accuracy == pytest.approx(np.mean(accuracies))
    assert result.active_share == pytest.approx(usage.mean())
    assert result.confidence_interval == pytest.approx(
        1.96 * np.std(accuracies, ddof=1) / np.sqrt(8)
    )


def test_evaluation_in_pieces_is_the_same(data, fitted, monkeypatch):
    whole = fitted.evaluate(*data, n_episodes=20)
    monkeypatch.setattr(_evaluation, "_HELD", 15 * 6 * 4)
    monkeypatch.setattr(_evaluation, "_SOLVED", 15 * 6 * 3)
    pieces = fitted.evaluate(*data, n_episodes=20)
    np.testing.assert_array_equal(whole.accuracies, pieces.accuracies)
    np.testing.assert_array_equal(whole.feature_usage, pieces.feature_usage)


def test_the_size_of_an_episode_can_be_chosen(data, fitted):
    result = fitted.evaluate(*data, n_episodes=3, n_ways=4, n_shots=1, n_queries=5)
    assert repr(result).startswith("FewShotEvaluation(4-way 1-shot: accuracy 0.")
    np.testing.assert_allclose(result.accuracies * 20 % 1, 0, atol=1e-9)


def test_score_is_the_accuracy_of_an_evaluation(data, fitted):
    assert fitted.score(*data) == fitted.evaluate(*data).accuracy
