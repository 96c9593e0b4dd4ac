"""A mosquitto.conf with everything it names, served by Debian's mosquitto and by `ringmq serve -c`: one table of what
clients do, and the same answers. Where they differ, DEPARTURES says how and why; nothing else may. Debian builds its
mosquitto without WebSocket, so that is ours alone."""

import pytest
from mosquitto_site import Site, Table, start_ringmq
from open_doors import WebSocket, connected
from raw_client import Peer

import broker_process

BAD_PASSWORD = "a wrong name or password has a code of its own, 4 and in 5.0 0x86; mosquitto says 5 and 0x87 to all"
EMPTY_USER = "an empty user name is a name, which nobody has; mosquitto takes such a client for one without a name"
ALIASES = "what the file does not say has RingMQ's default"
WILL = "a client is told at once that its will may not be published; mosquitto lets it in and drops the will later"
# Row of the table -> (what mosquitto 2.0.11 does, what RingMQ does, why). All there are.
DEPARTURES = {
    **{f"connect {version}: {what}": ((5, 4, BAD_PASSWORD) if version < 5 else (0x87, 0x86, BAD_PASSWORD))
       for version in (3, 4, 5) for what in ("wrong password", "other's password", "unknown user", "no password")},
    **{f"connect {version}: empty user": (0, 4 if version < 5 else 0x86, EMPTY_USER) for version in (3, 4, 5)},
    "tls: wrong password": (0x87, 0x86, BAD_PASSWORD),
    "offer plain: topic_alias_maximum": (10, 32, ALIASES),
    "offer tls: topic_alias_maximum": (10, 32, ALIASES),
    "will to news/a: None connects": (0, 0x87, WILL),
    "will to news/a: anna connects": (0, 0x87, WILL),
    "will to u/anna: None connects": (0, 0x87, WILL),
}


def run(broker, site):
    """The table of one broker."""
    try:
        return Table(site).fill()
    except BaseException:
        broker.kill()
        raise
    finally:
        broker.stop()


@pytest.fixture
def site(tmp_path, certificates):
    """The site's files."""
    return Site(tmp_path, certificates)


def test_the_same_answers(request, site):
    """Row by row; and each departure is still one."""
    theirs = run(site.mosquitto(), site)
    ours = run(site.ringmq(request.config.option), site)
    differing = {row: (theirs[row], ours[row]) for row in theirs if theirs[row] != ours[row]}
    departures = {row: (one, other) for row, (one, other, _) in DEPARTURES.items()}
    assert theirs.keys() == ours.keys()
    for row in sorted({*differing, *departures}):
        if differing.get(row) != departures.get(row):
            print(f"{row}: mosquitto {theirs.get(row)}, RingMQ {ours.get(row)}, listed {departures.get(row)}")
    assert differing == departures, "what is printed above differs, or is listed and does not differ any more"
    assert len(theirs) > 250


@pytest.mark.parametrize("path", ["/", "/mqtt", "/any/other?with=query"])
def test_websockets_answer_at_every_path(request, tmp_path, path):
    """As mosquitto's do, where they are built in: clients' defaults differ, `/` with some and `/mqtt` with others."""
    port = broker_process.free_port()
    file = tmp_path / "mosquitto.conf"
    file.write_text(f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n")
    broker = start_ringmq(request.config.option, file)
    try:
        peer = Peer.over(WebSocket(connected(port), path=path)).greet("page")
        peer.ping()
        peer.drop()
    finally:
        broker.stop()
