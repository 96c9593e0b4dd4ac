"""What a service manager does for a service, no more: opens sockets and hands them over as descriptors from 3 on
(sd_listen_fds(3)). Arguments: sockets as NAME=tcp or NAME=unix:PATH, then `--`, then the program. Says on standard
error where each socket is, as `NAME ADDRESS`, and becomes the program."""

import fcntl
import os
import socket
import sys

end = sys.argv.index("--")
sockets = []
for argument in sys.argv[1:end]:
    name, where = argument.split("=", 1)
    if where.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX)
        made.bind(where.removeprefix("unix:"))
        address = where
    else:
        made = socket.socket()
        made.bind(("127.0.0.1", 0))
        address = str(made.getsockname()[1])
    made.listen(64)
    print(f"{name} {address}", file=sys.stderr, flush=True)
    sockets.append((name, made))

# Out of the way of the numbers they are to have.
numbers = [fcntl.fcntl(made.fileno(), fcntl.F_DUPFD, 3 + len(sockets)) for _, made in sockets]
for place, number in enumerate(numbers):
    os.dup2(number, 3 + place, inheritable=True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets)),
               "LISTEN_FDNAMES": ":".join(name for name, _ in sockets)}
os.execv(sys.argv[end + 1], sys.argv[end + 1 :])
