"""Why a network cannot be exported as asked for: :class:`ExportError`."""

from __future__ import annotations

__all__ = ["ExportError"]


class ExportError(ValueError):
    """An export that cannot be made; the message says why.

    Attributes:
        argument: of :func:`fastcam.export`, the one that cannot be met.
    """

    def __init__(self, argument: str, reason: object) -> None:
        super().__init__(str(reason))
        self.argument = argument
