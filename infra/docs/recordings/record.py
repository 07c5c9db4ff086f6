"""Runs commands in a pseudo-terminal and draws what they print: record.py FOLDER_OF_BINARIES FOLDER_OF_PICTURES"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, LINES = 128, 60
# A picture of its own: no font and nothing else comes from another host.
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""

binaries, pictures = Path(sys.argv[1]).resolve(), Path(sys.argv[2])


class Terminal:
    """A command in a pseudo-terminal, whose output is kept."""

    def __init__(self, command, environment):
        self.output = b""
        self.process, self.screen = pty.fork()
        if self.process == 0:
            os.execvpe(command[0], command, environment)
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            try:
                data = os.read(self.screen, 65536)
            except OSError:  # the command has ended
                return
            if not data:
                return
            self.output += data

    def wait_for(self, text, within_s=30):
        """Waits until the text was printed."""
        deadline = time.monotonic() + within_s
        while text.encode() not in self.output:
            if time.monotonic() > deadline:
                raise SystemExit(f"{text!r} was not printed, only:\n{self.output.decode()}")
            time.sleep(0.05)

    def end(self, with_signal=None):
        """Waits for the end of the command, after a signal if there is one. Returns what it has printed."""
        if with_signal:
            os.kill(self.process, with_signal)
        os.waitpid(self.process, 0)
        time.sleep(0.2)
        return self.output.decode()


def draw(name, command, printed):
    """Draws a command and its output."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), color_system="standard", force_terminal=True)
    console.print(Text.from_ansi(f"\x1b[1m$ {command}\x1b[0m"))
    console.print(Text.from_ansi(printed.replace("\r", "").rstrip("\n")))
    console.save_svg(str(pictures / f"{name}.svg"), title="", theme=MONOKAI, code_format=FORMAT)
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed.replace("\r", ""))
    print(f"$ {command}\n{text}")


class Receiver(BaseHTTPRequestHandler):
    """Answers as `answers` says, and then with 200."""

    answers = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(Receiver.answers.pop(0) if Receiver.answers else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def main():
    folder = tempfile.mkdtemp()
    token = "hl_" + os.urandom(16).hex()
    local = subprocess.Popen(
        [binaries / "local", "--listen", "127.0.0.1:0", "--ephemeral", "--token", token], stdout=subprocess.PIPE, text=True
    )
    url = local.stdout.readline().split()[-1]
    environment = {**os.environ, "HOOKLINE_URL": url, "HOOKLINE_TOKEN": token, "XDG_CONFIG_HOME": folder, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    hookline = str(binaries / "hookline")

    def run(*arguments):
        subprocess.run([hookline, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)

    try:
        draw("demo", "hookline demo", Terminal([hookline, "demo"], environment).end())

        receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        target = f"{receiver.server_port}/webhooks"
        listen = Terminal([hookline, "listen", "--forward-to", target], environment)
        listen.wait_for("signing secret")
        run("trigger", "resource.created")
        listen.wait_for("resource.created")
        Receiver.answers = [500, 500]
        run("trigger", "payment.failed")
        listen.wait_for("attempt 2")
        run("trigger", "user.updated", "--count", "2")
        listen.wait_for("attempt 3")
        time.sleep(3)
        draw("listen", f"hookline listen --forward-to {target}", listen.end(signal.SIGINT))

        run("webhooks", "create", f"http://127.0.0.1:{target}", "--events", "*", "--retry-schedule", "0s,2s")
        tail = Terminal([hookline, "tail", "--last", "0"], environment)
        tail.wait_for("Ctrl-C")
        time.sleep(1.5)
        run("trigger", "resource.created")
        tail.wait_for("delivered")
        Receiver.answers = [503]
        run("trigger", "user.updated")
        tail.wait_for("attempt 2")
        draw("tail", "hookline tail", tail.end(signal.SIGINT))
    finally:
        local.terminate()
        local.wait()


main()
