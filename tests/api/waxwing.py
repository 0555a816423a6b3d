"""The wire formats that the HTTP API needs, written from docs/protocol.md alone: chains, tokens, frames.

Not here: what an envelope holds (the relay cannot tell), requests (client.py).
"""

import base64
import hashlib
import json
import os
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

LEAF = 69
BLOB_PART = 262_144
APP, HANDSHAKE, WELCOME, NOTICE, RESYNC = 1, 2, 3, 4, 5


# Conventions


def label(text):
    return b"waxwing/1 " + text.encode()


def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def number(value, length):
    return value.to_bytes(length, "big")


def var(data):
    return number(len(data), 4) + data


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token_hash(token):
    """What a relay keeps of a bearer token or access key."""
    return digest(label("token"), token)


def blob_id(data):
    return digest(label("blob"), data)


def sign(key, context, message):
    return key.sign(label(context) + b"\0" + message)


def public(key):
    return key.public_key().public_bytes_raw()


# Keys and chains


def mlkem_key():
    """An ML-KEM-768 public key that a reader takes: 768 coefficients below 3,329 in 12 bits each, then 32 bytes (FIPS 203, section 7.2)."""
    bits = 0
    for i in range(768):
        bits |= int.from_bytes(os.urandom(4), "big") % 3329 << 12 * i
    return bits.to_bytes(1152, "little") + os.urandom(32)


class Device:
    """A device's keys of one version, and its record."""

    def __init__(self, device, version):
        self.device, self.version = device, version
        self.relay_auth, self.signing, self.mls = (Ed25519PrivateKey.generate() for _ in range(3))
        sealing, half = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        keys = [public(key) for key in (self.relay_auth, self.signing, self.mls, sealing)]
        self.record = device + number(version, 4) + b"".join(keys) + mlkem_key() + public(half)
        assert len(self.record) == 1364

    def possessions(self, message):
        keys = {"relay-auth": self.relay_auth, "signing": self.signing, "mls": self.mls}
        return [sign(key, "chain possess " + name, message) for name, key in keys.items()]


class Account:
    """An account with one device, its private keys and its chain."""

    def __init__(self, origin, name=None):
        self.origin = origin
        self.name = "u" + os.urandom(8).hex() if name is None else name
        self.id = os.urandom(16)
        self.account_key, self.recovery_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.device = Device(os.urandom(16), 1)
        self.dpop = Ed25519PrivateKey.generate()
        self.token = None
        self.chain = []

    def entry(self, op, body, signer, signatures):
        """A signed chain entry; `signatures` makes them from what is signed."""
        before = digest(label("chain entry"), self.chain[-1]) if self.chain else bytes(32)
        message = b"\1" + self.id + number(len(self.chain), 4) + before + bytes([op]) + var(body)
        message += number(int(time.time() * 1000), 8) + bytes([signer])
        return message + b"".join(signatures(message))

    def create(self):
        body = var(self.origin.encode()) + var(self.name.encode())
        body += public(self.recovery_key) + public(self.account_key) + self.device.record
        return self.entry(
            1,
            body,
            1,
            lambda message: [
                sign(self.account_key, "chain account", message),
                sign(self.recovery_key, "chain recovery", message),
                *self.device.possessions(message),
            ],
        )

    def rotate_device_keys(self):
        """The entry, and the keys that it puts in force."""
        new = Device(self.device.device, self.device.version + 1)
        signatures = lambda message: [sign(self.account_key, "chain account", message), *new.possessions(message)]
        return self.entry(3, new.record, 1, signatures), new

    def recover(self):
        """The entry, and what it puts in force: the new account key and device."""
        key, new = Ed25519PrivateKey.generate(), Device(os.urandom(16), 1)
        body = public(self.recovery_key) + public(key) + new.record
        signatures = lambda message: [
            sign(self.recovery_key, "chain recovery", message),
            sign(self.recovery_key, "chain new recovery", message),
            sign(key, "chain new account", message),
            *new.possessions(message),
        ]
        return self.entry(5, body, 2, signatures), key, new


# Tokens


def jws(key, header, claims):
    compact = [base64url(json.dumps(part).encode()) for part in ({"alg": "EdDSA"} | header, claims)]
    return ".".join(compact + [base64url(key.sign(".".join(compact).encode()))])


def assertion(account):
    """RFC 7523: the device asks for a token."""
    now = int(time.time())
    claims = {"iss": account.device.device.hex(), "sub": account.id.hex(), "aud": account.origin}
    return jws(account.device.relay_auth, {"typ": "JWT"}, claims | {"iat": now, "exp": now + 60, "jti": base64url(os.urandom(16))})


def proof(account, method, url, token=None, nonce=None):
    """RFC 9449: this request, by the key that the token is bound to, with a nonce of the relay's. `url` without query."""
    claims = {"jti": base64url(os.urandom(16)), "htm": method, "htu": url, "iat": int(time.time())}
    if token is not None:
        claims["ath"] = base64url(digest(token.encode()))
    if nonce is not None:
        claims["nonce"] = nonce
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": base64url(public(account.dpop))}
    return jws(account.dpop, {"typ": "dpop+jwt", "jwk": jwk}, claims)


# Frames


class Log:
    """A log's id and tokens."""

    def __init__(self):
        self.id, self.write, self.read = os.urandom(16), os.urandom(32), os.urandom(32)

    def create(self):
        return self.id + token_hash(self.write) + token_hash(self.read)


def append(envelope, kind=APP, after=0, entry_id=None, rekey=None):
    """`rekey`: a log with the tokens to come."""
    tokens = b"\0" if rekey is None else b"\1" + rekey.create()[16:]
    return (entry_id or os.urandom(16)) + bytes([kind]) + number(after, 8) + tokens + var(envelope)


def inbox_send(envelope, kind=NOTICE, entry_id=None):
    return (entry_id or os.urandom(16)) + bytes([kind]) + var(envelope)


def upload_key_packages(packages, last_resort=None, replace=False):
    last = b"\0" if last_resort is None else b"\1" + var(last_resort)
    return bytes([replace]) + last + number(len(packages), 4) + b"".join(map(var, packages))


def claim_key_packages(account_id):
    return account_id + os.urandom(16)


class Reader:
    """Reads a frame from front to back, and that nothing is left over."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        part = self.data[self.at : self.at + length]
        assert len(part) == length, "the frame ends early"
        self.at += length
        return part

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def var(self):
        return self.take(self.number(4))

    def end(self):
        assert self.at == len(self.data), "the frame goes on"


def entries(reader):
    found = []
    for _ in range(reader.number(4)):
        found.append({"seq": reader.number(8), "id": reader.take(16), "kind": reader.number(1), "envelope": reader.var()})
    reader.end()
    return found


def log_page(data):
    reader = Reader(data)
    page = {"oldest": reader.number(8), "head": reader.number(8), "running": reader.take(32)}
    page |= {"last_handshake": reader.number(8), "retired": reader.number(1)}
    return page | {"entries": entries(reader)}


def inbox_page(data):
    reader = Reader(data)
    return {"head": reader.number(8), "entries": entries(reader)}


def claimed_key_packages(data):
    reader, found = Reader(data), []
    for _ in range(reader.number(4)):
        found.append({"device": reader.take(16), "last_resort": reader.number(1), "package": reader.var()})
    reader.end()
    return found


def running_hash(before, entry):
    parts = [before, number(entry["seq"], 8), entry["id"], bytes([entry["kind"]]), digest(entry["envelope"])]
    return digest(label("log running"), *parts)
