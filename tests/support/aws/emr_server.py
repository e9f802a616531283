"""The local EMR behind HTTP: `EmrServer` in this process, or `python emr_server.py --logs FOLDER …` in its own.

The process prints its endpoint, then each EventBridge document as a line of JSON (which must be read, or all stops),
and serves until SIGTERM, or with `--until-stdin-closes` until its parent is gone; steps that still run are killed.
Beside the API it answers `POST /control` with what the faults have done, the clusters and the steps with their states,
after it has done what the JSON object in the request asks for (may be empty):
`{"faults": {"throttle": 0.1}}`, `{"once": ["RunJobFlow", "lose_answer"]}`, `{"doom": "BOOTSTRAP_FAILURE"}`,
`{"heal": true}`, `{"kill_cluster": "j-…"}`, `{"kill_step": "s-…"}`, `{"freeze": "s-…"}`, `{"wake": "s-…"}`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cheroot.server import Gateway, HTTPServer
from emr_faults import ConnectionCut, Faults
from emr_records import Delays
from emr_steps import SparkSubmitSteps
from emr_wire import answer
from local_emr import LocalEmr

if TYPE_CHECKING:
    from types import TracebackType


class EmrServer:
    """Serves an EMR and lets its time pass while the context is open. endpoint: its URL; env: for boto3 to find it.

    An error that is none of EMR's (of the sink of events, say, or an answer that does not fit the model) is raised at
    the end of the context; one in a tick ends the ticking.
    """

    def __init__(self, emr: LocalEmr, *, port: int = 0, every: float = 0.05) -> None:
        self.emr, self._every = emr, every
        self._server = HTTPServer(("127.0.0.1", port), lambda request: _EmrGateway(request, self), minthreads=8)
        self._server.expiration_interval = 0.05  # of cheroot: how long it takes to notice that it shall stop
        self._server.prepare()
        self.endpoint = f"http://127.0.0.1:{self._server.bind_addr[1]}"
        self.env = {"AWS_ENDPOINT_URL_EMR": self.endpoint}
        self._stopping = threading.Event()
        self.error: BaseException | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._server.serve, self._tick)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.stop()
        for thread in self._threads:
            thread.join(10)
        self.emr.close()
        if self.error is not None and error is None:
            raise self.error

    def _tick(self) -> None:
        try:
            while not self._stopping.wait(self._every):
                self.emr.tick()
        except BaseException as error:  # noqa: BLE001 - raised again by __exit__
            self.error = error


class _EmrGateway(Gateway):
    """One request."""

    def __init__(self, request: Any, server: EmrServer) -> None:
        super().__init__(request)
        self._server = server

    def respond(self) -> None:
        request = self.req
        body, target = request.rfile.read(), request.inheaders.get(b"X-Amz-Target", b"").decode()
        try:
            if request.path == b"/control":
                status, headers, content = _controlled(self._server.emr, json.loads(body or b"{}"))
            else:
                status, headers, content = answer(self._server.emr, target, body)
        except ConnectionCut:
            request.close_connection = request.sent_headers = True
            request.conn.socket.shutdown(socket.SHUT_RDWR)
            return
        except BaseException as error:
            self._server.error = error
            raise
        request.status = f"{status} {'OK' if status == 200 else 'Error'}".encode()
        request.outheaders = [(name.encode(), value.encode()) for name, value in headers.items()]
        request.ensure_headers_sent()
        request.write(content)


def _controlled(emr: LocalEmr, wanted: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    """Does what a control request asks for; the state of the whole."""
    for what, value in wanted.items():
        match what:
            case "faults":
                emr.faults.change(**value)
            case "once":
                emr.faults.once(*value)
            case "doom":
                emr.faults.doom_next(value)
            case "heal":
                emr.faults.heal()
            case "kill_cluster":
                emr.kill_cluster(value)
            case "kill_step":
                emr.kill_step(value)
            case "freeze" | "wake":
                getattr(emr.step(value).process, what)()
            case _:
                msg = f"{what!r} is no control request"
                raise ValueError(msg)
    document = {
        "counts": dict(emr.faults.counts),
        "clusters": {cluster.id: cluster.state for cluster in list(emr.clusters.values())},
        "steps": {step.id: step.state for step in emr.steps()},
    }
    content = json.dumps(document).encode()
    return 200, {"Content-Type": "application/json", "Content-Length": str(len(content))}, content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--logs", type=Path, required=True, help="folder of the steps' logs")
    parser.add_argument("--conf-dir", type=Path, required=True, help="Spark's configuration for the steps")
    parser.add_argument("--pass", dest="passed", action="append", default=[], help="variable that steps shall have")
    parser.add_argument("--delays", type=json.loads, default={}, help='JSON: {"starting": 2.5, …}')
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--until-stdin-closes", action="store_true")
    options = parser.parse_args()
    steps = SparkSubmitSteps(options.conf_dir, {name: os.environ[name] for name in options.passed}, options.logs)
    emr = LocalEmr(
        run_step=steps,
        delays=Delays(**options.delays),
        faults=Faults(options.seed),
        on_event=lambda event: print(json.dumps(event), flush=True),  # noqa: T201 - what a caller reads
    )
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    if options.until_stdin_closes:
        threading.Thread(target=_await_end_of_input, args=[ending], daemon=True).start()
    with EmrServer(emr, port=options.port) as server:
        print(server.endpoint, flush=True)  # noqa: T201 - the same
        ending.wait()
    steps.close()


def _await_end_of_input(ending: threading.Event) -> None:
    while os.read(0, 4096):  # not sys.stdin: the interpreter could not end while a thread waits in it
        pass
    ending.set()


if __name__ == "__main__":
    main()
