"""What ``compiled.py`` compiles: the benchmark's launches, on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["cam_cases", "component_cases", "mask_cases", "tap_cases"]


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
