"""Which share of the work is a process's own, and what processes tell each other."""

import os
import signal

import pytest
from several import in_processes

from fastcam.processes import ALONE, ProcessError, Processes, joined, told

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1, 4, 50])
@pytest.mark.parametrize("items", [0, 1, 7, 24])
def test_shares_are_all_and_none_twice(items, size, count):
    shares = [Processes(rank, count).dealt(list(range(items)), size) for rank in range(count)]
    assert sorted(number for share in shares for number in share) == list(range(items))
    runs = [share[start : start + size] for share in shares for start in range(0, len(share), size)]
    assert sorted(runs) == [list(range(items))[start : start + size] for start in range(0, items, size)]


def test_alone():
    assert told() == ALONE
    with joined() as processes:
        assert processes == ALONE
        assert processes.gathered("a") == processes.collected("a") == ["a"]
        processes.wait()
    assert ALONE.device() is None
    assert ALONE.device("cuda") == "cuda"


def exchanging():
    with joined() as processes:
        everyone = processes.gathered([processes.rank, "a" * processes.rank])
        first = processes.collected({"rank": processes.rank})
        processes.wait()
        return everyone, first, processes.device("cpu")


@pytest.mark.parametrize("count", [2, 3])
def test_what_is_gathered_is_in_the_order_of_the_ranks(count, tmp_path):
    found = in_processes(count, tmp_path, exchanging)
    everyone = [[rank, "a" * rank] for rank in range(count)]
    assert found == [
        [everyone, [{"rank": i} for i in range(count)] if not rank else [], "cpu"] for rank in range(count)
    ]


def dying():
    with joined() as processes:
        processes.wait()
        if processes.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        with pytest.raises(ProcessError, match="another process of this run ended before its time"):
            processes.gathered(1)
        return "told"


def test_one_that_is_killed(tmp_path):
    assert in_processes(2, tmp_path, dying, codes=[0, -signal.SIGKILL]) == ["told", None]
