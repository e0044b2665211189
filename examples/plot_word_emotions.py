"""
Which dimensions of word embeddings tell emotions
=================================================

The dimensions of word embeddings have no names. How many tell which words go with fear
or joy, and do emotions share them? :class:`~sparsedis.heads.SparseHeadsClassifierCV`
fits a sparse head to each. Dense heads say what the sparsity costs, and heads of
shuffled labels say what is selected if there is nothing to learn.

This example needs ``pip install wordllama nrclex``, which contain the data.
"""

# %%
# Ten tasks: eight emotions, and whether a word is positive or negative, of the 6468
# words of the NRC Emotion Lexicon (Mohammad and Turney, 2013), which is free for
# research. The features are the 256 dimensions of the embeddings of ``wordllama``, made
# from the token embeddings of language models.

import json
from importlib import resources

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from wordllama import WordLlama

from sparsedis.heads import SparseHeadsClassifierCV

file = resources.files("nrclex").joinpath("data", "nrc_en.json")
lexicon = json.loads(file.read_text("utf-8"))
words, tasks = list(lexicon), sorted(set().union(*lexicon.values()))
Y = np.array([[task in lexicon[word] for task in tasks] for word in words], dtype=float)
# Without this folder, the tokenizer would be downloaded, although the package has it.
folder = resources.files("wordllama")
embeddings = WordLlama.load(cache_dir=folder, disable_download=True)
X = embeddings.embed(words, norm=True).astype(float)

# %%
# Half of the words are kept for the scores. Words with the same first five letters, as
# "abandon" and "abandoned", stay in one half and in one fold, since their embeddings
# and labels are alike.

stems = np.array([word[:5] for word in words])
halves = GroupShuffleSplit(1, test_size=0.5, random_state=0)
train, test = next(halves.split(X, groups=stems))
X = StandardScaler().fit(X[train]).transform(X)


def fit_heads(rows, labels):
    """Sparse heads of all tasks, from some of the words."""
    heads = SparseHeadsClassifierCV(20, eps=0.02, selection="1se")
    return heads.fit(X[rows], labels, groups=stems[rows])


def areas(heads):
    """Area under the ROC curve of each task, from probabilities for the other words."""
    return [roc_auc_score(y, p[:, 1]) for y, p in zip(Y[test].T, heads, strict=True)]


sparse = fit_heads(train, Y[train])
shuffled = fit_heads(train, np.random.default_rng(0).permutation(Y[train]))
dense = LogisticRegressionCV(
    Cs=np.logspace(-4, -1, 5),
    l1_ratios=(0,),
    cv=list(GroupKFold().split(X[train], groups=stems[train])),
    scoring="neg_log_loss",
    use_legacy_attributes=False,
)
area = areas(sparse.predict_proba(X[test]))
chance_area = areas(shuffled.predict_proba(X[test]))
dense_area = areas([dense.fit(X[train], y).predict_proba(X[test]) for y in Y[train].T])

# %%
# Heads of the second half share no word with the first ones. Do they use the same
# dimensions? Random sets of the same sizes have ``expected`` in common.

other = fit_heads(test, Y[test])
used, used_again = sparse.coef_ != 0, other.coef_ != 0
shared = used @ used_again.T.astype(float)
expected = np.outer(used.sum(1), used_again.sum(1)) / X.shape[1]
signs = np.sign(sparse.coef_) @ np.sign(other.coef_).T / np.maximum(shared, 1)

print(f"{'task':>12}   AUC dense shuffled  dimensions shuffled  again (by chance)")
for t, name in enumerate(tasks):
    print(
        f"{name:>12} {area[t]:.3f} {dense_area[t]:.3f}    {chance_area[t]:.3f} "
        f"{used[t].sum():11d} {(shuffled.coef_[t] != 0).sum():8d} "
        f"{shared[t, t]:6.0f} ({expected[t, t]:.1f})"
    )

_, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
left, middle, right = axes
at = np.arange(len(tasks))
left.plot(dense_area, at, "s", area, at, "o", chance_area, at, "x")
left.set(xlabel="AUC on the other words", yticks=at, yticklabels=tasks)
middle.barh(at - 0.2, used.sum(1), 0.38, color="C1")
middle.barh(at + 0.2, shared.diagonal(), 0.38, color="C4")
middle.set(xlabel="dimensions in use, of 256")
above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 3}
left.legend(["dense", "sparse", "shuffled labels"], **above)
middle.legend(["sparse", "also from other words"], **above)
right.imshow(signs, cmap="RdBu_r", vmin=-1.5, vmax=1.5, aspect="auto")
for i, j in np.argwhere(shared):
    right.text(j, i, f"{shared[i, j] / expected[i, j]:.1f}", ha="center", va="center")
right.set_title("in common with heads of other words,\ntimes chance (red: same sign)")
right.set_xticks(at, tasks, rotation=60, ha="right", rotation_mode="anchor")
plt.show()

# %%
# Few dimensions are not enough. Heads of 101 and 87 tell negative and positive words
# as well as dense heads, which do not tell them well. Others lose 0.01 to 0.10, and
# surprise has none. The default ``selection="cv"`` loses 0.01 on average, with 53 to
# 146 dimensions, but then shuffled labels select up to 40. Heads of other words use the
# same dimensions 1.3 to 8.5 times as often as by chance, as do most pairs of tasks. By
# their signs, two groups share them, also with two other seeds, as their labels do:
# anger, disgust, fear, sadness, negative; and anticipation, joy, positive, trust.
