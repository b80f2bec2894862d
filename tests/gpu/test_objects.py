"""What only a GPU can show of all boxes of a map: those of the CPU, and captured in a graph."""

from __future__ import annotations

import pytest
import torch
from cases import broken_maps, heat_maps

import fastcam

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.usefixtures("poisoned_memory"),
    pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"),  # which the poison asks for
]
ROWS = fastcam.PAPER.replace(keep="all", max_boxes=4)


@pytest.mark.parametrize("fields", [{}, {"scores": "mean", "order": "highest"}, {"area": "polygon", "min_area": 2}])
def test_all_boxes_are_those_of_the_cpu(fields):
    protocol = ROWS.replace(**fields)
    noise = torch.randn(9, 14, 14, generator=torch.Generator().manual_seed(0))
    maps = torch.cat((torch.stack(list({**heat_maps(14, 14), **broken_maps(14, 14)}.values())), noise))
    wanted = fastcam.boxes_from_maps(maps, size=(224, 224), protocol=protocol)
    ragged = fastcam.boxes_from_maps(maps.cuda(), size=(224, 224), protocol=protocol)
    padded = fastcam.padded_boxes_from_maps(maps.cuda(), size=(224, 224), protocol=protocol)
    exact = protocol.scores == "peak"  # a mean may differ in its last bit
    for found in (ragged, padded.objects()):
        for part in ("boxes", "areas", "image", "thresholds", "scores"):
            a, b = getattr(found, part), getattr(wanted, part)
            assert a.is_cuda
            tolerance = 0 if exact or part != "scores" else 1.2e-7
            torch.testing.assert_close(a.cpu(), b, rtol=tolerance, atol=0, equal_nan=True)


@pytest.mark.parametrize("fields", [{}, {"scores": "mean", "area": "polygon", "high_threshold": 0.9}])
def test_all_boxes_in_rows_are_captured_in_a_graph(fields):
    features, weight = torch.randn(8, 256, 14, 14, device="cuda"), torch.randn(10, 256, device="cuda")
    index = torch.arange(8, device="cuda")

    def found():
        rows = fastcam.localize_padded(features, weight, index, size=(224, 224), protocol=ROWS.replace(**fields))
        return rows.boxes, rows.areas, rows.scores, rows.counts

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        found()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = found()
    features.copy_(torch.randn_like(features))
    graph.replay()
    assert all(map(torch.equal, captured, found()))
