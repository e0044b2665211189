"""Results of a search, in the form that the displays need."""

import re

import numpy as np

from sparsedis.inspection._style import as_text


def read_cv_results(cv_results, param_name, metrics=None, best_index=None):
    """Find the scores of a search along one of its parameters.

    Parameters
    ----------
    cv_results : dict of array-like
        Results such as `cv_results_` of :class:`~sklearn.model_selection.GridSearchCV`.

    param_name : str
        Name of the parameter; the prefix of a pipeline step can be left out.

    metrics : list of str, or dict of str to str, default=None
        Names of the scores, or labels by name. None: all of them.

    best_index : int, default=None
        The setting that was chosen.

    Returns
    -------
    dict
        Arguments of :class:`AlphaPathDisplay`, for the settings with the parameter.
    """
    name = _find_param(cv_results, param_name)
    kept = _with_param(cv_results, name)
    settings = [cv_results["params"][i] for i in kept]
    others = sorted({other for setting in settings for other in setting} - {name})
    groups = [_group(setting, others) for setting in settings]
    if "n_resources" in cv_results:
        # A halving search tries a setting again with more resources.
        rounds = _name_rounds(cv_results)
        for i, row in enumerate(kept):
            groups[i] = ", ".join(filter(None, (groups[i], rounds[row])))
    return {
        "param_values": [setting[name] for setting in settings],
        "scores": {
            label: scores[kept]
            for label, scores in _find_scores(cv_results, metrics).items()
        },
        "groups": groups if any(groups) else None,
        "best_index": kept.index(best_index) if best_index in kept else None,
    }


def find_finalists(cv_results, param_name):
    """Find the settings that a search chooses from: in halving, the last round.

    Parameters
    ----------
    cv_results : dict of array-like
        Results such as `cv_results_` of :class:`~sklearn.model_selection.GridSearchCV`.

    param_name : str
        The parameter.

    Returns
    -------
    ndarray of int
        Their indices among the settings with the parameter.
    """
    kept = _with_param(cv_results, _find_param(cv_results, param_name))
    if "n_resources" not in cv_results:
        return np.arange(len(kept))
    rounds = _rounds(cv_results)[kept]
    return np.flatnonzero(rounds == rounds.max())


def _with_param(cv_results, name):
    # In a list of grids, some settings may not have the parameter.
    return [i for i, setting in enumerate(cv_results["params"]) if name in setting]


def _rounds(cv_results):
    # With aggressive elimination, several rounds have the same resources.
    return np.asarray(cv_results.get("iter", cv_results["n_resources"]))


def _name_rounds(cv_results):
    spent = np.asarray(cv_results["n_resources"])
    rounds = _rounds(cv_results)
    return [
        f"{resources} resources"
        + (f", round {one + 1}" if np.ptp(rounds[spent == resources]) else "")
        for resources, one in zip(spent, rounds, strict=True)
    ]


def _find_param(cv_results, param_name):
    names = [key.removeprefix("param_") for key in cv_results if key[:6] == "param_"]
    if param_name in names:
        return param_name
    found = [name for name in names if name.endswith(f"__{param_name}")]
    if len(found) != 1:
        raise ValueError(
            f"param_name must be one of the parameters of the search, {names}; got "
            f"{param_name!r}."
        )
    return found[0]


def _find_scores(cv_results, metrics):
    prefix = "mean_test_"
    names = [key.removeprefix(prefix) for key in cv_results if key.startswith(prefix)]
    labels = metrics
    if not isinstance(metrics, dict):
        labels = {name: name for name in names if metrics is None}
        labels |= {name: name for name in metrics or []}
    unknown = set(labels) - set(names)
    if unknown:
        raise ValueError(
            f"metrics must be among the scores of the search, {names}; got "
            f"{sorted(unknown)}."
        )
    scores = {}
    for name, label in labels.items():
        split = re.compile(rf"split\d+_test_{re.escape(name)}")
        columns = [key for key in cv_results if split.fullmatch(key)]
        columns = columns or [prefix + name]
        scores[label] = np.stack([cv_results[key] for key in columns], axis=1)
    return scores


def _group(setting, others):
    return ", ".join(
        f"{name.rpartition('__')[2]} = {as_text(setting[name])}"
        for name in others
        if name in setting
    )
