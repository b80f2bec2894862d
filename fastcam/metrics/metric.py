"""What the metrics are made from: torchmetrics, settings as part of the state, and sums that survive a checkpoint."""

from __future__ import annotations

import json
import warnings
from typing import Any

import torch
from torch import Tensor

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import rank_zero_warn
except ModuleNotFoundError as error:
    if error.name != "torchmetrics":
        raise
    raise ImportError("fastcam.metrics needs torchmetrics: pip install 'fastcam[metrics]'") from error
# RuntimeError: of a torchvision without its operators, which torchmetrics imports where it is there.
except (ImportError, RuntimeError) as error:
    raise ImportError(f"fastcam.metrics needs torchmetrics, which cannot be imported: {error}") from error

__all__ = ["RecordingMetric", "SumMetric"]

_SETTINGS = "settings_json"


class RecordingMetric(Metric):
    """A metric whose settings are one of its states: UTF-8 bytes of JSON, ``settings_json``.

    ``torchmetrics.MetricCollection`` takes metrics of equal states for one and the same. With this state only metrics
    that count alike are equal: their ``update`` is the same and so are their settings. Loading a ``state_dict``,
    merging and adding over processes compare the settings as well.
    """

    settings_json: Tensor

    def record_settings(self, **settings: object) -> None:
        """Make settings, which JSON can hold, part of the state; a subclass may add its own."""
        counted_by = next(kind for kind in type(self).__mro__ if "update" in vars(kind))
        record = {
            "counted_by": f"{counted_by.__module__}.{counted_by.__qualname__}",
            "settings": {**(self.settings if hasattr(self, _SETTINGS) else {}), **settings},
        }
        state = torch.tensor(list(json.dumps(record).encode()), dtype=torch.uint8)
        self.add_state(_SETTINGS, state, dist_reduce_fx=_agreed, persistent=True)

    @property
    def settings(self) -> dict[str, Any]:
        """What the counts depend on, by name."""
        return _read(self.settings_json)

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Count a batch and return the value of that batch alone; a batch that is refused changes nothing."""
        # torchmetrics resets the metric while it works on the batch, and would leave it so after an error.
        before = {**self.__dict__, **self._copy_state_dict()}
        try:
            return super().forward(*args, **kwargs)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the counts of another metric, or of its ``metric_state``, to these.

        Raises:
            ValueError: a metric of another class or other settings.
        """
        given = incoming_state.metric_state if isinstance(incoming_state, Metric) else incoming_state
        if isinstance(given, dict) and _SETTINGS in given:
            different = _differences(self.settings, given[_SETTINGS], "the metric to be merged")
            if different:
                raise ValueError(f"{type(self).__name__} cannot be merged: {'; '.join(different)}")
        elif isinstance(given, dict):
            incoming_state = {**given, _SETTINGS: self.settings_json}
        super().merge_state(incoming_state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:  # noqa: ANN401
        error_msgs: list[str] = args[-1]
        mine = [name for name in self._defaults if prefix + name in state_dict]
        recorded = state_dict.pop(prefix + _SETTINGS, None)
        problems = [] if recorded is None else _differences(self.settings, recorded, "the state")
        if mine and recorded is None:
            warnings.warn(
                f"the state of {type(self).__name__} does not say with what settings it was counted (older versions "
                f"did not record them); it is taken to be {self.settings}",
                stacklevel=2,
            )
        loaded: dict[str, Any] = {}
        for name in mine:
            if name != _SETTINGS:
                value, present = state_dict.pop(prefix + name), getattr(self, name)
                loaded[name] = _like(value, present)
                if isinstance(present, Tensor) and (not isinstance(value, Tensor) or value.shape != present.shape):
                    problems += (
                        [] if problems else [f"{name} is {_shape(present)} here and {_shape(value)} in the state"]
                    )
        if problems:
            error_msgs.extend(f"{type(self).__name__} {prefix.rstrip('.')}: {problem}" for problem in problems)
        else:
            for name, value in loaded.items():
                setattr(self, name, value)
            if loaded:
                self._computed = None
        super()._load_from_state_dict(state_dict, prefix, *args)


class SumMetric(RecordingMetric):
    """A metric whose counts are int64 sums: exact, of fixed size, added over processes, and part of ``state_dict``."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def add_sum(self, name: str, *shape: int) -> None:
        """Add a state of zeros."""
        self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum", persistent=True)

    def warn_of_nan(self, why: str) -> None:
        """Say why a number that was asked for is none: once, and not in every process."""
        rank_zero_warn(f"{type(self).__name__} {why}: returning NaN", UserWarning)

    def warn_of_no_objects(self, counted: Tensor, left_out: Tensor) -> None:
        """Say so where images were seen, and all were left out for want of an object pixel."""
        if not int(counted) and int(left_out):
            self.warn_of_nan("has seen no image with an object pixel")

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:  # noqa: ANN401
        """Draw a value, or several as a line over the steps, with matplotlib.

        Args:
            val: what ``compute`` or ``forward`` gave, or a list of such; by default what ``compute`` gives now.
            ax: the axes to draw on; by default those of a new figure.

        Returns:
            The figure (None where ``ax`` is given) and the axes.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        figure, axes = self._plot(val, ax)
        return figure, axes


def _read(recorded: Tensor) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(bytes(recorded.to("cpu", torch.uint8).tolist()))["settings"]
    return settings


def _agreed(recorded: Tensor) -> Tensor:
    """Reduce the settings of several processes, which must be the same."""
    if bool((recorded != recorded[0]).any()):
        raise ValueError(f"metrics of different settings cannot be added: {[_read(one) for one in recorded]}")
    return recorded[0]


def _differences(here: dict[str, Any], recorded: Any, there: str) -> list[str]:  # noqa: ANN401
    """Say of each setting that differs what it is here and there."""
    try:
        other = _read(recorded)
        names = [*here, *(name for name in other if name not in here)]
    except (AttributeError, TypeError, ValueError, KeyError):
        return [f"the settings of {there} cannot be read"]
    unknown = object()

    def said(settings: dict[str, Any], name: str) -> str:
        return repr(settings[name]) if name in settings else "unknown"

    return [
        f"{name} is {said(here, name)} here and {said(other, name)} in {there}"
        for name in names
        if here.get(name, unknown) != other.get(name, unknown)
    ]


def _like(value: Any, present: Any) -> Any:  # noqa: ANN401
    """Copy a loaded state to where the present one is: what was loaded stays as it is when the metric counts on."""
    if isinstance(value, Tensor) and isinstance(present, Tensor):
        return value.detach().to(present.device, present.dtype, copy=True)
    if isinstance(value, list):
        return [one.detach().clone() if isinstance(one, Tensor) else one for one in value]
    return value


def _shape(value: Any) -> str:  # noqa: ANN401
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
