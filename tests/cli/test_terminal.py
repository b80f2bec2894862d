"""What the command shows, and where."""

import os
import subprocess
import sys

import pytest
from command import PLAIN, paint, process, rows


class TestTerminal:
    def test_silent_in_a_pipe(self, here):
        paint(here / "a.png")
        result = process("a.png", cwd=here)
        assert result.returncode == 0
        assert result.stderr == "1 picture localized, results in out\n"
        assert len(result.stdout.splitlines()) == 2

    @pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX")
    def test_a_bar_on_a_terminal(self, here):
        import fcntl
        import pty
        import struct
        import termios

        paint(here / "a.png")
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        command = [
            sys.executable,
            "-c",
            "from fastcam.cli.main import main; main()",
            "localize",
            "a.png",
            "--out",
            "out",
        ]
        child = subprocess.run(
            [*command, "--model", "toy_network:Colours", *PLAIN],
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            cwd=here,
            check=False,
        )
        os.close(theirs)
        shown = b""
        # Reading the end of a pseudo-terminal whose other side is closed is an error on Linux, an empty read elsewhere.
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:
            pass
        os.close(ours)
        assert child.returncode == 0
        assert b"picture/s" in shown

    @pytest.mark.skipif(sys.platform != "linux", reason="file names that are not UTF-8")
    @pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
    def test_names_in_any_bytes(self, here, encoding):
        (here / "in").mkdir()
        for name in ("猫.png".encode(), b"caf\xe9.png"):
            os.replace(paint(here / "x.png"), os.path.join(os.fsencode(here / "in"), name))
        result = process("in", cwd=here, env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
        assert result.returncode == 0, result.stderr
        assert len(rows(here)) == 2
        assert len(os.listdir(here / "out" / "overlays")) == 2
        assert "caf\\udce9.png" in result.stdout

    def test_a_map_that_is_not_the_classifiers_is_said_in_one_line(self, here):
        paint(here / "a.png")
        paint(here / "b.png")
        named = ("--features", "layer4", "--classifier", "fc")
        result = process("a.png", "b.png", "--batch-size", "1", *named, model="toy_network:Bent", cwd=here)
        assert result.returncode == 0
        warned = [line for line in result.stderr.splitlines() if "not that of this classifier" in line]
        assert len(warned) == 1
        assert warned[0].startswith("warning: Localizer(")
