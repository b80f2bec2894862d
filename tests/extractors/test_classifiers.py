"""Classifiers of torchvision, timm and transformers, where those are: what is found, tested by bench/proof.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from libraries import FOLDERS

ROOT = Path(__file__).resolve().parents[2]

FEW = {
    "torchvision": {
        "mobilenet_v3_small": "pooled gradient", "resnet18": "exact", "shufflenet_v2_x0_5": "exact",
        "squeezenet1_1": "exact",
    },
    "timm": {
        "levit_128s": "folded", "test_convnext": "folded", "test_mambaout": "pooled gradient", "test_vit": "gradient",
        "test_vit2": "folded", "test_vit3": "gradient",
    },
}  # fmt: skip


def found(names: dict[str, dict[str, str]], folder: Path) -> dict[str, dict[str, Any]]:
    """What `bench/coverage.py run` writes of some networks."""
    sites = [str(site) for site in FOLDERS if site.exists()]
    if not sites:
        pytest.skip("the libraries are not installed: `make unit` puts them into build/classifiers")
    results = folder / "results.jsonl"
    options = [word for library in names for word in ("--library", library)]
    options += [word for of_library in names.values() for name in of_library for word in ("--name", name)]
    command = [sys.executable, ROOT / "bench" / "coverage.py", "run", results, "--site", os.pathsep.join(sites)]
    ran = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return {one["name"]: one for one in map(json.loads, results.read_text().splitlines())}


def test_ten_classifiers(tmp_path: Path) -> None:
    records = found(FEW, tmp_path)
    expected = {name: outcome for of_library in FEW.values() for name, outcome in of_library.items()}
    assert {name: one["outcome"] for name, one in records.items()} == expected
    assert all(one["residue"] < 1e-5 for one in records.values() if "residue" in one)


MANY = {
    "torchvision": {
        "alexnet": "gradient", "convnext_tiny": "folded", "densenet121": "exact", "efficientnet_b0": "exact",
        "googlenet": "exact", "inception_v3": "exact", "mnasnet0_5": "exact", "mobilenet_v2": "exact",
        "mobilenet_v3_large": "pooled gradient", "regnet_y_400mf": "exact", "vgg11": "gradient",
    },
    "timm": {
        "beit_base_patch16_224": "folded", "botnet26t_256": "exact", "caformer_s18": "pooled gradient",
        "coat_lite_tiny": "gradient", "convmixer_768_32": "exact", "cspnext_tiny": "exact",
        "deit_tiny_patch16_224": "gradient", "dla34": "exact", "edgenext_xx_small": "folded",
        "efficientformer_l1": "folded", "efficientvit_b0": "pooled gradient", "fbnetv3_d": "pooled gradient",
        "focalnet_tiny_lrf": "exact", "gcvit_xtiny": "exact", "ghostnet_050": "pooled gradient",
        "gmixer_12_224": "exact", "hardcorenas_a": "pooled gradient", "hgnet_tiny": "pooled gradient",
        "inception_next_atto": "pooled gradient", "mambaout_femto": "pooled gradient", "pvt_v2_b0": "exact",
    },
    "transformers": {
        "BeitForImageClassification": "folded", "BitForImageClassification": "exact",
        "ConvNextForImageClassification": "folded", "LevitForImageClassificationWithTeacher": "folded",
        "MobileNetV1ForImageClassification": "exact", "MobileViTForImageClassification": "exact",
        "PoolFormerForImageClassification": "exact", "ViTForImageClassification": "gradient",
    },
}  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_forty_classifiers(tmp_path: Path) -> None:
    names = {
        library: of_library for library, of_library in MANY.items() if library != "transformers" or FOLDERS[1].exists()
    }
    records = found(names, tmp_path)
    expected = {name: outcome for of_library in names.values() for name, outcome in of_library.items()}
    assert {name: one["outcome"] for name, one in records.items()} == expected
