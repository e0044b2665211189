"""Batches of tasks that share their inputs, and the tables they are drawn from."""

from sparsedis.inputs._batch import TaskBatch

__all__ = ["TaskBatch"]
