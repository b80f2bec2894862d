"""Running a function in several processes that know of each other as those of ``torchrun`` do."""

import json
import multiprocessing
import os
import socket

import torch

# Forked, because a new process spends many times the test on imports.
_FORKED = multiprocessing.get_context("fork")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def tell(rank, count, port):
    """Set what torchrun sets."""
    torch.set_num_threads(1)
    told = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    told |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in told.items()})


def _run(rank, count, port, folder, function, arguments):
    tell(rank, count, port)
    value = function(*arguments)
    (folder / f"{rank}.json").write_text(json.dumps(value))


def in_processes(count, folder, function, *arguments, codes=None):
    """Run a function in so many processes; return what it returned in each, through JSON, None of one that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    started = [
        _FORKED.Process(target=_run, args=(rank, count, port, folder, function, arguments)) for rank in range(count)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    try:
        assert [process.exitcode for process in started] == (codes or [0] * count)
    finally:
        for process in started:
            if process.is_alive():
                process.kill()
    files = [folder / f"{rank}.json" for rank in range(count)]
    return [json.loads(file.read_text()) if file.exists() else None for file in files]
