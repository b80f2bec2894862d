"""A box covers the same pixels in every tool: each result is read back by its own reader and filled by its rule."""

import io
import json
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from known_boxes import FILES, NAMES, every, found_in, four, pixels_of, random_boxes
from libraries import library

import fastcam

SIZE = (37, 53)
BOXES = random_boxes()
PIXELS = pixels_of(BOXES)
PATHS = [f"{i}.png" for i in range(len(BOXES))]


@pytest.fixture(params=["largest", "all"])
def found(request):
    return found_in(PIXELS) if request.param == "largest" else every(PIXELS)


def covers(boxes):
    """Pixels whose centres lie inside edges x0, y0, x1, y1."""
    y, x = np.arange(SIZE[0])[:, None] + 0.5, np.arange(SIZE[1]) + 0.5
    x0, y0, x1, y1 = (np.asarray(boxes, float).reshape(-1, 4)[:, i, None, None] for i in range(4))
    return (x0 < x) & (x < x1) & (y0 < y) & (y < y1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools' own lines
def test_coco_by_pycocotools(found, tmp_path):
    coco, masks = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.mask")
    images = [{"id": i, "height": SIZE[0], "width": SIZE[1], "file_name": name} for i, name in enumerate(PATHS)]
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"info": {}, "images": images, "categories": categories, "annotations": []}))
    (tmp_path / "found.json").write_text(json.dumps(found.to_coco()))
    data = coco.COCO(str(truth)).loadRes(str(tmp_path / "found.json"))
    entries = [data.imgToAnns[i] for i in range(len(BOXES))]
    assert [len(one) for one in entries] == [1] * len(BOXES)
    filled = [masks.decode(data.annToRLE(one)).astype(bool) for (one,) in entries]
    np.testing.assert_array_equal(filled, PIXELS)


def test_supervision_by_its_own_masks(found):
    supervision = library("supervision")
    detections = found.to_supervision(NAMES)
    assert all(isinstance(one, supervision.Detections) for one in detections)
    height, width = SIZE
    filled = [
        supervision.xyxy_to_mask(one.xyxy, (width, height), coordinate_convention="exclusive") for one in detections
    ]
    np.testing.assert_array_equal(np.concatenate(filled), PIXELS)
    np.testing.assert_array_equal([one.area[0] for one in detections], PIXELS.sum((1, 2)))
    assert [one["class_name"].tolist() for one in detections] == [[NAMES[i % 3]] for i in range(len(BOXES))]
    assert [one.class_id.tolist() for one in detections] == [[i % 3] for i in range(len(BOXES))]


def test_voc_and_yolo_by_supervisions_data_sets(found, tmp_path):
    supervision = library("supervision")
    image = pytest.importorskip("PIL.Image")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in PATHS:
        image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(pictures / name)
    (tmp_path / "data.yaml").write_text(f"names: {list(NAMES)}\nnc: 3\n")
    found.to_voc(tmp_path / "voc", files=PATHS, names=NAMES)
    found.to_yolo(tmp_path / "yolo", files=PATHS)
    voc = supervision.DetectionDataset.from_pascal_voc(str(pictures), str(tmp_path / "voc"))
    yolo = supervision.DetectionDataset.from_yolo(str(pictures), str(tmp_path / "yolo"), str(tmp_path / "data.yaml"))
    for data in (voc, yolo):
        of_file = {path.rsplit("/", 1)[-1]: one for path, one in data.annotations.items()}
        filled = [pixels_of(of_file[name].xyxy.round()) for name in PATHS]
        np.testing.assert_array_equal(np.concatenate(filled), PIXELS)
        read = [data.classes[int(of_file[name].class_id[0])] for name in PATHS]
        assert read == [NAMES[i % 3] for i in range(len(BOXES))]


def test_bounding_boxes_of_torchvision(found):
    torchvision = library("torchvision")
    from torchvision.transforms.v2 import functional

    tv = torchvision.tv_tensors
    for one, box in zip(found.to_tv_tensors(), BOXES, strict=True):
        boxes = one["boxes"]
        assert isinstance(boxes, tv.BoundingBoxes)
        assert (boxes.format, boxes.canvas_size) == (tv.BoundingBoxFormat.XYXY, SIZE)
        wide = functional.convert_bounding_box_format(boxes, new_format=tv.BoundingBoxFormat.XYWH)
        assert wide.tolist() == [[box[0], box[1], box[2] - box[0], box[3] - box[1]]]
        mirrored = functional.horizontal_flip(boxes)
        np.testing.assert_array_equal(covers(mirrored), pixels_of(box)[:, :, ::-1])
        assert list(one) == ["boxes", "labels", "scores"]


def test_lines_of_yolo_by_ultralytics_rule(found, tmp_path):
    """Its conversion xywhn2xyxy by hand, and what it asks of a label file: five columns, fractions, no box twice."""
    for path, box in zip(found.to_yolo(tmp_path, files=PATHS), BOXES, strict=True):
        table = np.loadtxt(path, ndmin=2)
        assert table.shape == (1, 5)
        assert (table >= 0).all()
        assert (table[:, 1:] <= 1).all()
        _, x, y, w, h = table[0]
        edges = [SIZE[1] * (x - w / 2), SIZE[0] * (y - h / 2), SIZE[1] * (x + w / 2), SIZE[0] * (y + h / 2)]
        np.testing.assert_allclose(edges, box, atol=1e-6)
        np.testing.assert_array_equal(covers(edges), pixels_of(box))


def test_voc_counts_pixels_from_one_and_the_last_is_inside(found, tmp_path):
    for path, box, pixels in zip(found.to_voc(tmp_path, files=PATHS, names=NAMES), BOXES, PIXELS, strict=True):
        (one,) = ElementTree.parse(path).findall("object/bndbox")
        x0, y0, x1, y1 = (int(one.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax"))
        assert [x0, y0, x1, y1] == [box[0] + 1, box[1] + 1, box[2], box[3]]
        filled = np.zeros(SIZE, bool)
        filled[y0 - 1 : y1, x0 - 1 : x1] = True  # the development kit's indices, of MATLAB
        np.testing.assert_array_equal(filled, pixels)


def test_voc_is_what_its_schema_says(tmp_path):
    etree = pytest.importorskip("lxml.etree")
    texts = "folder filename database width height depth segmented name pose truncated difficult xmin ymin xmax ymax"
    holders = {
        "annotation": "folder, filename, source, size, segmented, object*",
        "source": "database",
        "size": "width, height, depth",
        "object": "name, pose, truncated, difficult, bndbox",
        "bndbox": "xmin, ymin, xmax, ymax",
    }
    elements = holders | dict.fromkeys(texts.split(), "#PCDATA")
    schema = etree.DTD(io.StringIO("".join(f"<!ELEMENT {name} ({holds})>" for name, holds in elements.items())))
    paths = four().to_voc(tmp_path, files=FILES, names=NAMES)
    for path in paths:
        schema.assertValid(etree.parse(path))
    texts = [etree.parse(path) for path in paths]
    assert [one.findtext("filename") for one in texts] == ["a.jpg", "b.png", "c.png", "d.png"]
    assert [one.findtext("folder") for one in texts] == ["", "", "below", ""]
    assert [one.findtext("size/width") for one in texts] == ["30"] * 4
    assert [len(one.findall("object")) for one in texts] == [1, 0, 1, 1]


def test_voc_by_torchvisions_reader(tmp_path):
    torchvision = library("torchvision")
    (path, *_) = four().to_voc(tmp_path, files=FILES, names=NAMES)
    read = torchvision.datasets.VOCDetection.parse_voc_xml(ElementTree.parse(path).getroot())["annotation"]
    assert read["size"] == {"width": "30", "height": "20", "depth": "3"}
    assert read["object"][0]["bndbox"] == {"xmin": "5", "ymin": "3", "xmax": "11", "ymax": "9"}


def test_fiftyone_by_a_stand_in_of_its_classes(found, monkeypatch):
    """FiftyOne needs a database: its two classes take their fields by keyword, and so do these in their place."""
    stand_in = SimpleNamespace(Detection=SimpleNamespace, Detections=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "fiftyone", stand_in)
    for i, (one, pixels) in enumerate(zip(found.to_fiftyone(NAMES), PIXELS, strict=True)):
        (detection,) = one.detections
        x, y, w, h = detection.bounding_box
        height, width = SIZE
        np.testing.assert_array_equal(covers([x * width, y * height, (x + w) * width, (y + h) * height])[0], pixels)
        assert detection.label == NAMES[i % 3]
        assert 0 <= detection.confidence <= 1


def test_with_several_boxes_an_image_all_are_there(tmp_path):
    maps = torch.zeros(2, 12, 16)
    maps[0, 1:4, 2:6], maps[0, 6:12, 10:16], maps[1, 0:2, 0:3] = 1.0, 0.8, 0.5
    found = every(maps, threshold=0.3)
    first, second = found.to_yolo(tmp_path / "yolo", files=["a.png", "b.png"], scores=True)
    assert [line.split()[0] for line in first.read_text().splitlines()] == ["0", "0"]
    assert [float(line.split()[5]) for line in first.read_text().splitlines()] == pytest.approx([0.8, 1])
    assert second.read_text().split() == ["1", "0.09375", f"{1 / 12:.9g}", "0.1875", f"{1 / 6:.9g}", "0.5"]
    (path, _) = found.to_voc(tmp_path / "voc", files=["a.png", "b.png"], names=NAMES)
    corners = [[int(value.text) for value in box] for box in ElementTree.parse(path).iter("bndbox")]
    assert corners == [[11, 7, 16, 12], [3, 2, 6, 4]]


def test_each_image_has_its_own_size(tmp_path):
    features = torch.rand(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    weight = torch.rand(2, 4, generator=torch.Generator().manual_seed(1))
    sizes = [(40, 60), (100, 30), (40, 60)]
    for keep in ("largest", "all"):
        protocol = fastcam.PAPER.replace(keep=keep)
        found = fastcam.localize(features, weight, [0, 1, 0], size=sizes, protocol=protocol)
        again = fastcam.Localization.cat([found[:1], found[1], found[[2]]])
        for result in (found, again):
            assert result.sizes == sizes
            paths = result.to_voc(tmp_path, files=["a.png", "b.png", "c.png"], names=NAMES)
            read = [ElementTree.parse(path) for path in paths]
            assert [(int(one.findtext("size/height")), int(one.findtext("size/width"))) for one in read] == sizes
            (last, *_) = read[1].iter("bndbox")
            assert int(last.findtext("xmax")) == found[1].image_boxes()[0].boxes[0, 2]
        assert found[::-1].sizes == sizes[::-1]
        assert found[1].sizes == [(100, 30)]
        assert [one["boxes"].canvas_size for one in _tv(found)] == sizes


def _tv(found):
    library("torchvision")
    return found.to_tv_tensors()
