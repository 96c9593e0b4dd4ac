"""The same random traffic through two brokers, and what their clients see compared.

The traffic is legal and seeded: clients of all three versions connect, subscribe, publish, stop acknowledging, break
off and come back. After each operation every client reads what there is, and both brokers must have said the same,
except where the standard leaves them free:

* the reason code of a success is one, whether 0x10 or 0x00 [section 3.4.2.1];
* overlapping subscriptions give one copy or several [MQTT-3.3.4-4] [MQTT-3.3.4-5]: what counts is the highest QoS and
  all subscription identifiers, and of several copies with several RETAIN flags one copy has one of them;
* the will of a connection that was taken over: see `Side.forget_will`;
* messages of QoS 0 may or may not wait for a session without connection [section 3.1.2.5 of 3.1.1, 4.1];
* order is kept per topic and QoS, so what comes in one step is compared as a set, and order by its own tests;
* packet identifiers, limits in CONNACK, assigned names and what is left of an expiry are each broker's own.

It never decides which broker is right: a difference stops it, with the operations that lead there.
"""

import random
from dataclasses import dataclass, field

import mqtt_bytes as mqtt
from mqtt_bytes import Will
from raw_client import Peer

# name -> version. Each keeps its version, and each has a will, which tells when a broker has noticed its end.
CLIENTS = {"old": 3, "plain": 4, "other": 4, "new": 5, "newer": 5, "sharing": 5}
LEVELS = ["a", "b", "", "A"]
KEPT = 300
# mosquitto has 20 messages in flight, and one operation may give several.
SILENT_OPERATIONS_MAX = 6
# Otherwise it sends one copy with the QoS of whichever subscription it finds first, against [MQTT-3.3.5-1 of 3.1.1].
MOSQUITTO = ("allow_duplicate_messages true", "set_tcp_nodelay true")


@dataclass
class Operation:
    """One thing that one client does."""

    kind: str
    name: str
    arguments: dict = field(default_factory=dict)

    def __str__(self):
        return f"{self.kind} {self.name} {self.arguments}"


# ---------------------------------------------------------------- generating


def topic(dice):
    """A topic name of few levels."""
    while True:
        found = "/".join(dice.choice(LEVELS) for _ in range(dice.randint(1, 3)))
        if found:
            return found


def topic_filter(dice):
    """A filter that often matches."""
    while True:
        levels = [dice.choice([*LEVELS, "+", "+"]) for _ in range(dice.randint(1, 3))]
        if dice.random() < 0.3:
            levels[-1] = "#"
        if "/".join(levels):
            return "/".join(levels)


def properties(dice):
    """Properties of a publish of 5.0."""
    offered = {"payload_format_indicator": 1, "content_type": "t/x", "response_topic": "r",
               "correlation_data": b"\0\xff", "user_property": [("k", "1"), ("k", "0")],
               "message_expiry_interval": 1000}
    return {name: value for name, value in offered.items() if dice.random() < 0.3}


class Generator:
    """Operations that are legal in the state that follows from those before."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.connected = {}
        self.silent = {}
        self.count = 0

    def __iter__(self):
        return self

    def __next__(self):
        dice = self.dice
        # Whoever does not acknowledge goes soon, before any window is full.
        for name in self.silent:
            self.silent[name] += 1
            if self.silent[name] > SILENT_OPERATIONS_MAX:
                return self.leave(name, "drop")
        name = dice.choice(list(CLIENTS))
        if name not in self.connected or dice.random() < 0.04:
            return self.connect(name)
        if name in self.silent:
            return self.leave(name, "drop") if dice.random() < 0.5 else self.publish(name)
        choice = dice.random()
        if choice < 0.55:
            return self.publish(name)
        if choice < 0.75:
            return self.subscribe(name)
        if choice < 0.83:
            return self.unsubscribe(name)
        if choice < 0.91:
            return self.leave(name, dice.choice(["drop", "disconnect"]))
        self.silent[name] = 0
        return Operation("silence", name, {"answers_pubrec": dice.random() < 0.5})

    def connect(self, name):
        """A connection, in place of one that stands if need be."""
        version, keeps = CLIENTS[name], self.dice.random() < 0.7
        self.connected[name] = keeps
        self.silent.pop(name, None)
        self.count += 1
        clean = self.dice.random() < 0.3 if version == 5 else not keeps
        return Operation("connect", name, {"clean": clean, "keeps": keeps, "will": f"will-{self.count}",
                                           "qos": self.dice.randrange(2), "retain": self.dice.random() < 0.2})

    def leave(self, name, how):
        """The end of a connection."""
        del self.connected[name]
        self.silent.pop(name, None)
        return Operation(how, name)

    def publish(self, name):
        """A message with a payload of its own; sometimes none, to clear what is kept."""
        dice = self.dice
        self.count += 1
        retain = dice.random() < 0.25
        payload = b"" if retain and dice.random() < 0.4 else f"payload-{self.count}".encode()
        return Operation("publish", name, {"topic": topic(dice), "payload": payload, "qos": dice.randrange(3),
                                           "retain": retain,
                                           "properties": properties(dice) if CLIENTS[name] == 5 else None})

    def subscribe(self, name):
        """Filters with options of the version. Of one packet only the first asks for retained messages where two
        could match the same: each would have its own copy, the second at any time."""
        dice, filters = self.dice, {}
        if CLIENTS[name] < 5 and dice.random() < 0.5:
            filters = {topic(dice): dice.randrange(3) for _ in range(3)}
        elif CLIENTS[name] < 5:
            filters[topic_filter(dice)] = dice.randrange(3)
        else:
            for _ in range(dice.randint(1, 3)):
                self.filter_of_5(name, filters)
        identifier = dice.choice([None, 1, 300, 268_435_455]) if CLIENTS[name] == 5 else None
        return Operation("subscribe", name, {"filters": list(filters.items()), "identifier": identifier})

    def filter_of_5(self, name, filters):
        """One more filter of 5.0."""
        dice, qos, wanted = self.dice, self.dice.randrange(3), topic_filter(self.dice)
        if name == "sharing" and dice.random() < 0.4:
            # Retain handling 2: mosquitto 2.0.11 sends retained messages to shared subscriptions, section 4.8.2.
            filters[f"$share/g/{wanted}"] = mqtt.subscription_options(qos, retain_handling=2)
            return
        # mosquitto 2.0.11 keeps no local and retain as published when a filter is subscribed again, against
        # [MQTT-3.8.4-3]: so each filter has its own for ever. With no local it sends what the client itself had
        # retained, against [MQTT-3.8.3-3]: so none is asked for.
        own = random.Random(wanted).random()
        handling = 2 if filters or own < 0.2 else dice.randrange(3)
        filters[wanted] = mqtt.subscription_options(qos, own < 0.2, 0.1 < own < 0.4, handling)

    def unsubscribe(self, name):
        """Filters that may be there."""
        count = self.dice.randint(1, 3)
        return Operation("unsubscribe", name, {"filters": [topic_filter(self.dice) for _ in range(count)]})


# ------------------------------------------------------------------- playing


class Side:
    """One broker with its clients."""

    def __init__(self, port):
        self.port = port
        self.peers = {}
        self.silent = {}
        self.watcher = Peer.connected(port, "watcher", 5)
        self.watcher.subscribe("will/+", qos=0)
        self.resumed = set()
        self.wills = {}
        self.ignored = set()
        self.owned = {}
        self.shared_seen = set()

    def close(self):
        """Ends all connections."""
        for peer in [*self.peers.values(), self.watcher]:
            peer.drop()

    def play(self, operation):
        """Does it; gives the direct answer."""
        return getattr(self, operation.kind)(operation.name, **operation.arguments)

    def connect(self, name, clean, keeps, will, qos, retain):
        """CONNECT; the connection that stood is taken over."""
        old, version = self.peers.pop(name, None), CLIENTS[name]
        self.silent.pop(name, None)
        options = {"properties": {"session_expiry_interval": KEPT if keeps else 0}} if version == 5 else {}
        peer = Peer(self.port, version)
        peer.send(mqtt.connect(name, version, clean, will=Will(f"will/{name}", will.encode(), qos, retain), **options))
        peer.connack = peer.expect("CONNACK")
        if old:
            old.expect_closed()
            old.drop()
            self.forget_will(name)
        self.wills[name] = will.encode()
        self.peers[name] = peer
        self.resumed.add(name)
        return peer.connack.reason, peer.connack.session_present

    def wait_for_will(self, name):
        """A will on the watcher says that the broker has noticed an end."""
        while self.watcher.expect("PUBLISH").payload != self.wills[name]:
            pass

    def forget_will(self, name):
        """The will of a connection that was taken over is not compared: mosquitto leaves it out where the session
        goes on, although its delay of 0 has passed [MQTT-3.1.2-8]."""
        self.ignored.add(self.wills[name])
        self.watcher.publish(f"will/{name}", b"", qos=1, retain=True)

    def drop(self, name):
        """The connection breaks."""
        self.peers.pop(name).drop()
        self.silent.pop(name, None)
        self.wait_for_will(name)

    def disconnect(self, name):
        """DISCONNECT, without the will."""
        self.silent.pop(name, None)
        self.peers.pop(name).disconnect()

    def silence(self, name, answers_pubrec):
        """From now on nothing is acknowledged, or QoS 2 only as far as PUBREC."""
        self.silent[name] = answers_pubrec

    def publish(self, name, **options):
        """PUBLISH to its end; success is success."""
        if options["properties"] is None:
            del options["properties"]
        answer = self.peers[name].publish(**options)
        if answer is None:
            self.peers[name].ping()
        return None if answer is None else answer.reason if answer.reason >= 0x80 else 0

    def subscribe(self, name, filters, identifier):
        """SUBSCRIBE; the codes."""
        peer, number = self.peers[name], self.peers[name].next_id()
        found = {"subscription_identifier": identifier} if identifier else None
        peer.send(mqtt.subscribe(number, filters, peer.version, found))
        return peer.expect("SUBACK", packet_id=number).reasons

    def unsubscribe(self, name, filters):
        """UNSUBSCRIBE; the codes."""
        return self.peers[name].unsubscribe(*filters).reasons

    def read(self, is_all=lambda name, packets: True):
        """What every client got: all that is there, and more until `is_all` says so."""
        return {name: self.read_one(name, peer, is_all) for name, peer in self.peers.items()}

    def read_one(self, name, peer, is_all):
        """PUBLISH and PUBREL of one client, answered as far as it answers; whoever called judges what is missing."""
        found, quiet = [], False
        while not quiet or not is_all(name, found):
            if quiet and not self.wait_for_more(peer):
                return found
            before = len(found)
            peer.send(mqtt.PINGREQ)
            while (packet := peer.receive()).kind != "PINGRESP":
                self.take(name, peer, packet, found)
            quiet = len(found) == before
        return found

    @staticmethod
    def wait_for_more(peer):
        """Whether something more comes in time."""
        try:
            peer.pending.append(peer.receive())
        except TimeoutError:
            return False
        return True

    def take(self, name, peer, packet, found):
        """Notes one packet and answers it."""
        if packet.kind not in ("PUBLISH", "PUBREL"):
            raise AssertionError(f"{name} got {packet}")
        found.append(packet)
        if packet.kind == "PUBREL":
            if name not in self.silent:
                peer.send(mqtt.acknowledge("PUBCOMP", packet.packet_id, 0, peer.version))
        elif packet.qos == 2 and self.silent.get(name, True):
            self.owned.setdefault(name, set()).add(packet.payload)
            peer.send(mqtt.acknowledge("PUBREC", packet.packet_id, 0, peer.version))
        elif packet.qos == 1 and name not in self.silent:
            peer.send(mqtt.acknowledge("PUBACK", packet.packet_id, 0, peer.version))

    def take_resumed(self):
        """Who came back since the last time."""
        resumed, self.resumed = self.resumed, set()
        return resumed


# ----------------------------------------------------------------- comparing


def in_common_words(packets, resumed, ignored=()):
    """What the standard does not leave free of what one client got: (kind, topic, payload) -> QoS, DUP, identifiers
    and properties of all its copies, and their RETAIN flags. Of PUBREL only that there was one: each copy has its
    own."""
    seen = {}
    for packet in packets:
        if packet.kind == "PUBREL":
            # Otherwise it ends what this step or a late copy began.
            if resumed:
                seen.setdefault(("PUBREL",), []).append(packet)
        elif packet.payload in ignored or (resumed and not packet.payload):
            # Empty ones cannot be told apart when they come again.
            continue
        elif packet.qos or not resumed:
            seen.setdefault(("PUBLISH", packet.topic, packet.payload), []).append(packet)
    words = {}
    for key, copies in seen.items():
        identifiers = {one for copy in copies for one in copy.properties.get("subscription_identifier", [])}
        others = {name: value for name, value in copies[0].properties.items()
                  if name not in ("subscription_identifier", "message_expiry_interval")}
        expires = "message_expiry_interval" in copies[0].properties
        qos, dup = max(copy.qos for copy in copies), sorted({copy.dup for copy in copies})
        word = None if key == ("PUBREL",) else (qos, dup, sorted(identifiers), others, expires)
        words[key] = (word, {copy.retain for copy in copies})
    return words


def difference(name, ours, theirs, resumed):
    """What differs between what two clients got, or nothing."""
    for key in sorted({*ours, *theirs}, key=str):
        if key not in ours or key not in theirs:
            return f"{key}: {ours.get(key, 'nothing')} against {theirs.get(key, 'nothing')}"
        if not agree(name, *ours[key], *theirs[key], resumed):
            return f"{key}: {ours[key]} against {theirs[key]}"
    return None


def agree(name, ours, our_retain, theirs, their_retain, resumed):
    """Whether two clients got the same message."""
    if ours is None or not resumed:
        return ours == theirs and our_retain <= their_retain
    # Sent again: of several copies one may have been done before, and its identifiers and flag with it. To a member
    # of a group it may come as a new delivery, section 4.8.2.
    same_mark = name == "sharing" or ours[1] == theirs[1]
    return (ours[0], *ours[3:]) == (theirs[0], *theirs[3:]) and same_mark and set(ours[2]) >= set(theirs[2])


class Differs(AssertionError):
    """The brokers said different things."""


def compare(our_port, their_port, operations, seed):
    """Plays so many operations; the two brokers must agree after each."""
    ours, theirs = Side(our_port), Side(their_port)
    history = []
    try:
        for operation, _ in zip(Generator(seed), range(operations)):
            history.append(str(operation))
            answers = [side.play(operation) for side in (theirs, ours)]
            if answers[0] != answers[1]:
                raise Differs(f"{answers[1]} against {answers[0]}")
            step(ours, theirs)
    except (AssertionError, OSError, Exception) as error:
        last = "\n".join(history[-200:])
        raise Differs(f"seed {seed}, operation {len(history)}: {type(error).__name__}: {error}\n{last}") from error
    finally:
        ours.close()
        theirs.close()
    return len(history)


def step(ours, theirs):
    """Reads both sides and compares them."""
    theirs.take_resumed()
    resumed = ours.take_resumed()

    def words(name, packets):
        """Of a message that a client owns already by one copy, a copy of QoS 1 may come again or not."""
        found = in_common_words(packets, name in resumed, ours.ignored)
        owned = ours.owned.get(name, ()) if name in resumed else ()
        return {key: word for key, word in found.items() if key[-1] not in owned or word[0][0] == 2}

    expected = {name: words(name, packets) for name, packets in theirs.read().items()}
    def differs(name, packets):
        """What is different, if anything. Several shared filters, or one beside a plain one, give a copy each, and
        the second may come after the step."""
        late = ours.shared_seen if name == "sharing" else ()
        seen = {key: word for key, word in words(name, packets).items() if key in expected[name] or key not in late}
        return difference(name, seen, expected[name], name in resumed)

    # A broker with several shards may take its time: read until nothing is missing.
    found = ours.read(lambda name, packets: not differs(name, packets))
    for name in expected:
        if differs(name, found[name]):
            raise Differs(f"{name}: {differs(name, found[name])}")
    ours.shared_seen.update(words("sharing", found.get("sharing", ())))
