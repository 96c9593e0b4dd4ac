"""mqtt.js in a page of Debian's Chromium: ws and wss, and an Origin that is not allowed."""

import functools
import http.server
import shutil
import subprocess
import threading
import urllib.parse

import pytest
from clients import client_environment
from open_doors import certified
from strangers import PROGRAMS

import debian_packages
from broker_process import ROOT

MQTT_JS = ROOT / "build" / "npm" / "node_modules" / "mqtt" / "dist" / "mqtt.min.js"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, without a word."""

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The origin of a server that has the page; `localhost`, because that is a secure context."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(PROGRAMS / "page.html", folder)
    assert MQTT_JS.is_file(), f"{MQTT_JS} is missing: testsuite/run installs it"
    shutil.copy(MQTT_JS, folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def browse(site, broker, name, version=5):
    """What the page says of its exchange with the broker, and everything the browser wrote."""
    query = urllib.parse.urlencode({"broker": broker, "topic": name, "client": name, "version": version,
                                    "bytes": 2 << 20})
    environment = client_environment()
    environment["NODE_PATH"] = str(ROOT / "build" / "npm-browser" / "node_modules")
    browser = debian_packages.program("chromium", ("usr/lib/chromium",))
    done = subprocess.run(["node", str(PROGRAMS / "browser.js"), browser, f"{site}/page.html?{query}"], timeout=60,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    outcomes = [line.removeprefix("outcome: ") for line in done.stdout.splitlines() if line.startswith("outcome: ")]
    assert done.returncode == 0 and len(outcomes) == 1, (done.stdout, done.stderr)
    return outcomes[0], done.stdout


def local(served, door):
    """The URL of a listener, at the name that its certificate has."""
    return f"{served.urls[door].split(':')[0]}://localhost:{served.ports[door]}/mqtt"


@pytest.mark.parametrize("door,version", [("ws", 5), ("ws", 4), ("wss", 5)])
def test_a_page(served, site, name, door, version):
    """Every QoS and 2 MiB both ways."""
    outcome, said = browse(site, local(served, door), name, version)
    assert outcome == "done", said
    served.broker.wait_for_line(rf"New client connected from \S+ as {name} ")


def test_origins(serve, site, certificates):
    """The page's own origin comes in, another is refused: the page sees an error, the log why."""
    served = serve({"here": {"address": "ws://127.0.0.1:0/mqtt", "websocket_origins": [site]},
                    "elsewhere": {"address": "wss://127.0.0.1:0/mqtt", "websocket_origins": ["https://good.test"],
                                  **certified(certificates.one)}})
    outcome, said = browse(site, local(served, "here"), "welcome")
    assert outcome == "done", said
    outcome, said = browse(site, local(served, "elsewhere"), "unwelcome")
    assert outcome.startswith(("error", "closed")) and "403" in said, (outcome, said)
    served.broker.wait_for_line(r"127\.0\.0\.1:\d+ .*origin")
    assert "as unwelcome" not in served.broker.log
