"""Does the agreement of seeds find the penalty that disentangles?

For each correlation of the factors and each repetition, trains every alpha with every
seed on synthetic tasks, ranks the alphas by unsupervised disentanglement ranking, and
compares with what the factors say. Run ``python -m benchmarks.udr --jobs 2``.
"""

import argparse

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import spearmanr

from sparsedis import SparseMultiTaskRepresentation
from sparsedis.datasets import make_sparse_tasks
from sparsedis.metrics import (
    mean_correlation_coefficient,
    unsupervised_disentanglement_ranking,
)

SIMILARITIES = ("mcc", "lasso", "spearman")


def train(data, alpha, seed):
    """Codes and supports of one model."""
    est = SparseMultiTaskRepresentation(
        data.factors.shape[1], alpha=alpha, random_state=seed
    )
    codes = est.fit_transform(data.data, data.target)
    return codes, est.support_


def study(rho, repetition, alphas, n_seeds, n_jobs):
    """One line of the table per similarity."""
    data = make_sparse_tasks(
        600, 100, n_factors=6, rho=rho, return_bunch=True, random_state=repetition
    )
    models = Parallel(n_jobs=n_jobs)(
        delayed(train)(data, alpha, seed) for alpha in alphas for seed in range(n_seeds)
    )
    mcc = [mean_correlation_coefficient(data.factors, codes) for codes, _ in models]
    mcc = np.reshape(mcc, (len(alphas), n_seeds))
    for similarity in SIMILARITIES:
        groups = [models[i : i + n_seeds] for i in range(0, len(models), n_seeds)]
        udr = np.array(
            [
                unsupervised_disentanglement_ranking(
                    [codes for codes, _ in group],
                    coefs=[support for _, support in group],
                    similarity=similarity,
                )
                for group in groups
            ]
        )
        choice, best = udr.mean(1).argmax(), mcc.mean(1).argmax()
        model = udr[choice].argmax()
        print(
            f"{rho:>4} {repetition:>4} {similarity:>9} {alphas[choice]:>7} "
            f"{mcc[choice].mean():>10.3f} {mcc[choice, model]:>9.3f} "
            f"{alphas[best]:>7} {mcc[best].mean():>9.3f} "
            f"{spearmanr(udr.mean(1), mcc.mean(1)).statistic:>8.2f} "
            f"{spearmanr(udr.ravel(), mcc.ravel()).statistic:>8.2f}",
            flush=True,
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rhos", type=float, nargs="+", default=[0.0, 0.9])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--alphas", type=float, nargs="+", default=[0.01, 0.05, 0.1, 0.2, 0.4, 0.7]
    )
    args = parser.parse_args()
    print("rank correlations: over the settings, and over all their models")
    print(
        " rho  rep similarity  chosen   mean MCC  its best    best  mean MCC "
        "settings   models"
    )
    for rho in args.rhos:
        for repetition in range(args.repetitions):
            study(rho, repetition, args.alphas, args.seeds, args.jobs)


if __name__ == "__main__":
    main()
