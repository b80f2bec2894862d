"""One run at a time in a folder, and what a run that was killed leaves there: :func:`locked`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fastcam.files import naming

__all__ = ["LOCK", "LockedError", "locked", "remove_leftovers"]

LOCK = ".fastcam.lock"
"""The name of the lock file: JSON with the process id, the host and when the process started."""

_LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.tmp")
_TRIES = 5


class LockedError(RuntimeError):
    """A folder that another run writes to; the message names its process and host."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a lock. A process id is used again some time, together with its start it is not."""

    pid: int
    host: str
    started: str

    @classmethod
    def here(cls) -> _Holder:
        return cls(os.getpid(), socket.gethostname(), _start_of(os.getpid()))

    @classmethod
    def read(cls, path: Path) -> _Holder | None:
        """Who a lock file names; None where it is gone or names no one."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(int(content["pid"]), str(content["host"]), str(content["started"]))
        except (OSError, KeyError, TypeError, ValueError):
            return None

    def gone(self) -> bool:
        """Whether the process is known to have ended; of one on another host nothing is known."""
        return self.host == socket.gethostname() and _start_of(self.pid) != self.started


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, keep other runs out of it, and remove what a run that was killed was writing there.

    The lock of a run that was killed on this host is recognized and taken over.

    Args:
        folder: where results go.

    Raises:
        LockedError: another run writes to it.
        OSError: it cannot be made or written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder, "out")):
        ...     try:
        ...         with locked(Path(folder, "out")):
        ...             pass
        ...     except LockedError as error:
        ...         print(str(error).partition(":")[2].partition(" process")[0])
         another run writes to this folder,
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    _take(path)
    try:
        remove_leftovers(folder)
        yield
    finally:
        path.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden files in which a run that was killed was writing: those of :func:`fastcam.files.replacing`."""
    for left in folder.iterdir():
        if _LEFTOVER.fullmatch(left.name):
            left.unlink(missing_ok=True)


def _take(path: Path) -> None:
    """Make the lock file, which no two processes can."""
    own = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with naming(path):
            own.write_text(json.dumps(asdict(_Holder.here())), encoding="utf-8")
        for _ in range(_TRIES):
            try:
                _link(own, path)
            except FileExistsError:
                holder = _Holder.read(path)
                if holder is not None and not holder.gone():
                    raise LockedError(
                        f"{path.parent}: another run writes to this folder, process {holder.pid} on {holder.host}; "
                        f"choose another folder, or remove {path} if that process is no more"
                    ) from None
                _remove_stale(path, holder)
            else:
                return
        raise LockedError(f"{path.parent}: several runs want this folder at once; choose another")
    finally:
        own.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, which comes into being whole or fails where there is one."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: for a moment the lock is there without its content.
        with open(target, "x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))


def _remove_stale(path: Path, holder: _Holder | None) -> None:
    """Remove a stale lock, but not the one that another process may have put in its place meanwhile."""
    aside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if _Holder.read(aside) != holder:
        with contextlib.suppress(FileExistsError):
            _link(aside, path)
    aside.unlink(missing_ok=True)


def _start_of(pid: int) -> str:
    """When a process started, in the kernel's clock ticks since it booted; empty where there is no such process."""
    try:
        # The name, in brackets, may hold blanks and brackets itself.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        return stat.split()[19]
    except (OSError, IndexError):
        pass
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "running"
