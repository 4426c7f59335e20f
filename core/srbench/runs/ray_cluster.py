"""The executor `ray`: one Ray task per job, on an existing cluster or on one started here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srbench.errors import ConfigError, PluginError
from srbench.runs.cluster import ClusterExecutor
from srbench.runs.handover import Task
from srbench.validation import first_line

__all__ = ["Ray"]


class Ray(ClusterExecutor):
    """Submit jobs to Ray, with whole or fractional GPUs.

    Args:
        folder: Where tasks keep results; all nodes must see it.
        address: Address of a running cluster, e.g. `10.0.0.1:6379` or `auto`; empty: Ray is started on this machine.
        cpus: CPU threads of a task.
        gpus: GPUs of a task; 0.25 puts four tasks on one.
        tries: How often a lost task is submitted before its cells are recorded as failed.

    Raises:
        ConfigError: An argument is out of range, or there is no cluster at the address.
        PluginError: Ray is not installed.
    """

    def __init__(self, folder: Path, *, address: str = "", cpus: int = 1, gpus: float = 0, tries: int = 3) -> None:
        gpus = float(gpus)
        super().__init__(folder, tries=tries, cpus=cpus, gpus=gpus)
        try:
            import ray
        except ImportError as error:
            raise PluginError(
                "executor 'ray' needs Ray, which is not installed; install it with pip install \"sr-bench[ray]\""
            ) from error
        if not 0 <= gpus <= 1024:
            raise ConfigError(f"gpus={gpus} of executor 'ray' is not a number from 0 to 1,024")
        self._ray = ray
        self._address = address
        self._connected = False
        self._logs = ""

    def connect(self) -> None:
        """Connect to the cluster, or start one.

        Raises:
            ConfigError: There is no cluster at the address.
        """
        if self._connected:
            return
        # Ray replaces the handler of SIGTERM by one that ends the process at once, its tasks not cancelled.
        before = signal.getsignal(signal.SIGTERM)
        try:
            context = self._ray.init(
                address=self._address or "local", log_to_driver=False, include_dashboard=False, ignore_reinit_error=True
            )
        except Exception as error:  # Ray raises a plain one where a node does not start in time
            where = f"no Ray cluster answers at '{self._address}'" if self._address else "Ray could not be started"
            raise ConfigError(f"{where}: {first_line(error)}; check executor 'ray(address=...)'") from error
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
        self._connected = True
        # A client of a Ray server (ray://) is not told.
        if session := getattr(context, "address_info", {}).get("session_dir"):
            self._logs = str(Path(session) / "logs")

    def submit(self, tasks: Sequence[Task]) -> list[Any]:
        """Submit tasks."""
        # What a shell hands to a local run: where data and caches are, and how many threads libraries may use.
        variables = {name: value for name, value in os.environ.items() if name.startswith(("SRBENCH_", "OMP_"))}
        variables |= {"OMP_NUM_THREADS": str(self.threads)}
        options = {"num_cpus": self.threads, "num_gpus": self.gpus, "max_retries": 0}
        remote = self._ray.remote(_perform).options(**options, runtime_env={"env_vars": variables})
        return [remote.remote(task) for task in tasks]

    def running(self, handles: Sequence[Any]) -> list[bool]:
        """Return of each task whether it waits or runs."""
        ended, _ = self._ray.wait(list(handles), num_returns=len(handles), timeout=0)
        return [handle not in ended for handle in handles]

    def cancel(self, handles: Sequence[Any]) -> None:
        """Cancel tasks."""
        for handle in handles:
            self._ray.cancel(handle, force=True)

    def logs(self, handle: Any) -> str:
        """Return the folder of the session's logs: it has the same path on every node."""
        return self._logs and f"{self._logs} on the node that ran it"


def _perform(task: Task) -> None:
    task()
