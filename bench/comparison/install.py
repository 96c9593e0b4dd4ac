"""Gets the peers that are missing: `bench/compare --install`. All of it lands below build/, nothing in the system."""

import shutil
import subprocess

from .brokers import PEERS, UNPACKED
from .processes import ROOT, Failed

AEDES = "aedes@1.2.0"
RUMQTTD = "rumqttd@0.20.0"
# What the programs load at run time; one that has another name on another Debian is missed only if they do not start.
LIBRARIES = ["libmosquitto1", "libcjson1", "libdlt2", "libwrap0", "libsystemd0", "libwebsockets17"]


def install():
    """Installs what can be; names what cannot, and gives the exit code."""
    missing = []
    for name in ("mosquitto", "nats-server"):
        if not (UNPACKED / "usr" / "sbin" / name).is_file() and not unpack(name):
            missing.append(f"{name}: `apt-get download {name}` failed; name one with --mosquitto or put it on PATH")
    cargo = ROOT / "build" / "cargo"
    if not (cargo / "bin" / "rumqttd").is_file():
        # Not --locked: of its lock file some crates do not build with newer compilers.
        command = ["cargo", "install", RUMQTTD, "--root", str(cargo)]
        if subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT).returncode:
            missing.append(f"rumqttd: `{' '.join(command)}` failed")
    if not (PEERS / "node_modules" / "aedes").is_dir():
        missing += install_aedes()
    for line in missing:
        print(f"not installed: {line}")
    print("installed below", UNPACKED.parent.relative_to(ROOT))
    return 1 if missing else 0


def unpack(name):
    """Fetches a Debian package and what it loads, and unpacks them below build/debian."""
    if not shutil.which("apt-get"):
        return False
    folder = ROOT / "build" / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    for package in (name, *LIBRARIES):
        fetched = subprocess.run(["apt-get", "download", package], cwd=folder, stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True)
        if fetched.returncode and package == name:
            return False
        for archive in sorted(folder.glob(f"{package}_*.deb")):
            subprocess.run(["dpkg", "-x", archive, UNPACKED], check=True)
    return (UNPACKED / "usr" / "sbin" / name).is_file()


def install_aedes():
    """aedes by npm, without scripts of packages; what is wrong, if anything."""
    if not shutil.which("npm"):
        return ["aedes: npm is missing"]
    PEERS.mkdir(parents=True, exist_ok=True)
    (PEERS / "package.json").write_text('{"name": "ringmq-bench-peers", "private": true}\n')
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", AEDES],
                          cwd=PEERS, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed("npm install " + AEDES)
    return []
