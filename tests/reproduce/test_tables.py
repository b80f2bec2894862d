from fastcam import AUTHORS, PAPER, VANILLA
from fastcam.reproduce.table import Training
from fastcam.reproduce.tables import TABLE_3

GAP, TAP = Training.of(pooling="gap"), Training.of(pooling="tap")


def test_rows_are_the_papers():
    for rows in TABLE_3.families.values():
        assert [tuple(row.techniques.values()) for row in rows] == [
            (False, False, False),
            (True, False, False),
            (False, True, False),
            (False, False, True),
            (True, True, False),
            (True, False, True),
            (False, True, True),
            (True, True, True),
        ]
        assert rows[0].name == "baseline"
        assert rows[-1].name == "TAP + NWC + PaS"
        for row in rows:
            assert list(row.techniques) == ["tap", "nwc", "pas"]
            assert row.training == (TAP if row.techniques["tap"] else GAP)
            assert row.protocol.clamp_negative == row.techniques["nwc"]


def test_the_ends_are_the_named_protocols():
    paper, authors = TABLE_3.families.values()
    assert paper[0].protocol == VANILLA
    assert paper[-1].protocol == PAPER
    assert authors[-1].protocol == AUTHORS
    assert authors[3].protocol == AUTHORS.replace(clamp_negative=False)


def test_two_trainings_serve_all_rows():
    assert TABLE_3.trainings == (GAP, TAP)
    assert [training.name for training in TABLE_3.trainings] == ["gap", "tap"]
