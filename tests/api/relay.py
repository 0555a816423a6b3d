"""A relay of its own for a run: a free port of this computer, a throw-away folder, rates that the run does not reach.

The limits themselves are tested in crates/relay; here nothing is to be refused for being often.
"""

import os
import subprocess
import tempfile

IN_TOTAL = ["registration", "token", "lookup", "stranger", "claim"]
RATES = ["address", "key-packages", "account", "chain", *IN_TOTAL, *(f"{rate}-total" for rate in IN_TOTAL)]
RATE = "1000000"


class Relay:
    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory(prefix="waxwing-api.")
        flags = [word for rate in RATES for word in (f"--rate-{rate}", RATE)]
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0", "--data", os.path.join(self.folder.name, "data"), *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        # waxwing-relay VERSION listening on URL
        line = self.process.stdout.readline()
        self.url = line.split()[-1] if line else None
        if self.url is None:
            self.stop()
            raise RuntimeError(f"the relay did not start: {self.said()}")

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """Ends it in order. Whether it did."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout=30) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
