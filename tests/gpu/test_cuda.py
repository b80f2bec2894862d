"""What only a GPU can show: the operators on CUDA tensors, streams, graphs, memory, devices."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from cases import LAYOUTS, adversarial_masks, broken_maps, heat_maps, pooling_input, random_masks

import fastcam
from fastcam.ops.activation import cam
from fastcam.ops.masks import binarize
from fastcam.ops.pooling import tap
from fastcam.reference import pooling as reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.usefixtures("poisoned_memory"),
    pytest.mark.filterwarnings("ignore:.*deterministic.*:UserWarning"),  # which the poison asks for
]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
PAPER = fastcam.PAPER.values


def randn(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to("cuda", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_pooling_is_that_of_the_cpu(layout, dtype):
    for size, threshold in product([(1, 1), (7, 7), (14, 14), (28, 28), (112, 112), (13, 17)], (0.0, 0.1, 0.999)):
        x = LAYOUTS[layout](pooling_input(*size, dtype).cuda()).requires_grad_()
        pooled = fastcam.tap(x, threshold)
        wanted, cutoff, count = reference.tap_forward(x.detach().cpu(), threshold)
        eps = torch.finfo(dtype).eps + 16 * torch.finfo(cutoff.dtype).eps
        torch.testing.assert_close(pooled.detach().cpu(), wanted, rtol=eps, atol=1e-44, equal_nan=True)
        assert torch.equal(tap(x.detach(), threshold).isnan().cpu(), wanted.isnan())
        grad = randn(*pooled.shape, dtype=dtype)
        (dx,) = torch.autograd.grad(pooled, x, grad)
        expected = reference.tap_backward(grad.cpu(), x.detach().cpu(), cutoff, count)
        torch.testing.assert_close(dx.cpu(), expected, rtol=eps, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_gradient_is_the_derivative(layout):
    # float64 goes to the reference; the kernels' float32 is held to it.
    x = ((randn(2, 3, 4, 5, dtype=torch.float64) * 20).round() / 20 + 0.013).detach()
    x = LAYOUTS[layout](x)
    assert torch.autograd.gradcheck(lambda v: fastcam.tap(v, 0.1), x.clone().requires_grad_())
    gradients = []
    for dtype in (torch.float64, torch.float32):
        v = x.to(dtype).requires_grad_()
        gradients.append(torch.autograd.grad(fastcam.tap(v, 0.1).square().sum(), v)[0].double())
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "permuted"])
def test_the_operators_keep_what_they_promised_pytorch(layout):
    x = LAYOUTS[layout](randn(2, 3, 4, 5))
    torch.library.opcheck(tap, (x, 0.1))
    torch.library.opcheck(torch.ops.fastcam.tap_keeping.default, (x, 0.1))
    kept = torch.ops.fastcam.tap_keeping(x, 0.1)
    torch.library.opcheck(torch.ops.fastcam.tap_spread.default, (*kept, 4, 5, layout == "channels_last"))
    index = torch.tensor([1, 0], device="cuda")
    torch.library.opcheck(cam, (x, randn(2, 3), index, True))
    torch.library.opcheck(binarize, (x[:, 0], 9, 70, *PAPER, True))


@pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning")
def test_compiles_whole():
    x = randn(2, 3, 10, 10).requires_grad_()
    compiled = torch.compile(lambda v: fastcam.tap(v.relu(), 0.1) * 2, fullgraph=True)
    wanted = fastcam.tap(x.relu(), 0.1) * 2
    torch.testing.assert_close(compiled(x), wanted)
    torch.testing.assert_close(*(torch.autograd.grad(y.sum(), x)[0] for y in (compiled(x), wanted)))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_maps_are_those_of_the_cpu_but_for_the_order_of_the_sum(dtype, layout):
    features = LAYOUTS[layout](randn(3, 300, 14, 14, dtype=dtype))
    weight = randn(9, 300, dtype=dtype)
    index = torch.tensor([[8, 0], [3, 3], [1, 7]], device="cuda")
    found = cam(features, weight, index, True)
    wanted = cam(features.cpu(), weight.cpu(), index.cpu(), True)
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-4)
    assert cam(features, weight, index + 9, True).isnan().all()


@pytest.mark.parametrize("name", ["paper", "vanilla", "authors", "wsoleval"])
@pytest.mark.parametrize(("source", "size"), [((14, 14), (224, 224)), ((7, 7), (7, 7)), ((9, 4), (33, 130))], ids=str)
def test_boxes_of_maps_are_those_of_the_cpu_to_the_bit(source, size, name):
    protocol = fastcam.protocol.NAMED[name]
    maps = torch.stack(list({**heat_maps(*source), **broken_maps(*source)}.values()))
    found = fastcam.boxes_from_maps(maps.cuda(), size=size, protocol=protocol)
    wanted = fastcam.boxes_from_maps(maps, size=size, protocol=protocol)
    for part in ("boxes", "areas", "thresholds"):
        assert getattr(found, part).is_cuda
        torch.testing.assert_close(getattr(found, part).cpu(), getattr(wanted, part), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("n", [1, 2])  # one map is searched by many programs
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_large_map_that_many_programs_share(interpolation, n):
    maps = torch.stack([heat_maps(14, 14)["smooth"], heat_maps(14, 14)["noise"]])[:n]
    options = (4096, 4000, *fastcam.PAPER.replace(interpolation=interpolation).values, False)
    found = binarize(maps.cuda(), *options)
    for part, wanted in zip(found, binarize(maps, *options), strict=True):
        torch.testing.assert_close(part.cpu(), wanted, rtol=0, atol=0)


def test_thresholds_are_numpys_of_the_map_that_is_returned():
    features, weight = randn(16, 256, 14, 14).relu(), randn(10, 256)
    index = torch.arange(16, device="cuda") % 10
    for q in (85.0, 90.0, 95.25, 100.0):
        found = fastcam.localize(
            features, weight, index, size=(224, 224), percentile=q, return_maps=True, return_masks=True
        )
        wanted = [np.float32(0.35) * np.percentile(one, q) for one in found.maps.cpu().numpy()]
        assert found.thresholds.tolist() == [value.item() for value in wanted]
        assert torch.equal(found.masks, found.maps > found.thresholds[:, None, None])


def test_a_hundred_runs_are_alike():
    features, weight = randn(64, 512, 14, 14), randn(10, 512)
    index = torch.arange(64, device="cuda") % 10
    first = None
    for _ in range(100):
        maps = cam(features, weight, index, True)
        results = (tap(features, 0.1), maps, *binarize(maps, 224, 224, *PAPER, False)[:2])
        first = first or results
        assert all(map(torch.equal, results, first))
    alone = torch.cat([cam(features[i : i + 1], weight, index[i : i + 1], True) for i in range(64)])
    assert torch.equal(alone, first[1])


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_an_image_in_the_middle_of_a_batch_is_like_itself_alone(layout):
    features = LAYOUTS[layout](randn(4, 3, 14, 14, dtype=torch.float16))  # begin at 0 and 8 modulo 16 in turn
    weight, index = randn(5, 3, dtype=torch.float16), torch.arange(4, device="cuda")
    for i in range(4):
        one = features[i : i + 1]
        assert torch.equal(tap(one, 0.1), tap(one.clone(), 0.1))
        assert torch.equal(cam(one, weight, index[i : i + 1], True), cam(features, weight, index, True)[i : i + 1])


@pytest.mark.parametrize("n", [0, 1, 4096])
def test_any_number_of_images(n):
    features, weight = randn(1, 64, 7, 7).expand(n, 64, 7, 7), randn(10, 64)
    found = fastcam.localize(features, weight, 3, size=(224, 224))
    assert found.boxes.shape == (n, 4)
    assert (found.boxes == found.boxes[:1]).all()


def test_nothing_proportional_to_the_full_maps_is_allocated():
    maps = randn(64, 14, 14)
    binarize(maps, 1024, 1024, *PAPER, False)  # compiled, tables uploaded
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    packed = binarize(maps, 1024, 1024, *PAPER, False)[0]
    extra = torch.cuda.max_memory_allocated() - before
    assert extra - packed.nbytes < 64 * 15 * 1024 * 4 + 2**20  # the rows of the small maps; a full map has 1024
    del packed


def test_an_index_that_is_still_on_its_way_is_waited_for():
    features, weight = torch.rand(4, 3, 7, 7), torch.rand(5, 3)
    for _ in range(10):
        index = torch.zeros(4, dtype=torch.int64, device="cuda")
        torch.cuda._sleep(10_000_000)
        index += torch.arange(1, 5, device="cuda")
        assert torch.equal(fastcam.cam(features, weight, index), fastcam.cam(features, weight, [1, 2, 3, 4]))


def test_under_a_stream_of_the_users():
    features, weight = randn(64, 256, 14, 14), randn(10, 256)
    index = torch.arange(64, device="cuda") % 10
    wanted = fastcam.localize(features, weight, index, size=(224, 224))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        late = torch.zeros_like(features)
        torch.cuda._sleep(100_000_000)  # what comes before must be waited for
        late.copy_(features)
        found = fastcam.localize(late, weight, index, size=(224, 224))
        assert torch.equal(found.boxes, wanted.boxes)
        assert torch.equal(found.areas, wanted.areas)


def test_the_part_up_to_packed_masks_is_captured_in_a_graph():
    features, weight = randn(8, 256, 14, 14), randn(10, 256)
    index = torch.arange(8, device="cuda")

    def masks():
        return binarize(cam(features, weight, index, True), 224, 224, *PAPER, False)[:2]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        masks()
        tap(features, 0.1)  # a kernel that is not loaded yet cannot be loaded while a graph is captured
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = masks()
        pooled = tap(features, 0.1)
    features.copy_(randn(8, 256, 14, 14, seed=1))
    graph.replay()
    assert all(map(torch.equal, captured, masks()))
    assert torch.equal(pooled, tap(features, 0.1))


@pytest.mark.parametrize("name", fastcam.protocol.NAMED)
def test_the_whole_way_to_boxes_is_captured_in_a_graph(name):
    features, weight = randn(8, 256, 14, 14), randn(10, 256)
    index = torch.arange(8, device="cuda")

    def found():
        one = fastcam.localize(features, weight, index, size=(224, 224), protocol=fastcam.protocol.NAMED[name])
        return one.boxes, one.areas, one.thresholds

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        found()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = found()
    features.copy_(randn(8, 256, 14, 14, seed=1))
    graph.replay()
    assert all(map(torch.equal, captured, found()))


@pytest.mark.parametrize("keep", ["largest", "all"])
@pytest.mark.parametrize("area", ["pixels", "polygon"])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_components_are_those_of_the_cpu(connectivity, area, keep):
    for shape in ((224, 224), (9, 65), (700, 1001), (1100, 1100)):  # the last by way of the host
        masks = np.stack(list({**adversarial_masks(*shape), **random_masks(*shape, 0)}.values()))
        options = {"keep": keep, "area": area, "connectivity": connectivity}
        wanted = fastcam.boxes_from_masks(masks, **options)
        for _ in range(5):
            found = fastcam.boxes_from_masks(torch.from_numpy(masks).cuda(), **options)
            for part in ("boxes", "areas", "image"):
                a, b = getattr(found, part), getattr(wanted, part)
                assert a is b is None or torch.equal(a.cpu(), b)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU")
def test_tensors_of_another_device_stay_there():
    with torch.device("cuda:1"):
        features, weight = torch.randn(4, 64, 7, 7), torch.randn(10, 64)
    found = fastcam.localize(features, weight, [1, 2, 3, 4], size=(64, 64))
    assert found.boxes.device == fastcam.tap(features, 0.1).device == torch.device("cuda:1")
    wanted = fastcam.localize(features.cpu(), weight.cpu(), [1, 2, 3, 4], size=(64, 64))
    torch.testing.assert_close(found.boxes.cpu(), wanted.boxes)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_more_than_two_to_the_31_elements(layout):
    n, c = 2**31 // (1024 * 196) + 2, 1024
    if torch.cuda.mem_get_info()[0] < 3 * n * c * 196 * 2:
        pytest.skip("not enough memory")
    form = torch.channels_last if layout == "channels_last" else torch.contiguous_format
    x = torch.empty((n, c, 14, 14), dtype=torch.bfloat16, device="cuda", memory_format=form)
    x.normal_()
    last = x[-1:].clone()
    assert torch.equal(tap(x, 0.1)[-1:], tap(last, 0.1))
    pooled, divisor, kept = torch.ops.fastcam.tap_keeping(x, 0.1)
    dx = torch.ops.fastcam.tap_spread(pooled, divisor, kept, 14, 14, layout == "channels_last")
    wanted = reference.tap_backward(pooled[-1:].cpu(), last.cpu(), *reference.tap_forward(last.cpu(), 0.1)[1:])
    torch.testing.assert_close(dx[-1:].cpu(), wanted, rtol=0.01, atol=1e-6)
    weight, index = randn(3, c, dtype=torch.bfloat16), torch.full((n,), 2, device="cuda")
    assert torch.equal(cam(x, weight, index, True)[-1:], cam(last, weight, index[:1], True))
