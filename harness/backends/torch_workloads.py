"""PyTorch as an engine for workloads: eager, on the CPU."""

from __future__ import annotations

import torch

from harness.workload_adapters import Engine, tape_engine

__all__ = ["load_torch"]


def load_torch(*, threads: int) -> Engine:
    """The engine; for the rest of the process PyTorch uses that many threads."""
    torch.set_num_threads(threads)
    return tape_engine("torch", torch, version=str(torch.__version__), module="torch")
