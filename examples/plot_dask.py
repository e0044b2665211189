"""
Scaling a grid search out with dask
===================================

A search trains one model per setting and split, and the models do not wait for each
other. On one machine ``n_jobs=-1`` spreads them over its cores. How does the same
search go to the machines of a cluster?

With joblib's dask backend nothing in the search changes. Here the cluster is two worker
processes on this machine; at work it is the address of a scheduler. The example needs
the extra `scale`.
"""

# %%
# The search: which penalty disentangles? The factors are known here, and only the
# scorer sees them.

import joblib
import matplotlib.pyplot as plt
import sklearn
from dask.distributed import Client, SubprocessCluster, get_task_stream
from sklearn.model_selection import GridSearchCV

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.inspection import AlphaPathDisplay
from sparsedis.metrics import make_disentanglement_scorer

data = make_sparse_tasks(
    300, 60, n_factors=4, mixing="mlp", rho=0.5, return_bunch=True, random_state=0
)
search = GridSearchCV(
    SparseMultiTaskRepresentation(
        n_components=4, rotation=None, max_iter=100, random_state=0
    ),
    {"alpha": [0.02, 0.1, 0.4, 0.8]},
    scoring=make_disentanglement_scorer(["mcc", "r"]),
    refit="mcc",
    cv=2,
)

# %%
# The workers have one thread each: two trainings in one process would wait for each
# other, since Python runs one thread at a time.
# ``Client("tcp://address:8786")`` would stand here for a cluster that is there already.

cluster = SubprocessCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
client = Client(cluster)
client.wait_for_workers(2)
print(len(client.scheduler_info()["workers"]), "workers")

# %%
# One line sends the fits there. dask records who did what, and when.

with (
    sklearn.config_context(enable_metadata_routing=True),
    joblib.parallel_config("dask"),
    get_task_stream(client) as stream,
):
    search.fit(data.data, data.target, factors=data.factors)
print(search.best_params_, f"MCC {search.best_score_:.2f}")
client.close()
cluster.close()

# %%
# On the left the result, on the right the fits as they ran, one line for each worker.
# The last fit, of the best setting on all data, runs where the search was called.

fits = [
    (task["worker"], span["start"], span["stop"])
    for task in stream.data
    for span in task["startstops"]
    if span["action"] == "compute"
]
workers = sorted({worker for worker, _, _ in fits})
begin = min(start for _, start, _ in fits)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(8.5, 3.6), width_ratios=[1, 1.3], layout="constrained"
)
AlphaPathDisplay.from_estimator(search, metrics={"mcc": "MCC", "r": "R"}, ax=left)
for number, worker in enumerate(workers):
    spans = [(start - begin, stop - start) for w, start, stop in fits if w == worker]
    right.broken_barh(spans, (number - 0.3, 0.6), ec="w", fc=f"C{number}")
right.set(
    xlabel="seconds",
    yticks=range(len(workers)),
    yticklabels=[f"worker {number}" for number in range(len(workers))],
    title=f"{len(fits)} fits on {len(workers)} workers",
)
plt.show()
