"""What this machine is: versions, processor, cores, threads, and the commit that runs.

`describe_run` fills a `RunInfo`; `versions` and `installed` answer for single packages. Versions come from package
metadata, so no framework is imported to name it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from harness.records import RunInfo

__all__ = [
    "PACKAGES",
    "affinity",
    "blas",
    "code_hash",
    "cores",
    "cpu_name",
    "describe_run",
    "git_state",
    "governor",
    "installed",
    "threads",
    "versions",
]

PACKAGES = ("adjudge", "numpy", "torch", "jax", "jaxlib", "python-flint", "hypothesis", "pyarrow", "pandas")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def describe_run(
    *, command: str, seed: int = 0, budget_seconds: float | None = None, threads_per_backend: int | None = None
) -> RunInfo:
    """The info of a run that starts now on this machine; counts are filled in at its end with `dataclasses.replace`.

    Args:
        threads_per_backend: what the backends were told; `threads()` if nothing was.
    """
    now = datetime.now(UTC)
    commit, dirty = git_state(Path(__file__).parent)
    return RunInfo(
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        started_utc=now.isoformat(timespec="seconds"),
        command=command,
        seed=seed,
        budget_seconds=budget_seconds,
        versions=versions(),
        cpu=cpu_name(),
        cores=cores(),
        threads=threads() if threads_per_backend is None else threads_per_backend,
        platform=platform.platform(),
        git_commit=commit,
        git_dirty=dirty,
        governor=governor(),
        affinity=affinity(),
        blas=blas(),
        code_hash=code_hash(Path(__file__).parents[1]),
    )


def versions() -> dict[str, str]:
    """Version of Python and of each of `PACKAGES` that is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        version = installed(name)
        if version is not None:
            found[name] = version
    return found


def installed(package: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """The processor's marketing name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def governor() -> str:
    """How the system sets the frequency of the first core, such as "performance"; "" where it does not say."""
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return ""


def affinity() -> str:
    """Numbers of the cores that this process may run on, such as "0,1"; "" where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return ""


def blas() -> str:
    """The numerical libraries with thread pools that are loaded, such as "openblas 0.3.30 (1 thread)"."""
    import threadpoolctl

    found = {
        f"{pool['internal_api']} {pool.get('version') or 'unknown'} ({pool['num_threads']} thread"
        f"{'' if pool['num_threads'] == 1 else 's'})"
        for pool in threadpoolctl.threadpool_info()
    }
    return ", ".join(sorted(found))


def code_hash(tree: Path) -> str:
    """First 16 hexadecimal digits of a SHA-256 over the sources of `harness` and `reference_impl` below a folder."""
    digest = hashlib.sha256()
    for package in ("harness", "reference_impl"):
        for path in sorted((tree / package).rglob("*.py")):
            digest.update(path.relative_to(tree).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def threads() -> int:
    """Threads that numerical libraries will use when nobody tells them: their environment variable, else all cores."""
    for name in _THREAD_VARIABLES:
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    return cores()


def git_state(folder: Path) -> tuple[str, bool | None]:
    """The commit of the checkout that holds `folder` and whether its files differ; ("", None) if there is none."""

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A copy installed inside another project's checkout is not that project's commit.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return "", None
    status = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") or "", None if status is None else bool(status)
