"""A network as a file that runs elsewhere: :func:`export`."""

from fastcam.exporting.exported import ExportedNetwork
from fastcam.exporting.writing import FORMATS, ExportError, export

__all__ = ["FORMATS", "ExportError", "ExportedNetwork", "export"]
