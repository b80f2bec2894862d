"""Every way to a derivative through TAP, against central differences of its definition in NumPy and average pooling."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from cases import LAYOUTS
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, stack_module_state, vjp, vmap
from torch.utils.checkpoint import checkpoint

import fastcam

SHAPE = (2, 3, 3, 4)
WEIGHT = np.random.default_rng(1).standard_normal(SHAPE[:2])
DTYPES = (torch.float64, torch.float32, torch.bfloat16)


def values(dtype=torch.float64, seed=0):
    """Numbers that bfloat16 holds, and none of which a step of 1e-4 carries over 0 or 0.3 of its channel's maximum."""
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.integers(-20, 60, SHAPE) / 32 + 1 / 64).to(dtype)
    wide = x.double()
    assert ((wide - 0.3 * wide.amax((2, 3), keepdim=True)).abs() > 1e-3).all()
    return x


def pool_by_numpy(x, threshold):
    keep = x > threshold * x.max((2, 3), keepdims=True)
    return np.where(keep, x, 0).sum((2, 3)) / np.maximum(keep.sum((2, 3)), 1)


def differences(function, x, step=1e-5):
    """Central differences of a function of an array, in the shape (its result's, the array's)."""
    columns = []
    for i in range(x.size):
        e = np.zeros(x.size)
        e[i] = step
        e = e.reshape(x.shape)
        columns.append((function(x + e) - function(x - e)) / (2 * step))
    return np.stack(columns, -1).reshape(*np.shape(columns[0]), *x.shape)


def slope_by_numpy(x, threshold):
    return differences(lambda y: (WEIGHT * np.sin(pool_by_numpy(y, threshold))).sum(), x)


class Loss(nn.Module):
    """A curved function of what is pooled, so that second derivatives are not 0."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool
        self.register_buffer("weight", torch.from_numpy(WEIGHT))

    def forward(self, x):
        pooled = self.pool(x).flatten(1)
        return (self.weight.to(pooled.dtype) * pooled.sin()).sum()


def backward(run, x):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    run(x).backward()
    return x.grad


def traced(loss, x):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(loss, x.clone().requires_grad_()), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def duals(loss, x):
    found = []
    for direction in torch.eye(x.numel(), dtype=x.dtype):
        with forward_ad.dual_level():
            out = loss(forward_ad.make_dual(x, direction.reshape(x.shape)))
            found.append(forward_ad.unpack_dual(out).tangent)
    return torch.stack(found).reshape(x.shape)


def of_each_sample(loss, x):
    weight = loss.weight.to(x.dtype)
    one = lambda image, w: (w * loss.pool(image[None]).flatten().sin()).sum()  # noqa: E731
    return vmap(grad(one))(x, weight)


def saved_and_loaded(program):
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return torch.export.load(buffer).module()


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, backend="aot_eager", fullgraph=True)


FIRST = {
    "backward": lambda loss, x: backward(loss, x),
    "autograd.grad": lambda loss, x: torch.autograd.grad(loss(y := x.clone().requires_grad_()), y)[0],
    "functional.jacobian": lambda loss, x: torch.autograd.functional.jacobian(loss, x),
    "functional.jacobian, vectorized": lambda loss, x: torch.autograd.functional.jacobian(loss, x, vectorize=True),
    "functional.jacobian, forward mode": lambda loss, x: torch.autograd.functional.jacobian(
        loss, x, vectorize=True, strategy="forward-mode"
    ),
    "func.grad": lambda loss, x: grad(loss)(x),
    "func.vjp": lambda loss, x: vjp(loss, x)[1](torch.ones((), dtype=x.dtype))[0],
    "func.jacrev": lambda loss, x: jacrev(loss)(x),
    "func.jacfwd": lambda loss, x: jacfwd(loss)(x),
    "func.jvp, column by column": lambda loss, x: torch.stack(
        [jvp(loss, (x,), (e.reshape(x.shape),))[1] for e in torch.eye(x.numel(), dtype=x.dtype)]
    ).reshape(x.shape),
    "func.linearize": lambda loss, x: torch.stack(
        [run(e.reshape(x.shape)) for run in [linearize(loss, x)[1]] for e in torch.eye(x.numel(), dtype=x.dtype)]
    ).reshape(x.shape),
    "forward_ad": duals,
    "vmap(grad), sample by sample": of_each_sample,
    "checkpoint": lambda loss, x: backward(lambda y: checkpoint(loss, y, use_reentrant=False), x),
    "compile": lambda loss, x: backward(compiled(loss), x),
    "compile of func.grad": lambda loss, x: compiled(grad(loss))(x),
    "compile of func.jvp": lambda loss, x: torch.stack(
        [
            run(e.reshape(x.shape))
            for run in [compiled(lambda e: jvp(loss, (x,), (e,))[1])]
            for e in torch.eye(x.numel(), dtype=x.dtype)
        ]
    ).reshape(x.shape),
    "export": lambda loss, x: backward(torch.export.export(loss, (x,)).module(), x),
    "export without gradients": lambda loss, x: backward(torch.no_grad()(torch.export.export)(loss, (x,)).module(), x),
    "export, strict": lambda loss, x: backward(torch.export.export(loss, (x,), strict=True).module(), x),
    "export, saved and loaded": lambda loss, x: backward(saved_and_loaded(torch.export.export(loss, (x,))), x),
    "export, func.grad": lambda loss, x: grad(torch.export.export(loss, (x,)).module())(x),
    "export, jacfwd": lambda loss, x: jacfwd(torch.export.export(loss, (x,)).module())(x),
    "export, decomposed": lambda loss, x: backward(
        torch.export.export(loss, (x,)).run_decompositions(fastcam.pooling.decompositions()).module(), x
    ),
    "trace, saved and loaded": lambda loss, x: backward(traced(loss, x), x),
    "fx": lambda loss, x: backward(torch.fx.symbolic_trace(loss), x),
}

SECOND = {
    "double backward": lambda loss, x: torch.autograd.functional.jacobian(
        lambda y: torch.autograd.grad(loss(y), y, create_graph=True)[0], x
    ),
    "functional.hessian": lambda loss, x: torch.autograd.functional.hessian(loss, x),
    "functional.hessian, vectorized": lambda loss, x: torch.autograd.functional.hessian(loss, x, vectorize=True),
    "functional.hessian, forward over reverse": lambda loss, x: torch.autograd.functional.hessian(
        loss, x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ),
    "functional.hvp": lambda loss, x: torch.stack(
        [torch.autograd.functional.hvp(loss, x, e.reshape(x.shape))[1] for e in torch.eye(x.numel(), dtype=x.dtype)]
    ).reshape(*SHAPE, *SHAPE),
    "func.hessian": lambda loss, x: hessian(loss)(x),
    "jacrev(grad)": lambda loss, x: jacrev(grad(loss))(x),
    "jacfwd(jacfwd)": lambda loss, x: jacfwd(jacfwd(loss))(x),
    "jacrev(jacfwd)": lambda loss, x: jacrev(jacfwd(loss))(x),
    "export, func.hessian": lambda loss, x: hessian(torch.export.export(loss, (x,)).module())(x),
    "trace, func.hessian": lambda loss, x: torch.autograd.functional.hessian(traced(loss, x), x),
}

# What PyTorch says of itself: that Dynamo instantiates autograd functions, that forward mode loads scripts, and so on.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning"),
]


@pytest.mark.parametrize("way", FIRST)
def test_the_gradient_is_that_of_central_differences(way):
    for dtype in DTYPES:
        for layout in ("contiguous", "channels_last"):
            x = LAYOUTS[layout](values(dtype))
            found = FIRST[way](Loss(fastcam.TAP(0.3)), x)
            assert (found.shape, found.dtype) == (x.shape, dtype)
            wanted = torch.from_numpy(slope_by_numpy(x.double().numpy(), 0.3))
            tolerance = {torch.float64: 1e-8, torch.float32: 1e-6, torch.bfloat16: 3e-2}[dtype]
            torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("way", SECOND)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_second_derivative_is_that_of_central_differences(way, layout):
    wide = values()
    wanted = torch.from_numpy(differences(lambda y: slope_by_numpy(y, 0.3), wide.numpy(), step=1e-4))
    for dtype, tolerance in ((torch.float64, 1e-5), (torch.float32, 1e-5)):
        found = SECOND[way](Loss(fastcam.TAP(0.3)), LAYOUTS[layout](wide.to(dtype)))
        torch.testing.assert_close(found.double(), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("way", [*FIRST, *SECOND])
def test_of_positive_values_above_zero_it_is_average_pooling_in_every_way(way):
    x = values().abs()
    found, wanted = ((FIRST | SECOND)[way](Loss(pool), x) for pool in (fastcam.TAP(0.0), nn.AdaptiveAvgPool2d(1)))
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def network(pool, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Softplus(), pool, nn.Flatten(), nn.Linear(6, 4)).double()


IMAGES = torch.rand(4, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
TRAINED = {
    "eager": lambda model: model,
    "channels_last": lambda model: model.to(memory_format=torch.channels_last),
    "compile": compiled,
    "export": lambda model: torch.export.export(model, (IMAGES,)).module(),
    "export, decomposed": lambda model: (
        torch.export.export(model, (IMAGES,)).run_decompositions(fastcam.pooling.decompositions()).module()
    ),
    "trace": lambda model: traced(model, IMAGES),
    "fx": torch.fx.symbolic_trace,
}


@pytest.mark.parametrize("way", TRAINED)
@pytest.mark.parametrize("keepdim", [False, True])
def test_every_parameter_of_a_network_learns_as_before_average_pooling(way, keepdim):
    plain, pooled = network(nn.AdaptiveAvgPool2d(1)), network(fastcam.TAP(0.0, keepdim=keepdim))
    plain(IMAGES).square().sum().backward()
    run = TRAINED[way](pooled)
    run(IMAGES).square().sum().backward()
    found = [parameter.grad for parameter in run.parameters()]
    assert len(found) == 4
    for one, wanted in zip(found, plain.parameters(), strict=True):
        torch.testing.assert_close(one, wanted.grad)


def test_an_ensemble_by_vmap_learns_as_its_members():
    models = [network(fastcam.TAP(0.3), seed) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    run = vmap(lambda p, b, x: functional_call(models[0], (p, b), (x,)), (0, 0, None))
    out = run(parameters, buffers, IMAGES)
    out.square().sum().backward()
    for i, model in enumerate(models):
        alone = model(IMAGES)
        torch.testing.assert_close(out[i], alone)
        alone.square().sum().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameters[name].grad[i], parameter.grad)


def test_gradients_sample_by_sample_are_those_of_each_sample():
    model = network(fastcam.TAP(0.3))
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    loss = lambda p, image: functional_call(model, p, (image[None],)).square().sum()  # noqa: E731
    found = vmap(grad(loss), (None, 0))(parameters, IMAGES)
    for i in range(len(IMAGES)):
        model.zero_grad()
        model(IMAGES[i : i + 1]).square().sum().backward()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(found[name][i], parameter.grad)


@pytest.mark.parametrize("in_dim", range(5))
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_batch_in_any_place_pools_as_one_by_one(layout, in_dim):
    x = torch.stack([LAYOUTS[layout](values(torch.float32, seed)) for seed in (0, 1, 2)])
    wanted = np.stack([pool_by_numpy(part.numpy(), np.float32(0.3)) for part in x])
    found = vmap(lambda v: fastcam.tap(v, 0.3), in_dim)(x.movedim(0, in_dim))
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    grown = x.clone().requires_grad_()
    vmap(lambda v: fastcam.tap(v, 0.3), in_dim)(grown.movedim(0, in_dim)).sum().backward()
    keep = x > 0.3 * x.amax((3, 4), keepdim=True)
    torch.testing.assert_close(grown.grad, keep / keep.sum((3, 4), keepdim=True).clamp(min=1))


@pytest.mark.parametrize("mode", ["reverse", "forward", "func"])
def test_nan_and_infinity_show_in_every_mode(mode):
    x = torch.ones(1, 4, 2, 2)
    x[0, 0, 1, 1], x[0, 1, 0, 0], x[0, 2] = torch.nan, torch.inf, -1
    pool = lambda v: fastcam.tap(v, 0.1)  # noqa: E731
    pooled = pool(x)[0].tolist()
    assert np.isnan(pooled[0])
    assert pooled[1:] == [np.inf, 0, 1]
    if mode == "reverse":
        (found,) = torch.autograd.grad(pool(y := x.clone().requires_grad_()).sum(), y)
    elif mode == "func":
        found = grad(lambda v: pool(v).sum())(x)
    else:
        found = jacfwd(pool)(x).diagonal(dim1=1, dim2=3).sum(0).movedim(-1, 1)
    assert found[0, 0].isnan().all()
    assert found[0, 1].tolist() == [[1, 0], [0, 0]]
    assert found[0, 2].tolist() == [[0, 0], [0, 0]]
    assert found[0, 3].tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_gradcheck_in_both_modes_batched_and_twice():
    x = values().requires_grad_()
    run = lambda v: fastcam.tap(v, 0.3)  # noqa: E731
    assert torch.autograd.gradcheck(
        run, x, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert torch.autograd.gradgradcheck(
        lambda v: fastcam.tap(v, 0.3).sin(), x, check_fwd_over_rev=True, check_batched_grad=True
    )
