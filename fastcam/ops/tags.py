"""What the operators tell ``torch.compile`` about themselves."""

from __future__ import annotations

from typing import Final

import torch

__all__ = ["TAGS", "TAGS_OF_WAITING"]

TAGS: Final = (torch.Tag.pt2_compliant_tag,)
TAGS_OF_WAITING: Final = (*TAGS, *(tag for name, tag in torch.Tag.__members__.items() if name == "cudagraph_unsafe"))
"""Of operators for whose values the host waits on a GPU, which no CUDA graph can capture. Older PyTorch has no tag."""
