"""What :class:`fastcam.Localizer` finds in every kind of classifier that is installed, and whether it is true.

python bench/coverage.py run build/coverage.jsonl --resume     one line of JSON a network, each in a process of its own
python bench/coverage.py table build/coverage.jsonl docs/coverage.md
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import resource
import sys
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import torch
from coverage_page import page
from proof import corners, drawn_features, linear_claim, local_convolutions, moves, no_linear_map, places
from redraw import redraw
from torch import Tensor, nn
from zoo import LIBRARIES, Network, networks, versions

import fastcam
from fastcam.extractors.attachment import Attachment
from fastcam.extractors.hooks import logits_of

__all__ = ["examine", "main"]

_FORK = multiprocessing.get_context("fork")
_SMALL = (96, 128)
_COPIES = 3  # of the parameters: those that sizes are tried on, and room for the rest
_ROUNDING = 3e-5  # of the size of the terms, in float32
_DRAWS = 4  # of images, to see where the features change
_UNCLEAR = 0.02  # of the difference between images: above it nothing is proved


def examine(network: Network) -> dict[str, Any]:
    """Build a network, let it be searched, and test what is said of it."""
    record: dict[str, Any] = {"library": network.library, "family": network.family, "name": network.name}
    torch.manual_seed(0)
    model = network.build().eval()
    record["parameters"] = sum(one.numel() for one in model.parameters())
    size = _size(model, network.size)
    images = torch.randn(2, 3, *size)
    if not any(_finite(model, images, seed) for seed in range(3)):
        return {**record, "outcome": "error", "reason": "the logits of random weights are not finite"}
    record["size"] = list(size)
    record["forward_s"] = _seconds(lambda: model(images[:1]))
    localizer = fastcam.Localizer(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        try:
            found = localizer.inspect(images[:1])
        except (TypeError, ValueError) as error:
            return {**record, "outcome": "refused", "reason": str(error)}
        record["search_s"] = time.perf_counter() - start
    record["found"] = str(found)
    test = corners(_another(model, size))
    if isinstance(found, Attachment):
        return {**record, **_of_linear(model, localizer, found, test)}
    pooled, linear = no_linear_map(model, found, test)
    # Attention that weighs all positions alike sees their mean, too, so the reason has to agree.
    row = pooled and "the pooled features" in found.reason
    outcome = "missed" if linear else "pooled gradient" if row else "gradient"
    return {**record, "outcome": outcome, "reason": found.reason}


def _of_linear(model: nn.Module, localizer: fastcam.Localizer, found: Attachment, test: Tensor) -> dict[str, Any]:
    logits, features, weight = localizer.features(test)
    rounding, difference = linear_claim(found, logits, features, weight)
    if difference > _UNCLEAR:
        # Random weights may leave logits that hardly depend on the image: draw the features instead.
        with drawn_features(model, found.features):
            logits, features, weight = localizer.features(test)
        rounding, difference = linear_claim(found, logits, features, weight)
    where = _places(model, localizer, (test.shape[2], test.shape[3]))
    right = rounding <= _ROUNDING and difference <= _UNCLEAR and where != "contradict"
    positions = features.shape[2] * features.shape[3]
    outcome = "exact" if not set(found.folded) - {"linear layers"} else "folded"
    return {
        "outcome": outcome if right and positions > 1 else "wrong",
        "folded": list(found.folded),
        "maps": list(features.shape[1:]),
        "tested": list(test.shape[2:]),
        "rounding": rounding,
        "difference": difference,
        "places": where,
        "residue": found.difference,
    }


def _places(model: nn.Module, localizer: fastcam.Localizer, size: tuple[int, int]) -> str:
    """Whether what the features' positions say is true; the network is another afterwards."""
    local_convolutions(model)
    if not _finite(model, corners(size), 0):
        return "unclear"
    return places([moves(localizer.features(corners(size, seed))[1]) for seed in range(_DRAWS)])


@torch.no_grad()
def _finite(model: nn.Module, images: Tensor, seed: int) -> bool:
    redraw(model, images, seed)
    return bool(logits_of(model(images)).isfinite().all())


@torch.no_grad()
def _seconds(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _size(model: nn.Module, made_for: int) -> tuple[int, int]:
    """A small size that is no square, if the network takes it."""
    # On copies, because some networks adapt themselves to the size that they see, for good.
    if _why(copy.deepcopy(model), _SMALL) == "":
        return _SMALL
    why = _why(model, (made_for, made_for))
    if why:
        raise RuntimeError(f"takes neither images of {_SMALL} nor of {made_for}x{made_for}: {why}")
    return made_for, made_for


def _another(model: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Another size than that of the search, if the network takes it."""
    other = (size[1] + 32, size[0])
    return other if size == _SMALL and _why(copy.deepcopy(model), other) == "" else size


@torch.no_grad()
def _why(model: nn.Module, size: tuple[int, int]) -> str:
    try:
        model(torch.zeros(1, 3, *size))
    except Exception as error:  # networks refuse sizes in every way
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def _parameters(network: Network) -> int:
    """How many a network will have; 0 where it cannot be built without memory for them."""
    try:
        with torch.device("meta"):
            return sum(one.numel() for one in network.build().parameters())
    except Exception:  # constructors compute with what they make
        return 0


def _child(network: Network, memory: int, pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    torch.set_num_threads(1)
    try:
        parameters = 0 if network.library == "transformers" else _parameters(network)
        too_large = _COPIES * 4 * parameters > memory
        record = {"outcome": "too large", "parameters": parameters} if too_large else examine(network)
    except MemoryError:
        record = {"outcome": "too large"}
    except Exception as error:  # a network that fails is a line of the table
        kind = "too large" if "not enough memory" in str(error) else "error"
        record = {"outcome": kind, "reason": f"{type(error).__name__}: {str(error)[:500]}"}
    pipe.send(record)
    pipe.close()


def _apart(network: Network, memory: int, seconds: float) -> dict[str, Any]:
    """Examine a network in a process of its own."""
    here, there = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_child, args=(network, memory, there), daemon=True)
    start = time.perf_counter()
    process.start()
    there.close()
    try:
        record = here.recv() if here.poll(seconds) else {"outcome": "too slow"}
    except EOFError:
        record = {"outcome": "too large"}
    process.kill()
    process.join()
    plain = {"library": network.library, "family": network.family, "name": network.name}
    return {**plain, **record, "seconds": round(time.perf_counter() - start, 2)}


@click.group()
def main() -> None:
    """What fastcam.Localizer finds in every kind of classifier that is installed."""


@main.command()
@click.argument("results", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--library", "libraries", multiple=True, type=click.Choice(LIBRARIES), help="Only these.")
@click.option("--name", "names", multiple=True, help="Only networks of these names.")
@click.option("--resume", is_flag=True, help="Keep what the file has, and go on.")
@click.option("--memory", default=4.0, show_default=True, help="GiB that a network may take.")
@click.option("--seconds", default=120.0, show_default=True, help="That a network may take.")
@click.option("--site", help="Folders with the libraries, separated as in PATH.")
def run(
    results: Path,
    libraries: tuple[str, ...],
    names: tuple[str, ...],
    resume: bool,
    memory: float,
    seconds: float,
    site: str | None,
) -> None:
    """Examine every network, and write a line of JSON for each."""
    warnings.simplefilter("ignore")
    if site is not None:
        sys.path += site.split(os.pathsep)
    seen = {(one["library"], one["name"]) for one in _read(results)} if resume and results.exists() else set()
    with results.open("a" if resume else "w") as file:
        for library in libraries or LIBRARIES:
            try:
                found = list(networks(library, names))
            except ImportError as error:
                click.echo(f"{library} is left out: {error}")
                continue
            for network in found:
                if (library, network.name) in seen:
                    continue
                record = _apart(network, int(memory * 2**30), seconds)
                file.write(json.dumps({**record, "versions": versions()}) + "\n")
                file.flush()
                told = record.get("found") or record.get("reason", "")
                click.echo(f"{library}:{network.name} {record['outcome']} {record['seconds']} s {told[:150]}")


@main.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def table(results: Path, out: Path) -> None:
    """Write the page with the table."""
    out.write_text(page(_read(results)))


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()]


if __name__ == "__main__":
    main()
