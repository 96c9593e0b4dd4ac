"""The sample programs of Paho C and of libmosquitto, against a broker inside a C program.

They are built from their authors' sources, in which one thing is replaced: the address of a public server, by that of the
broker. Of Paho's paho_c_pub and its like, Debian has all but a header: they are run as Debian has built them.
"""

import queue
import re
import signal
import subprocess
import threading
import time

import debian_packages
import pytest
from conftest import PROGRAMS, ROOT, run

PAHO = debian_packages.UNPACKED / "usr" / "src" / "paho.mqtt.c-examples"
MOSQUITTO = ROOT / "build" / "sources" / "mosquitto"
TOPIC = "MQTT Examples"
# The sample program, and the library of Paho's that it is for.
PAHO_PUBLISHERS = [("MQTTClient_publish", "3c"), ("MQTTClient_publish_async", "3c"), ("MQTTAsync_publish", "3a")]
PAHO_SUBSCRIBERS = [("MQTTClient_subscribe", "3c"), ("MQTTAsync_subscribe", "3a")]
PATIENCE = 60


class Program:
    """A program that runs, and what it says, line by line."""

    def __init__(self, *command, env):
        self.process = subprocess.Popen(["stdbuf", "-oL", *map(str, command)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
        self.lines, self.said = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Its lines, and None behind the last."""
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def says(self, pattern):
        """Waits for a line."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                line = self.lines.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                line = None
            assert line is not None, f"no line is {pattern}: {self.said}"
            self.said.append(line)
            if found := re.fullmatch(pattern, line):
                return found

    def tell(self, text):
        """Gives it a line."""
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def ends(self, code=0):
        """It ends by itself, its input having ended."""
        self.process.stdin.close()
        assert self.process.wait(timeout=PATIENCE) == code, self.said

    def interrupted(self, *codes):
        """It goes on for ever, until it is told to end."""
        assert self.process.poll() is None, self.said
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(timeout=PATIENCE) in codes, self.said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Samples:
    """Sample programs, and the broker that they are for."""

    def __init__(self, broker, port, folder):
        self.broker, self.port, self.folder = broker, port, folder

    def start(self, *command):
        """Runs a program."""
        return Program(*command, env=debian_packages.environment())

    def run(self, *command):
        """Runs a program that ends by itself; what it said."""
        return run(*command, timeout=PATIENCE)

    def build(self, name, sources, *flags, address=None, compiler="gcc"):
        """Compiles a sample. `address` is (what stands in it once, what takes its place)."""
        copies = []
        for source in sources:
            text = source.read_text()
            if address and address[0] in text:
                assert text.count(address[0]) == 1
                text, address = text.replace(*address), None
            copies.append(self.folder / f"{name}-{source.name}")
            copies[-1].write_text(text)
        assert address is None, f"{name} has another address"
        run(compiler, "-O1", "-o", self.folder / name, *copies, *flags)
        return self.folder / name

    def paho(self, name, library):
        """A sample of Paho's."""
        source = PAHO / f"{name}.c"
        address = re.search(r'^#define ADDRESS +"(.*)"$', source.read_text(), re.MULTILINE)[1]
        here = f"tcp://127.0.0.1:{self.port}"
        return self.build(name, [source], f"-lpaho-mqtt{library}", "-pthread", address=(address, here))

    def mosquitto(self, name):
        """A sample of libmosquitto's, in C."""
        address = ('"test.mosquitto.org", 1883', f'"127.0.0.1", {self.port}')
        source = MOSQUITTO / "examples" / f"{name}.c"
        return self.build(name.replace("/", "-"), [source], "-lmosquitto", "-pthread", address=address)

    def mosquitto_client(self, name, *sources):
        """One of libmosquitto's programs, which take the address as an argument."""
        version = re.search(r"^VERSION=(.*)$", (MOSQUITTO / "config.mk").read_text(), re.MULTILINE)[1]
        flags = [f'-DVERSION="{version}"', "-DWITH_TLS", f"-I{MOSQUITTO}", f"-I{MOSQUITTO / 'client'}", "-lmosquitto"]
        paths = [MOSQUITTO / "client" / f"{source}.c" for source in (*sources, "client_shared", "client_props")]
        return self.build(name, paths, *flags)


@pytest.fixture
def samples(installed, tmp_path):
    """Sample programs with a broker, which stops in order when the test has ended."""
    program = installed.compile(PROGRAMS / "embedded.c", tmp_path / "embedded", "-std=c11")
    with Program(program, env=installed.environment) as broker:
        yield Samples(broker, int(broker.says(r"\d+")[0]), tmp_path)
        broker.ends()


@pytest.mark.parametrize("subscriber", PAHO_SUBSCRIBERS, ids=lambda sample: sample[0])
@pytest.mark.parametrize("publisher", PAHO_PUBLISHERS, ids=lambda sample: sample[0])
def test_paho(samples, publisher, subscriber):
    """Paho's first samples: what one publishes the other prints, and the program with the broker is told as well."""
    samples.broker.tell(f"{TOPIC}=it is subscribed")
    samples.broker.says(f"{TOPIC}=it is subscribed")
    with samples.start(samples.paho(*subscriber)) as subscribed:
        subscribed.says(" *message: it is subscribed")
        samples.run(samples.paho(*publisher))
        samples.broker.says(f"{TOPIC}=Hello World!")
        subscribed.says(f" *topic: {TOPIC}")
        subscribed.says(" *message: Hello World!")
        subscribed.tell("Q")
        subscribed.ends()


def test_paho_publish_time(samples):
    """Publishes the time ten times a second, until it is interrupted."""
    with samples.start(samples.paho("MQTTAsync_publish_time", "3a")) as clock:
        first, second = (int(samples.broker.says(r"data/time=(\d+)")[1]) for _ in range(2))
        assert first < second
        clock.interrupted(-signal.SIGINT)


@pytest.mark.parametrize("version", ["31", "311", "5"])
@pytest.mark.parametrize("kind", ["c", "cs"])
def test_paho_programs(samples, kind, version):
    """paho_c_pub and paho_c_sub, and those of the synchronous client, as Debian has built them."""
    publisher, subscriber = (debian_packages.program(f"paho_{kind}_{what}") for what in ("pub", "sub"))
    where = ["-h", "127.0.0.1", "-p", samples.port, "-V", version, "-q", "2"]
    samples.broker.tell("home/ready=yes")
    with samples.start(subscriber, "home/#", *where) as subscribed:
        subscribed.says(r"(\d+ )?home/ready\tyes")
        samples.run(publisher, "home/x", *where, "-m", "a message")
        subscribed.says(r"(\d+ )?home/x\ta message")
        samples.broker.says("home/x=a message")
        subscribed.interrupted(0)


def test_mosquitto_publish_and_subscribe(samples):
    """A pretended sensor, and who reads it. Both go on until they are interrupted."""
    with samples.start(samples.mosquitto("subscribe/basic-1")) as subscribed:
        subscribed.says("on_subscribe: 0:granted qos = 1")
        with samples.start(samples.mosquitto("publish/basic-1")) as sensor:
            temperature = subscribed.says(r"example/temperature 1 (\d+)")[1]
            samples.broker.says(f"example/temperature={temperature}")
            sensor.says(r"Message with mid \d+ has been published\.")
            sensor.interrupted(-signal.SIGINT)
        subscribed.interrupted(-signal.SIGINT)


def test_mosquitto_subscribe_simple(samples):
    """Waits for one message, for three, and for all that come."""
    for number in range(3):
        samples.broker.tell(f"irc/{number}=line {number}")
    samples.broker.says("irc/2=line 2")
    lines = [f"irc/{number} line {number}" for number in range(3)]
    assert samples.run(samples.mosquitto("subscribe_simple/single")).splitlines()[0] in lines
    assert sorted(samples.run(samples.mosquitto("subscribe_simple/multiple")).splitlines()) == lines
    with samples.start(samples.mosquitto("subscribe_simple/callback")) as subscribed:
        subscribed.says(r"irc/\d line \d \(6\)")
        samples.broker.tell("irc/9=live")
        subscribed.says(r"irc/9 live \(4\)")
        subscribed.interrupted(-signal.SIGINT)


def test_mosquitto_temperature_conversion(samples):
    """The sample in C++: it answers what it is told with another message."""
    folder = MOSQUITTO / "examples" / "temperature_conversion"
    program = samples.build("conversion", [folder / "main.cpp", folder / "temperature_conversion.cpp"], f"-I{folder}",
                            "-lmosquittopp", "-lmosquitto", address=('"localhost", 1883', f'"127.0.0.1", {samples.port}'),
                            compiler="g++")
    with samples.start(program) as converts:
        converts.says("Subscription succeeded.")
        samples.broker.tell("temperature/celsius=100")
        samples.broker.says(r"temperature/fahrenheit=212\.000000")
        converts.interrupted(-signal.SIGINT)


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquitto_programs(samples, version):
    """mosquitto_pub, mosquitto_sub and mosquitto_rr, from their sources."""
    where = ["-h", "127.0.0.1", "-p", samples.port, "-V", version, "-q", "1"]
    publisher = samples.mosquitto_client("mosquitto_pub", "pub_client", "pub_shared")
    subscriber = samples.mosquitto_client("mosquitto_sub", "sub_client", "sub_client_output")
    samples.broker.tell("home/ready=yes")
    with samples.start(subscriber, *where, "-v", "-C", "2", "-t", "home/#") as subscribed:
        subscribed.says("home/ready yes")
        samples.run(publisher, *where, "-t", "home/x", "-m", "a message")
        subscribed.says("home/x a message")
        subscribed.ends()
    samples.broker.says("home/x=a message")


@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_request(samples, version):
    """mosquitto_rr asks, and prints what it is answered."""
    where = ["-h", "127.0.0.1", "-p", samples.port, "-V", version]
    program = samples.mosquitto_client("mosquitto_rr", "rr_client", "pub_shared", "sub_client_output")
    with samples.start(program, *where, "-t", "ask", "-e", "answer", "-m", "a question") as asking:
        samples.broker.says("ask=a question")
        samples.broker.tell("answer=an answer")
        asking.says("an answer")
        asking.ends()
