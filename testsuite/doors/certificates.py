"""Certificates for one run of the tests, made by openssl: an authority, servers for two names, clients that are
good, revoked, expired or another authority's, and the authority's revocation lists.

Everything is made anew each time and belongs to nobody; no key leaves the folder.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = """\
[ca]
default_ca = here
[here]
database = {folder}/index
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 30
default_crl_days = 30
policy = anything
unique_subject = no
copy_extensions = copy
x509_extensions = end
[end]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[anything]
organizationName = optional
commonName = supplied
[req]
distinguished_name = nothing
[nothing]
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """Who vouches for certificates; all of them lie in one folder."""

    def __init__(self, folder, name):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.certificate = self.folder / "ca.pem"
        (self.folder / "configuration").write_text(CONFIGURATION.format(folder=self.folder))
        (self.folder / "index").write_text("")
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("01\n")
        self.openssl("req", "-x509", *self.new_key("ca"), "-out", self.certificate, "-days", "30", "-subj",
                     f"/O=Tests/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                     "keyUsage=critical,keyCertSign,cRLSign", "-addext", "subjectKeyIdentifier=hash")

    def openssl(self, command, *arguments):
        """Runs openssl with the folder's configuration."""
        line = ["openssl", command, "-config", str(self.folder / "configuration"), *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{' '.join(line)}: {done.stderr}"

    def new_key(self, name):
        """The flags that make a key."""
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                self.folder / f"{name}.key"]

    def certify(self, name, subject, alternative_names, use, dates=()):
        """A certificate for `subject`, for use as a server's (`serverAuth`) or a client's (`clientAuth`)."""
        request, certificate = self.folder / f"{name}.csr", self.folder / f"{name}.pem"
        self.openssl("req", "-new", *self.new_key(name), "-out", request, "-subj", subject, "-addext",
                     f"subjectAltName={alternative_names}", "-addext", f"extendedKeyUsage={use}")
        self.openssl("ca", "-batch", "-notext", "-in", request, "-out", certificate, *dates)
        return Pair(certificate, self.folder / f"{name}.key")

    def revocation_list(self, name, *revoked):
        """A list that is in force now, with these certificates on it and those of earlier lists."""
        for pair in revoked:
            self.openssl("ca", "-revoke", pair.certificate)
        self.openssl("ca", "-gencrl", "-out", self.folder / name)
        return self.folder / name


class Certificates:
    """All that the tests use."""

    def __init__(self, folder):
        here, elsewhere = Authority(folder / "here", "Tests"), Authority(folder / "elsewhere", "Somebody Else")
        local = "DNS:localhost,IP:127.0.0.1,IP:::1"
        client = "DNS:one.device.test"
        self.ca, self.other_ca = here.certificate, elsewhere.certificate
        self.one = here.certify("one", "/CN=one.test", f"DNS:one.test,{local}", "serverAuth")
        self.two = here.certify("two", "/CN=two.test", f"DNS:two.test,DNS:*.two.test,{local}", "serverAuth")
        self.elsewhere = elsewhere.certify("elsewhere", "/CN=one.test", f"DNS:one.test,{local}", "serverAuth")
        self.good = here.certify("good", "/O=Tests/CN=device-one", client, "clientAuth")
        self.revoked = here.certify("revoked", "/O=Tests/CN=device-two", "DNS:two.device.test", "clientAuth")
        self.expired = here.certify("expired", "/CN=device-three", "DNS:three.device.test", "clientAuth",
                                    ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"])
        self.other = elsewhere.certify("other", "/O=Tests/CN=device-one", client, "clientAuth")
        self.nobody_revoked = here.revocation_list("nobody.crl")
        self.crl = here.revocation_list("revoked.crl", self.revoked)
