"""Batches of tasks that share their inputs."""

from sparsedis.inputs._batch import TaskBatch

__all__ = ["TaskBatch"]
