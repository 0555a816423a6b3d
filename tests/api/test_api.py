"""The served OpenAPI document against the relay that serves it.

Each operation is asked once for something that it must grant, and then many times for what schemathesis makes up. Whatever comes back must be what
the document says: its status, headers, media type and body.
"""

import base64
import os
import socket

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

import hooks
import waxwing
from waxwing import base64url
from world import DeviceAuth, key_auth, log_auth

URL = os.environ["WAXWING_RELAY_URL"]
DOCUMENT = requests.get(URL + "/openapi.json", timeout=60).json()


def schema(*modes):
    # By its URL it would leave out the operation that serves it.
    found = schemathesis.openapi.from_dict(DOCUMENT)
    found.config.update(base_url=URL)
    found.config.generation.update(modes=list(modes))
    return found


FITTING, UNFITTING = schema(GenerationMode.POSITIVE), schema(GenerationMode.NEGATIVE)
hooks.teach(FITTING)
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in FITTING.get_all_operations()}
# Operations that have answered as they do where all is well.
GRANTED = set()


def ask(name, status, **request):
    """One request, judged by the document and by the status that must come."""
    auth = request.pop("auth", None)
    case = OPERATIONS[name].Case(**request)
    answer = case.call(auth=auth or hooks.auth(case.operation))
    assert answer.status_code == status, (name, answer.status_code, answer.content[:500])
    case.validate_response(answer)
    GRANTED.add(name)
    return answer


def binary(body):
    return {"body": body, "media_type": "application/octet-stream"}


def json(body):
    return {"body": body, "media_type": "application/json"}


# Seeds: what each operation must grant, in the order in which one thing follows from another


def test_healthz(world):
    assert ask("healthz", 200).content == b"ok"


def test_openapi(world):
    assert ask("openapi", 200).json()["openapi"].startswith("3.1.")


def test_invite_page(world):
    assert b"<script" not in ask("invite_page", 200).content


def test_relay_info(world):
    assert ask("relay_info", 200).json()["audience"] == world.origin


def test_jwks(world):
    [key] = ask("jwks", 200).json()["keys"]
    assert key["crv"] == "Ed25519"


def test_register(world):
    account = waxwing.Account(world.origin)
    entry = base64url(account.create())
    # Written once or twice, it is the same.
    for _ in range(2):
        assert ask("register", 201, **json({"entry": entry})).json() == {"account": account.id.hex(), "seq": 0}


def test_token(world):
    account = world.account()
    body = world.token_request(account)
    form = {"body": body, "media_type": "application/x-www-form-urlencoded"}
    answer = ask("token", 200, auth=DeviceAuth(account, None), **form).json()
    assert answer["token_type"] == "DPoP" and answer["expires_in"] == 600


def test_read_chain(world):
    by_id = ask("read_chain", 200, path_parameters={"account": world.alice.id.hex()}).json()
    by_name = ask("read_chain", 200, path_parameters={"account": world.alice.name}, query={"from": 0}).json()
    assert by_id["entries"] == by_name["entries"] == [base64url(entry) for entry in world.alice.chain]


def test_append_chain(world):
    account = world.account()
    path = {"account": account.id.hex()}
    entry, device = account.rotate_device_keys()
    for _ in range(2):
        answer = ask("append_chain", 201, path_parameters=path, auth=world.auth(account), **json({"entry": base64url(entry)}))
        assert answer.json() == {"account": account.id.hex(), "seq": 1}
    account.chain.append(entry)
    account.device = device
    # The old relay-auth key is worth nothing from here on, and neither is its token; the new one is.
    inbox = f"/v1/inboxes/{account.device.device.hex()}"
    world.expect(401, "GET", inbox, auth=world.auth(account))
    world.token(account)
    world.expect(200, "GET", inbox, auth=world.auth(account))


def test_recover(world):
    account = world.account()
    entry, _, _ = account.recover()
    answer = world.expect(201, "POST", f"/v1/accounts/{account.id.hex()}/chain", json={"entry": base64url(entry)})
    assert answer.json()["seq"] == 1


def test_transparency_checkpoint(world):
    assert ask("transparency_checkpoint", 200).text.startswith(world.origin + "\n")


def test_transparency_leaves(world):
    leaves = ask("transparency_leaves", 200).content
    size = int(ask("transparency_checkpoint", 200).text.split("\n")[1])
    assert len(leaves) % waxwing.LEAF == 0 and 0 < len(leaves) <= size * waxwing.LEAF
    entry = waxwing.digest(waxwing.label("chain entry"), world.alice.chain[0])
    owner = waxwing.digest(waxwing.label("account"), world.alice.id)
    assert b"\0" + owner + bytes(4) + entry in [leaves[i : i + waxwing.LEAF] for i in range(0, len(leaves), waxwing.LEAF)]


def test_transparency_proof(world):
    ask("transparency_proof", 200, query={"first": 1, "second": 2})
    proof = ask("transparency_proof", 200, query={"index": 0, "size": 2}).json()
    [other] = [base64.urlsafe_b64decode(part + "=") for part in proof["path"]]
    leaves = ask("transparency_leaves", 200).content
    assert other == waxwing.digest(b"\0", leaves[waxwing.LEAF : 2 * waxwing.LEAF])


def test_transparency_restored(world):
    assert ask("transparency_restored", 200).json() == {"notes": []}


def test_access_keys(world):
    hashes = {"hashes": [base64url(waxwing.token_hash(os.urandom(16)))]}
    for name in ("admit_access_keys", "admit_access_keys", "dismiss_access_keys", "dismiss_access_keys"):
        ask(name, 204, **json(hashes))


def test_key_packages(world):
    device = world.auth(world.bob)
    upload = waxwing.upload_key_packages([os.urandom(300) for _ in range(3)], last_resort=os.urandom(300), replace=True)
    for _ in range(2):
        assert ask("upload_key_packages", 201, auth=device, **binary(upload)).json() == {"count": 3, "last_resort": True}
    claim = waxwing.claim_key_packages(world.bob.id)
    first = ask("claim_key_packages", 200, **binary(claim)).content
    [package] = waxwing.claimed_key_packages(first)
    assert package["device"] == world.bob.device.device and package["last_resort"] == 0
    # The same claim takes no other package.
    assert ask("claim_key_packages", 200, **binary(claim)).content == first
    assert ask("count_key_packages", 200, auth=device).json() == {"count": 2, "last_resort": True}


def test_logs(world):
    log = waxwing.Log()
    for _ in range(2):
        ask("create_log", 201, **binary(log.create()))
    path = {"log": log.id.hex()}
    entries = [waxwing.append(b"one"), waxwing.append(b"two", kind=waxwing.HANDSHAKE)]
    for seq, entry in enumerate(entries, 1):
        for _ in range(2):
            answer = ask("append_log", 201, path_parameters=path, auth=log_auth(log.write), **binary(entry))
            assert answer.json() == {"seq": seq}
    page = waxwing.log_page(ask("read_log", 200, path_parameters=path, auth=log_auth(log.read)).content)
    assert [entry["envelope"] for entry in page["entries"]] == [b"one", b"two"]
    assert (page["head"], page["last_handshake"], page["retired"]) == (2, 2, 0)
    # The running hash as the protocol says it.
    running = bytes(32)
    for entry in page["entries"]:
        running = waxwing.running_hash(running, entry)
    page = waxwing.log_page(ask("read_log", 200, path_parameters=path, query={"after": 2}, auth=log_auth(log.read)).content)
    assert page["running"] == running and not page["entries"]
    # Other tokens by a handshake: the old ones end with it.
    new = waxwing.Log()
    rekey = waxwing.append(b"three", kind=waxwing.HANDSHAKE, after=2, rekey=new)
    assert ask("append_log", 201, path_parameters=path, auth=log_auth(log.write), **binary(rekey)).json() == {"seq": 3}
    page = waxwing.log_page(ask("read_log", 200, path_parameters=path, auth=log_auth(log.read)).content)
    assert (page["head"], page["retired"]) == (3, 1)
    late = OPERATIONS["append_log"].Case(path_parameters=path, **binary(waxwing.append(b"four", after=2)))
    answer = late.call(auth=log_auth(log.write))
    late.validate_response(answer)
    assert answer.json()["code"] == "rekeyed" and answer.json()["head"] == 3
    log.write, log.read = new.write, new.read
    # What the document says of refusals.
    late = waxwing.append(b"four", after=1)
    problem = OPERATIONS["append_log"].Case(path_parameters=path, **binary(late))
    answer = problem.call(auth=log_auth(log.write))
    problem.validate_response(answer)
    assert answer.json()["code"] == "conflict" and answer.json()["head"] == 3


def test_inboxes(world):
    path = {"device": world.alice.device.device.hex()}
    envelope = os.urandom(40)
    send = waxwing.inbox_send(envelope, kind=waxwing.WELCOME)
    for way in (key_auth(world.access_key), key_auth(world.access_key)):
        seq = ask("send_inbox", 201, path_parameters=path, auth=way, **binary(send)).json()["seq"]
    ask("send_inbox", 201, path_parameters=path, auth=world.auth(world.bob), **binary(waxwing.inbox_send(b"stranger")))
    page = waxwing.inbox_page(ask("read_inbox", 200, path_parameters=path).content)
    assert [entry["envelope"] for entry in page["entries"] if entry["seq"] == seq] == [envelope]
    for _ in range(2):
        ask("ack_inbox", 204, path_parameters=path, **json({"up_to": page["head"]}))
    page = waxwing.inbox_page(ask("read_inbox", 200, path_parameters=path, query={"after": 0}).content)
    assert page["entries"] == []


def test_blobs(world):
    size = waxwing.BLOB_PART + 10
    data = os.urandom(size)
    path = {"id": waxwing.blob_id(data).hex()}

    def part(first, last):
        return {"path_parameters": path, "headers": {"Content-Range": f"bytes {first}-{last}/{size}"}} | binary(data[first : last + 1])

    for _ in range(2):
        answer = ask("put_blob", 202, **part(0, waxwing.BLOB_PART - 1))
        assert answer.json() == {"received": waxwing.BLOB_PART, "size": size}
    assert ask("put_blob", 201, **part(waxwing.BLOB_PART, size - 1)).json() == {"received": size, "size": size}
    assert ask("put_blob", 201, path_parameters=path, **binary(data)).json() == {"received": size, "size": size}
    owner = {"Waxwing-Blob-Owner": base64url(os.urandom(32))}
    assert ask("put_blob", 201, path_parameters=path, headers=owner, **binary(data)).json() == {"received": size, "size": size}
    for bad in ("", "!", base64url(os.urandom(31))):
        ask("put_blob", 400, path_parameters=path, headers={"Waxwing-Blob-Owner": bad}, **binary(data))
    assert ask("get_blob", 200, path_parameters=path).content == data
    some = ask("get_blob", 206, path_parameters=path, headers={"Range": "bytes=-20"})
    assert some.content == data[-20:]
    assert some.headers["content-range"] == [f"bytes {size - 20}-{size - 1}/{size}"]


def test_subscribe(world):
    """A WebSocket is no matter of request and answer: the upgrade is what the document says, 101."""
    host, port = world.origin.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            b"GET /v1/subscribe HTTP/1.1\r\nHost: " + world.origin.encode() + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\nWaxwing-Api: 1\r\n\r\n"
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
    head = answer.split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert head[0].startswith(b"http/1.1 101 ") and b"waxwing-api: 1" in head
    assert "101" in OPERATIONS["subscribe"].definition.raw["responses"]
    GRANTED.add("subscribe")


def test_every_operation_has_granted_something():
    assert GRANTED == set(OPERATIONS)


@pytest.mark.parametrize("asked, judged", [("/healthz", "subscribe"), ("/healthz", "relay_info"), ("/v1/relay", "count_key_packages")])
def test_the_checks_can_fail(asked, judged):
    """An answer that the document does not know is found out: by its status, by its media type, by its body."""
    answer = requests.get(URL + asked, timeout=60)
    with pytest.raises(FailureGroup):
        OPERATIONS[judged].Case().validate_response(answer)


# Nobody gets in without


CLOSED = [name for name, operation in OPERATIONS.items() if hooks.schemes(operation) and set() not in hooks.schemes(operation)]


@pytest.mark.parametrize("name", CLOSED)
def test_no_credentials_open_nothing(world, name):
    """Neither none nor such as nobody has given out; and the answer is as documented."""
    operation = OPERATIONS[name]
    path = {"id": os.urandom(32).hex(), "log": world.log.id.hex(), "device": world.alice.device.device.hex(), "account": world.alice.id.hex()}
    path = {parameter.name: path[parameter.name] for parameter in operation.path_parameters}
    stranger = waxwing.Account(world.origin)
    for auth in (hooks.nobody, DeviceAuth(stranger, world.alice.token), log_auth(os.urandom(32)), key_auth(os.urandom(16))):
        request = binary(b"") if operation.body else {}
        if name == "token":
            request = {"body": world.token_request(stranger), "media_type": "application/x-www-form-urlencoded"}
        elif operation.body and "application/json" in operation.get_request_payload_content_types():
            request = json({})
        elif name == "claim_key_packages":
            request = binary(waxwing.claim_key_packages(world.alice.id))
        elif name in ("send_inbox", "append_log"):
            request = binary({"send_inbox": waxwing.inbox_send, "append_log": waxwing.append}[name](b"x"))
        case = operation.Case(path_parameters=path, **request)
        answer = case.call(auth=auth)
        assert answer.status_code in (401, 403), (name, answer.status_code, answer.content[:200])
        case.validate_response(answer)


@pytest.mark.parametrize("name, status", [("token", 400), ("count_key_packages", 401)])
def test_a_proof_without_a_nonce_is_given_one(world, name, status):
    """RFC 9449, sections 8 and 9: what is refused for that alone, and as documented, is granted with the nonce that comes with it."""
    token = None if name == "token" else world.alice.token
    form = {"body": world.token_request(world.alice), "media_type": "application/x-www-form-urlencoded"}
    case = OPERATIONS[name].Case(**({} if token else form))

    def prove(nonce):
        def sign(request):
            request.headers["DPoP"] = waxwing.proof(world.alice, request.method, request.url, token, nonce)
            if token:
                request.headers["Authorization"] = f"DPoP {token}"
            return request

        answer = case.call(auth=sign)
        case.validate_response(answer)
        return answer

    refused = prove(None)
    assert (refused.status_code, refused.json()["code"]) == (status, "use_dpop_nonce")
    assert ("www-authenticate" in refused.headers) == (status == 401)
    [nonce] = refused.headers["dpop-nonce"]
    assert prove(nonce).status_code == 200


# Made up


MANY = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@FITTING.parametrize()
@MANY
def test_what_fits_is_answered_as_documented(case):
    case.validate_response(case.call())


@UNFITTING.parametrize()
@MANY
def test_what_does_not_fit_is_refused_as_documented(case):
    case.validate_response(case.call())


def test_the_relay_is_well(relay):
    """After all of it the relay runs, has complained of nothing, and ends in order."""
    assert relay.process.poll() is None
    said = relay.said()
    assert "ERROR" not in said and "panicked" not in said, said
    assert relay.stop()
