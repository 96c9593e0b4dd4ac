"""Programs as an MQTT primer shows them, unchanged but for host and port."""

import sys

import pytest
from clients import BUILD, HOST, OLD_PYTHON, PROGRAMS, Running, client_environment

# program, interpreter, what it prints
ROWS = [
    ("hello.py", OLD_PYTHON, ["Connected with result code 0", "home/kitchen/temperature 21.5",
                              "home/attic/temperature 17"]),
    ("last_will.py", OLD_PYTHON, ["online retained=1", "offline retained=0", "offline retained=1"]),
    ("clean_session.py", OLD_PYTHON, ["session present: 0", "session present: 1", "1", "2", "3"]),
    ("callbacks.py", OLD_PYTHON, ["on_connect 0", "on_subscribe (0, 1, 2)", "on_sensor sensor/a 0",
                                  "on_sensor sensor/b 1", "on_sensor sensor/c 2", "on_unsubscribe",
                                  "on_disconnect 0"]),
    ("one_line.py", OLD_PYTHON, ["one/kept single 1 1", "one/more multiple 1 1", "one/most dictionary 1 1"]),
    ("v5_request_response.py", sys.executable, ["21.5 42 [('unit', 'celsius')]"]),
    ("v5_message_expiry.py", sys.executable, ["long True"]),
    ("v5_shared.py", sys.executable, ["True", "True"]),
    ("asynchronous.py", sys.executable, ["temperature/outside 28.4"]),
    ("hello.js", "node", ["Hello mqtt"]),
    ("request_v5.js", "node", ["answers HELLO 7"]),
]


@pytest.mark.parametrize(("program", "interpreter", "lines"), ROWS,
                         ids=[f"{row[0]}-{'paho1' if row[1] is OLD_PYTHON else 'today'}" for row in ROWS])
def test_primer(broker, program, interpreter, lines):
    """The program runs to its end and prints what the primer says it prints, sections 3.1 to 4.8."""
    environment = client_environment() | {"MQTT_HOST": HOST, "MQTT_PORT": str(broker.port)}
    running = Running(program, [interpreter, PROGRAMS / "primer" / program], environment)
    try:
        assert running.finish() == lines
    finally:
        running.process.stdout.close()


def test_packages_are_the_pinned_ones():
    """Both environments hold what their lists say: a wrong version would test another client than the name says."""
    assert (BUILD / "venv" / "stamp").is_file() and (BUILD / "venv-paho1" / "stamp").is_file()
    for python, module, version in ((sys.executable, "paho.mqtt", "2."), (OLD_PYTHON, "paho.mqtt", "1.6.1")):
        found = Running(module, [python, "-c", f"import {module} as m; print(m.__version__)"])
        assert found.finish()[0].startswith(version)
        found.process.stdout.close()
