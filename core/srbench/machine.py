"""The machine: checks of devices and threads, and a description of hardware and clocks for timings."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srbench.errors import ConfigError

if TYPE_CHECKING:
    import torch

__all__ = [
    "MOST_THREADS",
    "available_memory",
    "check_device",
    "check_devices",
    "check_tf32",
    "check_threads",
    "describe",
    "is_out_of_memory",
    "keep_freed_memory",
    "pick_device",
    "processor_name",
    "read_devices",
    "tf32",
    "usable_cores",
]

_CPU = Path("/sys/devices/system/cpu")
_UNKNOWN = "not reported by the system"
MOST_THREADS = 1024  # with many more, the process dies without an error message


def check_threads(threads: int) -> None:
    """Check a number of CPU threads.

    Raises:
        ConfigError: It is not a whole number from 1 to 1,024.
    """
    if not isinstance(threads, int) or isinstance(threads, bool) or not 1 <= threads <= MOST_THREADS:
        raise ConfigError(f"threads={threads} is not a whole number of at least 1 and at most {MOST_THREADS:,}")


def usable_cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_device(name: str) -> None:
    """Refuse a device that torch does not support here; checking `cpu` imports no torch.

    Args:
        name: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: The name is none of them, or there is no such GPU.
    """
    if name == "cpu":
        return
    if re.fullmatch(r"cuda(:\d+)?", name) is None:
        raise ConfigError(f"unknown device '{name}'; --device takes cpu, cuda or cuda:N")
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            f"device '{name}' was asked for, but this torch ({torch.__version__}) sees no GPU; give --device cpu"
        )
    if int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise ConfigError(f"there is no '{name}': {torch.cuda.device_count()} GPUs are visible")


_MOST_DEVICES = 256


def read_devices(text: str) -> tuple[str, ...]:
    """Return the devices of a list, without checking that they exist.

    Args:
        text: `cpu`, `cuda` or `cuda:N`; or several GPUs: `cuda:0,cuda:1`, `cuda:0-3`.

    Raises:
        ConfigError: The text has another form, or names a device twice.
    """
    form = "--device takes cpu, cuda, cuda:N, or several GPUs such as cuda:0,cuda:1 or cuda:0-3"
    found: list[str] = []
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        match = re.fullmatch(r"cuda:([0-9]{1,6})-([0-9]{1,6})", part)
        if match is not None:
            first, last = int(match[1]), int(match[2])
            if not first <= last < first + _MOST_DEVICES:
                raise ConfigError(f"'{part}' is not a range of at most {_MOST_DEVICES} GPUs; {form}")
            found += [f"cuda:{number}" for number in range(first, last + 1)]
        elif re.fullmatch(r"cuda:[0-9]{1,6}" if len(parts) > 1 else r"cpu|cuda(:[0-9]{1,6})?", part):
            found.append(part if ":" not in part else f"cuda:{int(part.partition(':')[2])}")
        else:
            where = f" in '{text}'" if len(parts) > 1 else ""
            raise ConfigError(f"unknown device '{part}'{where}; {form}")
    for name in found:
        if found.count(name) > 1:
            raise ConfigError(f"device '{name}' is given twice in '{text}'; give each GPU once, and --jobs for more")
    return tuple(found)


def check_devices(text: str) -> tuple[str, ...]:
    """Return the devices of a list, all of which torch supports here; checking `cpu` imports no torch.

    Args:
        text: As for `read_devices`.

    Raises:
        ConfigError: The text is not such a list, or there is no such GPU.
    """
    devices = read_devices(text)
    for name in devices:
        check_device(name)
    return devices


def pick_device(name: str) -> torch.device:
    """Return a torch device by name: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: The name is none of them, or there is no such GPU.
    """
    import torch

    check_device(name)
    return torch.device(name)


def check_tf32(device: str, dtype: str = "float32") -> None:
    """Refuse TF32 where it would change nothing.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        dtype: Type of weights and features, by torch's name.

    Raises:
        ConfigError: The device is no GPU, or the type is not float32.
    """
    if device == "cpu":
        raise ConfigError("TF32 is a mode of NVIDIA GPUs, and the device is cpu; leave out --tf32")
    if dtype != "float32":
        raise ConfigError(f"TF32 is a mode of float32 products, and the type is {dtype}; leave out --tf32")


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32, in convolutions and matrix products of GPUs; restore torch's settings afterwards.

    TF32 keeps 10 bits of each factor of a float32 product. By default torch uses it in convolutions, though not in
    matrix products. On a CPU it has no effect.
    """
    import torch

    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = allowed
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means out of memory; torch has a special class for it on GPUs only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and ("allocate memory" in said or "not enough memory" in said)


# Numbers of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> bool:
    """Have glibc's malloc keep the memory of freed tensors for the next ones, in this process, from now on.

    By default it returns blocks of more than 32 MiB to the kernel and asks for them again in every layer, and each page
    of them is cleared again: half of the time of an evaluation on large images. The price is a larger peak of resident
    memory: CARN-M x2 on images of 720 x 1024 pixels, 1.5 GB instead of 0.9 GB. Values do not change.

    Returns:
        Whether that was possible; other C libraries have no such setting.
    """
    if platform.system() != "Linux":
        return False
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1), (_M_TOP_PAD, 64 << 20))
    return all(mallopt(name, value) == 1 for name, value in settings)


def available_memory(device: str = "cpu") -> int | None:
    """Return the available memory in bytes, within the limits of system, container and process; None if unknown.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    fields = {
        line.partition(":")[0]: line.split()[1] for line in _lines(Path("/proc/meminfo")) if len(line.split()) > 1
    }
    found = [int(fields["MemAvailable"]) * 1024] if "MemAvailable" in fields else []
    group = [_lines(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current")]
    if all(lines and lines[0].isdigit() for lines in group):
        found.append(int(group[0][0]) - int(group[1][0]))
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return min(found, default=None)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = _lines(Path("/proc/self/statm"))
    if limit != resource.RLIM_INFINITY and pages:
        found.append(limit - int(pages[0].split()[0]) * resource.getpagesize())
    return max(0, min(found)) if found else None


def processor_name() -> str:
    """Return the processor's name."""
    lines = _lines(Path("/proc/cpuinfo"))
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def describe(device: str) -> dict[str, Any]:
    """Describe the device, its current clocks, and whatever else affects timings; unknown values are marked as such.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    import torch

    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor_name(),
        "torch": str(torch.__version__),
        "cores": usable_cores(),
        "governor": _governors(),
        "clock_mhz": _clocks(),
        "turbo": _turbo(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else _UNKNOWN,
    }
    if device.startswith("cuda"):
        found["gpu"] = _gpu(torch.device(device).index or 0)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _of_cpus(name: str) -> list[str]:
    return [line for path in sorted(_CPU.glob(f"cpu[0-9]*/cpufreq/{name}")) for line in _lines(path)]


def _governors() -> str:
    return ", ".join(sorted(set(_of_cpus("scaling_governor")))) or _UNKNOWN


def _clocks() -> str:
    clocks = [round(int(value) / 1000) for value in _of_cpus("scaling_cur_freq") if value.isdigit()]
    if not clocks:
        lines = [line.partition(":")[2] for line in _lines(Path("/proc/cpuinfo")) if line.startswith("cpu MHz")]
        clocks = [round(float(value)) for value in lines]
    if not clocks:
        return _UNKNOWN
    return f"{min(clocks)}" if min(clocks) == max(clocks) else f"{min(clocks)} to {max(clocks)}"


def _turbo() -> str:
    for name, on in (("intel_pstate/no_turbo", "0"), ("cpufreq/boost", "1")):
        if lines := _lines(_CPU / name):
            return "on" if lines[0].strip() == on else "off"
    return _UNKNOWN


def _gpu(index: int) -> dict[str, str]:
    """Return a GPU's clocks as reported by `nvidia-smi`."""
    import torch

    wanted = ("clocks.sm", "clocks.max.sm", "clocks.mem", "temperature.gpu", "power.draw", "persistence_mode")
    command = shutil.which("nvidia-smi")
    if command is None:
        return {"clocks": _UNKNOWN}
    # nvidia-smi numbers all GPUs, torch only visible ones, so identify the GPU by its UUID.
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)
    card = f"GPU-{uuid}" if uuid is not None else str(index)
    query = [command, f"--query-gpu={','.join(wanted)}", "--format=csv,noheader", f"--id={card}"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {"clocks": _UNKNOWN}
    return dict(zip(wanted, (value.strip() for value in done.stdout.strip().split(",")), strict=False))
