"""The documentation's code blocks do what they say, its commands exist, and what it names is there."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import re
from importlib.util import find_spec

import pytest
from documentation import DOCS, ROOT, blocks, command_lines, links, run_as_written, words_of

import fastcam

TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "csrc/README.md"])
}
PAGES = sorted(DOCS.glob("*.md"))
WITHOUT_PYTHON = ("index.md", "internals.md", "parity.md", "speed.md")
NEEDS = {"huggingface.md": "transformers"}
# They need what not every machine has, and a test of their own runs them.
RECIPES = {"docs/metrics.md": "tests/metrics/test_average_precision.py"}
REFERENCE = "\n".join(text for name, text in TEXTS.items() if name.startswith("docs/reference/"))
PARITY = TEXTS["docs/parity.md"]
# Those of the README have a test of their own.
SCRIPTS = [
    block
    for name, text in TEXTS.items()
    for block in blocks(text, "sh")
    if name != "README.md" and all(words[0] == "fastcam" for words in words_of(block))
]
MADE_BY_THE_BUILD = "pictures/"
PACKAGES = ("data", "evaluation", "extractors", "methods", "metrics", "models", "reproduce", "training")


def test_there_are_scripts_to_run():
    assert len(SCRIPTS) >= 2


def test_there_are_pages():
    assert {"huggingface.md", "results.md", "getting-started.md", "troubleshooting.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_print_what_they_show(page):
    package = NEEDS.get(page.name)
    if package is not None and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    failed, attempted = doctest.testfile(str(page), module_relative=False)
    assert attempted >= 3 or page.name in WITHOUT_PYTHON
    assert failed == 0


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_of_python_is_run(name):
    silent = [block for block in blocks(TEXTS[name], "python") if not block.startswith(">>> ")]
    assert len(silent) == (name in RECIPES)
    if silent:
        assert name in (ROOT / RECIPES[name]).read_text(encoding="utf-8")


@pytest.mark.parametrize("block", SCRIPTS)
def test_blocks_of_commands_run_as_written(block, tmp_path):
    run_as_written(block, tmp_path)


def options_of(words):
    """The options that the command at the start of some words has, groups of commands included."""
    import click

    from fastcam.cli.main import main

    command, context = main, click.Context(main)
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, word)
        assert command is not None, f"no command {word}"
        context = click.Context(command, parent=context)
    return {option for given in command.params for option in (*given.opts, *given.secondary_opts)} | {"-h", "--help"}


@pytest.mark.parametrize("name", TEXTS)
def test_commands_and_their_options_exist(name):
    for words in command_lines(TEXTS[name]):
        if "fastcam" in words:
            given = words[words.index("fastcam") + 1 :]
            unknown = {word for word in given if word.startswith("--")} - options_of(given)
            assert unknown == set(), " ".join(words)
        elif words[0] == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), words
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), words


@pytest.mark.parametrize("name", TEXTS)
def test_links_into_the_tree_exist(name):
    folder = (ROOT / name).parent
    made = [link for link in links(TEXTS[name]) if not link.startswith(MADE_BY_THE_BUILD)]
    assert [link for link in made if not (folder / link).exists()] == []


def test_every_test_of_parity_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PARITY)
    assert len(named) >= 40
    assert len(re.findall(r"`tests/", PARITY)) == len(named)
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, (file, test)


@pytest.mark.parametrize("package", [None, *PACKAGES])
def test_the_reference_has_every_public_name(package):
    module = fastcam if package is None else importlib.import_module(f"fastcam.{package}")
    for name in module.__all__:
        value = getattr(module, name)
        if callable(value) and getattr(value, "__module__", "").startswith("fastcam"):
            prefixes = ("fastcam", *(f"fastcam.{one}" for one in ("pooling", "extractors", package)))
            assert any(f"::: {prefix}.{name}\n" in f"{REFERENCE}\n" for prefix in prefixes), name


def test_the_reference_names_what_there_is():
    for name in re.findall(r"^::: fastcam\.(\S+)$", REFERENCE, re.MULTILINE):
        *path, last = name.split(".")
        assert hasattr(importlib.import_module(".".join(("fastcam", *path))), last), name


@pytest.fixture
def hooks():
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("hooks", DOCS / "site" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_the_repository_become_those_of_the_site(hooks):
    known = {"a.md", "reference/data.md", "csrc/README.md", "cat.png"}
    text = "[a](../csrc/README.md#rules) [b](reference/data.md) [c](../fastcam/inputs.py) ![d](cat.png) [e](none.md)"
    wanted = "[a](csrc/README.md#rules) [b](reference/data.md) c ![d](cat.png) [e](none.md)"
    assert hooks.rewritten(text, "a.md", known) == wanted
    assert (
        hooks.rewritten("[a](docs/a.md)\n```\n[a](docs/a.md)\n```", "CONTRIBUTING.md", known)
        == ("[a](a.md)\n```\n[a](docs/a.md)\n```")
        or "CONTRIBUTING.md" not in hooks.brought()
    )
    assert hooks.rewritten("[a](../a.md)", "reference/data.md", known) == "[a](../a.md)"


def test_docstrings_become_markdown():
    pytest.importorskip("griffe")
    pytest.importorskip("latex2mathml")
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "site" / "docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said = module.as_markdown("See :func:`fastcam.cam` and :class:`~fastcam.TAP`.\n\nExample:\n    >>> 1\n")
    assert said == "See `fastcam.cam` and `TAP`.\n\nExamples:\n    >>> 1\n"
    drawn = module.as_markdown("A.\n\n.. math::\n    x_1 +\n    x_2\n\nB :math:`y`.")
    assert drawn.count("<math") == 2
    assert "math::" not in drawn
    assert drawn.rstrip().endswith(".")
