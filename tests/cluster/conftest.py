"""A SLURM cluster of two nodes and a Ray cluster of two nodes, on this machine, for as long as the tests run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")

# A requeued task waits until its credentials have expired (120 s by default). KillWait is the time from SIGTERM, which
# submitit ignores, to SIGKILL.
CONFIGURATION = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
CryptoType=crypto/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1
PartitionName=debug Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} was not ready after {seconds:.0f} s"
        time.sleep(0.5)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Start munge, slurmctld and two slurmd; yield the environment in which SLURM's commands find them."""
    missing = [daemon for daemon in DAEMONS if shutil.which(daemon) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (Debian: apt-get install slurm-wlm munge)")
    if os.geteuid() != 0:
        pytest.skip("starting SLURM's daemons needs root")
    pytest.importorskip("submitit", reason='submitit is not installed (pip install "sr-bench[slurm]")')
    folder = tmp_path_factory.mktemp("slurm")
    (folder / "state").mkdir()
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, ports=free_ports(3), host=socket.gethostname().split(".")[0])
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    munge = {"key-file": key, "socket": folder / "munge.socket", "pid-file": folder / "munge.pid"}
    munge |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    env = {**os.environ, "SLURM_CONF": str(configuration)}
    started = [
        subprocess.Popen(
            ["munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in munge.items())],
            stderr=subprocess.DEVNULL,
        )
    ]
    try:
        wait_until((folder / "munge.socket").exists, "munge")
        started += [subprocess.Popen(["slurmctld", "-D"], env=env, stderr=subprocess.DEVNULL)]
        started += [
            subprocess.Popen(["slurmd", "-D", "-N", node], env=env, stderr=subprocess.DEVNULL)
            for node in ("node1", "node2")
        ]

        def idle() -> bool:
            command = ["sinfo", "--noheader", "--Node", "--format", "%T"]
            states = subprocess.run(command, env=env, capture_output=True, text=True).stdout.split()
            return states == ["idle", "idle"]

        wait_until(idle, "SLURM")
        yield env
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=30)


@pytest.fixture(scope="session")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a Ray cluster of two nodes with one CPU each; yield its address."""
    pytest.importorskip("ray", reason='Ray is not installed (pip install "sr-bench[ray]")')
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes(timeout=120)
        yield cluster.address
    finally:
        cluster.shutdown()


@pytest.fixture
def srbench(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts the `srbench` command in a test's folder."""

    def start(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "srbench", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={**(env or os.environ), "OMP_NUM_THREADS": "1"},
        )

    return start
