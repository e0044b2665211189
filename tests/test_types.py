"""Type checkers know the public names: a program is checked as a user's would be."""

from pathlib import Path

from mypy import api

import sparsedis

ROOT = Path(__file__).parents[1]

# Lines that end in "# error" are wrong, and no others.
PROGRAM = """
from typing import assert_type

import numpy as np

from sparsedis import DisentanglementScorer, SparseMultiTaskRepresentation
from sparsedis.heads import SparseHeadsClassifierCV
from sparsedis.implicit import lasso
from sparsedis.metrics import (
    DisentanglementReport,
    dci,
    disentanglement_report,
    mean_correlation_coefficient,
    task_scores,
)

X, Y = np.ones((20, 3)), [[0.0, 1.0]] * 20

assert_type(mean_correlation_coefficient(X, Y), float)
assert_type(dci(X, Y, random_state=0).completeness, float)
assert_type(disentanglement_report(X, Y, ["mcc"]), DisentanglementReport)
assert_type(task_scores(X, X, metric="r2"), np.ndarray)
mean_correlation_coefficient(X, Y, return_details=True).matching
mean_correlation_coefficient(X, Y).matching  # error
mean_correlation_coefficient(X, Y, method="kendall")  # error
mean_correlation_coefficient(X)  # error

scorer = DisentanglementScorer(method="spearman").fit(X, Y)
assert_type(scorer, DisentanglementScorer)
assert_type(scorer.transform(X), np.ndarray)
assert_type(scorer.score(X, Y), float)
scorer.fit(X)  # error
DisentanglementScorer(unmatched="best")  # error

est = SparseMultiTaskRepresentation(rotation=None, alpha=0.1).fit(X, Y)
assert_type(est, SparseMultiTaskRepresentation)
assert_type(est.predict(X), np.ndarray)
assert_type(est.coef_, np.ndarray)
assert_type(est.adapt(X, Y), SparseMultiTaskRepresentation)
est.fit(X, Y, groups=[0])  # error
est.fit(X)  # error
SparseMultiTaskRepresentation(max_iter="many")  # error

heads = SparseHeadsClassifierCV(refit="relaxed").fit(X, np.eye(20))
assert_type(heads, SparseHeadsClassifierCV)
assert_type(heads.predict(X), np.ndarray)
heads.coef_.shape
SparseHeadsClassifierCV(refit="none")  # error
lasso(X, Y, 0.1, fit_intercept=True)
lasso(X, Y, 0.1, intercept=True)  # error
"""


def test_a_program_of_a_user(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    config = f"--config-file={ROOT / 'pyproject.toml'}"
    cache = f"--cache-dir={tmp_path / 'cache'}"
    found, trouble, _ = api.run([config, cache, "--no-error-summary", str(program)])
    assert not trouble
    errors = {
        int(line.split(":")[1])
        for line in found.splitlines()
        if line.split(": ")[1] == "error"
    }
    marked = {
        number
        for number, line in enumerate(PROGRAM.splitlines(), start=1)
        if line.endswith("# error")
    }
    assert errors == marked, found


def test_the_package_says_that_it_has_types():
    assert Path(sparsedis.__file__).with_name("py.typed").exists()
    assert "py.typed" in (ROOT / "setup.cfg").read_text()
