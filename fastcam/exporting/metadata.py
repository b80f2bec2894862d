"""What a file says of its network beside the graph: :func:`metadata_of`."""

from __future__ import annotations

import dataclasses
import json

from fastcam.exporting.exported import ExportedNetwork
from fastcam.network import Network

__all__ = ["metadata_of"]


def metadata_of(network: Network, exported: ExportedNetwork) -> dict[str, str]:
    """Return names and values, JSON each, as the file holds them.

    ``model``, ``what`` and ``outputs``; ``size`` (H, W) of the input; the fields of :class:`fastcam.inputs.Inputs`,
    among them ``mean``, ``std``, ``resize``, ``crop`` and ``filter``; ``protocol``, its fields; and ``labels``, the
    names of the classes, where they have names.

    Example:
        >>> import fastcam
        >>> from fastcam.models import VGG16
        >>> network = fastcam.load(VGG16(num_classes=2, width=1 / 16), classes=["cat", "dog"], size=(64, 96))
        >>> found = metadata_of(network, ExportedNetwork(network, fastcam.PAPER, "maps"))
        >>> found["size"], found["labels"], found["std"]
        ('[64, 96]', '["cat", "dog"]', '[0.229, 0.224, 0.225]')
    """
    values = {
        "model": network.name,
        "what": exported.what,
        "outputs": list(exported.outputs),
        "size": list(network.inputs.size),
        **network.inputs.to_mapping(),
        "protocol": dataclasses.asdict(exported.protocol),
    }
    if network.classes != tuple(f"class {number}" for number in range(len(network.classes))):
        values["labels"] = list(network.classes)
    return {name: json.dumps(value) for name, value in values.items()}
