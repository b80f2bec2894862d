"""The page docs/coverage.md, from what `bench/coverage.py run` wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["page"]

_Record = Mapping[str, Any]

_OUTCOMES = {
    "exact": "the map of the classifier's own weight",
    "folded": "the same, with norms, scales or several heads folded into the weight",
    "pooled gradient": "a hidden layer behind the pooling: the gradient at the pooled features, a row an image",
    "gradient": "Grad-CAM, which approximates: a class token, attention pooling, several maps, flattened maps",
    "refused": "an error that says why",
    "missed": "there is a linear map, and it was not found",
    "wrong": "the map is not the classifier's, and nothing said so",
    "error": "could not be built or run here",
    "too slow": "left out",
    "too large": "left out",
}
_LEFT_OUT = ("error", "too slow", "too large")

_TOP = """# Which classifiers work without names

`fastcam.Localizer(model)` and `fastcam.load(...)` need no names of layers: one recorded forward pass finds what is
pooled, and what follows the pooling. `inspect` says what was found.

```python
>>> import torch, fastcam
>>> from torch import nn
>>> model = nn.Sequential(
...     nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.Linear(8, 5)
... )
>>> found = fastcam.Localizer(model.eval()).inspect(torch.rand(1, 3, 64, 64))
>>> found.features, found.pooling, found.folded
('1', 'mean', ('layer norm',))

```

The tables are what `bench/coverage.py` found. It goes through every classifier of torchvision, one of timm for each
file, class, kind of head and first word of a name, and one of transformers for each type of model, one of every family
before the others; the numbers below say how far the run behind this page came. Weights
are random, and all parameters and running statistics are drawn anew, so that nothing passes because it is 0 or 1. Where
a linear map is claimed, features times weight are compared with the logits on other images, of another size where the
network takes one. Where none is claimed, features are levelled over positions and mixed between images, to see whether
there is one.
"""


def page(records: list[_Record]) -> str:
    """The whole page."""
    examined = [one for one in records if one["outcome"] not in _LEFT_OUT]
    versions = {name: number for one in records for name, number in one["versions"].items()}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    parts = [
        _TOP, f"Versions: {named}.\n", _libraries(examined), _shares(examined), "## Why there is no linear map\n",
        _reasons(examined), "## By family\n", _families(examined), _left_out(records),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _libraries(examined: list[_Record]) -> str:
    libraries = list(dict.fromkeys(one["library"] for one in examined))
    text = _row(["what is found", *libraries, "all"]) + _row(["---"] + ["--:"] * (len(libraries) + 1))
    counts = Counter((one["library"], one["outcome"]) for one in examined)
    for outcome, meaning in _OUTCOMES.items():
        if outcome not in _LEFT_OUT:
            numbers = [counts[library, outcome] for library in libraries]
            text += _row([f"{outcome}: {meaning}", *numbers, sum(numbers)])
    numbers = [sum(one["library"] == library for one in examined) for library in libraries]
    return text + _row(["networks", *numbers, sum(numbers)])


def _shares(examined: list[_Record]) -> str:
    counts = Counter(one["outcome"] for one in examined)
    linear = counts["exact"] + counts["folded"]
    rows = linear + counts["pooled gradient"]
    said = rows + counts["gradient"]
    truly = linear + counts["missed"] + counts["wrong"]
    largest = max((one["rounding"] for one in examined if "rounding" in one), default=0.0)
    return (
        f"A linear map for {_percent(linear, examined)}, with the rows of gradients {_percent(rows, examined)}; a map "
        f"for {_percent(said, examined)}. Of {truly} networks that have a linear map, {linear} were found. The largest "
        f"difference between such a map's promise and the logits is {largest:.1e} of them.\n\n{_places(examined)}"
    )


def _places(examined: list[_Record]) -> str:
    counts = Counter(one["places"] for one in examined if "places" in one)
    return (
        f"Where images change in one corner or in the opposite one, the pooled features change on the same sides in "
        f"{counts['agree']} of {sum(counts.values())} networks, and on the wrong ones in "
        f"{counts['contradict']}; in {counts['unclear']} attention or gates of random weights spread every change over "
        f"all positions.\n"
    )


def _percent(count: int, examined: list[_Record]) -> str:
    return f"{100 * count / max(len(examined), 1):.1f}%"


def _reasons(examined: list[_Record]) -> str:
    without = [one for one in examined if one["outcome"] in ("pooled gradient", "gradient", "refused")]
    names: dict[str, list[str]] = {}
    for one in without:
        names.setdefault(one["reason"], []).append(one["name"])
    text = _row(["reason", "networks", "for example"]) + _row(["---", "--:", "---"])
    for reason, found in sorted(names.items(), key=lambda item: -len(item[1])):
        text += _row([reason, len(found), ", ".join(found[:3])])
    return text


def _families(examined: list[_Record]) -> str:
    shown = [outcome for outcome in _OUTCOMES if any(one["outcome"] == outcome for one in examined)]
    text = _row(["library", "family", *shown, "what is folded"]) + _row(["---", "---"] + ["--:"] * len(shown) + ["---"])
    families: dict[tuple[str, str], list[_Record]] = {}
    for one in examined:
        families.setdefault((one["library"], one["family"]), []).append(one)
    for (library, family), of_family in sorted(families.items()):
        counts = Counter(one["outcome"] for one in of_family)
        folded = dict.fromkeys(name for one in of_family for name in one.get("folded", ()))
        text += _row([library, family, *(counts[outcome] or "" for outcome in shown), ", ".join(folded)])
    return text


def _left_out(records: list[_Record]) -> str:
    left = [one for one in records if one["outcome"] in _LEFT_OUT]
    if not left:
        return ""
    lines = [f"- {one['library']}:{one['name']}: {one['outcome']}{_why(one)}\n" for one in left]
    return "## Left out\n\n" + "".join(lines)


def _why(one: _Record) -> str:
    if "reason" in one:
        return f", {one['reason'].splitlines()[0][:160]}"
    return f", {one['parameters'] / 1e6:.0f} million parameters" if "parameters" in one else ""
