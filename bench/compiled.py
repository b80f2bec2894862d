"""The kernels compiled for a GPU that need not be there, and what the machine code tells: registers, spills, loads.

The launchers themselves run, on tensors without memory, with a driver that compiles for the wanted architecture and
launches nothing: what is looked at is exactly what would run, grid included.

    python bench/compiled.py 90            a JSON list of the launches of the benchmark's shapes, for sm_90
    python bench/compiled.py 90 'TAP.*7x7' of those whose names match
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import source_tree  # noqa: F401
import torch
import triton
from compiled_cases import cam_cases, component_cases, mask_cases, tap_cases
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

__all__ = ["Launch", "launches"]


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel, and its machine code in figures."""

    compiler: str  # Triton's version
    case: str
    kernel: str
    programs: int
    warps: int
    registers: int
    stack: int
    spills: int  # instructions that go to or come from local memory
    shared: int
    arguments: dict[str, int]  # those that are whole numbers
    instructions: int
    loads: dict[str, int]  # global loads by their width
    stores: dict[str, int]
    loops: list[list[int]]  # of each, in the order they begin: the first and the last instruction
    flushes: int  # float32 instructions that flush denormals
    contractions: int  # float32 and float64 multiply-adds with one rounding

    def executed(self, turns: Sequence[float] = ()) -> float:
        """Instructions a warp executes, where each loop takes so many turns, and no other branch skips anything."""
        if len(turns) != len(self.loops):
            raise ValueError(f"{self.case}, {self.kernel}: {len(self.loops)} loops, but turns of {len(turns)}")
        within = [
            [turn for turn, (first, last) in zip(turns, self.loops, strict=True) if first <= i <= last]
            for i in range(self.instructions)
        ]
        return sum(math.prod(turns) for turns in within)


class _Compiler:
    """Stands in for a GPU's driver."""

    def __init__(self, architecture: int) -> None:
        self.target = GPUTarget("cuda", architecture, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:  # noqa: ARG002
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("meta")


@contextmanager
def _recorded(architecture: int) -> Iterator[list[tuple[Any, tuple[int, ...], dict[str, int]]]]:
    """Compiles instead of launching; gives the compiled kernels with their grids and arguments."""
    compiled: list[tuple[Any, tuple[int, ...], dict[str, int]]] = []
    run = JITFunction.run

    def warm_up(self: Any, *args: Any, grid: tuple[int, ...], warmup: bool, **kwargs: Any) -> Any:  # noqa: ARG001
        kernel = run(self, *args, grid=grid, warmup=True, **kwargs)
        numbers = {name: arg for name, arg in zip(self.arg_names, args, strict=False) if type(arg) is int}
        compiled.append((kernel.result() if hasattr(kernel, "result") else kernel, grid, numbers))
        return kernel

    driver.set_active(_Compiler(architecture))
    JITFunction.run = warm_up
    try:
        yield compiled
    finally:
        JITFunction.run = run


def launches(cases: dict[str, Callable[[], object]], architecture: int) -> list[Launch]:
    """What every case launches, compiled for ``architecture`` (90 for sm_90); what it launches often, once."""
    found = []
    for name, case in cases.items():
        with _recorded(architecture) as compiled:
            case()
        once = {id(kernel): (kernel, grid, numbers) for kernel, grid, numbers in compiled}
        found += [_looked_at(name, *one) for one in once.values()]
    return found


def _looked_at(case: str, kernel: Any, grid: tuple[int, ...], numbers: dict[str, int]) -> Launch:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(kernel.asm["cubin"])
        usage = _told("-res-usage", path)
        code = _told("-sass", path)
    counts = {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", usage)}
    line = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\d+\s+)?([A-Z][A-Z0-9_.]*)(.*?);", re.MULTILINE)
    found = [one for one in line.findall(code) if one[1] != "NOP"]
    instructions = [name for _, name, _ in found]
    return Launch(
        triton.__version__,
        case,
        kernel.metadata.name,
        grid[0],
        kernel.metadata.num_warps,
        counts["REG"],
        counts["STACK"],
        sum(one.split(".")[0] in ("LDL", "STL") for one in instructions),
        kernel.metadata.shared,
        numbers,
        len(instructions),
        _widths(instructions, "LDG"),
        _widths(instructions, "STG"),
        _loops(found),
        kernel.asm["ptx"].count(".ftz"),
        sum(one.split(".")[0] in ("FFMA", "DFMA") for one in instructions),
    )


def _loops(found: list[tuple[str, str, str]]) -> list[list[int]]:
    """Where branches go back to, and from where; the last instruction, which branches to itself, is padding."""
    number = {int(address, 16): i for i, (address, _, _) in enumerate(found)}
    loops: dict[int, int] = {}
    for i, (_, name, operands) in enumerate(found):
        target = re.search(r"0x([0-9a-f]+)$", operands.strip())
        if name.split(".")[0] == "BRA" and target and number.get(int(target[1], 16), i) < i:
            begin = number[int(target[1], 16)]
            loops[begin] = max(i, loops.get(begin, i))
    return [[first, last] for first, last in sorted(loops.items())]


def _widths(instructions: list[str], name: str) -> dict[str, int]:
    """Bits a thread moves at once, and how many instructions do."""
    widths: Counter[str] = Counter()
    for one in instructions:
        parts = one.split(".")
        if parts[0] == name:
            bits = next((p for p in parts if p in ("128", "64", "U16", "S16", "U8", "S8")), "32")
            widths[bits.strip("US")] += 1
    return dict(sorted(widths.items(), key=lambda item: int(item[0])))


def _told(option: str, path: Path) -> str:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return subprocess.run([tool, option, path], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("the interpreter compiles nothing: unset TRITON_INTERPRET")
    chosen = {**tap_cases(), **cam_cases(), **mask_cases(), **component_cases()}
    wanted = {name: case for name, case in chosen.items() if re.search("".join(sys.argv[2:]), name)}
    print(json.dumps([asdict(one) for one in launches(wanted, int(sys.argv[1]))]))
