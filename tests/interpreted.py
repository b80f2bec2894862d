"""Triton's interpreter, made quick enough for tests.

It patches the language anew for each call of a function from within a kernel, which takes milliseconds; once for a
launch and a module is enough.
"""

from __future__ import annotations

from triton.runtime import interpreter

__all__ = ["patch_once_a_launch"]


def patch_once_a_launch():
    """Make calls within a kernel cheap."""
    ready = set()
    launch = interpreter.GridExecutor.__call__

    def launched(self, *args, **kwargs):
        ready.clear()
        ready.add(id(self.fn.__globals__))
        return launch(self, *args, **kwargs)

    def called(self, *args, **kwargs):
        module = id(self.fn.__globals__)
        if module not in ready:
            interpreter._patch_lang(self.fn)
            ready.add(module)
        return self.rewrite()(*args, **kwargs)

    interpreter.GridExecutor.__call__ = launched
    interpreter.InterpretedFunction.__call__ = called
