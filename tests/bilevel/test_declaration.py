"""Parameters that are declared once."""

import inspect

import pytest
import torch
from numpydoc.docscrape import ClassDoc

from sparsedis import (
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
)

ESTIMATORS = [
    GroupLassoSVMMetaLearner,
    SparseMultiTaskClassifier,
    SparseMultiTaskRepresentation,
]


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_all_parameters_but_the_first_are_named(cls):
    first, *others = inspect.signature(cls).parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert {p.kind for p in others} == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(TypeError, match="positional argument"):
        cls(first.default, others[0].default)
    with pytest.raises(TypeError, match="unexpected keyword argument 'alfa'"):
        cls(alfa=1.0)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_parameters_belong_to_estimators_and_not_to_their_class(cls):
    defaults = {k: p.default for k, p in inspect.signature(cls).parameters.items()}
    assert vars(cls()) == cls().get_params(deep=False) == defaults
    assert not any(hasattr(cls, name) for name in defaults)


def test_the_classifier_has_those_of_the_regressor():
    regressor, classifier = (
        inspect.signature(cls).parameters
        for cls in (SparseMultiTaskRepresentation, SparseMultiTaskClassifier)
    )
    assert [*regressor] == [*classifier, "normalize_y"]
    assert regressor["optimizer"].default is torch.optim.AdamW


def test_a_class_says_what_is_particular_to_it_and_inherits_the_rest():
    regressor, classifier, learner = (
        {
            section: {e.name: e.desc for e in ClassDoc(cls)[section]}
            for section in ("Parameters", "Attributes")
        }
        for cls in (
            SparseMultiTaskRepresentation,
            SparseMultiTaskClassifier,
            GroupLassoSVMMetaLearner,
        )
    )
    shared, other = regressor["Parameters"], classifier["Parameters"]
    assert shared["encoder"] == other["encoder"]
    assert shared["refit"] != other["refit"]
    assert shared["device"] == other["device"] == learner["Parameters"]["device"]
    assert "classes_" in classifier["Attributes"]
    assert "classes_" not in regressor["Attributes"]
    names = [*classifier["Attributes"]]
    assert names.index("module_") < names.index("input_shape_")
