"""Solvers for batches of problems, on plain tensors and without implicit gradients.

A solver takes a batch of problems, one per task, and returns the solutions with their
certificates, a :class:`~sparsedis.solvers._info.SolverInfo`. Only
:mod:`sparsedis.solvers.svm.primal` solves a single problem, which may be large.
"""
