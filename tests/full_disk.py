"""A disk that fails at the k-th step of writing: what a file-like cannot show, for it is below ``open``."""

import builtins
import errno
import io
import os


class FullDisk:
    """Counts the steps that write to files below a folder, and fails at one of them and at all after it.

    Args:
        monkeypatch: undoes it.
        folder: files elsewhere are left alone.
        step: the first that fails, from 1; 0: none.
        error: what it fails with.
    """

    def __init__(self, monkeypatch, folder, step, error=errno.ENOSPC):
        self.steps, self._step, self._error = 0, step, error
        self._folder = os.path.realpath(folder) + os.sep
        real_open = builtins.open

        def opened(file, mode="r", *arguments, **options):
            if not self._inside(file) or not set(mode) & set("wxa+"):
                return real_open(file, mode, *arguments, **options)
            self.take()
            return _Counted(real_open(file, mode, *arguments, **options), self)

        monkeypatch.setattr(builtins, "open", opened)
        monkeypatch.setattr(io, "open", opened)
        for name in ("replace", "mkdir", "link", "rename"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))
        real_sync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda file: (self.take(), real_sync(file))[1])

    def take(self):
        self.steps += 1
        if self._step and self.steps >= self._step:
            raise OSError(self._error, os.strerror(self._error))

    def _inside(self, path):
        return isinstance(path, (str, bytes, os.PathLike)) and os.path.realpath(os.fsdecode(path)).startswith(
            self._folder
        )

    def _counted(self, real):
        def call(path, *arguments, **options):
            if self._inside(path):
                self.take()
            return real(path, *arguments, **options)

        return call


class _Counted:
    """A file every write of which is a step."""

    def __init__(self, file, disk):
        self._file, self._disk = file, disk

    def write(self, data):
        self._disk.take()
        return self._file.write(data)

    def flush(self):
        self._disk.take()
        self._file.flush()

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
