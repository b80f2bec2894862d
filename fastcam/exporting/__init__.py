"""A network as a file that runs elsewhere: :func:`export`."""

from fastcam.exporting.export import FORMATS, ExportError, export
from fastcam.exporting.exported import ExportedNetwork

__all__ = ["FORMATS", "ExportError", "ExportedNetwork", "export"]
