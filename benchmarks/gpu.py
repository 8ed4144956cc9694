"""Ours and two peers on a CUDA device."""

from __future__ import annotations

import argparse
import sys

import torch

from benchmarks import speed
from benchmarks.contestants import OURS, PEERS

NAMES = ("PennyLane default.qubit", "TorchQuantum")


def run(options: argparse.Namespace) -> str:
    """Measure, write ``gpu.json`` and ``gpu.md`` and return the latter; end with one line where there is no device."""
    if not torch.cuda.is_available():
        sys.exit("got no CUDA device, expected one: run it on a machine with a GPU and a CUDA build of torch")
    peers = [who for who in PEERS if who.name in NAMES]
    return speed.run(options, "gpu", (OURS, *peers), "cuda", {"gpu": torch.cuda.get_device_name()})
