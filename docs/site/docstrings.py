"""What docstrings say in Sphinx's words, in those of Markdown: roles become code, formulas become MathML."""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

# What mkdocstrings takes for examples to colour, and not for a note.
EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|obj|exc):`~?([^`]+)`")
INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +.*)?)*)", re.MULTILINE)


def as_markdown(text: str) -> str:
    """Return a docstring with its roles and formulas as Markdown has them.

    Browsers draw MathML themselves, so that pages need no script and no network.
    """
    text = BLOCK.sub(lambda m: f"{m[1]}{convert(' '.join(m[2].split()), display='block')}\n\n", text)
    text = INLINE.sub(lambda m: convert(" ".join(m[1].split())), text)
    text = EXAMPLE.sub(r"\1Examples:", text)
    return ROLE.sub(lambda m: f"`{m[1].split('.')[-1] if m[0].count('~') else m[1]}`", text)


class Docstrings(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = as_markdown(obj.docstring.value)
