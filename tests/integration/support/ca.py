"""A certificate authority that lives as long as a test run, made with the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Certificate:
    cert: str
    key: str


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class CertificateAuthority:
    def __init__(self, folder, name="penstock test CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = str(self.folder / "ca.pem")
        self._key = str(self.folder / "ca.key")
        self._issued = {}
        openssl("req", "-x509", *CURVE, "-days", 2, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.file)

    def issue(self, *names, usage="serverAuth", expired=False, common_name=None):
        """A certificate for DNS names or IP addresses; without names only the common name stands in it."""
        request = (names, usage, expired, common_name)
        if request not in self._issued:
            self._issued[request] = self._sign(f"leaf{len(self._issued)}", *request)
        return self._issued[request]

    def _sign(self, stem, names, usage, expired, common_name):
        base = self.folder / stem
        issued = Certificate(f"{base}.pem", f"{base}.key")
        openssl("req", *CURVE, "-subj", f"/CN={common_name or names[0]}", "-keyout", issued.key,
                "-out", f"{base}.csr")
        extensions = [f"extendedKeyUsage={usage}"]
        if names:
            kinds = ("IP" if name.replace(".", "").isdigit() else "DNS" for name in names)
            extensions.append("subjectAltName=" + ",".join(f"{k}:{n}" for k, n in zip(kinds, names)))
        Path(f"{base}.ext").write_text("\n".join(extensions) + "\n")
        (self._sign_expired if expired else self._sign_current)(base, issued)
        return issued

    def _sign_current(self, base, issued):
        openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.file, "-CAkey", self._key, "-CAcreateserial",
                "-days", 2, "-extfile", f"{base}.ext", "-out", issued.cert)

    def _sign_expired(self, base, issued):
        """`openssl x509` signs from now on only; `openssl ca` takes dates."""
        Path(f"{base}.db").write_text("")
        Path(f"{base}.cnf").write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={base}.db\nnew_certs_dir={self.folder}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-notext", "-config", f"{base}.cnf", "-cert", self.file, "-keyfile", self._key,
                "-in", f"{base}.csr", "-startdate", "20200101000000Z", "-enddate", "20200102000000Z",
                "-extfile", f"{base}.ext", "-out", issued.cert)
