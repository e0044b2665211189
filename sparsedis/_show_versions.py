"""Versions and hardware, for bug reports."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

DEPENDENCIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "celer",
    "joblib",
    "safetensors",
    "threadpoolctl",
)
OPTIONAL_DEPENDENCIES = (
    "matplotlib",
    "h5py",
    "pandas",
    "pillow",
    "pooch",
    "rich",
)


def _installed(names):
    """Versions from package metadata, without imports; None if not installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def _devices_and_threads():
    """Devices and numbers of threads of torch, as two dicts."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        return {"torch": f"cannot be imported: {error}"}, {"cpus": os.cpu_count()}
    if torch.cuda.is_available():
        names = map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
        cuda = f"{', '.join(names)} (CUDA {torch.version.cuda or torch.version.hip})"
    else:
        cuda = "not available"
    mps = "available" if torch.backends.mps.is_available() else "not available"
    threads = {
        "cpus": os.cpu_count(),
        "torch intra-op": torch.get_num_threads(),
        "torch inter-op": torch.get_num_interop_threads(),
    }
    return {"cuda": cuda, "mps": mps}, threads


def _threadpools():
    """One dict for each thread pool of a loaded native library."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    return threadpool_info()


def _print_section(title, entries):
    width = max(10, *map(len, entries))
    print(f"\n{title}:")
    for key, value in entries.items():
        print(f"{key:>{width}}: {value}")


def show_versions() -> None:
    """Print the versions and hardware to include in a bug report.

    Prints Python and the system, the versions of sparsedis and its dependencies (None
    if not installed), the devices of torch, and the numbers of threads. Only torch is
    imported, for its devices.

    Examples
    --------
    >>> from sparsedis import show_versions
    >>> show_versions()  # doctest: +SKIP
    """
    from . import __version__

    devices, threads = _devices_and_threads()
    _print_section(
        "System",
        {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "machine": platform.platform(),
        },
    )
    _print_section(
        "Python dependencies",
        {"sparsedis": __version__, **_installed(DEPENDENCIES)},
    )
    _print_section("Optional dependencies", _installed(OPTIONAL_DEPENDENCIES))
    _print_section("Devices of torch", devices)
    _print_section("Threads", threads)
    for pool in _threadpools():
        _print_section("Thread pool (threadpoolctl)", pool)
