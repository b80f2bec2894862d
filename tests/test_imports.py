"""The structure of the package: imports point down, nothing is imported in a circle, files and functions are short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fastcam

ROOT = Path(fastcam.__file__).parent

# From the bottom up: a file imports what stands above its own line, or on it. Folders stand for all that they hold.
LEVELS = [
    ["protocol", "arrays", "sizes", "fitting", "boxes", "lock", "coco", "rows", "files", "rle", "joining", "processes"],
    ["conventions"],
    ["reference"],
    ["kernels"],
    ["ops"],
    ["activation", "masks", "own_masks", "pooling", "result", "objects", "ragged", "localization", "padded", "trees"],
    ["tables", "decoding", "inputs", "images", "result_files", "draw", "safe_load", "folders", "formats"],
    ["extractors"],
    ["data", "metrics"],
    ["models"],
    ["methods"],
    ["checkpoint"],
    ["network"],
    ["origins"],
    ["sources"],
    ["pictures", "inspection", "parts", "overlays", "exporting"],
    ["evaluation"],
    ["training"],
    ["reproduce"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}

FILES = sorted(path for path in ROOT.rglob("*.py") if "kernels" not in path.parts)
KERNELS = sorted((ROOT.parent / "kernels").glob("*.py"))
SOURCES = sorted([*(ROOT.parent / "csrc").rglob("*.hpp"), *(ROOT.parent / "csrc").rglob("*.cpp")])


def name_of(path: Path) -> str:
    return ".".join(("fastcam", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for path in FILES}


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, anywhere in it and for whatever purpose."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if name in MODULES} or {node.module}
    return {name for name in found if name.split(".")[0] == "fastcam"}


def room(module: str) -> str:
    return module.split(".")[1]


def test_every_file_has_its_level():
    rooms = {room(name) for name in MODULES if "." in name}
    assert rooms - {"_C"} <= LEVEL.keys()
    assert LEVEL.keys() - rooms == {"kernels"}


@pytest.mark.parametrize("path", [path for path in FILES if path != ROOT / "__init__.py"], ids=name_of)
def test_imports_point_down(path):
    own = room(name_of(path))
    up = [name for name in imported(path) if name not in ("fastcam", "fastcam._C") and LEVEL[room(name)] > LEVEL[own]]
    assert up == []


def test_nothing_is_imported_in_a_circle():
    # A package's own file exports what is in it: that is no import of the files that ask the package.
    arrows = {name: imported(path) & MODULES.keys() for name, path in MODULES.items() if path.name != "__init__.py"}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name in done:
            return
        for other in arrows.get(name, ()):
            visit(other, (*way, name))
        done.add(name)

    for name in arrows:
        visit(name, ())


@pytest.mark.parametrize("path", [*FILES, *KERNELS, *SOURCES], ids=lambda path: path.name)
def test_files_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_functions_are_short():
    long = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                # The documentation and the signature are not what makes a function long.
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > 50:
                    long.append(f"{path.name}:{node.lineno} {node.name}: {lines} lines")
    assert long == []
