"""Where checkpoints keep weights and how they name them; what no network computes with is refused."""

import copy
import datetime

import numpy as np
import pytest
import torch
from classifiers import Net
from torch import nn

import fastcam
from fastcam.models import create, load_weights, read_state_dict
from fastcam.sources import LoadError


class Normed(Net):
    def __init__(self):
        super().__init__()
        self.layer4 = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())


def tiny():
    return create("resnet50", num_classes=3, width=1 / 16)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Normed().eval()


@pytest.fixture
def saved(tmp_path):
    def save(content):
        torch.save(content, tmp_path / "weights.pth")
        return tmp_path / "weights.pth"

    return save


def loads(model, path):
    """Whether a fresh network of the same kind gets the model's weights from the file."""
    other = Normed()
    fastcam.load(other, weights=path, classes=list("abcde"), device="cpu")
    return all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())


def prefixed(state, prefix):
    return {prefix + name: value for name, value in state.items()}


def other_values(state):
    return {name: torch.zeros_like(value) for name, value in state.items()}


KEYS = ["state_dict", "model_state_dict", "model", "net", "network", "module", "model_state"]
AVERAGES = ["ema", "model_ema", "state_dict_ema", "ema_state_dict"]


class TestPlaces:
    @pytest.mark.parametrize("key", KEYS + AVERAGES)
    def test_checkpoints(self, model, saved, key):
        assert loads(model, saved({key: model.state_dict(), "epoch": 3, "optimizer": {"lr": 0.1}}))

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize("average", AVERAGES)
    def test_the_network_goes_before_its_average(self, model, saved, key, average):
        assert loads(model, saved({average: other_values(model.state_dict()), key: model.state_dict()}))

    def test_one_inside_another(self, model, saved):
        assert loads(model, saved({"ema": {"decay": 0.99, "module": model.state_dict()}, "epoch": 1}))

    def test_one_that_holds_itself(self, saved):
        content = {}
        content["model"] = content
        with pytest.raises(ValueError, match="expected a state dict"):
            read_state_dict(saved(content))


PREFIXES = ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "model.module.", "_fsdp_wrapped_module."]


class TestNames:
    @pytest.mark.parametrize("prefix", PREFIXES)
    def test_of_wrapped_networks(self, model, saved, prefix):
        assert loads(model, saved(prefixed(model.state_dict(), prefix)))

    def test_of_wrapped_parts(self, model, saved):
        other = copy.deepcopy(model)
        other.layer4 = nn.DataParallel(other.layer4)
        other.fc = torch.compile(other.fc, backend="eager")
        assert loads(model, saved(other.state_dict()))

    def test_of_averaged_models(self, model, saved):
        average = torch.optim.swa_utils.AveragedModel(model)
        assert "n_averaged" in average.state_dict()
        assert loads(model, saved(average.state_dict()))

    def test_of_lightning(self, model, saved):
        state = {**prefixed(model.state_dict(), "model."), "criterion.weight": torch.ones(5)}
        content = {"state_dict": state, "pytorch-lightning_version": "2.6.0", "epoch": 1, "hyper_parameters": {"lr": 1}}
        assert loads(model, saved(content))
        # Of other files what has no place is an error.
        with pytest.raises(LoadError, match=r"criterion\.weight"):
            loads(model, saved({"state_dict": state}))

    @pytest.mark.parametrize("owner", ["model", "net", "module"])
    def test_a_network_with_such_a_name_of_its_own(self, model, saved, owner):
        class Owner(nn.Module):
            def __init__(self):
                super().__init__()
                setattr(self, owner, copy.deepcopy(model))

        mine = Owner()
        for prefix in ("", "module.", "model."):
            other = Owner()
            for part in other.parameters():
                part.data.zero_()
            path = saved(prefixed(mine.state_dict(), prefix))
            fastcam.load(other, weights=path, features=f"{owner}.layer4", classifier=f"{owner}.fc", device="cpu")
            assert all(torch.equal(value, other.state_dict()[name]) for name, value in mine.state_dict().items())

    def test_into_a_compiled_network(self, model, saved):
        other = torch.compile(Normed(), backend="eager")
        fastcam.load(other, weights=saved(model.state_dict()), device="cpu")
        assert all(torch.equal(value, other.state_dict()[f"_orig_mod.{n}"]) for n, value in model.state_dict().items())

    def test_without_the_counters_of_batch_normalization(self, model, saved):
        state = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
        assert len(state) == len(model.state_dict()) - 1
        assert loads(model, saved(state))


class TestValues:
    @pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_that_are_not_finite_are_named(self, model, saved, value, dtype):
        state = {name: one.to(dtype) if one.is_floating_point() else one for name, one in model.state_dict().items()}
        state["layer4.0.weight"] = state["layer4.0.weight"].clone()
        state["layer4.0.weight"][1, 2, 0, 0] = value
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(LoadError, match=r"'layer4\.0\.weight' is not finite: 1 of its 432 values") as caught:
            fastcam.load(model, weights=saved(state), device="cpu")
        assert caught.value.argument == "weights"
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_of_the_librarys_networks_too(self, saved):
        model = tiny()
        state = copy.deepcopy(model.state_dict())
        state["bn1.running_var"][0] = torch.inf
        with pytest.raises(ValueError, match=r"'bn1\.running_var' is not finite"):
            load_weights(model, saved(state))
        # What is not used may be anything.
        state = {**model.state_dict(), "classifier.bias": torch.full((3,), torch.nan)}
        load_weights(model, saved(state), new_classifier=True)

    @pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
    def test_that_are_no_weights(self, model, saved, dtype):
        state = {**model.state_dict(), "fc.weight": model.fc.weight.detach().to(dtype)}
        with pytest.raises(LoadError, match=r"'fc\.weight' must be floating point, got torch\."):
            fastcam.load(model, weights=saved(state), device="cpu")

    @pytest.mark.filterwarnings("ignore")  # of PyTorch: they are deprecated
    def test_quantized_tensors(self, model, saved):
        quantized = torch.quantize_per_tensor(model.fc.weight.detach(), 0.1, 0, torch.qint8)
        with pytest.raises(ValueError, match=r"'fc\.weight' must be a dense tensor, got a quantized one"):
            read_state_dict(saved({"fc.weight": quantized}))

    def test_eight_bits_are_widened(self, model, saved):
        state = {**model.state_dict(), "fc.weight": model.fc.weight.detach().to(torch.float8_e4m3fn)}
        fastcam.load(other := Normed(), weights=saved(state), device="cpu")
        assert torch.equal(other.fc.weight, state["fc.weight"].float())
        state["fc.weight"] = torch.full((5, 8), torch.nan).to(torch.float8_e4m3fn)
        with pytest.raises(LoadError, match="is not finite: 40 of its 40 values"):
            fastcam.load(Normed(), weights=saved(state), device="cpu")


class TestRefusals:
    """What is in a file that is not read, and how to save it right."""

    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            (np.float64(0.5), "numpy._core.multiarray.scalar"),
            (np.arange(3), "numpy._core.multiarray._reconstruct"),
        ],
    )
    @pytest.mark.parametrize("load", [read_state_dict, fastcam.load])
    def test_numpy(self, model, saved, extra, expected, load):
        with pytest.raises(ValueError, match="it holds numbers or arrays of NumPy") as caught:
            load(saved({"model_state_dict": model.state_dict(), "best": extra}))
        message = str(caught.value)
        assert expected.replace("_core", "core") in message.replace("_core", "core")
        assert "save numbers as float(x) or int(x)" in message
        assert "torch.save(model.state_dict(), path)" in message
        assert message.isprintable()
        assert "..." not in message

    def test_a_whole_model(self, model, saved):
        with pytest.raises(ValueError, match=r"more than tensors and plain values \(.*Normed.*save the weights alone"):
            read_state_dict(saved({"ema": model}))

    def test_another_object(self, saved):
        with pytest.raises(ValueError, match=r"\(datetime.date\), which would run code"):
            read_state_dict(saved({"when": datetime.date(2026, 1, 1)}))

    def test_the_format_before_pytorch_1_6(self, model, tmp_path):
        content = {"state_dict": model.state_dict(), "best": np.float64(0.5)}
        torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
        with pytest.raises(ValueError, match="it holds numbers or arrays of NumPy") as caught:
            read_state_dict(tmp_path / "old.pth")
        assert str(caught.value).isprintable()

    @pytest.mark.filterwarnings("ignore")
    def test_a_scripted_model(self, model, tmp_path):
        torch.jit.script(model).save(tmp_path / "scripted.pt")
        with pytest.raises(ValueError, match=r"it is a TorchScript archive; save the state_dict\(\)"):
            read_state_dict(tmp_path / "scripted.pt")

    def test_names_that_would_act_on_a_terminal(self, tmp_path):
        (tmp_path / "evil.pth").write_bytes(b"\x80\x02c\x1b[31mos\nsystem\n.")
        with pytest.raises(ValueError, match="can be loaded safely") as caught:
            read_state_dict(tmp_path / "evil.pth")
        assert str(caught.value).isprintable()


def test_a_network_without_weights_of_imagenet_says_so():
    class Own(type(tiny())):
        @classmethod
        def imagenet_file(cls):
            return super(type(tiny()), cls).imagenet_file()

    with pytest.raises(ValueError, match="Own has no ImageNet weights; give a file"):
        load_weights(Own(num_classes=3, width=1 / 16), "imagenet")
