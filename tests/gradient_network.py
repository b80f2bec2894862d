"""A network for gradient maps: convolutions on both sides of the features, and what may go wrong there."""

import torch
from torch import Tensor, nn

import fastcam

IMAGES = torch.rand(3, 3, 24, 36, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[1, 4, 0], [0, 2, 2], [3, 3, 1]])
CELL, K = 4, 5


class Net(nn.Module):
    """Convolutions on both sides of the features, batch norm, dropout, ReLU in place and a hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 6, CELL, CELL), nn.BatchNorm2d(6))
        self.act = nn.ReLU(inplace=True)
        self.tail = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.ReLU(True))
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, K))
        for norm in (self.body[1], self.tail[1]):
            nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            nn.init.uniform_(norm.running_var, 0.5, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.run_tail(self.act(self.body(images))).mean((2, 3)))  # type: ignore[no-any-return]

    def run_tail(self, features: Tensor) -> Tensor:
        return self.tail(features)  # type: ignore[no-any-return]


def model() -> Net:
    return Net().eval()


def found(net: nn.Module, images: Tensor = IMAGES, method: str = "grad-cam", labels: Tensor = LABELS, **options):
    # Named before the layer that writes into them: the features are what it wrote.
    return fastcam.Localizer(net, "body", cam=method, **options).extract(images, labels)
