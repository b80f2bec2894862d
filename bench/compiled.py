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


# ------------------------------------------------------------------------------------------------------------- cases


def tap_cases(n: int = 256, channels: int = 1024) -> dict[str, Callable[[], object]]:
    """Pooling forward, forward that saves, and backward, over sizes, layouts and widths."""
    from fastcam.kernels import pooling

    from fastcam.reference.pooling import shape_of_kept

    def case(side: int, dtype: torch.dtype, last: bool, way: str) -> Callable[[], object]:
        def run() -> None:
            form = torch.channels_last if last else torch.contiguous_format
            x = torch.empty((n, channels, side, side), dtype=dtype, device="meta", memory_format=form)
            pooled = x.new_empty((n, channels))
            divisor = x.new_empty((n, channels), dtype=torch.float32)
            kept = x.new_empty(shape_of_kept(x), dtype=torch.uint8)
            if way == "forward":
                pooling.forward(x, 0.1, pooled)
            elif way == "forward, saving":
                pooling.forward(x, 0.1, pooled, divisor, kept)
            else:
                pooling.backward(pooled, divisor, kept, x)

        return run

    return {
        f"TAP {way}, {side}x{side} {'NHWC' if last else 'NCHW'} {str(dtype)[6:]}": case(side, dtype, last, way)
        for side in (7, 14, 28, 56, 112)
        for last in (False, True)
        for dtype in (torch.bfloat16, torch.float32)
        for way in ("forward", "forward, saving", "backward")
    }


def cam_cases(n: int = 256, channels: int = 1024) -> dict[str, Callable[[], object]]:
    """The weighted sum over sizes, layouts and widths."""
    from fastcam.kernels import activation

    def case(side: int, dtype: torch.dtype, last: bool) -> Callable[[], object]:
        def run() -> None:
            form = torch.channels_last if last else torch.contiguous_format
            x = torch.empty((n, channels, side, side), dtype=dtype, device="meta", memory_format=form)
            weight = x.new_empty((1000, channels))
            index = x.new_empty(n, dtype=torch.int64)
            activation.cam(x, weight, index, True, x.new_empty((n, side, side), dtype=torch.float32))

        return run

    return {
        f"cam, {side}x{side} {'NHWC' if last else 'NCHW'} {str(dtype)[6:]}": case(side, dtype, last)
        for side in (7, 14, 28)
        for last in (False, True)
        for dtype in (torch.bfloat16, torch.float32)
    }


def mask_cases(n: int = 256) -> dict[str, Callable[[], object]]:
    """From maps to packed masks under the named protocols."""
    from fastcam.kernels import masks

    from fastcam.protocol import NAMED, Protocol

    def case(protocol: Protocol, size: tuple[int, int], with_maps: bool, n: int = n) -> Callable[[], object]:
        def run() -> None:
            small = torch.empty((n, 14, 14), device="meta")
            masks.binarize(
                small,
                size,
                protocol,
                packed=small.new_empty((n, size[0], -(-size[1] // 64)), dtype=torch.int64),
                thresholds=small.new_empty(n),
                maps=small.new_empty((n, *size), dtype=torch.uint8 if protocol.quantize else torch.float32)
                if with_maps
                else None,
            )

        return run

    found = {
        f"masks, {name.upper()} {size[0]}x{size[1]}{' with maps' if with_maps else ' alone'}": case(
            protocol, size, with_maps
        )
        for name, protocol in NAMED.items()
        for size, with_maps in (((224, 224), False), ((224, 224), True), ((14, 14), False), ((4096, 4096), False))
    }
    # A map that many programs search.
    return {**found, "masks, AUTHORS 4096x4096 alone, one map": case(NAMED["authors"], (4096, 4096), False, 1)}


def component_cases(n: int = 256) -> dict[str, Callable[[], object]]:
    """From packed masks to boxes: the largest component, or up to 16 of each mask."""
    from fastcam.kernels import components
    from fastcam.kernels.objects import objects

    from fastcam.protocol import Protocol

    def case(polygon: bool, room: int, size: tuple[int, int]) -> Callable[[], object]:
        def run() -> None:
            packed = torch.empty((n, size[0], -(-size[1] // 64)), dtype=torch.int64, device="meta")
            of_masks, options = packed.new_empty(n), (packed, size[1], polygon, 8)
            if room:
                rows = packed.new_empty((n * room, 5), dtype=torch.int32)
                components.every(*options, room, of_masks, rows[:, :4], rows[:, 4], of_masks)
            else:
                areas = of_masks.double() if polygon else of_masks
                components.largest(*options, packed.new_empty((n, 4), dtype=torch.float32), areas)

        return run

    def scored(polygon: bool) -> Callable[[], object]:
        protocol = Protocol(keep="all", scores="mean", area="polygon" if polygon else "pixels", order="highest")

        def run() -> None:
            packed = torch.empty((n, 224, 4), dtype=torch.int64, device="meta")
            of_masks, rows = packed.new_empty(n), packed.new_empty(16 * n)
            objects(
                packed,
                of_masks.new_empty((n, 224, 224), dtype=torch.float32),
                protocol,
                16,
                ranked=True,
                least=of_masks.float(),
                begins=of_masks,
                boxes=rows.new_empty((16 * n, 4), dtype=torch.int32),
                areas=rows.double() if polygon else rows,
                scores=rows.float(),
                counts=of_masks,
            )

        return run

    found = {
        f"components, {kept} by {'polygon' if polygon else 'pixels'}, {size[0]}x{size[1]}": case(polygon, room, size)
        for kept, room in (("largest", 0), ("all", 16))
        for polygon in (False, True)
        for size in ((224, 224), (1024, 1024))
    }
    every = {False: "pixels", True: "polygon"}
    return {**found, **{f"components, scored, by {area}, 224x224": scored(polygon) for polygon, area in every.items()}}


if __name__ == "__main__":
    if os.environ.get("TRITON_INTERPRET") == "1":
        sys.exit("the interpreter compiles nothing: unset TRITON_INTERPRET")
    chosen = {**tap_cases(), **cam_cases(), **mask_cases(), **component_cases()}
    wanted = {name: case for name, case in chosen.items() if re.search("".join(sys.argv[2:]), name)}
    print(json.dumps([asdict(one) for one in launches(wanted, int(sys.argv[1]))]))
