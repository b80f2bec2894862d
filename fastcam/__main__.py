"""``python -m fastcam``: the ``fastcam`` command."""

from __future__ import annotations

from fastcam.cli.main import main

if __name__ == "__main__":
    main(prog_name="fastcam")
