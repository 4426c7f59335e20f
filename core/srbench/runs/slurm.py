"""The executor `slurm`: one task of a SLURM job array per job, through submitit."""

from __future__ import annotations

import getpass
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.errors import ConfigError, PluginError, StoreError
from srbench.runs.cluster import ClusterExecutor
from srbench.runs.executors import check_whole
from srbench.runs.handover import Task
from srbench.storage import write_atomic
from srbench.untrusted import read_text

__all__ = ["Slurm"]

_JOB_FILE = "slurm_job"


class Slurm(ClusterExecutor):
    """Submit jobs to SLURM as a job array; a task that is preempted or reaches its time limit is requeued and resumes.

    Args:
        folder: Where tasks keep logs and results; all nodes must see it.
        partition: SLURM's partition; the cluster's default if empty.
        minutes: Time limit of a task; a training that needs longer resumes from its checkpoint.
        cpus: CPU threads of a task.
        gpus: GPUs of a task.
        memory_gb: Memory of a task in GB; the cluster's default if 0.
        at_once: Tasks that may run at the same time.
        account: SLURM's account to charge; none if empty.
        tries: How often a lost task is submitted before its cells are recorded as failed.

    Raises:
        ConfigError: An argument is out of range, or SLURM's commands are missing.
        PluginError: submitit is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        partition: str = "",
        minutes: int = 1440,
        cpus: int = 1,
        gpus: int = 0,
        memory_gb: int = 0,
        at_once: int = 256,
        account: str = "",
        tries: int = 3,
    ) -> None:
        super().__init__(folder, tries=tries, cpus=cpus, gpus=gpus)
        try:
            import submitit
        except ImportError as error:
            raise PluginError(
                "executor 'slurm' needs submitit, which is not installed; install it with pip install "
                '"sr-bench[slurm]"'
            ) from error
        if missing := [command for command in ("sbatch", "squeue", "scancel") if shutil.which(command) is None]:
            raise ConfigError(
                f"executor 'slurm' needs SLURM's command '{missing[0]}', which is not on the PATH; run on a node from "
                "which jobs are submitted, or leave out --executor"
            )
        check_whole("minutes", minutes, 1, 1_000_000)
        check_whole("at_once", at_once, 1, 1_000_000)
        check_whole("gpus", gpus, 0, 100_000)
        check_whole("memory_gb", memory_gb, 0, 100_000)
        self._parameters: dict[str, Any] = {
            "timeout_min": minutes,
            "cpus_per_task": cpus,
            "slurm_array_parallelism": at_once,
            "slurm_additional_parameters": {"requeue": True} | ({"account": account} if account else {}),
        }
        if partition:
            self._parameters["slurm_partition"] = partition
        if gpus:
            self._parameters["gpus_per_node"] = gpus
        if memory_gb:
            self._parameters["mem_gb"] = memory_gb
        self._submitit = submitit

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit a job array.

        Raises:
            ConfigError: SLURM refuses it.
        """
        # The array's identifier is lost if sbatch is ended after SLURM has taken the array: a terminal sends Ctrl-C to
        # sbatch too. So an array has a name of its own, by which it is cancelled whatever went wrong.
        name = f"srbench-{uuid.uuid4().hex[:12]}"
        try:
            return self._submit_array(tasks, name)
        except BaseException as error:
            _scancel("--user", getpass.getuser(), "--name", name)
            if isinstance(error, self._submitit.core.utils.FailedJobError):
                raise ConfigError(f"SLURM refused the tasks: {_last_line(str(error))}") from error
            raise

    def _submit_array(self, tasks: Sequence[Task], name: str) -> list[str]:
        # Times that a task may be requeued after its time limit: as many as a training needs.
        executor = self._submitit.AutoExecutor(folder=self.folder / "logs", cluster="slurm", slurm_max_num_timeout=1000)
        executor.update_parameters(**self._parameters, name=name)
        with executor.batch():
            jobs = [executor.submit(task) for task in tasks]
        handles = [str(job.job_id) for job in jobs]
        for task, handle in zip(tasks, handles, strict=True):
            write_atomic(task.folder / _JOB_FILE, handle.encode())
        return handles

    def running(self, handles: Sequence[Any]) -> list[bool]:
        """Return of each task whether SLURM still has it; all, where SLURM does not answer at the moment."""
        known = _known()
        return [known is None or name in known for name in handles]

    def cancel(self, handles: Sequence[Any]) -> None:
        """Cancel tasks."""
        if handles:
            _scancel(*handles)

    def found(self, folder: Path) -> Any | None:
        """Return the identifier of a task that still runs for a folder."""
        try:
            name = read_text(folder / _JOB_FILE, limit=100, error=StoreError)
        except StoreError:
            return None
        known = _known()
        return name if known is not None and name in known else None

    def logs(self, handle: Any) -> str:
        """Return the file of a task's messages."""
        return str(self.folder / "logs" / f"{handle}_0_log.err")


def _scancel(*words: str) -> None:
    # In a session of its own, where a second Ctrl-C does not reach it.
    subprocess.run(["scancel", *words], capture_output=True, check=False, start_new_session=True)


def _known() -> set[str] | None:
    """Return the identifiers of this user's tasks that wait or run; None where SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(ended.stdout.split()) if ended.returncode == 0 else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
