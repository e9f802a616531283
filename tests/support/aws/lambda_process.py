"""A warm Lambda as a process of its own: `python lambda_process.py MODULE.FUNCTION` answers an event a line.

It can be killed in the middle of an invocation, as AWS does at a time-out; the next invocation starts a new one.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[3]
_PATH = os.pathsep.join([str(_ROOT / "lambda"), str(_ROOT)])


class KilledError(Exception):
    """The invocation was cut off: nobody knows how far it got."""


class FailedError(Exception):
    """The handler raised."""


class LambdaProcess:
    """One function with one environment at most at a time. log: where what it prints is added.

    env: of the function. Not for several invocations at once: make one for each, as AWS does.
    """

    def __init__(self, handler: str, env: dict[str, str], log: Path) -> None:
        self._handler = handler
        self._env = env
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.kills = 0

    def invoke(self, event: dict[str, Any], *, seconds: float = 60.0) -> Any:
        """The answer. Raises FailedError, or KilledError if it was killed or took longer than `seconds`."""
        process = self._running()
        timeout = threading.Timer(seconds, process.kill)
        timeout.start()
        try:
            process.stdin.write(json.dumps({"event": event, "seconds": seconds}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timeout.cancel()
        if not line:
            process.wait()
            raise KilledError
        answer = json.loads(line)
        if "error" in answer:
            raise FailedError(answer["error"])
        return answer["result"]

    def kill(self) -> None:
        """kill -9, also from another thread in the middle of an invocation."""
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            self.kills += 1

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, __file__, self._handler],
                    env=os.environ | self._env | {"PYTHONPATH": _PATH, "AWS_LAMBDA_FUNCTION_NAME": self._handler},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
        return self._process


class _Context:
    """What the runtime tells a handler of its invocation."""

    memory_limit_in_mb = 512
    log_group_name = log_stream_name = "local"

    def __init__(self, seconds: float) -> None:
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:123456789012:function:{self.function_name}"
        self.aws_request_id = str(uuid.uuid4())
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(round((self._end - time.monotonic()) * 1000), 0)


def _serve(handler: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the function prints is its log
    module, _, name = handler.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": function(request["event"], _Context(request["seconds"]))}
        except Exception as error:  # noqa: BLE001 - as the runtime does
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.flush()
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve(sys.argv[1])
