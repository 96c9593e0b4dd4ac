"""The examples do what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import ringmq

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    """What an example says."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sensor_and_dashboard() -> None:
    said = run("sensor_and_dashboard.py", "3")
    assert len(re.findall(r"^home/kitchen/climate +\{\"celsius\": \d\d\.\d\}$", said, re.MULTILINE)) == 3
    assert said.endswith("kept: {'home/kitchen/status': 'online'}\n")


def test_request_response() -> None:
    assert run("request_response.py") == "7 squared is 49\n12 squared is 144\n"


def test_chat() -> None:
    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(EXAMPLES / "chat.py"), *arguments]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with start("--host", "--name", "anna") as anna:
        assert anna.stdin and anna.stdout
        url = anna.stdout.readline().split()[-1]
        with start(url, "--name", "bert") as bert:
            assert bert.stdin and bert.stdout
            assert anna.stdout.readline() == "* bert is here\n"
            anna.stdin.write("hello\n")
            anna.stdin.flush()
            assert bert.stdout.readline() == "anna: hello\n"
            bert.stdin.close()
            assert anna.stdout.readline() == "* bert leaves\n"
            assert bert.wait(10) == 0
        anna.stdin.close()
        assert anna.wait(10) == 0


def test_service() -> None:
    command = [sys.executable, str(EXAMPLES / "service.py"), "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        said = service.stdout.readline()
        url, http = re.findall(r"(?:mqtt|http)://\S+?(?=[,;\s])", said)
        with ringmq.Client(url, client_id="lamp") as lamp:
            lamp.subscribe("command/lamp", qos=1)
            lamp.publish("reading/lamp", "on", qos=1).wait()
            with urllib.request.urlopen(f"{http}/devices", timeout=10) as answer:
                assert json.load(answer) == {"lamp": "on"}
            with urllib.request.urlopen(f"{http}/devices/lamp", data=b"off", timeout=10) as answer:
                assert answer.status == 202
            assert lamp.get().text == "off"
        service.terminate()
