"""What a step of the local EMR runs as: a real process tree of its spark-submit, or a pretended process for models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import process_session

from streaming.spark.java import java_home

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psutil

_RUNNER = ("/bin/sh", "-c", '"$@"; exit $?', "command-runner")
_PASSED_ON = ("HOME", "LANG", "PATH", "TMPDIR", "USER")


@dataclass(frozen=True)
class StepLaunch:
    """A step about to run. args: of its HadoopJarStep; log_folder: where EMR puts its logs, below the log URI."""

    args: tuple[str, ...]
    step_id: str
    cluster_id: str
    log_folder: str


class StepProcess(Protocol):
    """A step that was started."""

    def poll(self) -> int | None:
        """The exit code, None while it runs."""

    def interrupt(self) -> None:
        """SIGTERM to the step's own process: CancelSteps with SEND_INTERRUPT."""

    def kill(self) -> None:
        """SIGKILL to it and all that it started: TERMINATE_PROCESS, or a cluster that is gone."""


class SparkSubmitSteps:
    """Runs each step's arguments as command-runner.jar does, each in a session and an empty folder of its own.

    conf_dir: Spark's configuration, in the part of EMR's classifications (spark-defaults.conf with the master, jars,
    Python …). env: what the processes find in their environment, beside HOME, LANG, PATH and the like; SPARK_HOME may
    be set in it, else it is pip's pyspark. logs: below it lie `<cluster>/steps/<step>/stdout`, `stderr`, `controller`
    and the step's working folder. runner: a process around each step takes its signals and passes none on, the worst
    that command-runner.jar may do. Calling it raises OSError if the program does not exist.
    """

    def __init__(self, conf_dir: Path, env: Mapping[str, str], logs: Path, *, runner: bool = False) -> None:
        self._conf_dir, self._env, self._logs, self._runner = conf_dir, dict(env), logs, runner
        self.started: list[SparkSubmitStep] = []

    def __call__(self, launch: StepLaunch) -> SparkSubmitStep:
        """Starts the step."""
        if not launch.args:
            msg = f"step {launch.step_id}: expected a command for command-runner.jar, got no arguments"
            raise ValueError(msg)
        env = self._environment(launch)
        program = shutil.which(launch.args[0], path=env["PATH"])
        if program is None:
            msg = f"step {launch.step_id}: Cannot run program {launch.args[0]!r}: No such file or directory"
            raise FileNotFoundError(msg)
        folder = self._logs / launch.log_folder
        work = folder / "work"
        work.mkdir(parents=True)
        (folder / "controller").write_text(f"{' '.join(launch.args)}\n")
        command = [program, *launch.args[1:]]
        step = SparkSubmitStep(launch, [*_RUNNER, *command] if self._runner else command, env, work)
        self.started.append(step)
        return step

    def close(self) -> None:
        """Kills what is left of all steps."""
        for step in self.started:
            step.kill()
            step.wait()

    def _environment(self, launch: StepLaunch) -> dict[str, str]:
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        env |= self._env | {"SPARK_CONF_DIR": str(self._conf_dir), "EMR_STEP_ID": launch.step_id}
        if "SPARK_HOME" not in env:
            env["SPARK_HOME"] = str(_pip_spark())
            env.setdefault("JAVA_HOME", str(java_home()))
        python = Path(sys.executable).parent
        env["PATH"] = os.pathsep.join([str(Path(env["SPARK_HOME"]) / "bin"), str(python), env.get("PATH", os.defpath)])
        return env


class SparkSubmitStep:
    """A step as a real process tree: all that share its session, and all that these have started."""

    def __init__(self, launch: StepLaunch, command: list[str], env: dict[str, str], work: Path) -> None:
        self.launch, self.logs = launch, work.parent
        with (self.logs / "stdout").open("wb") as out, (self.logs / "stderr").open("wb") as errors:
            self._process = subprocess.Popen(
                command, cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
            )
        self.pid = self._process.pid
        self._gone = False

    def poll(self) -> int | None:
        """The exit code, as a shell gives it for a signal (137 for SIGKILL); None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def wait(self, deadline: float = 30.0) -> int:
        """The exit code; raises subprocess.TimeoutExpired."""
        self._process.wait(deadline)
        return self._process.returncode

    def interrupt(self) -> None:
        """SIGTERM to the process that was started, to none of its children."""
        self._process.terminate()

    def kill(self) -> None:
        """kill -9 of the whole tree."""
        if self.tree():
            process_session.kill(self.pid)

    def freeze(self) -> None:
        """Stops every process in its tracks."""
        if self.tree():
            process_session.freeze(self.pid)

    def wake(self) -> None:
        """Lets a frozen tree go on."""
        if self.tree():
            process_session.wake(self.pid)

    def tree(self) -> list[psutil.Process]:
        """What lives of the tree. Once nothing does, nothing ever will: its number may go to somebody else."""
        living = [] if self._gone else process_session.living(self.pid)
        self._gone = self._gone or (not living and self.poll() is not None)
        return living


class PretendStep:
    """A step without a process. code: its exit code, for the test to set by `end`; stubborn: ignores SIGTERM."""

    def __init__(self, launch: StepLaunch) -> None:
        self.launch = launch
        self.code: int | None = None
        self.stubborn = False

    def end(self, code: int = 0) -> None:
        """It ends by itself."""
        self.code = code if self.code is None else self.code

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        return self.code

    def interrupt(self) -> None:
        """It ends with 143, unless it is stubborn (frozen, or busy ignoring the signal)."""
        if not self.stubborn:
            self.end(143)

    def kill(self) -> None:
        """It ends with 137."""
        self.end(137)


class PretendSteps:
    """Starts steps that are only pretended. started: all of them, oldest first."""

    def __init__(self) -> None:
        self.started: list[PretendStep] = []

    def __call__(self, launch: StepLaunch) -> PretendStep:
        """Starts one."""
        self.started.append(PretendStep(launch))
        return self.started[-1]

    @property
    def running(self) -> list[PretendStep]:
        """Those that have not ended: what really runs, whatever EMR says."""
        return [step for step in self.started if step.code is None]


def _pip_spark() -> Path:
    import pyspark  # noqa: PLC0415 - takes a while to load, and pretended steps do without

    return Path(pyspark.__file__).parent
