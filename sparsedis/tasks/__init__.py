"""Batches of tasks that share their inputs, and the tables they are drawn from."""

from sparsedis.tasks._batch import TaskBatch

__all__ = ["TaskBatch"]
