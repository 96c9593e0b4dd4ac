"""Finds what testsuite/run installed from Debian: in the system, or unpacked below build/debian.

It never installs anything: a program that is missing is an error that names it.
"""

import os
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNPACKED = ROOT / "build" / "debian"
LIBRARIES = UNPACKED / "usr" / "lib" / (sysconfig.get_config_var("MULTIARCH") or "")


def program(name, folders=("usr/bin", "usr/sbin")):
    """The path of a program."""
    for prefix in (UNPACKED, Path("/")):
        for folder in folders:
            if (prefix / folder / name).is_file():
                return str(prefix / folder / name)
    raise AssertionError(f"{name} is missing: testsuite/run installs it")


def environment():
    """An environment in which the unpacked programs find their libraries, and a compiler their headers."""
    found = dict(os.environ)
    for variable, folder in (("LD_LIBRARY_PATH", LIBRARIES), ("LIBRARY_PATH", LIBRARIES),
                             ("CPATH", UNPACKED / "usr" / "include")):
        found[variable] = os.pathsep.join(filter(None, [str(folder), found.get(variable)]))
    return found
