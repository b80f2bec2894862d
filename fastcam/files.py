"""Files that are written whole or not at all: :func:`replacing` and :func:`write_whole`."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

__all__ = ["naming", "replacing", "write_whole"]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to be written whole or not at all.

    Whoever reads ``path`` meanwhile, or after a crash, finds the old file or the new one, never half of either.

    Args:
        path: the file to write. Its folder must exist.

    Yields:
        The open binary file.

    Raises:
        OSError: it cannot be written; the message names it.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.txt")
        ...     with replacing(path) as file:
        ...         _ = file.write(b"whole")
        ...     path.read_text()
        'whole'
    """
    target = Path(path)
    hidden = _hidden(target)
    try:
        with naming(target):
            with _synced(hidden) as file:
                yield file
            os.replace(hidden, target)
    except BaseException:
        _remove(hidden)
        raise


def write_whole(contents: Mapping[str | os.PathLike[str], bytes] | Mapping[Path, bytes]) -> None:
    """Write several files that belong together: none takes its place before all are on the disk.

    Args:
        contents: by path. The folders must exist.

    Raises:
        OSError: one cannot be written; the message names it. What was there is there still, unless it is the renaming
            at the end that fails, which leaves each file whole, old or new.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_whole({pathlib.Path(folder, name): name.encode() for name in ("a", "b")})
        ...     sorted(path.read_text() for path in pathlib.Path(folder).iterdir())
        ['a', 'b']
    """
    hidden: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            target = Path(path)
            hidden[target] = _hidden(target)
            with naming(target), _synced(hidden[target]) as file:
                file.write(content)
        for target, written in hidden.items():
            with naming(target):
                os.replace(written, target)
    except BaseException:
        for written in hidden.values():
            _remove(written)
        raise


def _hidden(target: Path) -> Path:
    # Not tempfile: its files are readable by their owner alone, whatever the umask says. The name is short, because
    # the target's own may already be as long as the file system allows.
    return target.with_name(f".{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, which is on the disk when the block ends."""
    with open(path, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def naming(target: Path) -> Iterator[None]:
    """Let an OSError name the file that was to be written, not a hidden one, or none as a full disk's does.

    Example:
        >>> with naming(Path("a.txt")):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
        OSError: [Errno 28] No space left on device: 'a.txt'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


def _remove(hidden: Path) -> None:
    with contextlib.suppress(OSError):
        hidden.unlink(missing_ok=True)
