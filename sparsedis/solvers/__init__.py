"""Batched convex solvers on plain tensors: no autograd, no estimator.

Every solver takes a batch of problems, one per task, and returns the solutions with a
:class:`~sparsedis.solvers._info.SolverInfo` that certifies them.
"""
