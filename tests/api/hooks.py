"""What schemathesis is taught of this API: how requests are signed, and what frames and ids look like that get further than the first check.

Half of what it sends stays as it made it up.
"""

import os

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData

import waxwing
from world import DeviceAuth, key_auth, log_auth

WORLD = None


def nobody(request):
    """Signs nothing."""
    return request


def use(world):
    global WORLD
    WORLD = world


def operation_id(context):
    return context.operation.definition.raw["operationId"]


def schemes(operation):
    """Names of the security schemes of each way in."""
    return [set(way) for way in operation.definition.raw.get("security", [])]


def auth(operation):
    """Who asks, by one of the ways in: a device where it can be one."""
    ways = schemes(operation)
    if {"device_token", "device_proof"} in ways:
        return DeviceAuth(WORLD.alice, WORLD.alice.token)
    if {"device_proof"} in ways:
        return DeviceAuth(WORLD.alice, None)
    if {"log_token"} in ways:
        reads = operation.method.upper() == "GET"
        return log_auth(WORLD.log.read if reads else WORLD.log.write)
    if {"access_key"} in ways:
        return key_auth(WORLD.access_key)
    return None


@schemathesis.hook
def before_call(context, case, kwargs):
    # The credentials are the relay's to check, not schemathesis's to make up: what it makes up goes out where nothing is signed.
    signed = kwargs.get("auth") or auth(case.operation)
    if signed is not None:
        for name in ("Authorization", "DPoP", "waxwing-access-key"):
            case.headers.pop(name, None)
        kwargs["auth"] = signed


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What schemathesis takes for wrong and is not."""
    if not isinstance(failure, AcceptedNegativeData):
        return True
    what = failure.message.split("Invalid component: ")[-1]
    # The hook has put back the credentials that were left out. Headers and query parameters that nobody has asked for are ignored (RFC 9110, section
    # 5.1, of headers). The one header that is judged is named.
    if "header" in what:
        return "waxwing-api" in what
    # The last two: a frame, an id or a credential from here took the place of what was wrong.
    return not any(part in what for part in ("in query - violates `additionalProperties`", "positive test case", "valid object"))


@schemathesis.hook
def before_generate_path_parameters(context, strategy):
    real = {
        "account": st.sampled_from([WORLD.alice.id.hex(), WORLD.alice.name, WORLD.bob.id.hex(), os.urandom(16).hex()]),
        "log": st.sampled_from([WORLD.log.id.hex(), os.urandom(16).hex()]),
        "id": st.sampled_from([waxwing.blob_id(data).hex() for data in (WORLD.blob, b"some", os.urandom(8))]),
        "device": st.sampled_from([account.device.device.hex() for account in (WORLD.alice, WORLD.bob)]),
    }
    names = [parameter.name for parameter in context.operation.path_parameters]
    if not names or any(name not in real for name in names):
        return strategy
    return st.one_of(strategy, st.fixed_dictionaries({name: real[name] for name in names}))


def frames():
    """Frames that can be read, and mostly make sense, by operation."""
    envelope = st.binary(max_size=2000)
    ids = st.sampled_from([os.urandom(16) for _ in range(4)])
    package = st.binary(min_size=1, max_size=4097)
    rekey = st.one_of(st.none(), st.builds(waxwing.Log))
    return {
        "put_blob": st.sampled_from([WORLD.blob, b"some", b"other"]),
        "create_log": st.builds(lambda: waxwing.Log().create()),
        "append_log": st.builds(waxwing.append, envelope, st.integers(0, 6), st.integers(0, 2**64 - 1), ids, rekey),
        "send_inbox": st.builds(waxwing.inbox_send, envelope, st.integers(0, 6), ids),
        "upload_key_packages": st.builds(
            waxwing.upload_key_packages, st.lists(package, max_size=4), st.one_of(st.none(), package), st.booleans()
        ),
        "claim_key_packages": st.builds(waxwing.claim_key_packages, st.sampled_from([WORLD.bob.id, os.urandom(16)])),
    }


@schemathesis.hook
def before_generate_headers(context, strategy):
    ranges = {
        "get_blob": ("Range", st.sampled_from(["bytes=0-0", "bytes=-5", "bytes=4990-", "bytes=5000-", "bytes=0-1,3-4"])),
        "put_blob": ("Content-Range", st.sampled_from(["bytes 0-3/4", "bytes */4", "bytes 2-3/4", "bytes 0-0/1", "bytes 0-4999/5000"])),
    }
    if operation_id(context) not in ranges:
        return strategy
    name, values = ranges[operation_id(context)]
    return st.one_of(strategy, st.fixed_dictionaries({name: values}))


@schemathesis.hook
def before_generate_body(context, strategy):
    frame = frames().get(operation_id(context))
    return strategy if frame is None else st.one_of(strategy, frame)
