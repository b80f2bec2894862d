import itertools

import pytest
import torch
from torch.nn import functional as F

import fastcam
from fastcam.data import DataError
from fastcam.methods import DANet, Recipe
from fastcam.methods.danet import DivergentMaps, discrepancy
from fastcam.models import create

CLASSES = ("wren", "gull", "thrush", "tern", "duck")
TWO_COLUMNS = "wren songbirds\ngull gulls\nthrush songbirds\ntern gulls\nduck ducks\n"
THREE_COLUMNS = "wren song perching\ngull gulls waders\nthrush song perching\ntern gulls waders\nduck ducks fowl\n"
# By hand: groups sorted by name.
PARENTS = {TWO_COLUMNS: [[2, 1, 2, 1, 0]], THREE_COLUMNS: [[2, 1, 2, 1, 0], [1, 2, 1, 2, 0]]}


@pytest.fixture
def attached(tmp_path):
    def make(hierarchy=None, model="vgg16", pooling="gap", **options):
        torch.manual_seed(0)
        network = create(model, num_classes=5, width=1 / 16, pooling=pooling)
        if hierarchy is not None:
            (tmp_path / "birds.txt").write_text(hierarchy)
            options["hierarchy"] = str(tmp_path / "birds.txt")
        method = DANet(**options)
        method.name_classes(CLASSES)
        method.attach(network)
        return network, method

    return make


def mean_cosine(maps):
    """Of all pairs of an image's maps (N, J, h, w), and the mean of its absolute value over images, in loops."""
    each = []
    for image in maps.double().flatten(2):
        pairs = [
            (one @ other / (one.norm() * other.norm())).item() for one, other in itertools.combinations(list(image), 2)
        ]
        each.append(abs(sum(pairs) / len(pairs)))
    return sum(each) / len(each)


def test_discrepancy_by_loops():
    maps = torch.randn(3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    assert discrepancy(maps).item() == pytest.approx(mean_cosine(maps), rel=1e-5)
    assert discrepancy(maps[:, :2] * 7).item() == pytest.approx(mean_cosine(maps[:, :2]), rel=1e-5)
    assert discrepancy(torch.ones(2, 3, 4, 4)).item() == pytest.approx(1)
    assert torch.autograd.gradcheck(discrepancy, maps.double()[:2, :3].requires_grad_())


def test_a_map_of_zeros_has_a_gradient():
    maps = torch.zeros(1, 3, 2, 2, requires_grad=True)
    discrepancy(maps).backward()
    assert torch.isfinite(maps.grad).all()


def test_the_mean_of_the_maps_is_the_classifiers(attached):
    model, method = attached()
    features = model.forward_features(torch.rand(2, 3, 64, 64))
    labels = torch.tensor([3, 0])
    weight = model.classifier.weight
    maps = method.divergent(features, weight, labels)
    assert maps.shape == (2, 8, 4, 4)
    every = method.divergent.weights(weight)
    by_hand = torch.stack([F.conv2d(features, one[:, :, None, None])[torch.arange(2), labels] for one in every], dim=1)
    torch.testing.assert_close(maps, by_hand)
    torch.testing.assert_close(every.mean(0), weight)
    torch.testing.assert_close(maps.mean(1), fastcam.cam(features, weight, labels, clamp_negative=False))
    assert (every[0] - every[1]).abs().max() > 0.001


def own_maps(divergent, linear, features):
    """All M maps of all classes, (N, M, K, h, w)."""
    return torch.einsum("mkc,nchw->nmkhw", divergent.weights(linear.weight), features)


@pytest.mark.parametrize("pooling", ["gap", "tap"])
@pytest.mark.parametrize("hierarchy", [None, TWO_COLUMNS, THREE_COLUMNS])
def test_the_loss_level_by_level(hierarchy, pooling, attached):
    model, method = attached(hierarchy, pooling=pooling, maps=3, discrepancy=0.3)
    images, labels = torch.rand(3, 3, 64, 64), torch.tensor([4, 0, 3])
    outcome = method(model, images, labels)
    with torch.no_grad():
        pool4 = model.features[:24](images)
        pool3 = model.features[:17](images)
        features = model.forward_neck(model.features[24:](pool4))
        wanted = F.cross_entropy(model.classifier(model.pool(features)), labels)
        rows = torch.arange(3)
        maps = [own_maps(method.divergent, model.classifier, features)[rows, :, labels]]
        for branch, inner, parents in zip(method.branches, (pool4, pool3), PARENTS.get(hierarchy, []), strict=False):
            own, groups = branch.neck(inner), torch.tensor(parents)[labels]
            wanted += F.cross_entropy(branch.classifier(model.pool(own)), groups)
            maps.append(own_maps(branch.maps, branch.classifier, own)[rows, :, groups])
        size = maps[-1].shape[2:]
        maps = [F.interpolate(one, size, mode="bilinear") for one in maps]
        wanted += 0.3 * mean_cosine(torch.cat(maps, dim=1))
    assert len(method.branches) == len(PARENTS.get(hierarchy, []))
    torch.testing.assert_close(outcome.loss.detach(), wanted)
    torch.testing.assert_close(outcome.logits, model(images))
    outcome.loss.backward()
    assert all(part.grad is not None for part in (*method.parameters(), *model.parameters()))
    assert method._seen is None


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("hierarchy", [None, THREE_COLUMNS])
@pytest.mark.parametrize("name", ["vgg16", "googlenet"])
def test_the_map_by_its_definition(name, hierarchy, clamp, attached):
    model, method = attached(hierarchy, model=name, maps=2)
    model.eval()
    method.eval()
    images, labels = torch.rand(2, 3, 96, 96), torch.tensor([[4, 0, 0], [1, 2, 3]])
    run = method.extract(model, images, labels)
    with torch.no_grad():
        levels = [(model.forward_features(images), model.classifier, method.divergent, list(range(5)))]
        for branch, position, parents in zip(
            method.branches, model.danet_positions, PARENTS.get(hierarchy, []), strict=False
        ):
            seen = []
            hook = model.get_submodule(position).register_forward_hook(lambda *call, seen=seen: seen.append(call[2]))
            model(images)
            hook.remove()
            levels.append((branch.neck(seen[0]), branch.classifier, branch.maps, parents))
        each = []
        for features, linear, divergent, groups in levels:
            weights = divergent.weights(linear.weight)
            weights = weights.clamp(min=0) if clamp else weights
            maps = torch.einsum("mkc,nchw->nmkhw", weights, features).relu().mean(1)[:, groups]
            each.append(maps[torch.arange(2)[:, None], labels])
        size = each[-1].shape[2:]
        wanted = sum(F.interpolate(one, size, mode="bilinear") for one in each) / len(each)
    torch.testing.assert_close(run.maps(clamp_negative=clamp), wanted, rtol=1e-4, atol=1e-6)
    one = method.extract(model, images, labels[:, 1])
    torch.testing.assert_close(one.maps(clamp_negative=clamp), wanted[:, 1], rtol=1e-4, atol=1e-6)
    assert torch.equal(one.of_classes(labels).maps(), run.maps())
    assert run.localize().boxes.shape == (2, 3, 4)
    torch.testing.assert_close(run.logits, model(images))


def test_training_is_that_of_the_maps_by_themselves(attached):
    model, method = attached(maps=4, discrepancy=0.3)
    other, _ = attached(maps=4)
    other.load_state_dict(model.state_dict())
    # The definition has the several maps in the place of the classifier.
    transfer = torch.nn.Conv2d(model.classifier.in_features, 4 * 5, 1)
    transfer.weight.data = method.divergent.weights(model.classifier.weight).detach().reshape(20, -1, 1, 1).clone()
    transfer.bias.data.zero_()
    rest = [one for name, one in other.named_parameters() if not name.startswith("classifier.")]
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    ours = torch.optim.SGD([*model.parameters(), *method.parameters()], **settings)
    theirs = torch.optim.SGD([*rest, *transfer.parameters()], **settings)
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        images = torch.rand(4, 3, 64, 64, generator=generator)
        labels = torch.randint(5, (4,), generator=generator)
        features = other.forward_features(images)
        maps = transfer(features).unflatten(1, (4, 5))
        bias = transfer.bias.unflatten(0, (4, 5))
        own = (maps - bias[..., None, None])[torch.arange(4), :, labels]
        alike = F.normalize(own.flatten(2), dim=2)
        pairs = [(alike[:, i] * alike[:, j]).sum(1) for i, j in itertools.combinations(range(4), 2)]
        wanted = F.cross_entropy(maps.mean(1).mean((2, 3)), labels) + 0.3 * torch.stack(pairs).mean(0).abs().mean()
        outcome = method(model, images, labels)
        torch.testing.assert_close(outcome.loss, wanted, rtol=1e-4, atol=1e-5)
        for optimizer, loss in ((ours, outcome.loss), (theirs, wanted)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(
        method.divergent.weights(model.classifier.weight).detach().flatten(0, 1),
        transfer.weight.detach().flatten(1),
        rtol=1e-3,
        atol=1e-5,
    )


def test_training_with_the_discrepancy_parts_the_maps(attached):
    alike = []
    for weight in (0.0, 4.0):
        model, method = attached(maps=4, discrepancy=weight)
        images, labels = torch.rand(8, 3, 64, 64), torch.arange(8) % 5
        optimizer = torch.optim.SGD([*model.parameters(), *method.parameters()], lr=0.02, momentum=0.9)
        for _ in range(40):
            optimizer.zero_grad()
            method(model, images, labels).loss.backward()
            optimizer.step()
        with torch.no_grad():
            alike.append(
                discrepancy(method.divergent(model.forward_features(images), model.classifier.weight, labels)).item()
            )
    assert alike[1] < 0.5 * alike[0]


def test_weights_that_are_not_those_of_a_hierarchy(attached):
    _, method = attached(THREE_COLUMNS, maps=2)
    state = method.state_dict()
    recipe = Recipe(
        "vgg16", model_options={"width": 1 / 16}, method="danet", method_options={"hierarchy": "none", "maps": 2}
    )
    assert recipe.build(5, method_state=state)[1].state_dict().keys() == state.keys()
    for changed in (
        {},
        {**state, "parents": state["parents"].float()},
        {**state, "parents": state["parents"][:1]},
        {**state, "parents": state["parents"] + 1},
        {**state, "parents": state["parents"] - 1},
    ):
        with pytest.raises(ValueError, match="danet"):
            recipe.build(5, method_state=changed)
    with pytest.raises(ValueError, match="of 5 classes, not of 6"):
        recipe.build(6, method_state=state)


def test_wrong_arguments(tmp_path):
    for options, message in (
        ({"maps": 1}, "maps must be a whole number, at least 2, got 1"),
        ({"discrepancy": -1}, "discrepancy must be a number"),
        ({"discrepancy": float("nan")}, "discrepancy must be a number"),
        ({"hierarchy": 3}, "hierarchy must be the name of a file, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            DANet(**options)
    with pytest.raises(ValueError, match="needs a model with danet_positions, ResNet50 names none"):
        DANet().attach(create("resnet50", num_classes=2, width=1 / 16))
    with pytest.raises(ValueError, match="needs the classes' names"):
        DANet(hierarchy="birds.txt").attach(create("vgg16", num_classes=2, width=1 / 16))
    with pytest.raises(DataError, match="No such file"):
        DANet(hierarchy=str(tmp_path / "none.txt")).name_classes(["a"])


def test_maps_that_diverge_have_a_classifier_as_their_mean():
    linear = torch.nn.Linear(4, 3)
    assert DivergentMaps(5, linear).weights(linear.weight).shape == (5, 3, 4)
