"""The time that the compiled kernels should take on a GPU that is not there, from their machine code and bytes."""

from __future__ import annotations

from compiled import Launch, launches
from compiled_cases import cam_cases, component_cases, mask_cases, tap_cases

__all__ = ["PASSES", "predict"]

H200 = 4.3e12  # bytes a second: the copy bandwidth measured on one
ISSUED = 132 * 4 * 1.75e9  # instructions of warps a second: what all its schedulers can start
# Of 14x14 maps resized to 224x224; tests/kernels/test_percentile.py counts them.
PASSES = {"smooth": 7, "noise": 13}

# Of masks of smooth maps at 224x224: tiles of 256 words and of 256 runs; turns over the runs of a word; rounds until
# every parent is a root, three steps each of at most 224 rows; rounds of unions, and those after them.
TILES_OF_WORDS, TILES_OF_RUNS, EVENTS, ROUNDS, UNIONS, ROUNDS_AFTER = 7, 2, 2, 6, 2, 2
# Of a load that waits for another, by the L2 cache: a mask's program has few warps to wait meanwhile.
LATENCY = 270 / 1.75e3  # microseconds


def predict() -> str:
    """Registers, loads and bytes of the code compiled for sm_90, and the time they allow on an H200."""
    wide = {name: case for name, case in tap_cases().items() if any(f"{s}x{s} " in name for s in (7, 14, 28))}
    cases = {**wide, **cam_cases(), **{name: case for name, case in mask_cases().items() if "224x224" in name}}
    cases |= {name: case for name, case in component_cases().items() if "largest" in name and "224x224" in name}
    found = launches(cases, 90)
    lines = [
        f"Not measured: no GPU was there. Compiled for sm_90 by Triton {found[0].compiler}; N=256, C=1024. MB is what",
        "must move through memory, whose time is at the copy bandwidth of an H200, 4.3 TB/s. The code's time is at one",
        "instruction for each of 132 x 4 schedulers a cycle at 1.75 GHz, which no program quite reaches. A loop counts",
        f"as often as it is run through: the search for a percentile takes {PASSES['smooth']} passes over a smooth map",
        f"and {PASSES['noise']} over noise.",
        "The larger time is the prediction; the gaps between launches are not in it. Components are counted for smooth",
        f"masks: {TILES_OF_RUNS * 256} runs, {ROUNDS} rounds to the roots; a mask's program waits for one load after",
        f"the other, {LATENCY * 1000:.0f} ns each, which is added to its code; of its second launch no mask is left.",
        "",
        *asked_for(found),
        "",
        "| launch | kernel | registers | stack | loads, bits | stores | programs | code | MB | us, bytes | us, code |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        widths = (", ".join(f"{bits}: {count}" for bits, count in kind.items()) for kind in (one.loads, one.stores))
        lines.append(
            f"| {one.case} | `{one.kernel}` | {one.registers} | {one.stack} | {' | '.join(widths)} "
            f"| {one.programs} x {one.warps} | {one.executed(turns(one)):.0f} "
            f"| {bytes_of(one.case, one.kernel) / 1e6:.1f} | {moving(one):.1f} | {computing(one):.1f} |"
        )
    return "\n".join(lines) + "\n"


def turns(one: Launch, passes: int = PASSES["smooth"]) -> list[float]:
    """How often each loop of a launch is run through."""
    tiles = one.arguments.get("tiles", 0)
    if one.kernel == "find_threshold":  # extremes; passes, and tiles in each; what comes next; the bits of a raw cutoff
        maximum = "VANILLA" in one.case or "WSOLEVAL" in one.case  # which the first loop finds
        return [tiles, 0 if maximum else passes, tiles, tiles, 32][: len(one.loops)]
    if one.kernel == "_largest":
        return turns_of_components("polygon" in one.case, one.arguments["capacity"] > 2048)
    if one.kernel == "_mask":
        return [tiles * 256 / one.programs]
    if one.kernel == "_add_up":  # four at a time
        return [*divmod(one.arguments["splits"] - 1, 4)]
    return []


def turns_of_components(polygon: bool, late: bool) -> list[float]:
    """The masks of a program; in each the steps of kernels/labels.py and areas.py, and loops within them."""
    tiles = TILES_OF_RUNS
    flatten, join, again = [ROUNDS, tiles], [tiles, UNIONS], [ROUNDS_AFTER, tiles]
    ground = [tiles, *flatten, *join, *again] if polygon else []
    return [
        0 if late else 1,
        TILES_OF_WORDS,
        EVENTS,
        tiles,
        tiles,
        *flatten,
        *join,
        *again,
        *ground,
        tiles,
        tiles,
        tiles,
    ]


def waiting(one: Launch) -> float:
    """Microseconds that a program of components waits for loads of which each needs the one before."""
    if one.kernel != "_largest" or one.arguments["capacity"] > 2048:
        return 0
    tiles = TILES_OF_RUNS
    labelling = 5 * tiles + 3 * tiles * (ROUNDS + ROUNDS_AFTER) + 2 * tiles * UNIONS
    loads = 2 * TILES_OF_WORDS + labelling + 4 * tiles
    if "polygon" in one.case:
        loads += labelling + 8 * tiles
    return loads * LATENCY


def moving(one: Launch) -> float:
    """Microseconds that the launch's bytes take."""
    return bytes_of(one.case, one.kernel) / H200 * 1e6


def computing(one: Launch, passes: int = PASSES["smooth"]) -> float:
    """Microseconds that the launch's instructions take."""
    programs = -(-one.programs // 132) * 132
    return programs * one.warps * one.executed(turns(one, passes)) / ISSUED * 1e6 + waiting(one)


def asked_for(found: list[Launch]) -> list[str]:
    """The speeds that are asked for, as far as a prediction goes."""
    lines = ["| what | must | predicted | issue slots that takes |", "|---|---|---|---|"]
    for one in found:
        side, layout = one.case.split(", ")[-1].split(" ")[:2] if one.case.startswith("TAP forward,") else ("", "")
        must = {"7x7 NCHW bfloat16": 0.6}.get(one.case.split(", ")[-1], 0.85 if side in ("14x14", "28x28") else 0)
        if one.case.startswith("TAP forward,") and "saving" not in one.case and must:
            fraction = moving(one) / max(moving(one), computing(one))
            slots = computing(one) / moving(one) * must
            lines.append(f"| {one.case} | {must:.0%} of copy | {fraction:.0%} | {slots:.0%} at the must |")
    for case in ("14x14 NCHW bfloat16", "14x14 NHWC bfloat16", "14x14 NCHW float32"):
        ways = [one for one in found if one.case in (f"TAP forward, saving, {case}", f"TAP backward, {case}")]
        total = sum(max(moving(one), computing(one)) for one in ways)
        average = 2 * bytes_of(f"TAP forward, {case}", "_forward") / H200 * 1e6
        what = f"TAP forward + backward, {case}, against GAP if that runs at copy bandwidth"
        lines.append(f"| {what} | not slower | {total / average:.2f}x its time | |")
    read = 256 * 1024 * 196 * 2 / H200 * 1e6
    for kind, passes in PASSES.items():
        for layout in ("NCHW", "NHWC"):
            parts = [
                one for one in found if one.case in (f"cam, 14x14 {layout} bfloat16", "masks, PAPER 224x224 alone")
            ]
            total = sum(max(moving(one), computing(one, passes)) for one in parts)
            what = f"localize to packed masks, N=256, bf16 {layout}, 14x14 -> 224x224, {kind}"
            lines.append(f"| {what} | 5x a read | {total / read:.1f}x ({total:.0f} us) | |")
            if kind == "noise":
                continue
            for name, area in (("PAPER", "pixels"), ("AUTHORS", "polygon")):
                total = sum(
                    max(moving(one), computing(one, passes))
                    for one in found
                    if one.case.startswith((f"cam, 14x14 {layout} bf", f"masks, {name} 224x224 alone"))
                    or one.case == f"components, largest by {area}, 224x224"
                )
                what = f"localize to boxes by {name}, N=256, bf16 {layout}, 14x14 -> 224x224, {kind}"
                lines.append(f"| {what} | 6x a read | {total / read:.1f}x ({total:.0f} us) | |")
    return lines


def bytes_of(case: str, kernel: str, n: int = 256, channels: int = 1024) -> float:
    """What the launch must read and write."""
    if case.startswith("components"):
        return n * 224 * 4 * 8 + n * (16 + 8)
    if case.startswith("masks"):
        rows = n * 14 * 256 * 4
        full = n * 224 * 224 * (4 if "PAPER" in case or "VANILLA" in case else 1) if "with maps" in case else 0
        mask = rows + n * 224 * 4 * 8 + full
        return {"widen": n * 196 * 4 + rows, "find_threshold": rows, "_mask": mask}[kernel]
    side = int(case.split(", ")[-1].split("x")[0])
    item = 2 if "bfloat16" in case else 4
    planes, elements = n * channels, n * channels * side * side
    if case.startswith("cam"):
        splits = 1024 // (256 if "NHWC" in case or side == 7 else 64)
        sums = splits * n * side * side * 4
        return elements * item + sums if kernel == "_partial_sums" else sums + n * side * side * 4
    eighth = next(2**i for i in range(2, 31) if 8 * 2**i >= side * side)
    bits = planes * (eighth + 4)
    extra = 0 if "forward, " in case and "saving" not in case else bits
    return elements * item + planes * item + extra
