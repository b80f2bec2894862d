"""Little data sets in the layouts of the real ones, written into a folder."""

import numpy as np
from PIL import Image


def picture(path, size=(48, 64), colour="grey"):
    """Save a picture of size (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), colour).save(path)
    return path


def write(root, **files):
    """Write text files: names with two underscores for the dot, lists of lines."""
    root.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (root / name.replace("__", ".")).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def cub(root, count=6, size=(48, 64), boxes=None):
    """Write CUB-200-2011's layout: two classes, pictures 1, 2 train and so on: every third is for testing."""
    names = [f"{1 + i % 2:03}.{('Auk', 'Wren')[i % 2]}/{i}.png" for i in range(count)]
    for name in names:
        picture(root / "images" / name, size)
    numbers = range(1, count + 1)
    boxes = boxes or [f"{4.0 + i} {3.0 + i} {20.0 + i} {30.0}" for i in range(count)]
    return write(
        root,
        images__txt=[f"{number} {name}" for number, name in zip(numbers, names, strict=True)],
        image_class_labels__txt=[f"{number} {1 + i % 2}" for i, number in enumerate(numbers)],
        train_test_split__txt=[f"{number} {int(i % 3 != 2)}" for i, number in enumerate(numbers)],
        bounding_boxes__txt=[f"{number} {box}" for number, box in zip(numbers, boxes, strict=True)],
        classes__txt=["1 001.Auk", "2 002.Wren"],
    )


def metadata(root, images, sizes=True):
    """Write a metadata folder of images: id to (label, (width, height), boxes or masks as text)."""
    return write(
        root,
        image_ids__txt=list(images),
        class_labels__txt=[f"{name},{label}" for name, (label, _, _) in images.items()],
        image_sizes__txt=[f"{name},{w},{h}" for name, (_, (w, h), _) in images.items()] if sizes else [],
        localization__txt=[f"{name},{part}" for name, (_, _, parts) in images.items() for part in parts],
    )


def mask(path, size, box):
    """Save a mask of size (H, W) that is 255 in a half-open box."""
    pixels = np.zeros(size, np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def annotation(path, size, objects):
    """Save ImageNet's XML for a picture of size (H, W): objects are (wnid, (x0, y0, x1, y1))."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    items = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{corner}>{value}</{corner}>" for corner, value in zip(corners, box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height></size>{items}</annotation>\n"
    )
    return path


def tiny_imagenet(root):
    """Write Tiny-ImageNet's layout: two classes, two training pictures of each, two validation pictures."""
    boxes = {"n02002724": ["3\t4\t20\t30", "0\t0\t63\t63"], "n01443537": ["0\t10\t63\t58", "14\t2\t54\t49"]}
    for wnid, lines in boxes.items():
        for number in range(2):
            picture(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", (64, 64))
        rows = [f"{wnid}_{number}.JPEG\t{line}" for number, line in enumerate(lines)]
        write(root / "train" / wnid, **{f"{wnid}_boxes__txt": rows})
    for number in range(2):
        picture(root / "val" / "images" / f"val_{number}.JPEG", (64, 64))
    val = ["val_0.JPEG\tn01443537\t0\t32\t44\t63", "val_1.JPEG\tn02002724\t52\t55\t57\t59"]
    write(root / "val", val_annotations__txt=val)
    return write(root, wnids__txt=list(boxes), words__txt=["n01443537\tgoldfish", "n02002724\tblack stork"])
