"""A site as mosquitto.conf describes it, and a table of what clients do there and what comes of it. Both brokers are
asked the same; what the answers should be is not said here."""

import subprocess

from clients import client_environment
from open_doors import Visitors, client_tls, connected
from raw_client import Closed

import broker_process
import debian_packages
import mqtt_bytes as mqtt

PASSWORDS = {"root": "the root", "anna": "secret", "bert": "hidden"}
CONFIGURATION = """\
# A site as it stands on many machines.
user root
per_listener_settings false
persistence false
log_dest stderr
sys_interval 1
allow_anonymous true
password_file {folder}/passwords
acl_file {folder}/acl
max_inflight_messages 20
max_queued_messages 50
max_packet_size 20000
max_keepalive 600

listener {plain} 127.0.0.1

listener {tls} 127.0.0.1
certfile {one.certificate}
keyfile {one.key}
tls_version tlsv1.2

listener {mutual} 127.0.0.1
cafile {ca}
certfile {one.certificate}
keyfile {one.key}
crlfile {crl}
require_certificate true
use_identity_as_username true
max_qos 1
max_topic_alias 3
"""
ACL = """\
topic read news/#
topic read $SYS/broker/version
topic deny news/internal

user root
topic readwrite #
topic read $SYS/#

user anna
topic home/+/temperature
topic write cmd/anna
topic deny home/cellar/#
topic read inbox/anna
topic readwrite will/anna
user bert
topic deny #
user device-one
topic readwrite device/#
topic deny device/secret

pattern read dev/%c/in
pattern write dev/%c/out/#
pattern readwrite u/%u
pattern read public/+
"""
TOPICS = ["news/a", "news/internal", "home/attic/temperature", "home/cellar/temperature", "cmd/anna", "inbox/anna",
          "inbox/bert", "dev/one/in", "dev/one/out", "dev/one/out/a", "dev/two/in", "u/anna", "u/bert", "u/device-one",
          "device/x", "device/secret", "public/x", "public/x/y", "will/anna", "nothing"]
WHO = [("plain", None, "one"), ("plain", "anna", "one"), ("plain", "anna", "two"), ("plain", "bert", "one"),
       ("tls", "anna", "one"), ("tls", None, "two"), ("mutual", None, "one"), ("mutual", "anna", "one")]


class Site:
    """The files of the site, and either broker on them."""

    def __init__(self, folder, certificates):
        self.certificates = certificates
        self.ports = {name: broker_process.free_port() for name in ("plain", "tls", "mutual")}
        self.paths = {}
        for number, (user, password) in enumerate(PASSWORDS.items()):
            command = [debian_packages.program("mosquitto_passwd"), *(["-c"] if number == 0 else []), "-b",
                       str(folder / "passwords"), user, password]
            subprocess.run(command, check=True, capture_output=True, timeout=30, env=client_environment())
        (folder / "acl").write_text(ACL)
        self.file = folder / "mosquitto.conf"
        self.file.write_text(CONFIGURATION.format(folder=folder, one=certificates.one, ca=certificates.ca,
                                                  crl=certificates.crl, **self.ports))

    def mosquitto(self):
        """Debian's."""
        command = [debian_packages.program("mosquitto"), "-c", str(self.file)]
        return broker_process.Broker(command, r"mosquitto version .* running", 1)

    def ringmq(self, option):
        """Ours, with the matrix's flags."""
        return start_ringmq(option, self.file)


def start_ringmq(option, file):
    """RingMQ with a mosquitto.conf."""
    command = [broker_process.ringmq_binary(), "serve", "-c", str(file), "--shards", str(option.shards), "--driver",
               option.driver, *(["--no-move"] if option.no_move else [])]
    return broker_process.Broker(command, r"ringmq: ready;", 1)


class Table:
    """What clients do, row by row, and what comes of it."""

    def __init__(self, site):
        self.site, self.rows = site, {}
        self.visit = Visitors(site, site.certificates)

    def enter(self, door, client_id="", user=None, password=None, pair=None, version=5, **options):
        """A client at a listener, whatever it is told: (what was said, the client or nothing)."""
        made = connected(self.site.ports[door])
        try:
            if door != "plain":
                pair = pair or (self.site.certificates.good if door == "mutual" else None)
                made = client_tls(self.site.certificates, pair).wrap_socket(made, server_hostname="localhost")
            login = {} if user is None else {"username": user, "password": password or PASSWORDS.get(user, "none")}
            peer = self.visit.greet(made, client_id, version, None, **login, **options)
        except (OSError, Closed):
            made.close()
            return "closed", None
        return peer.connack.reason, peer if peer.connack.reason == 0 else None

    def known(self, *arguments, **options):
        """A client that is let in."""
        said, peer = self.enter(*arguments, **options)
        assert peer, (arguments, said)
        return peer

    def connects(self):
        """Who comes in, and what the others are told."""
        rows = [("right", "anna", "secret"), ("wrong password", "anna", "Secret"),
                ("other's password", "bert", "secret"), ("unknown user", "zoe", "x"), ("empty user", "", "x"),
                ("no password", "anna", None),
                ("nobody", None, None)]
        for version in (3, 4, 5):
            for what, user, password in rows:
                login = {} if user is None else {"username": user, "password": password}
                # From addresses of their own: RingMQ makes those wait from whom many wrong passwords come.
                made = connected(self.site.ports["plain"], source=f"127.0.{version}.{len(self.rows) + 1}")
                try:
                    peer = self.visit.greet(made, f"c{version}", version, None, **login)
                    said = peer.connack.reason
                except (OSError, Closed):
                    said = "closed"
                made.close()
                self.rows[f"connect {version}: {what}"] = said
        certificates = self.site.certificates
        for what in ("good", "revoked", "expired", "other"):
            said, _ = self.enter("mutual", "m", pair=getattr(certificates, what))
            self.rows[f"certificate: {what}"] = said
        made = connected(self.site.ports["mutual"])
        try:
            tls = client_tls(certificates).wrap_socket(made, server_hostname="localhost")
            said = self.visit.greet(tls, "m", 5, None).connack.reason
        except (OSError, Closed):
            said = "closed"
        made.close()
        self.rows["certificate: none"] = said
        self.rows["tls: wrong password"], _ = self.enter("tls", "t", "anna", "wrong")

    def offers(self):
        """What CONNACK says is there."""
        for door in ("plain", "tls", "mutual"):
            peer = self.known(door, "offer", keep_alive=60)
            for name in ("maximum_qos", "maximum_packet_size", "topic_alias_maximum", "retain_available",
                         "shared_subscription_available", "server_keep_alive"):
                self.rows[f"offer {door}: {name}"] = peer.connack.properties.get(name)
            peer.disconnect()
        peer = self.known("plain", "eager", keep_alive=6000)
        self.rows["keep alive over the bound"] = peer.connack.properties.get("server_keep_alive")
        peer.disconnect()

    def rights(self):
        """What each client may read and write, found out by trying; and what it is told."""
        root = self.known("plain", "root", "root")
        root.subscribe("#")
        for door, user, client_id in WHO:
            who = f"{user} as {client_id} at {door}"
            for topic in TOPICS:
                client = self.known(door, client_id, user)
                try:
                    said = self.try_publish(client, topic)
                finally:
                    client.drop()
                self.rows[f"publish {topic}: {who}"] = said
            root.ping()
            self.rows[f"arrived: {who}"] = sorted(found.topic for found in root.pending if found.kind == "PUBLISH")
            root.pending.clear()
            client = self.known(door, client_id, user)
            client.subscribe("#", qos=1)
            for topic in TOPICS:
                root.publish(topic, b"r", qos=1)
            client.ping()
            self.rows[f"read: {who}"] = sorted(found.topic for found in client.pending)
            client.drop()
            root.ping()
            root.pending.clear()
        root.disconnect()

    @staticmethod
    def try_publish(client, topic, qos=1, **options):
        """Whether it is acknowledged as received."""
        client.send(mqtt.publish(topic, b"w", qos, 1, version=client.version, **options))
        try:
            reason = client.expect("PUBACK" if qos == 1 else "PUBREC", packet_id=1).reason
        except Closed:
            return "closed"
        return "taken" if reason in (0, 0x10) else reason

    def subscriptions(self):
        """What SUBACK says."""
        for user in (None, "anna", "bert"):
            client = self.known("plain", "subscriber", user)
            for number, name in enumerate(["#", "news/#", "inbox/bert", "$SYS/#", "$share/group/news/+", "nothing"], 1):
                client.send(mqtt.subscribe(number, [(name, 2)]))
                self.rows[f"subscribe {name}: {user}"] = client.expect("SUBACK", packet_id=number).reasons
            client.disconnect()
        client = self.known("mutual", "subscriber")
        client.send(mqtt.subscribe(1, [("device/#", 2)]))
        self.rows["subscribe at QoS 2 where 1 is the most"] = client.expect("SUBACK").reasons
        client.disconnect()

    def retained(self):
        """What is kept, and who is given it."""
        root, anna = self.known("plain", "root", "root"), self.known("plain", "anna", "anna")
        root.publish("news/kept", b"1", qos=1, retain=True)
        root.publish("inbox/anna", b"2", qos=1, retain=True)
        root.publish("news/gone", b"3", qos=1, retain=True)
        root.publish("news/gone", b"", qos=1, retain=True)
        self.try_publish(anna, "news/denied", retain=True)
        anna = self.known("plain", "anna", "anna")
        # They have no order with an answer to a ping: as many as there are to be are awaited, and then some time.
        for user, count in ((None, 1), ("anna", 1), ("bert", 0), ("root", 2)):
            reader = self.known("plain", "reader", user)
            reader.subscribe("news/#", "inbox/#")
            found = [(message.topic, message.payload) for message in reader.messages(count)]
            reader.ping()
            reader.expect_silence()
            self.rows[f"retained: {user}"] = sorted(found)
            reader.disconnect()
        for name in ("news/kept", "inbox/anna"):
            root.publish(name, b"", qos=1, retain=True)
        root.disconnect()
        anna.drop()

    def wills(self):
        """A will is published as its client may publish."""
        root = self.known("plain", "root", "root")
        root.subscribe("#")
        for user, topic in [("anna", "will/anna"), ("anna", "news/a"), (None, "news/a"), (None, "u/anna")]:
            said, mortal = self.enter("plain", "mortal", user, will=mqtt.Will(topic, b"gone", 0))
            self.rows[f"will to {topic}: {user} connects"] = said
            if mortal:
                mortal.drop()
                # The next session of this ClientID begins when the former connection is over, and its will with it.
                self.known("plain", "mortal", user).disconnect()
            root.publish("end/of/row", b"", qos=0)
            got = []
            while True:
                found = root.message()
                if found.topic == "end/of/row":
                    break
                got.append((found.topic, found.payload))
            self.rows[f"will to {topic}: {user}"] = got
        root.disconnect()

    def bounds(self):
        """Packets that are too large, queues that are full."""
        client = self.known("plain", "large", "root")
        self.rows["a packet below the bound"] = self.send_large(client, 19_000)
        self.rows["a packet over the bound"] = self.send_large(client, 21_000)
        kept = self.known("plain", "kept", "root", clean=False, properties={"session_expiry_interval": 60})
        kept.subscribe("queue/#", qos=1)
        kept.drop()
        sender = self.known("plain", "sender", "root")
        # Until the connection's end has been seen, messages are on their way to it.
        probe = self.known("plain", "kept", "root", clean=False, properties={"session_expiry_interval": 60})
        self.rows["the session is there"] = probe.connack.session_present
        probe.send(mqtt.disconnect(properties={"session_expiry_interval": 60}))
        probe.expect_closed()
        for number in range(100):
            sender.publish("queue/x", str(number), qos=1)
        back = self.known("plain", "kept", "root", clean=False, properties={"receive_maximum": 1000})
        back.ping()
        found = [int(found.payload) for found in back.pending]
        while True:
            batch, back.pending = back.pending, []
            for message in batch:
                back.answer(message)
            back.ping()
            if not back.pending:
                break
            found += [int(message.payload) for message in back.pending]
        self.rows["kept for who is away"] = found
        back.disconnect()

    @staticmethod
    def send_large(client, size):
        """What comes of a packet of about this size."""
        client.send(mqtt.publish("large", bytes(size), 1, 7))
        try:
            packet = client.receive()
        except Closed:
            return "closed"
        return packet.kind, packet.reason if packet.kind == "DISCONNECT" else 0

    def figures(self):
        """Who sees the broker's own topics."""
        for user in (None, "anna", "bert", "root"):
            client = self.known("plain", "figures", user)
            client.subscribe("$SYS/broker/version", "$SYS/broker/uptime")
            root = self.known("plain", "waiting", "root")
            root.subscribe("$SYS/broker/uptime")
            # Retained, and then anew: by the second of root's everybody has had one.
            first, second = root.message(), root.message()
            assert first.topic == second.topic
            client.ping()
            self.rows[f"$SYS: {user}"] = sorted({found.topic for found in client.pending})
            client.disconnect()
            root.disconnect()

    def fill(self):
        """All of it."""
        for part in (self.connects, self.offers, self.rights, self.subscriptions, self.retained, self.wills,
                     self.bounds, self.figures):
            part()
        self.visit.close()
        return self.rows
