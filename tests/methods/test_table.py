import pytest

from fastcam.methods import COMPATIBILITY, METHODS, create_method, why_not
from fastcam.methods.method import Method
from fastcam.models import NETWORKS


def test_every_pair_is_decided_with_a_reason():
    assert set(COMPATIBILITY) == set(METHODS)
    for models in COMPATIBILITY.values():
        assert set(models) == set(NETWORKS)
        assert all(reason for _, reason in models.values())


def test_why_not():
    assert why_not("has", "vgg16") is None
    assert "InceptionV3" in why_not("spg", "mobilenetv1")


def test_defaults_are_wsolevaluations():
    has, adl, cutmix, acol, spg = (create_method(name) for name in ("has", "adl", "cutmix", "acol", "spg"))
    assert (has.patch, has.drop_rate) == (32, 0.5)
    assert (adl.drop_rate, adl.threshold) == (0.75, 0.9)
    assert (cutmix.beta, cutmix.probability) == (1, 1)
    assert acol.threshold == 0.7
    assert spg.thresholds == {"b2": (0.7, 0.01), "b1": (0.5, 0.05), "c": (0.7, 0.1)}
    assert isinstance(create_method("cam"), Method)


def test_unknown_names():
    with pytest.raises(ValueError, match="method='hass' is unknown; did you mean 'has'"):
        create_method("hass")
    with pytest.raises(TypeError, match="has has no option 'grid'; it has patch, drop_rate"):
        create_method("has", grid=3)
