"""State dicts as torchvision, timm and wsolevaluation name them, written out from their definitions: name to shape.

Independent of fastcam's networks, to hold those against; the parameter counts are the published ones.
"""

import torch

PUBLISHED = {"vgg16": 138_357_544, "resnet50": 25_557_032, "seresnet50": 28_088_024}
PUBLISHED |= {"inception_v3": 27_161_264, "mobilenetv1_100": 4_231_976, "tf_efficientnet_lite0": 4_652_008}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def conv(name, out, channels, kernel, bias=False):
    kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return {f"{name}.weight": (out, channels, *kernel)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name, channels):
    shapes = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def linear(name, out, channels):
    return {f"{name}.weight": (out, channels), f"{name}.bias": (out,)}


def parameters(shapes):
    return sum(torch.Size(shape).numel() for name, shape in shapes.items() if not name.endswith(STATISTICS))


def vgg16(classes=1000):
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    channels = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    names = {}
    for number, before, after in zip(numbers, channels[:-1], channels[1:], strict=True):
        names |= conv(f"features.{number}", after, before, 3, bias=True)
    names |= linear("classifier.0", 4096, 512 * 7 * 7) | linear("classifier.3", 4096, 4096)
    return names | linear("classifier.6", classes, 4096)


def vgg16_of_timm():
    names = {name: shape for name, shape in vgg16().items() if name.startswith("features")}
    names |= conv("pre_logits.fc1", 4096, 512, 7, bias=True) | conv("pre_logits.fc2", 4096, 4096, 1, bias=True)
    return names | linear("head.fc", 1000, 4096)


def resnet50(classes=1000, squeeze=None):
    names = conv("conv1", 64, 3, 7) | norm("bn1", 64)
    before = 64
    for stage, (blocks, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            name, outer = f"layer{stage}.{block}", 4 * inner
            names |= conv(f"{name}.conv1", inner, before, 1) | norm(f"{name}.bn1", inner)
            names |= conv(f"{name}.conv2", inner, inner, 3) | norm(f"{name}.bn2", inner)
            names |= conv(f"{name}.conv3", outer, inner, 1) | norm(f"{name}.bn3", outer)
            if squeeze:
                names |= conv(f"{name}.{squeeze}.fc1", outer // 16, outer, 1, bias=True)
                names |= conv(f"{name}.{squeeze}.fc2", outer, outer // 16, 1, bias=True)
            if block == 0:
                names |= conv(f"{name}.downsample.0", outer, before, 1) | norm(f"{name}.downsample.1", outer)
            before = outer
    return names | linear("fc", classes, 2048)


def seresnet50(classes=1000):
    return resnet50(classes, squeeze="se")


def legacy_seresnet50():
    """Of timm and Cadene's pretrainedmodels."""
    names = {}
    for name, shape in resnet50(squeeze="se_module").items():
        theirs = f"layer0.{name}" if name.startswith(("conv1.", "bn1.")) else name.replace("fc.", "last_linear.", 1)
        names[name if ".se_module." in name else theirs] = shape
    return names


def _units(units):
    names = {}
    for name, out, channels, kernel in units:
        names |= conv(f"{name}.conv", out, channels, kernel) | norm(f"{name}.bn", out)
    return names


def _inception_a(name, channels, pooled):
    return _units(
        (
            (f"{name}.branch1x1", 64, channels, 1),
            (f"{name}.branch5x5_1", 48, channels, 1),
            (f"{name}.branch5x5_2", 64, 48, 5),
            (f"{name}.branch3x3dbl_1", 64, channels, 1),
            (f"{name}.branch3x3dbl_2", 96, 64, 3),
            (f"{name}.branch3x3dbl_3", 96, 96, 3),
            (f"{name}.branch_pool", pooled, channels, 1),
        )
    )


def _inception_c(name, inner):
    across, down = (1, 7), (7, 1)
    return _units(
        (
            (f"{name}.branch1x1", 192, 768, 1),
            (f"{name}.branch7x7_1", inner, 768, 1),
            (f"{name}.branch7x7_2", inner, inner, across),
            (f"{name}.branch7x7_3", 192, inner, down),
            (f"{name}.branch7x7dbl_1", inner, 768, 1),
            (f"{name}.branch7x7dbl_2", inner, inner, down),
            (f"{name}.branch7x7dbl_3", inner, inner, across),
            (f"{name}.branch7x7dbl_4", inner, inner, down),
            (f"{name}.branch7x7dbl_5", 192, inner, across),
            (f"{name}.branch_pool", 192, 768, 1),
        )
    )


def _inception_e(name, channels):
    return _units(
        (
            (f"{name}.branch1x1", 320, channels, 1),
            (f"{name}.branch3x3_1", 384, channels, 1),
            (f"{name}.branch3x3_2a", 384, 384, (1, 3)),
            (f"{name}.branch3x3_2b", 384, 384, (3, 1)),
            (f"{name}.branch3x3dbl_1", 448, channels, 1),
            (f"{name}.branch3x3dbl_2", 384, 448, 3),
            (f"{name}.branch3x3dbl_3a", 384, 384, (1, 3)),
            (f"{name}.branch3x3dbl_3b", 384, 384, (3, 1)),
            (f"{name}.branch_pool", 192, channels, 1),
        )
    )


def inception_v3(classes=1000):
    names = _units(
        (
            ("Conv2d_1a_3x3", 32, 3, 3),
            ("Conv2d_2a_3x3", 32, 32, 3),
            ("Conv2d_2b_3x3", 64, 32, 3),
            ("Conv2d_3b_1x1", 80, 64, 1),
            ("Conv2d_4a_3x3", 192, 80, 3),
        )
    )
    names |= _inception_a("Mixed_5b", 192, 32) | _inception_a("Mixed_5c", 256, 64) | _inception_a("Mixed_5d", 288, 64)
    names |= _units(
        (
            ("Mixed_6a.branch3x3", 384, 288, 3),
            ("Mixed_6a.branch3x3dbl_1", 64, 288, 1),
            ("Mixed_6a.branch3x3dbl_2", 96, 64, 3),
            ("Mixed_6a.branch3x3dbl_3", 96, 96, 3),
        )
    )
    for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        names |= _inception_c(name, inner)
    names |= _units((("AuxLogits.conv0", 128, 768, 1), ("AuxLogits.conv1", 768, 128, 5)))
    names |= linear("AuxLogits.fc", classes, 768)
    names |= _units(
        (
            ("Mixed_7a.branch3x3_1", 192, 768, 1),
            ("Mixed_7a.branch3x3_2", 320, 192, 3),
            ("Mixed_7a.branch7x7x3_1", 192, 768, 1),
            ("Mixed_7a.branch7x7x3_2", 192, 192, (1, 7)),
            ("Mixed_7a.branch7x7x3_3", 192, 192, (7, 1)),
            ("Mixed_7a.branch7x7x3_4", 192, 192, 3),
        )
    )
    names |= _inception_e("Mixed_7b", 1280) | _inception_e("Mixed_7c", 2048)
    return names | linear("fc", classes, 2048)


def mobilenetv1_100(classes=1000):
    names, before = conv("conv_stem", 32, 3, 3) | norm("bn1", 32), 32
    for stage, (blocks, out) in enumerate(((1, 64), (2, 128), (2, 256), (6, 512), (2, 1024))):
        for block in range(blocks):
            name = f"blocks.{stage}.{block}"
            names |= conv(f"{name}.conv_dw", before, 1, 3) | norm(f"{name}.bn1", before)
            names |= conv(f"{name}.conv_pw", out, before, 1) | norm(f"{name}.bn2", out)
            before = out
    return names | linear("classifier", classes, 1024)


def tf_efficientnet_lite0(classes=1000):
    names = conv("conv_stem", 32, 3, 3) | norm("bn1", 32)
    names |= conv("blocks.0.0.conv_dw", 32, 1, 3) | norm("blocks.0.0.bn1", 32)
    names |= conv("blocks.0.0.conv_pw", 16, 32, 1) | norm("blocks.0.0.bn2", 16)
    before = 16
    rows = ((2, 3, 24), (2, 5, 40), (3, 3, 80), (3, 5, 112), (4, 5, 192), (1, 3, 320))
    for stage, (blocks, kernel, out) in enumerate(rows, 1):
        for block in range(blocks):
            name, inner = f"blocks.{stage}.{block}", 6 * before
            names |= conv(f"{name}.conv_pw", inner, before, 1) | norm(f"{name}.bn1", inner)
            names |= conv(f"{name}.conv_dw", inner, 1, kernel) | norm(f"{name}.bn2", inner)
            names |= conv(f"{name}.conv_pwl", out, inner, 1) | norm(f"{name}.bn3", out)
            before = out
    names |= conv("conv_head", 1280, 320, 1) | norm("bn2", 1280)
    return names | linear("classifier", classes, 1280)


def fabricated(shapes):
    """Tensors of these shapes, each filled with its own number, in a byte or two of storage each."""
    return {name: torch.tensor(float(number)).expand(shape) for number, (name, shape) in enumerate(shapes.items(), 1)}
