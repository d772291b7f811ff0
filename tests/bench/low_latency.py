# SPDX-License-Identifier: Apache-2.0
"""A daemon for low latency, as docs/operations.md describes it: workers of real-time priority and
processors that stay awake; and a load generator that nothing of ordinary priority keeps from a core,
so that what is measured is the daemon and not what else runs on the machine."""
import os
import subprocess

OPTIONS = {"workers_realtime_priority": 10, "cpu_wakeup_latency_us": 0}
GENERATOR = ("chrt", "-r", "10")
DEVICE = "/dev/cpu_dma_latency"


def fault():
    """Why this machine does not allow it; None: it does."""
    if not os.access(DEVICE, os.W_OK):
        return f"{DEVICE} may not be written here"
    if subprocess.run([*GENERATOR, "true"], capture_output=True).returncode != 0:
        return "real-time priority is not allowed here"
    return None
