"""What requests are made of and by: accounts with devices, a log, key packages, all really there at the relay.

Requests are signed here, as RFC 7523 and RFC 9449 say; the formats are in waxwing.py.
"""

import os

import requests

import waxwing
from waxwing import base64url

BINARY = {"Content-Type": "application/octet-stream"}


class DeviceAuth(requests.auth.AuthBase):
    """A token and a proof for the very request that goes out; without a token (at the token endpoint) the proof alone.

    The relay's nonce goes into the proof. A refusal for want of it is heeded once: the request goes out again, with a proof that has it.
    """

    nonce = None

    def __init__(self, account, token):
        self.account, self.token = account, token

    def __call__(self, request):
        self.sign(request)
        request.register_hook("response", self.heed)
        return request

    def sign(self, request):
        if self.token is not None:
            request.headers["Authorization"] = f"DPoP {self.token}"
        url = request.url.split("?")[0]
        request.headers["DPoP"] = waxwing.proof(self.account, request.method, url, self.token, DeviceAuth.nonce)

    def heed(self, answer, **kwargs):
        # The same for everybody, so it is kept for all.
        DeviceAuth.nonce = answer.headers.get("DPoP-Nonce", DeviceAuth.nonce)
        # What cannot be read as HTTP at all gets a bare 400.
        refused = answer.status_code in (400, 401) and answer.headers.get("Content-Type") == "application/problem+json"
        if not refused or answer.json()["code"] != "use_dpop_nonce":
            return answer
        answer.close()
        again = answer.request.copy()
        self.sign(again)
        second = answer.connection.send(again, **kwargs)
        DeviceAuth.nonce = second.headers.get("DPoP-Nonce", DeviceAuth.nonce)
        second.history.append(answer)
        second.request = again
        return second


class HeaderAuth(requests.auth.AuthBase):
    """A header that says it all: a log's token, an access key."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __call__(self, request):
        request.headers[self.name] = self.value
        return request


def log_auth(token):
    return HeaderAuth("Authorization", "Bearer " + base64url(token))


def key_auth(access_key):
    return HeaderAuth("Waxwing-Access-Key", base64url(access_key))


class World:
    def __init__(self, url):
        self.url = url
        self.origin = url.split("://")[1]
        self.alice, self.bob = self.account(), self.account()
        self.log = self.new_log()
        self.blob = os.urandom(5000)
        path = f"/v1/blobs/{waxwing.blob_id(self.blob).hex()}"
        self.expect(201, "PUT", path, data=self.blob, headers=BINARY, auth=self.auth(self.alice))
        self.access_key = os.urandom(16)
        hashes = [base64url(waxwing.token_hash(self.access_key))]
        self.expect(204, "PUT", "/v1/access-keys", auth=self.auth(self.alice), json={"hashes": hashes})

    def expect(self, status, method, path, **request):
        answer = requests.request(method, self.url + path, timeout=60, **request)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text[:500])
        return answer

    def auth(self, account):
        return DeviceAuth(account, account.token)

    def account(self):
        """One that is registered, with a token."""
        account = waxwing.Account(self.origin)
        account.chain.append(account.create())
        body = {"entry": base64url(account.chain[0])}
        assert self.expect(201, "POST", "/v1/accounts", json=body).json() == {"account": account.id.hex(), "seq": 0}
        self.token(account)
        return account

    def token(self, account):
        answer = self.expect(200, "POST", "/oauth/token", data=self.token_request(account), auth=DeviceAuth(account, None))
        account.token = answer.json()["access_token"]

    @staticmethod
    def token_request(account):
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return {"grant_type": grant, "assertion": waxwing.assertion(account)}

    def new_log(self):
        log = waxwing.Log()
        self.expect(201, "POST", "/v1/logs", data=log.create(), headers=BINARY, auth=self.auth(self.alice))
        return log
