"""A network whose boxes are known, importable from the working directory: it sees red, green and blue."""

import sys

import pytest

NETWORK = '''
import os, signal
import torch
from torch import nn

class Colours(nn.Module):
    """Features: the colours, averaged over 4x4 pixels. Classes: red, green, blue."""

    def __init__(self):
        super().__init__()
        self.layer4 = nn.AvgPool2d(4)
        self.fc = nn.Linear(3, 3)
        nn.init.eye_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.fc(self.layer4(x).mean((2, 3)))

class Stops(Colours):
    how = None

    def forward(self, x):
        # The first call is the trial run.
        if self.calls == 3:
            self.how()
        return super().forward(x)

class Interrupted(Stops):
    def how(self):
        raise KeyboardInterrupt

class Terminated(Stops):
    def how(self):
        os.kill(os.getpid(), signal.SIGTERM)

class HungUp(Stops):
    def how(self):
        os.kill(os.getpid(), signal.SIGHUP)

class Broken(Stops):
    def how(self):
        raise MemoryError("out of memory")

class Bent(Colours):
    def forward(self, x):
        return super().forward(x).softmax(1)

def nothing():
    return None

ready = Colours()
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with the network's module in it and nothing of it left behind."""
    (tmp_path / "toy_network.py").write_text(NETWORK)
    (tmp_path / "colours.txt").write_text("red\ngreen\nblue\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield tmp_path
    sys.modules.pop("toy_network", None)
