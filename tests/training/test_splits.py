import pytest

from fastcam.training.splits import stratified


def test_every_class_gives_its_share():
    labels = [0] * 30 + [1] * 10 + [2] * 20
    kept, held = stratified(labels, 0.2, seed=0)
    assert sorted(kept + held) == list(range(60))
    assert [sum(labels[i] == k for i in held) for k in range(3)] == [6, 2, 4]
    assert (kept, held) == stratified(labels, 0.2, seed=0)
    assert held != stratified(labels, 0.2, seed=1)[1]


def test_small_classes():
    kept, held = stratified([0, 1, 1, 2, 2, 2], 0.01, seed=0)
    assert [len(kept), len(held)] == [4, 2]
    assert 0 in kept
    kept, held = stratified([0, 1, 1, 2, 2, 2], 0.99, seed=0)
    assert {[0, 1, 1, 2, 2, 2][i] for i in kept} == {0, 1, 2}


def test_nothing_held_out():
    assert stratified([0, 0, 1], 0, seed=0) == ([0, 1, 2], [])


def test_wrong_share():
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\)"):
        stratified([0], 1, seed=0)
