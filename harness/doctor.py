"""What is installed, on what machine, and what is missing together with the command that installs it.

`doctor()` gathers it as data, `render(report)` says it in lines for a terminal. The frameworks are imported to ask them
for devices and threads; one that fails to import is reported with its error instead of stopping the others.
"""

from __future__ import annotations

import importlib
import platform
from dataclasses import dataclass
from typing import Any

from harness import backends
from harness.environment import cores, cpu_name, installed, threads
from harness.kernels import load_kernel_errors

__all__ = ["BackendState", "Package", "Report", "doctor", "render"]

# distribution -> (what it is for, the command that installs it)
_PACKAGES: dict[str, tuple[str, str]] = {
    "numpy": ("the reference", "pip install adjudge"),
    "python-flint": ("certificates in ball arithmetic", "pip install adjudge"),
    "hypothesis": ("drawing programs", "pip install adjudge"),
    "pyarrow": ("rows in Parquet", "pip install adjudge"),
    "torch": ("backend torch", 'pip install "adjudge[torch]"'),
    "jax": ("backends jax and jax-jit", 'pip install "adjudge[jax]"'),
    "jaxlib": ("backends jax and jax-jit", 'pip install "adjudge[jax]"'),
    "pandas": ("tables and reports", 'pip install "adjudge[reports]"'),
    "pytest": ("the suites", 'pip install "adjudge[dev]"'),
}
_MODULES = {"torch": "harness.backends.torch_eager", "jax": "harness.backends.jax_backend"}


@dataclass(frozen=True)
class Package:
    """A package that some part of Adjudge needs; `version` is None if it is not installed."""

    name: str
    purpose: str
    version: str | None
    install: str


@dataclass(frozen=True)
class BackendState:
    """A backend: `problem` is None if it can run, else why not; `note` is what the user should know all the same."""

    name: str
    version: str | None
    devices: tuple[str, ...]
    threads: int | None
    problem: str | None
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The state of the installation."""

    python: str
    platform: str
    cpu: str
    cores: int
    threads: int
    packages: tuple[Package, ...]
    backends: tuple[BackendState, ...]

    @property
    def missing(self) -> tuple[Package, ...]:
        """Packages that are not installed."""
        return tuple(p for p in self.packages if p.version is None)


def doctor() -> Report:
    """Look at the installation: packages, backends, devices, threads."""
    packages = tuple(Package(n, purpose, installed(n), command) for n, (purpose, command) in _PACKAGES.items())
    states = tuple(_state(name, reason) for name, reason in backends.available().items())
    return Report(
        python=platform.python_version(),
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        threads=threads(),
        packages=packages,
        backends=states,
    )


def _state(name: str, reason: str | None) -> BackendState:
    if reason is not None:
        return BackendState(name, None, (), None, reason)
    try:
        engine = backends.get(name)
        module: Any = importlib.import_module(_MODULES[name.removesuffix("-jit")]) if _has_module(name) else None
        return BackendState(
            name,
            engine.version,
            module.devices() if module else ("cpu",),
            module.threads() if hasattr(module, "threads") else threads(),
            None,
            _kernel_note(name, engine.version),
        )
    except Exception as error:  # a framework that is installed may still fail to load, in any way
        return BackendState(name, None, (), None, f"fails to load: {type(error).__name__}: {error}")


def _has_module(name: str) -> bool:
    return name.removesuffix("-jit") in _MODULES


def _kernel_note(name: str, version: str) -> str:
    """Say so if the declared kernel errors were measured with another version."""
    if name == "finite-differences":
        return ""
    known = load_kernel_errors().versions.get(name)
    if known == version:
        return ""
    measured = "no kernel errors are known" if known is None else f"kernel errors were measured with {known}"
    return f"{measured}; measure them for {version}: adjudge doctor --kernels"


def render(report: Report) -> str:
    """The report as lines of text, ending with the commands that install what is missing."""
    lines = [
        f"Python {report.python} on {report.platform}",
        f"{report.cpu}, {report.cores} cores, {report.threads} threads by default",
        "",
        "Packages",
    ]
    wide = max(len(p.name) for p in report.packages)
    lines += [f"  {p.name:<{wide}}  {p.version or 'not installed':<14} {p.purpose}" for p in report.packages]
    lines += ["", "Backends"]
    wide = max(len(b.name) for b in report.backends)
    for b in report.backends:
        if b.problem is not None:
            lines.append(f"  {b.name:<{wide}}  {b.problem}")
            continue
        lines.append(f"  {b.name:<{wide}}  {b.version}, {', '.join(b.devices)}, {b.threads} threads")
        if b.note:
            lines.append(f"  {'':<{wide}}  {b.note}")
    commands = sorted({p.install for p in report.missing})
    if commands:
        lines += ["", "To install what is missing", *(f"  {command}" for command in commands)]
    return "\n".join(lines)
