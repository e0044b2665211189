"""Summary and notes of a report."""

import numpy as np

from sparsedis.identifiability._report import STABLE

# Smallest gain or loss that is counted.
GAIN = 0.01
# A larger difference of the scores on the given and the held-out rows indicates
# overfitting, as in the warning of `fit`.
BY_HEART = 0.1
# Up to this many tasks or features are named in a sentence.
MAX_NAMED = 5


def summary_of(report):
    """Main results of a report.

    Parameters
    ----------
    report : ModelReport

    Returns
    -------
    list of str
    """
    tasks, features = report.tasks, report.features
    n_tasks, n_features = len(tasks["task"]), len(features["feature"])
    lines = [f"{_count(n_tasks, 'task')}, {_count(n_features, 'feature')}"]
    if "held_out" in tasks:
        lines += [_held_out(tasks, held_out_name(report.score_name)), *_gains(tasks)]
    if "score" in tasks:
        name = report.score_name[0].upper() + report.score_name[1:]
        lines.append(f"{name} on the given rows: {_mean(tasks['score'])}")
    if "n_labels" in tasks:
        lines.append(_labels(tasks["n_labels"], report.overlap))
    used = np.nanmean(tasks["n_features"])
    lines.append(
        f"Trusted as factors: {features['trusted'].sum()} of "
        f"{_count(n_features, 'feature')}; a head uses {used:.1f} on average"
    )
    return lines


def held_out_name(score_name):
    """Name of the scores on held-out rows.

    Parameters
    ----------
    score_name : {"R2", "accuracy", "D2"}
        Name of the scores on the given rows.

    Returns
    -------
    {"R2", "D2"}
        The name.
    """
    return "R2" if score_name == "R2" else "D2"


def notes_of(tasks, features, unseparated, score_name):
    """Results that deserve attention.

    Parameters
    ----------
    tasks, features : dict of str to ndarray
        Columns of a report.

    unseparated : list of ndarray of int
        Groups of features that can stay mixed.

    score_name : {"R2", "accuracy", "D2"}
        Name of the scores on the given rows.

    Returns
    -------
    list of str
    """
    names = tasks["task"]
    notes = []

    def note(where, text):
        found = np.flatnonzero(where)
        if len(found):
            notes.append(f"{text}: {_listed(names[found])}.")

    note(
        np.isnan(tasks["n_features"]),
        "No head, without labels or with a single class",
    )
    note(tasks["n_features"] == 0, "Heads that use no feature")
    if "held_out" in tasks:
        note(
            tasks["held_out"] <= 0,
            "Not predicted better than by the mean, on held-out rows",
        )
        note(
            tasks["gain"] <= -GAIN,
            "Predicted worse than by models on X alone, on held-out rows",
        )
        both = ~np.isnan(tasks.get("score", np.nan) + tasks["held_out"])
        if both.any() and score_name == held_out_name(score_name):
            seen, unseen = (tasks[of][both].mean() for of in ("score", "held_out"))
            if seen - unseen > BY_HEART:
                notes.append(
                    f"{score_name} is {seen:.2f} on the given rows and {unseen:.2f} on "
                    "held-out ones: if the given rows are those of fit, the model "
                    "overfits. Raise weight_decay, or use more rows."
                )
    unused = np.flatnonzero(features["n_tasks"] == 0)
    if len(unused):
        notes.append(f"Features that no head uses: {_listed(unused)}.")
    if "stability" in features:
        unstable = np.flatnonzero(features["stability"] < STABLE)
        if len(unstable):
            notes.append(
                f"Features on which halves of the tasks disagree: {_listed(unstable)}. "
                "Use more tasks or more labels."
            )
    notes += [
        f"Features that the tasks do not separate: {_listed(group)}."
        for group in unseparated
    ]
    return notes


def _held_out(tasks, name):
    line = f"{name} on held-out rows: {_mean(tasks['held_out'])}"
    if np.isnan(tasks["held_out"]).all():
        return line
    heads, inputs = (np.nanmean(tasks[f"held_out_{of}"]) for of in ("heads", "inputs"))
    return f"{line}; heads alone {heads:.2f}, models on X alone {inputs:.2f}"


def _gains(tasks):
    gain = tasks["gain"]
    known = np.flatnonzero(~np.isnan(gain))
    if not len(known):
        return []
    best = known[np.argsort(-gain[known], kind="stable")]
    best = best[gain[best] >= GAIN]
    line = (
        f"Gain from sharing, against models on X: {np.mean(gain[known]):+.2f} on "
        f"average, {GAIN} or more for {len(best)} of {_count(len(known), 'task')}"
    )
    if len(best):
        some = [f"{tasks['task'][t]!s} ({gain[t]:+.2f})" for t in best[:MAX_NAMED]]
        line += f"; most: {', '.join(some)}"
    return [line]


def _labels(counts, overlap):
    line = f"Labels of a task: {counts.min()}"
    if counts.min() < counts.max():
        line += f" to {counts.max()}, median {np.median(counts):g}"
    if overlap is None:
        return line
    line += f"; rows that two tasks share: {overlap.smallest}"
    if overlap.smallest < overlap.median:
        line += f" or more, median {overlap.median:g}"
    if overlap.n_disjoint:
        line += f"; {overlap.n_disjoint} of {overlap.n_pairs} pairs share none"
    return line


def _mean(scores):
    n_scored = np.count_nonzero(~np.isnan(scores))
    if not n_scored:
        return "unknown, no task has enough labels"
    return f"{np.nanmean(scores):.2f} on average over {_count(n_scored, 'task')}"


def _count(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _listed(names):
    some = ", ".join(str(name) for name in names[:MAX_NAMED])
    n_more = len(names) - MAX_NAMED
    return f"{some} and {n_more} more" if n_more > 0 else some
