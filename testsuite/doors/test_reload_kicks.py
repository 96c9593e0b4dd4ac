"""SIGHUP with `reload_kicks`: who would not be let in any more is disconnected and named in the log, who would be stays."""

import signal
import subprocess

import pytest
from open_doors import connected, toml_file

import broker_process


def password_file(file, *users):
    """These users, each with its name as password; a line that is there stays as it is."""
    lines = dict(line.split(":", 1) for line in file.read_text().split()) if file.exists() else {}
    file.write_text("".join(f"{user}:{user}\n" for user in users if user not in lines))
    if file.stat().st_size:
        command = [broker_process.ringmq_binary(), "passwd", "-U", "--hash", "sha512", str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    kept = "".join(f"{user}:{lines[user]}\n" for user in users if user in lines)
    file.write_text(file.read_text() + kept)


def reload(broker, expected="reloaded; changed:"):
    """SIGHUP; the lines until the log says what is expected."""
    start = len(broker.lines)
    broker.terminate(signal.SIGHUP)
    broker.wait_for_line(expected, timeout=20, start=start)
    return start


@pytest.mark.parametrize("version", [4, 5])
def test_who_goes_and_who_stays(serve, visitors, tmp_path, version):
    """A user who is gone, one whose ClientID is refused, one whose listener is gone, and one who may stay."""
    passwords = tmp_path / "passwords"
    password_file(passwords, "gone", "denied", "closed", "stays")
    keys = {"password_file": passwords, "reload_kicks": True}
    one, two = ({"address": f"tcp://127.0.0.1:{broker_process.free_port()}"} for _ in range(2))
    served = serve({"one": one, "two": two}, **keys)
    visit = visitors(served)
    peers = {user: visit.greet(connected(served.ports["two" if user == "closed" else "one"]), user, version,
                               username=user, password=user) for user in ("gone", "denied", "closed", "stays")}

    # What is wrong changes nothing, and so nobody goes.
    password_file(passwords, "stays", "denied", "closed")
    toml_file(served.file, [one], client_ids_denied=["den*"], **keys, queue_policy="dorp")
    reload(served.broker, "nothing was changed")
    for peer in peers.values():
        peer.ping()

    toml_file(served.file, [one], client_ids_denied=["den*"], **keys)
    start = reload(served.broker)
    reasons = {"gone": "there is no such user any more", "denied": "the ClientID is one of client_ids_denied",
               "closed": "its listener is gone"}
    for user, reason in reasons.items():
        peers[user].expect_disconnect(0x98)
        line = f"Login ended of user '{user}' as '{user}' from 127.0.0.1:[0-9]+: {reason}"
        served.broker.wait_for_line(line, timeout=20, start=start)
    peers["stays"].ping()
