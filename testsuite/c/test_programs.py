"""Programs that use the C library: what it says to wrong use, what it leaves behind, and what it does to memory."""

import json
import re
import runpy
import socket
import subprocess

import certificates
import pytest
from conftest import EXAMPLES, PROGRAMS, ROOT, cxx, run

from raw_client import Peer

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture
def program(installed, tmp_path):
    """`program(source, ...)` compiles a program."""
    return lambda source, *arguments, **options: installed.compile(source, tmp_path / source.stem, "-std=c11", "-g",
                                                                   *arguments, **options)


def test_auth_hook(installed, program):
    """The example's rules, asked by clients."""
    process = subprocess.Popen([program(EXAMPLES / "auth_hook.c")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, env=installed.environment)
    port = int(process.stdout.readline().split()[1])
    Peer.connected(port, "b", username="bert", password=b"secret", reason=0x86).drop()
    Peer.connected(port, "a", username="anna", password=b"wrong", reason=0x86).drop()
    with Peer.connected(port, "a", username="anna", password=b"secret") as anna:
        anna.subscribe("anna/#", qos=1)
        anna.subscribe("bert/#", granted=0x87)
        anna.publish("anna/x", b"1", qos=1)
        anna.message("anna/x", b"1")
        anna.publish("bert/x", b"1", qos=1, reason=0x87)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.splitlines() == ["connect : no", "connect : no", "connect : yes", "subscribe anna/#: yes",
                                 "subscribe bert/#: no", "publish anna/x: yes", "publish bert/x: no", "stopped"]


def test_no_signal(installed, program, tmp_path):
    """A client whose server is gone connects again. The program was not prepared for SIGPIPE, and does not end by it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "server"))
        listener.listen()
        listener.settimeout(20)
        with subprocess.Popen([program(EXAMPLES / "sensor_client.c"), f"unix:{tmp_path / 'server'}"],
                              env=installed.environment) as sensor:
            with listener.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"\x20\x03\x00\x00\x00")
                # What the client writes from now on is an error at once, and it has nothing to read.
                client.shutdown(socket.SHUT_RD)
                listener.accept()[0].close()
            assert sensor.poll() is None
            sensor.kill()


def test_the_goodbye_goes_out(installed, program):
    """A program that ends behind ringmq_client_disconnect has said goodbye: its will is not published."""
    sensor = program(EXAMPLES / "sensor_client.c")
    with subprocess.Popen([program(PROGRAMS / "embedded.c")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env=installed.environment) as broker:
        port = int(broker.stdout.readline())
        for _ in range(20):
            installed.run(sensor, f"mqtt://127.0.0.1:{port}")
        said, _ = broker.communicate(timeout=30)
    assert said.count("sensor/1=4.5") == 20
    assert "sensor/1/state=lost" not in said


def test_misuse(installed, program):
    """Every wrong use that can be told has its status, on one thread and on eight at once; so has the use of what was
    freed, because the tests' build has debug assertions."""
    assert installed.run(program(PROGRAMS / "misuse.c")) == "0 calls said another thing\n"


@pytest.mark.parametrize("driver", ["auto", "epoll"])
def test_nothing_is_left(installed, program, monkeypatch, driver):
    """Brokers, subscriptions and clients that have come and gone leave no descriptor, no thread and no memory."""
    rounds = 1000
    # Each thread keeps some of what it has freed, and malloc counts that as in use.
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
    said = installed.run(program(PROGRAMS / "cycles.c"), str(rounds), driver)
    figures = {(what, when): tuple(map(int, numbers)) for what, when, *numbers
               in re.findall(r"(\w+), (\w+): (\d+) descriptors, (\d+) threads, (\d+) bytes", said)}
    assert len(figures) == 6
    for what in ("brokers", "subscriptions", "clients"):
        before, after = figures[what, "before"], figures[what, "after"]
        # The smallest piece of memory that there is has 32 bytes: one lost each time would be twice what is allowed.
        assert after[0] <= before[0] and after[1] <= before[1] and after[2] < before[2] + 16 * rounds, said


@pytest.mark.parametrize("driver", ["auto", "epoll"])
@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "sanitized"])
def test_everything(installed, program, driver, sanitized):
    """Each part of the library, also in a program with gcc's sanitizers, which look for leaks at its end."""
    built = program(PROGRAMS / "everything.c", *(SANITIZERS if sanitized else []), static=sanitized)
    assert installed.run(built, driver) == "done\n"


@pytest.mark.parametrize("language", ["c++17", "c++20"])
def test_everything_in_cpp(installed, tmp_path, compiler, language):
    """Each member of ringmq.hpp."""
    certificates.make(tmp_path)
    built = installed.compile(PROGRAMS / "everything.cpp", tmp_path / "program", f"-std={language}", "-Wshadow",
                              "-Wconversion", compiler=cxx(compiler))
    assert installed.run(built, "auto", tmp_path) == "done\n"


def test_everything_in_cpp_sanitized(installed, tmp_path):
    """The same with gcc's sanitizers."""
    certificates.make(tmp_path)
    built = installed.compile(PROGRAMS / "everything.cpp", tmp_path / "program", "-std=c++17", "-g", *SANITIZERS,
                              compiler="g++", static=True)
    for driver in ("auto", "epoll"):
        assert installed.run(built, driver, tmp_path) == "done\n"


def test_everything_in_cpp_is_everything(installed, tmp_path):
    """There is no function in ringmq.hpp that this program does not call: gcc counts."""
    certificates.make(tmp_path)
    built = installed.compile(PROGRAMS / "everything.cpp", tmp_path / "program", "-std=c++17", "--coverage",
                              "-fkeep-inline-functions", compiler="g++")
    installed.run(built, "epoll", tmp_path, cwd=tmp_path)
    data = next(tmp_path.glob("*.gcda"))
    counted = json.loads(run("gcov", "--json-format", "--stdout", "--demangled-names", data, cwd=tmp_path))
    functions = [function for file in counted["files"] if file["file"].endswith("ringmq.hpp") for function in file["functions"]]
    assert len(functions) > 100
    assert [function["demangled_name"] for function in functions if not function["execution_count"]] == []


def test_memcheck(installed, program):
    """No wrong access, and nothing lost. By readiness: valgrind lets one thread run at a time, does not know that
    io_uring_enter waits, and so lets no other run that could end the wait."""
    valgrind, environment = runpy.run_path(str(ROOT / "bench" / "instructions"))["find_valgrind"]()
    command = [valgrind, "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
               "--show-leak-kinds=definite", f"--suppressions={PROGRAMS.parent / 'valgrind.supp'}", "--num-callers=40"]
    said = run(*command, program(PROGRAMS / "everything.c"), "epoll", env={**environment, **installed.environment})
    assert said == "done\n"
