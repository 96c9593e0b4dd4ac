"""Who is compared, how each is found and started, and what each can do.

All get the same limits: no queue or window of a broker shall end what the load's own window bounds. None keeps
anything on disk, and none writes a line per message.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .processes import OUTPUT, ROOT, free_port

UNPACKED = ROOT / "build" / "debian"
PEERS = ROOT / "build" / "peers"
AEDES_SERVER = Path(__file__).resolve().parent / "aedes_server.mjs"

# Connections are logged by both RingMQ, which has no switch for it, and mosquitto.
MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 65535
max_queued_messages 1000000
max_queued_bytes 1073741824
sys_interval 0
log_type error
log_type notice
user {user}
"""
RINGMQ_SETTINGS = [
    "--bind", "127.0.0.1", "--sys-interval", "0",
    "--set", "receive_maximum=65535", "--set", "inflight_messages_max=65535",
    "--set", "queue_messages_max=1000000", "--set", "queue_bytes_max=1GiB",
]
# JetStream holds sessions and retained messages: its folder is made afresh for every run.
NATS_CONF = """\
server_name: bench
listen: 127.0.0.1:{client_port}
jetstream {{ store_dir: "{store}", max_memory_store: 4GB, max_file_store: 4GB }}
mqtt {{ listen: "127.0.0.1:{port}", max_ack_pending: 65535 }}
max_pending: 1GB
max_payload: 8MB
"""
# Each version of MQTT would have a listener of its own; this one is for 3.1.1.
RUMQTTD_CONF = """\
id = 0
[router]
id = 0
max_connections = 20000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v4.1]
name = "bench"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
    [v4.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 209715200
    max_inflight_count = 65535
    dynamic_filters = true
"""


@dataclass
class Broker:
    """One of those compared, ready to be started."""

    name: str
    program: str
    # port, folder -> command
    command: object
    version_command: list
    environment: dict = field(default_factory=lambda: dict(os.environ))
    versions: tuple = ("3.1", "3.1.1", "5.0")
    qos_max: int = 2
    # "ringmq", "relay" or "peer"
    kind: str = "peer"
    cores: int = 1
    # Whether it is there for the scenarios about shards, and for those only.
    for_shards: bool = False

    def can(self, scenario):
        """Whether a scenario asks for nothing this one does not do."""
        if self.for_shards != scenario.shards or self.kind == "relay" and not scenario.relay:
            return False
        return scenario.mqtt in self.versions and scenario.qos <= self.qos_max


def ringmq(binary, name="ringmq", driver=None, shards=1):
    """RingMQ with a driver of our choice or its own."""
    def command(port, _folder):
        return [binary, "serve", "-p", str(port), *RINGMQ_SETTINGS, "--shards", str(shards),
                *(["--driver", driver] if driver else [])]

    return Broker(name, binary, command, [binary, "--version"], kind="ringmq", cores=shards)


def relay(binary, driver):
    """The relay with one of its drivers."""
    def command(port, _folder):
        return [binary, "--port", str(port), "--driver", driver]

    return Broker(f"relay-{driver}", binary, command, [binary, "--version"], qos_max=0, kind="relay")


def mosquitto(named=None):
    """mosquitto: the one named, the system's, or the one unpacked below build/."""
    program, environment = debian_program("mosquitto", named)

    def command(port, folder):
        conf = folder / "mosquitto.conf"
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
        conf.write_text(MOSQUITTO_CONF.format(port=port, user=user))
        return [program, "-c", str(conf)]

    return program and Broker("mosquitto", program, command, [program, "-h"], environment)


def nats():
    """nats-server with its MQTT; that of Debian 12 knows 3.1.1 and no QoS 2."""
    program, environment = debian_program("nats-server")

    def command(port, folder):
        store = folder / "jetstream"
        shutil.rmtree(store, ignore_errors=True)
        conf = folder / "nats.conf"
        conf.write_text(NATS_CONF.format(port=port, client_port=free_port(), store=store))
        return [program, "-c", str(conf)]

    return program and Broker("nats", program, command, [program, "--version"], environment,
                              versions=("3.1.1",), qos_max=1)


def rumqttd():
    """rumqttd; its listener for 3.1.1 only."""
    program = ROOT / "build" / "cargo" / "bin" / "rumqttd"

    def command(port, folder):
        conf = folder / "rumqttd.toml"
        conf.write_text(RUMQTTD_CONF.format(port=port))
        return [str(program), "-q", "-c", str(conf)]

    return program.is_file() and Broker("rumqttd", str(program), command, [str(program), "--version"],
                                        versions=("3.1.1",))


def aedes():
    """aedes behind a server of a few lines; it knows no 5.0."""
    node, package = shutil.which("node"), PEERS / "node_modules" / "aedes" / "package.json"
    if not node or not package.is_file():
        return None

    def command(port, _folder):
        return [node, str(AEDES_SERVER), str(PEERS), str(port)]

    return Broker("aedes", node, command, [node, "-p", f"'aedes ' + require('{package}').version"],
                  versions=("3.1", "3.1.1"))


def debian_program(name, named=None):
    """A program of a Debian package and the environment it needs; nothing when it is not there."""
    environment = dict(os.environ)
    places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    program = named or shutil.which(name, path=places)
    if not program and (UNPACKED / "usr" / "sbin" / name).is_file():
        libraries = [str(folder) for folder in (UNPACKED / "usr" / "lib").glob("*-linux-gnu*")]
        libraries += filter(None, [environment.get("LD_LIBRARY_PATH")])
        environment["LD_LIBRARY_PATH"] = ":".join(libraries)
        program = str(UNPACKED / "usr" / "sbin" / name)
    return program, environment


NAMES = ["ringmq", "ringmq-uring", "ringmq-epoll", "relay-epoll", "relay-uring", "mosquitto", "rumqttd", "nats",
         "aedes"]
DEFAULT_NAMES = ["ringmq", "relay-epoll", "relay-uring", "mosquitto", "rumqttd", "nats", "aedes"]


PEERS_BY_NAME = {
    "mosquitto": lambda options: mosquitto(options.mosquitto),
    "rumqttd": lambda _: rumqttd(), "nats": lambda _: nats(), "aedes": lambda _: aedes(),
}


def find(names, options):
    """The brokers of these names, and the names of those that are not installed."""
    found = {}
    for name in names:
        kind, _, driver = name.partition("-")
        if name == "ringmq":
            found[name] = ringmq(options.binary, driver=options.driver)
        elif kind == "ringmq":
            found[name] = ringmq(options.binary, name, driver)
        elif kind == "relay":
            found[name] = relay(options.relay_binary, driver)
        else:
            found[name] = PEERS_BY_NAME[name](options)
    present = [broker for broker in found.values() if broker]
    return present, [name for name, broker in found.items() if not broker]


def shard_brokers(options):
    """RingMQ with one shard and with two, for the scenarios about shards."""
    names = {1: "ringmq-1-shard", 2: "ringmq-2-shards"}
    found = [ringmq(options.binary, name, options.driver, shards) for shards, name in names.items()]
    for broker in found:
        broker.for_shards = True
    return found


def folder_of(broker):
    """Where a broker's configuration and data are."""
    folder = OUTPUT / broker.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
