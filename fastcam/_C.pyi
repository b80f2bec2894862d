import numpy as np
import numpy.typing as npt

def largest(
    data: int,
    packed: bool,
    count: int,
    height: int,
    width: int,
    polygon: bool,
    connectivity: int,
    boxes: int,
    areas: int,
    threads: int,
    /,
) -> None: ...
def all(
    data: int, packed: bool, count: int, height: int, width: int, polygon: bool, connectivity: int, threads: int, /
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...
def cores() -> list[str]: ...
def core() -> str: ...
def choose_core(name: str, /) -> None: ...
