"""Certificates for tests and benchmarks, made afresh by the `openssl` program: an authority, a server's for localhost and
127.0.0.1, and a client's. All keys are ECDSA on P-256."""

import subprocess
from pathlib import Path

EXTENSIONS = {
    "server": "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n",
    "client": "extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n",
}


class Certificates:
    """Paths of PEM files: `ca`, and `server` and `client` with `server_key` and `client_key`."""

    def __init__(self, folder):
        folder = Path(folder)
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca.key"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"


def openssl(*arguments):
    """Runs openssl; what it says belongs to the error."""
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0, f"openssl {' '.join(map(str, arguments))}: {done.stderr}"


def make(folder):
    """Makes all of them in a folder."""
    found = Certificates(folder)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", found.ca_key, "-out", found.ca, "-subj", "/CN=RingMQ test authority",
            "-days", "30", "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for name, subject in [("server", "localhost"), ("client", "bench-client")]:
        request, extensions = Path(folder) / f"{name}.csr", Path(folder) / f"{name}.ext"
        extensions.write_text(EXTENSIONS[name])
        openssl("req", "-new", *key, "-keyout", getattr(found, f"{name}_key"), "-out", request, "-subj", f"/CN={subject}")
        openssl("x509", "-req", "-in", request, "-CA", found.ca, "-CAkey", found.ca_key, "-CAcreateserial", "-days", "30",
                "-extfile", extensions, "-out", getattr(found, name))
    return found
