"""What the site needs beside MkDocs: pages and pictures from outside docs/, and links as the repository has them.

Pages are written to be read in the repository too, where a link is a path from the file it stands in. On the site such
a path is that of a page where there is one, and plain text where it names a source file.
"""

from __future__ import annotations

import importlib.util
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from mkdocs.structure.files import File, InclusionLevel

from fastcam.cli.main import main

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
BROUGHT = ("CHANGELOG.md", "CONTRIBUTING.md", "csrc/README.md", "without_torch/README.md", "bench/results/*.md")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")
INCLUDED = re.compile(r"^<!-- file (\S+) -->$", re.MULTILINE)
FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def brought() -> list[str]:
    """Return the pages from outside docs/, as paths from the repository's root, which they also have on the site."""
    return sorted(path.relative_to(ROOT).as_posix() for pattern in BROUGHT for path in ROOT.glob(pattern))


def named_in(nav: Any) -> set[str]:  # noqa: ANN401
    """Return the files that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    parts = nav.values() if isinstance(nav, dict) else nav
    return set().union(*map(named_in, parts))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put pages that the navigation does not name behind its guides, so that none is out of reach."""
    assert config.nav is not None
    named = named_in(config.nav)
    (guides,) = [part["Guides"] for part in config.nav if "Guides" in part]
    guides += sorted(path.name for path in Path(config.docs_dir).glob("*.md") if path.name not in named)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and the pictures that the build draws."""
    named = named_in(config.nav)

    def add(name: str, path: Path) -> None:
        file = File.generated(config, name, abs_src_path=str(path))
        if name not in named:
            file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)

    for name in brought():
        add(name, ROOT / name)
    for path in ROOT.glob("bench/results/*.png"):
        add(path.relative_to(ROOT).as_posix(), path)
    for path in loaded("pictures").draw_all(ROOT / "build" / "pictures"):
        add(f"pictures/{path.name}", path)
    return files


def loaded(name: str) -> Any:  # noqa: ANN401
    """Return the module of a file beside this one."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands() -> str:
    """Return what each command prints with --help."""
    parts = []

    def add(command: click.Command, path: str, parent: click.Context | None) -> None:
        context = click.Context(command, info_name=path.split()[-1], parent=parent, max_content_width=100)
        parts.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```\n")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                if not child.hidden:
                    add(child, f"{path} {name}", context)

    add(main, "fastcam", None)
    return "\n".join(parts)


def in_repository(name: str) -> str:
    """Return where a file of the site lies in the repository."""
    return name if name in brought() else f"docs/{name}"


def rewritten(text: str, name: str, known: set[str]) -> str:
    """Return the Markdown of a file of the site with its links turned into the site's."""

    def link(found: re.Match[str]) -> str:
        mark, words, target, anchor = found.groups(default="")
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository(name)), target))
        on_site = aim.removeprefix("docs/")
        if on_site in known:
            here = posixpath.relpath(on_site, posixpath.dirname(name) or ".")
            return f"{mark}[{words}]({here}{anchor})"
        return words if (ROOT / aim).exists() and not aim.startswith("docs/") else found[0]

    parts = FENCED.split(text)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Put in what is written elsewhere, and turn the links of a page into the site's."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands())
    markdown = INCLUDED.sub(lambda found: f"```c\n{(ROOT / found[1]).read_text(encoding='utf-8')}```", markdown)
    return rewritten(markdown, page.file.src_uri, set(files.src_uris))
