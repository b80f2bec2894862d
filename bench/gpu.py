"""What the kernels do on the GPU that is there, beside its copy bandwidth and PyTorch; or, where none is, a prediction.

    python bench/gpu.py              measures: bench/results/<gpu>-<date>.json and .md
    python bench/gpu.py --predict    reads the code compiled for sm_90, on any machine with triton: a Markdown table
    python bench/gpu.py --quick      measures a part of it, in about a minute

It runs from a copied source tree where the package is not installed, and without `_C`, whose row is then left out.

Inputs rotate through more memory than four L2 caches hold. "graph" is the time inside a CUDA graph, "eager" that of the
calls one after the other. Times are medians of rounds in which all contenders take their turn.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from source_tree import ROOT

import fastcam
from fastcam.ops.activation import cam
from fastcam.ops.components import largest
from fastcam.ops.core import core
from fastcam.ops.masks import binarize

PAPER = (*fastcam.PAPER.values, False)
"""What ``binarize`` takes after the size: the paper's protocol, without the maps."""
RESULTS = ROOT / "bench" / "results"


# ---------------------------------------------------------------------------------------------------------- measuring


def sets_of(bytes_each: int) -> int:
    """How many inputs to rotate through: more than four L2 caches, at least two."""
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    return max(2, -(-4 * cache // bytes_each))


def timed(functions: dict[str, Callable[[int], object]], sets: int, graph: bool, rounds: int = 15) -> dict[str, float]:
    """Median seconds a call of each function, which is given the number of the input to take."""
    runs: dict[str, Callable[[], None]] = {}
    calls = max(sets, 8)

    def plain(function: Callable[[int], object]) -> Callable[[], None]:
        def run() -> None:
            for i in range(calls):
                function(i % sets)

        return run

    for name, function in functions.items():
        run = plain(function)
        run()
        torch.cuda.synchronize()
        if graph:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                run()
            torch.cuda.current_stream().wait_stream(side)
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                run()
            run = captured.replay
        runs[name] = run
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            run()
            end.record()
            end.synchronize()
            seconds[name].append(begin.elapsed_time(end) / 1e3 / calls)
    return {name: median(values) for name, values in seconds.items()}


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of a device-to-device copy of 1 GiB."""
    source, target = torch.randint(0, 255, (2, 2**30), dtype=torch.uint8, device="cuda")
    seconds = timed({"copy": lambda _: target.copy_(source)}, 2, graph=False)["copy"]
    return 2 * 2**30 / seconds


def compiled_anew(*functions: Callable[..., Any], backend: Any = "inductor") -> list[Callable[..., Any]]:
    """The functions compiled for the shapes to come alone.

    What has been compiled for eight shapes is run as it is for others, and timed as if it were compiled. With
    ``fullgraph`` that is an error.
    """
    torch._dynamo.reset()
    return [torch.compile(function, dynamic=False, fullgraph=True, backend=backend) for function in functions]


def composite_tap(x: torch.Tensor) -> torch.Tensor:
    """TAP of what PyTorch has."""
    cutoff = x.amax((2, 3), keepdim=True) * 0.1
    keep = x > cutoff
    return torch.where(keep, x, 0).sum((2, 3)) / keep.sum((2, 3)).clamp(min=1)


def inputs(shape: tuple[int, ...], dtype: torch.dtype, last: bool) -> list[torch.Tensor]:
    """As many rectified inputs as it takes."""
    form = torch.channels_last if last else torch.contiguous_format
    count = sets_of(torch.Size(shape).numel() * dtype.itemsize)
    return [torch.randn(shape, device="cuda", dtype=dtype).relu_().to(memory_format=form) for _ in range(count)]


def tap_rows(bandwidth: float, quick: bool) -> list[dict[str, Any]]:
    """TAP forward, and forward with backward, beside global average pooling and PyTorch's composite."""
    rows = []
    for side in (14,) if quick else (7, 14, 28, 56, 112):
        for last in (False, True):
            for dtype in (torch.bfloat16,) if quick else (torch.bfloat16, torch.float32):
                shape = (256 if side < 56 else 32, 1024 if side < 56 else 256, side, side)
                compiled_gap, compiled_tap = compiled_anew(lambda x: x.mean((2, 3)), composite_tap)
                xs = inputs(shape, dtype, last)
                size = xs[0].numel() * dtype.itemsize + shape[0] * shape[1] * dtype.itemsize
                named = {
                    "TAP": lambda i, xs=xs: fastcam.tap(xs[i], 0.1),
                    "GAP, eager": lambda i, xs=xs: F.adaptive_avg_pool2d(xs[i], 1),
                    "GAP, compiled": lambda i, xs=xs, run=compiled_gap: run(xs[i]),
                    "composite, eager": lambda i, xs=xs: composite_tap(xs[i]),
                    "composite, compiled": lambda i, xs=xs, run=compiled_tap: run(xs[i]),
                }
                what = f"TAP forward, {side}x{side} {'NHWC' if last else 'NCHW'} {str(dtype)[6:]}"
                rows.append(row(what, named, len(xs), size, bandwidth))
                for x in xs:
                    x.requires_grad_()
                grad = torch.randn(shape[:2], device="cuda", dtype=dtype)

                def both(function: Callable[..., Any], xs: Any = xs, grad: Any = grad) -> Callable[[int], object]:
                    return lambda i: torch.autograd.grad(function(xs[i]), xs[i], grad)

                named = {
                    "TAP": both(lambda x: fastcam.tap(x, 0.1)),
                    "GAP, compiled": both(compiled_gap),
                    "composite, compiled": both(compiled_tap),
                }
                rows.append(row(what.replace("forward", "forward + backward"), named, len(xs), 2 * size, bandwidth))
                del xs, grad
    return rows


def row(what: str, named: dict[str, Callable[[int], object]], sets: int, size: int, bandwidth: float) -> dict[str, Any]:
    """Times of all contenders, and the fraction of the copy bandwidth at which the first one moves ``size`` bytes."""
    graph, eager = timed(named, sets, graph=True), timed(named, sets, graph=False)
    first = next(iter(named))
    return {
        "what": what,
        "bytes": size,
        "fraction": size / graph[first] / bandwidth,
        "graph_us": {name: seconds * 1e6 for name, seconds in graph.items()},
        "eager_us": {name: seconds * 1e6 for name, seconds in eager.items()},
    }


def composite_masks(features: torch.Tensor, weight: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Masks of what PyTorch has: bmm, interpolate, kthvalue, compare."""
    n, _, h, w = features.shape
    rows = weight[index].clamp(min=0).to(features.dtype)
    maps = torch.bmm(rows[:, None], features.flatten(2)).view(n, 1, h, w).float()
    full = F.interpolate(maps, (224, 224), mode="bilinear", align_corners=False).flatten(1)
    return full > 0.35 * full.kthvalue(int(0.9 * (full.shape[1] - 1)) + 1, dim=1, keepdim=True).values


def times_faster(times: dict[str, float]) -> float:
    """How many times as long as the first contender the faster of PyTorch's composites takes, measured alike."""
    peers = [time for name, time in times.items() if name.startswith("composite")]
    return min(peers) / next(iter(times.values()))


def localize_rows(bandwidth: float, quick: bool) -> list[dict[str, Any]]:
    """From features to packed masks, and on to boxes."""
    rows = []
    for n in (256,) if quick else (1, 16, 64, 256, 1024):
        for last in (False, True):
            for dtype in (torch.bfloat16,) if quick else (torch.bfloat16, torch.float32):
                (compiled,) = compiled_anew(composite_masks)
                xs = inputs((n, 1024, 14, 14), dtype, last)
                weight = torch.randn(1000, 1024, device="cuda", dtype=dtype)
                index = torch.randint(1000, (n,), device="cuda")
                small = torch.stack([cam(x, weight, index, True) for x in xs])

                def masks(i: int, xs: Any = xs, weight: Any = weight, index: Any = index) -> object:
                    return binarize(cam(xs[i], weight, index, True), 224, 224, *PAPER)

                named = {
                    "to packed masks": masks,
                    "the map alone": lambda i, xs=xs, w=weight, k=index: cam(xs[i], w, k, True),
                    "masks alone": lambda i, small=small: binarize(small[i], 224, 224, *PAPER),
                    "composite, eager": lambda i, a=(xs, weight, index): composite_masks(a[0][i], *a[1:]),
                    "composite, compiled": lambda i, a=(xs, weight, index), run=compiled: run(a[0][i], *a[1:]),
                }
                size = xs[0].numel() * dtype.itemsize
                what = f"localize to packed masks, N={n}, 14x14x1024 {'NHWC' if last else 'NCHW'} {str(dtype)[6:]}"
                record = row(what, named, len(xs), size, bandwidth)
                record["times_a_read"] = record["graph_us"]["to packed masks"] / (size / bandwidth * 1e6)
                record["times_faster"] = times_faster(record["graph_us"])
                rows.append(record)
    if core is not None:
        rows.append(box_row(256))
    return rows


def box_row(n: int) -> dict[str, Any]:
    """From features to boxes on the host, images a second by the host's clock."""
    from time import perf_counter

    xs = inputs((n, 1024, 14, 14), torch.bfloat16, False)
    weight = torch.randn(1000, 1024, device="cuda", dtype=torch.bfloat16)
    index = torch.randint(1000, (n,), device="cuda")

    def boxes(i: int) -> torch.Tensor:
        packed = binarize(cam(xs[i], weight, index, True), 224, 224, *PAPER)[0]
        return largest(packed, 224, "pixels", 8)[0].cpu()

    boxes(0)
    seconds = []
    for i in range(30):
        start = perf_counter()
        boxes(i % len(xs))
        seconds.append(perf_counter() - start)
    per_second = n / median(seconds)
    return {"what": f"localize to boxes on the host, N={n}, {torch.get_num_threads()} threads", "images": per_second}


# ---------------------------------------------------------------------------------------------------------- reporting


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| what | graph, us | of copy bandwidth | eager, us | others, graph, us | |", "|---|---|---|---|---|---|"]
    for one in rows:
        if "images" in one:
            lines.append(f"| {one['what']} | | | | | {one['images']:,.0f} images/s |")
            continue
        first, *others = one["graph_us"]
        beside = "; ".join(f"{name} {one['graph_us'][name]:.1f}" for name in others)
        note = ""
        if "times_a_read" in one:
            note = f"{one['times_a_read']:.2f}x one read; composite {one['times_faster']:.1f}x slower"
        lines.append(
            f"| {one['what']} | {one['graph_us'][first]:.1f} | {one['fraction']:.0%} | {one['eager_us'][first]:.1f} "
            f"| {beside} | {note} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predict", action="store_true", help="from compiled code, without a GPU")
    parser.add_argument("--quick", action="store_true", help="one size")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    arguments = parser.parse_args()
    if arguments.predict:
        from prediction import predict

        print(predict(), end="")
        return
    if not torch.cuda.is_available():
        sys.exit("no GPU: see --predict")
    import triton

    bandwidth = copy_bandwidth()
    machine = {
        "gpu": torch.cuda.get_device_name(0),
        "copy bandwidth, GB/s": round(bandwidth / 1e9),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "core": core.core() if core is not None else "absent",
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    rows = tap_rows(bandwidth, arguments.quick) + localize_rows(bandwidth, arguments.quick)
    text = "".join(f"{name}: {value}  \n" for name, value in machine.items()) + "\n" + table(rows)
    stem = f"{machine['gpu'].replace(' ', '-').lower()}-{machine['date']}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{stem}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    (arguments.out / f"{stem}.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
