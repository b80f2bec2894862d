"""Lightning logs the metrics as they are, and keeps what they counted in its checkpoints."""

from __future__ import annotations

import pytest
import torch
from every_metric import ONE, SEVERAL, batch, counted
from torchmetrics import MetricCollection

lightning = pytest.importorskip("pytorch_lightning", reason="Lightning is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")


class Evaluating(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.alone = torch.nn.ModuleDict({name: make() for name, make in ONE.items()})
        self.together = MetricCollection({name: make() for name, make in ONE.items()}, prefix="together/")
        self.several = torch.nn.ModuleDict({name: make() for name, (make, _, _) in SEVERAL.items()})

    def training_step(self, *_):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def validation_step(self, given):
        for name, metric in self.alone.items():
            metric.update(**metric._filter_kwargs(**given))
            self.log(name, metric, batch_size=4)
        self.together.update(**given)
        self.log_dict(self.together, batch_size=4)
        for metric in self.several.values():
            metric.update(**metric._filter_kwargs(**given))

    def on_validation_epoch_end(self):
        for name, metric in self.several.items():
            self.log_dict({f"{name}/{key}": value for key, value in metric.compute().items()})
            metric.reset()


def test_what_is_logged_is_what_they_compute(tmp_path):
    batches = [batch(4, 0), batch(4, 1)]
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = torch.utils.data.DataLoader(batches, batch_size=None)
    trainer.fit(Evaluating(), loader, loader)
    for name, make in ONE.items():
        wanted = counted(make(), *batches).compute().item()
        for logged in (name, f"together/{name}"):
            assert trainer.callback_metrics[logged].item() == pytest.approx(wanted, abs=1e-6)
    for name, (make, _, _) in SEVERAL.items():
        for key, value in counted(make(), *batches).compute().items():
            assert trainer.callback_metrics[f"{name}/{key}"].item() == pytest.approx(value.item(), abs=1e-6)
    saved = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)["state_dict"]
    Evaluating().load_state_dict(saved)
    saved["alone.known.settings_json"] = ONE["top_k"]().settings_json
    with pytest.raises(RuntimeError, match=r"GTKnownLoc alone.known: k is unknown here and 3 in the state"):
        Evaluating().load_state_dict(saved)
