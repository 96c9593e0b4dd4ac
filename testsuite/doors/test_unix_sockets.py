"""Unix sockets by mosquitto's tools and paho: permissions, what a killed broker leaves behind, and what is in the
way."""

import os
import stat

import pytest
from open_doors import WebSocket, connected
from strangers import mosquitto_exchange, mosquitto_tool, succeeds


def at(folder, **more):
    """A listener at a path."""
    return {"unix": {"address": f"unix:{folder}/broker.sock", **more}}


@pytest.mark.parametrize("mode", ["0600", "0660", "0666"])
def test_its_permissions(serve, tmp_path, mode):
    """unix_mode is what the file has."""
    served = serve(at(tmp_path, unix_mode=mode))
    found = os.stat(served.paths["unix"])
    assert stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == int(mode, 8)
    mosquitto_exchange(served, "unix", "here")


def test_its_owner_and_group(serve, tmp_path):
    """By name or number; only root may give a file away."""
    user, group = os.getuid(), os.getgid()
    more = {"unix_owner": "nobody", "unix_group": "65534"} if user == 0 else {"unix_group": str(group)}
    served = serve(at(tmp_path, unix_mode="0660", **more))
    found = os.stat(served.paths["unix"])
    assert (found.st_uid, found.st_gid) == ((65534, 65534) if user == 0 else (user, group))


def test_it_is_gone_when_the_broker_is(serve, tmp_path):
    """A broker that stops takes it along."""
    served = serve(at(tmp_path))
    assert os.path.exists(served.paths["unix"])
    served.broker.stop()
    assert not os.path.exists(served.paths["unix"])


def test_what_a_killed_broker_left_is_taken_over(serve, tmp_path):
    """The file of a broker that was killed is in nobody's way."""
    first = serve(at(tmp_path))
    first.broker.kill()
    assert os.path.exists(first.paths["unix"])
    code, said = mosquitto_tool("pub", first, "unix", "-t", "x", "-m", "x")
    assert code != 0, said
    second = serve(at(tmp_path))
    mosquitto_exchange(second, "unix", "again")


def test_a_second_broker_does_not_take_it(serve, tmp_path):
    """One that is in use is in use, and stays so; the message says what to do about it."""
    first = serve(at(tmp_path))
    with pytest.raises(AssertionError, match=r"cannot listen on .*broker\.sock: .*in use \(another broker\?\)"):
        serve(at(tmp_path))
    mosquitto_exchange(first, "unix", "still")


def test_another_file_is_not_removed(serve, tmp_path):
    """What is no socket stays."""
    (tmp_path / "broker.sock").write_text("precious")
    with pytest.raises(AssertionError, match="cannot listen on"):
        serve(at(tmp_path))
    assert (tmp_path / "broker.sock").read_text() == "precious"


def test_websocket_at_a_path(serve, visitors, certificates, tmp_path):
    """As behind a reverse proxy of the same machine."""
    served = serve(at(tmp_path, websocket_path="/mqtt"))
    visit = visitors(served)
    visit.greet(WebSocket(connected(path=served.paths["unix"])), "page").ping()


def test_paho_and_the_log(serve, certificates, tmp_path):
    """There is no address to name."""
    served = serve(at(tmp_path))
    succeeds("paho", served, "unix", certificates, client_id="by-path")
    served.broker.wait_for_line("New client connected from <unix socket> as by-path ")
